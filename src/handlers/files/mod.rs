//! `files = DIR`: representations from a directory tree.
//!
//! A path leads to an entry of the worker's cache ([`known`]), and the entry to a response (here).
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | what may be opened at all | [`beneath`](crate::disk::beneath) |
//! | from a path to its entry: cache, cheap check, look | [`known`] |
//! | which file answers for a path | [`look`], [`lookup`] |
//! | what is kept of it, and how long | [`load`], [`cache`], [`entry`], [`open_files`] |
//! | how much is kept, and what metrics say of that | [`generations`], [`held`] |
//! | how little tells that it is still so | [`unchanged`] |
//! | codings that this server makes | [`coded`] |
//! | what a worker keeps open | [`worker_state`], [`roots`] |
//! | a directory as one file | [`archive`] |
//! | listings | [`list`], [`listings`], [`directory`], [`listing`] |
//! | why a compressed sibling is not sent | [`siblings`] |
//! | which of several files answers (`try`, `fallback`) | [`tried`] |
//! | which requests are for a single-page application | [`navigation`] |
//! | what `explain` says of the file | [`selected`] |
//! | why nothing can be sent | [`error`] |

mod archive;
mod cache;
mod coded;
mod directory;
mod entry;
mod error;
mod generations;
mod held;
mod known;
mod list;
mod listing;
mod listings;
mod load;
mod look;
mod lookup;
mod navigation;
mod open_files;
mod roots;
mod selected;
pub(crate) mod siblings;
mod tried;
mod unchanged;
mod worker_state;

use std::rc::Rc;
use std::sync::Arc;

use crate::http::path::NormalPath;
use crate::message::location::{redirect_to_directory, redirect_to_page};
use crate::message::request::Request;
use crate::message::response::Response;
use crate::reason::Reason;

pub(crate) use archive::OwnPaths;
pub(crate) use coded::held as compressed;
pub(crate) use entry::{BorrowedKey, Key, Table};
use entry::{Entry, State};
use error::FilesError;
use load::Choice;
pub(crate) use look::{FilesRoute, Place};
use navigation::{is_navigation, varying_by_navigation};
pub(crate) use tried::TriedFiles;
pub(crate) use worker_state::{CacheState, WorkerState};

/// What answers navigations in a single-page application.
const APPLICATION: &[u8] = b"/index.html";

/// The handler of a `files` route.
pub(crate) struct FilesHandler {
    route: Arc<FilesRoute>,
    strip_prefix: bool,
    /// Which paths the route answers for; not known where it makes no archives.
    own_paths: Option<OwnPaths>,
}

/// The entry that answers for a path.
struct Answering<'p> {
    entry: Rc<Entry>,
    /// The path that it is the entry of.
    path: &'p [u8],
    /// Whether it depends on the request's fields which entry it is.
    varies: bool,
}

impl FilesHandler {
    pub(crate) fn new(route: Arc<FilesRoute>, strip_prefix: bool) -> Self {
        Self {
            route,
            strip_prefix,
            own_paths: None,
        }
    }

    /// The handler, which learns which paths its route answers for.
    pub(crate) fn with_own_paths(self, own_paths: OwnPaths) -> Self {
        Self {
            own_paths: Some(own_paths),
            ..self
        }
    }

    /// Whether encoded slashes in the path are to separate segments.
    pub(crate) fn decodes_slashes(&self) -> bool {
        self.route.options.decode_slashes
    }

    /// The response, if everything it needs is in memory.
    pub(crate) fn answer_now(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'static>> {
        let path = match self.path_beneath(request) {
            Ok(path) => path,
            Err(redirect) => return Some(redirect),
        };
        let entry = self.route.entry_now(path.as_bytes(), request, state)?;
        if !self.is_for_application(&entry, request) {
            return self.answer_from(&entry, request);
        }
        let response = if is_navigation(request) {
            self.answer_from(
                &*self.route.entry_now(APPLICATION, request, state)?,
                request,
            )
        } else {
            self.answer_from(&entry, request)
        };
        response.map(varying_by_navigation)
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

    /// The response with the file at the path itself, if there is one and everything is in memory.
    pub(crate) fn file_now(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'static>> {
        let path = self.path_beneath(request).ok()?;
        let entry = self.route.entry_now(path.as_bytes(), request, state)?;
        match entry.state {
            State::File(_) => self.answer_from(&entry, request),
            _ => None,
        }
    }

    /// The response with the file at the path itself, if there is one.
    pub(crate) async fn file(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'static>> {
        let path = self.path_beneath(request).ok()?;
        match self.route.entry(path.as_bytes(), request, state).await {
            Ok(entry) => {
                self.answer_with_file(path.as_bytes(), entry, request, state)
                    .await
            }
            Err(error) => Some(error.into_response(state)),
        }
    }

    async fn answer_waiting(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Response<'static>, FilesError> {
        let path = match self.path_beneath(request) {
            Ok(path) => path,
            Err(redirect) => return Ok(redirect),
        };
        let Answering {
            entry,
            path: path_of_entry,
            varies,
        } = self.entry_for(&path, request, state).await?;
        let response = match self.answer_from(&entry, request) {
            None if matches!(entry.state, State::File(_)) => {
                self.answer_with_file(path_of_entry, entry, request, state)
                    .await
            }
            response => response,
        };
        match response {
            Some(response) if varies => Ok(varying_by_navigation(response)),
            Some(response) => Ok(response),
            None => match self.archive_form(request) {
                Some(form) => self.archive(form, &path, request, state).await,
                None => self.route.list(&path, request, state).await,
            },
        }
    }

    /// The entry that answers for `path`: its own, or the single-page application's.
    async fn entry_for<'p>(
        &self,
        path: &'p NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Answering<'p>, FilesError> {
        let path = path.as_bytes();
        let entry = self.route.entry(path, request, state).await?;
        let varies = self.is_for_application(&entry, request);
        if varies && is_navigation(request) {
            return Ok(Answering {
                entry: self.route.entry(APPLICATION, request, state).await?,
                path: APPLICATION,
                varies,
            });
        }
        Ok(Answering {
            entry,
            path,
            varies,
        })
    }

    /// The path beneath the root. If the client must add a slash first, the redirect that says so.
    fn path_beneath<'r>(&self, request: &Request<'r>) -> Result<NormalPath<'r>, Response<'static>> {
        if !self.strip_prefix {
            return Ok(request.path.whole().strip_prefix(0));
        }
        if request.path.is_route_without_slash() {
            return Err(redirect_to_directory(request));
        }
        Ok(request.path.stripped())
    }

    /// Whether a navigation that leads to `entry` is for the single-page application: there is one, and
    /// the path leads to nothing.
    fn is_for_application(&self, entry: &Entry, request: &Request<'_>) -> bool {
        let options = &self.route.options;
        let leads_nowhere = match entry.state {
            State::Missing => true,
            // Without its slash the path leads to a redirect.
            State::Directory => request.path.is_directory() && !options.listing,
            State::File(_) | State::Page | State::Forbidden => false,
        };
        options.spa && leads_nowhere
    }

    /// The redirect that adds the slash of a directory.
    fn redirect(&self, request: &Request<'_>) -> Option<Response<'static>> {
        (!request.path.is_directory()).then(|| redirect_to_directory(request))
    }

    /// The response with the file of `entry`, in a coding that is made now if need be; `None` if it has none.
    async fn answer_with_file(
        &self,
        path: &[u8],
        entry: Rc<Entry>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'static>> {
        let entry = self.route.with_coding(path, entry, request, state).await;
        let State::File(file) = &entry.state else {
            return None;
        };
        let as_it_is = || {
            let (.., itself) = file.itself();
            itself.answer(request.head, request.changes)
        };
        Some(self.answer_from(&entry, request).unwrap_or_else(as_it_is))
    }

    /// The response for an entry; `None` if it is a listing, or a file in a coding that has to be made.
    fn answer_from(&self, entry: &Entry, request: &Request<'_>) -> Option<Response<'static>> {
        let problem = |reason| Some(Response::problem(reason));
        match &entry.state {
            State::File(file) => match file.choose(request.head, &self.route.options) {
                Choice::Ready(chosen) => Some(chosen.answer(request.head, request.changes)),
                Choice::ToMake(_) => None,
            },
            State::Directory if !request.path.is_directory() => {
                Some(redirect_to_directory(request))
            }
            State::Page => Some(redirect_to_page(request)),
            State::Directory if self.route.options.listing => None,
            State::Directory => problem(Reason::DirectoryWithoutIndex),
            State::Missing => problem(Reason::FileMissing),
            State::Forbidden => problem(Reason::FilePermission),
        }
    }
}
