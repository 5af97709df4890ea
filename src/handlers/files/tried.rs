//! `try` and `fallback`: which of several files answers a request.
//!
//! Each text of `try` gives a path beneath the root, and the first that leads to a file answers, in order.
//! A path with a slash at its end leads to the index of that directory, or to its listing; to a listing of the
//! request's own path only behind a redirect that adds the slash. Where none does, the request's own path may
//! lead to a directory, to which a redirect adds the slash; then comes `fallback`; then 404.

use std::rc::Rc;

use super::FilesHandler;
use super::entry::{Entry, State};
use super::error::FilesError;
use super::worker_state::WorkerState;
use crate::config::model::{Files, RoutePattern};
use crate::http::path::NormalPath;
use crate::http::template::{Place, Template, Values};
use crate::log::diagnostic;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::message::selected::Selected;
use crate::reason::Reason;

/// The handler of a `files` route that has one of the two.
pub(crate) struct TriedFiles {
    files: FilesHandler,
    /// At least one.
    tries: Vec<Template>,
    fallback: Option<String>,
}

/// What answers a request.
enum Found {
    /// What the entry has, at that path.
    Entry(Rc<Entry>, Vec<u8>),
    /// The redirect that adds a slash.
    Directory,
    Nothing,
}

impl TriedFiles {
    /// Whether `options` have one of the two.
    pub(crate) fn needed(options: &Files) -> bool {
        !options.tries.is_empty() || options.fallback.is_some()
    }

    /// The handler of a route with that pattern; `files` has its other options.
    pub(crate) fn new(files: FilesHandler, options: &Files, pattern: &RoutePattern) -> Self {
        let tries = options.tries.iter().map(|text| text.resolved(pattern));
        Self {
            files,
            tries: tries.collect(),
            fallback: options.fallback.clone(),
        }
    }

    /// Whether encoded slashes in the path are to separate segments.
    pub(crate) fn decodes_slashes(&self) -> bool {
        self.files.decodes_slashes()
    }

    /// The response, if everything it needs is in memory.
    pub(crate) fn answer_now(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'static>> {
        let own = match self.files.path_beneath(request) {
            Ok(path) => path,
            Err(redirect) => return Some(redirect),
        };
        let route = &self.files.route;
        for path in self.candidates(&own, request) {
            let entry = route.entry_now(&path, request, state)?;
            if self.lists_without_slash(&entry, &path, &own) {
                return self.files.redirect(request);
            }
            if self.answers(&entry, &path) {
                return self.response(&entry, request);
            }
        }
        if self.is_directory(&*route.entry_now(own.as_bytes(), request, state)?, &own) {
            return self.files.redirect(request);
        }
        match &self.fallback {
            None => Some(Response::problem(Reason::FileMissing)),
            Some(path) => {
                let entry = route.entry_now(path.as_bytes(), request, state)?;
                self.response(&entry, request)
            }
        }
    }

    /// The response, with looks at the disk that may wait on the blocking pool.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Response<'static> {
        match self.answer_waiting(request, state).await {
            Ok(response) => response,
            Err(error) => error.into_response(state),
        }
    }

    async fn answer_waiting(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Response<'static>, FilesError> {
        let own = match self.files.path_beneath(request) {
            Ok(path) => path,
            Err(redirect) => return Ok(redirect),
        };
        let nothing = || Response::problem(Reason::FileMissing);
        Ok(match self.find(&own, request, state).await? {
            Found::Nothing => nothing(),
            Found::Directory => self.files.redirect(request).unwrap_or_else(nothing),
            Found::Entry(entry, path) => match self.response(&entry, request) {
                Some(response) => response,
                None if matches!(entry.state, State::File(_)) => {
                    let files = &self.files;
                    let response = files.answer_with_file(&path, entry, request, state).await;
                    response.unwrap_or_else(nothing)
                }
                None => {
                    let path = NormalPath::of_normal(&path);
                    self.files.route.list(&path, request, state).await?
                }
            },
        })
    }

    /// What answers `request`, whose own path beneath the root is `own`.
    async fn find(
        &self,
        own: &NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Found, FilesError> {
        let route = &self.files.route;
        for path in self.candidates(own, request) {
            let entry = route.entry(&path, request, state).await?;
            if self.lists_without_slash(&entry, &path, own) {
                return Ok(Found::Directory);
            }
            if self.answers(&entry, &path) {
                return Ok(Found::Entry(entry, path));
            }
        }
        let entry = route.entry(own.as_bytes(), request, state).await?;
        if self.is_directory(&entry, own) {
            return Ok(Found::Directory);
        }
        let Some(path) = &self.fallback else {
            return Ok(Found::Nothing);
        };
        let entry = route.entry(path.as_bytes(), request, state).await?;
        Ok(Found::Entry(entry, path.clone().into_bytes()))
    }

    /// The paths beneath the root that are tried, in order. One that is no path is left out: a value has
    /// made it a dot segment, or left a segment empty.
    fn candidates<'c>(
        &'c self,
        own: &'c NormalPath<'_>,
        request: &'c Request<'_>,
    ) -> impl Iterator<Item = Vec<u8>> {
        let values = Values {
            path: own.as_bytes(),
            ..request.values()
        };
        let own_path = self.tries.is_empty().then(|| own.as_bytes().to_vec());
        let tried = self.tries.iter().filter_map(move |template| {
            let mut path = Vec::new();
            template.fill(&values, Place::File, &mut path);
            NormalPath::is_normal(&path).then_some(path)
        });
        own_path.into_iter().chain(tried)
    }

    /// Whether what is at `path` ends the search. A file that may not be read does, so that no other one
    /// hides the mistake.
    fn answers(&self, entry: &Entry, path: &[u8]) -> bool {
        match entry.state {
            State::File(_) | State::Forbidden => true,
            State::Directory => path.ends_with(b"/") && self.files.route.options.listing,
            State::Page => self.tries.is_empty(),
            State::Missing => false,
        }
    }

    /// Whether what is at `path` is the listing of the directory to which the request's `own` path leads without
    /// its slash. The links of the listing would lead beside the directory.
    fn lists_without_slash(&self, entry: &Entry, path: &[u8], own: &NormalPath<'_>) -> bool {
        matches!(entry.state, State::Directory)
            && self.answers(entry, path)
            && path.strip_suffix(b"/") == Some(own.as_bytes())
    }

    /// Whether the request's own path lacks the slash of a directory.
    fn is_directory(&self, entry: &Entry, own: &NormalPath<'_>) -> bool {
        matches!(entry.state, State::Directory) && !own.is_directory()
    }

    /// The response with what was found; `None`: it is a listing, or in a coding that has to be made.
    fn response(&self, entry: &Entry, request: &Request<'_>) -> Option<Response<'static>> {
        match entry.state {
            State::Directory if self.files.route.options.listing => None,
            State::Directory => Some(Response::problem(Reason::DirectoryWithoutIndex)),
            _ => self.files.answer_from(entry, request),
        }
    }

    /// The file that would be sent, its coding, and what was tried before it.
    pub(crate) async fn selected(&self, request: &Request<'_>, state: &WorkerState) -> Selected {
        let Ok(own) = self.files.path_beneath(request) else {
            return Selected::without_slash();
        };
        let found = match self.find(&own, request, state).await {
            Ok(found) => found,
            Err(error) => return Selected::nothing(diagnostic::chain(&error)),
        };
        let shown = |path: &[u8]| String::from_utf8_lossy(path).escape_debug().to_string();
        let answered = match &found {
            Found::Entry(_, path) => Some(path),
            Found::Directory | Found::Nothing => None,
        };
        let tried = self.candidates(&own, request);
        let tried = tried.take_while(|path| Some(path) != answered);
        let tried: Vec<String> = tried.map(|path| shown(&path)).collect();
        let (entry, path) = match found {
            Found::Directory => return Selected::without_slash(),
            Found::Nothing => {
                let tried = tried.join(", ");
                return Selected::nothing(format!("none of these is a file: {tried}"));
            }
            Found::Entry(entry, path) => (entry, path),
        };
        let normal = NormalPath::of_normal(&path);
        let mut selected = self.files.describe(&entry, &normal, request, state).await;
        if let Some(file) = selected.file.as_mut().filter(|_| !tried.is_empty()) {
            file.push_str(&format!("; not there: {}", tried.join(", ")));
        }
        selected
    }
}
