//! `files = DIR`: representations from a directory tree.
//!
//! ```text
//! path ─ cache ── fresh ─────────────────────────────────────────┐
//!          ├ stale, but unchanged ───────────────────────────────┤
//!          └ changed or unknown → Look::run ─ from memory ───────┤→ Entry → answer
//!                                   └ WouldBlock → blocking pool ┘
//! ```
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | what may be opened at all | [`beneath`] |
//! | which file answers for a path | [`look`], [`lookup`] |
//! | what is kept of it, and how long | [`load`], [`cache`] |
//! | how little tells that it is still so | [`unchanged`] |
//! | listings | [`directory`], [`listing`] |

mod cache;
mod directory;
mod listing;
mod load;
mod look;
mod lookup;
mod unchanged;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::disk::beneath;
use crate::disk::beneath::Waiting;
use crate::disk::now_or_on_pool;
use crate::http::fields::Known;
use crate::http::path::NormalPath;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::content::{Blocks, Content, Octets};
use crate::message::format::Format;
use crate::message::location::redirect_to_directory;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::runtime::{self, BlockingError, BlockingPool};

use cache::{Cache, Entry, State};
use listing::{Renderer, Sort};
pub(crate) use look::FilesRoute;
use look::{Look, Outcome, Seen};
use unchanged::{Directories, DirectoryState};

/// How long an open root is kept that no request asks for: longer than a root in use is kept.
const FORGET_ROOT: Duration = Duration::from_secs(60);

/// The handler of a `files` route.
pub(crate) struct FilesHandler {
    route: Arc<FilesRoute>,
    strip_prefix: bool,
}

/// What a worker keeps for all its `files` routes.
pub(crate) struct WorkerState {
    /// Runs looks at the disk that have to wait for it.
    disk: Arc<BlockingPool>,
    cache: RefCell<Cache>,
    /// The open root of each route, by its id, and since when.
    roots: RefCell<HashMap<u64, (Arc<OwnedFd>, Instant)>>,
    directories: RefCell<Directories>,
    complained: Cell<Option<Instant>>,
}

/// What the cache has for a path.
enum Cached {
    /// An entry that another look would confirm.
    Current(Rc<Entry>),
    /// An entry that has to be compared with what is there now.
    Old(Rc<Entry>),
    Nothing,
}

/// Why no file or listing can be sent.
#[derive(Debug, thiserror::Error)]
enum FilesError {
    #[error("cannot read {path:?} beneath {root}")]
    Read {
        path: String,
        root: String,
        source: io::Error,
    },
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl FilesHandler {
    pub(crate) fn new(route: Arc<FilesRoute>, strip_prefix: bool) -> Self {
        Self {
            route,
            strip_prefix,
        }
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
        let entry = self.entry_now(path.as_bytes(), state)?;
        match self.fallback(&entry, request) {
            Some(path) => self.answer_from(&*self.entry_now(path, state)?, request),
            None => self.answer_from(&entry, request),
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

    /// The response with the file at the path itself, if there is one and everything is in memory.
    pub(crate) fn file_now(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'static>> {
        let path = self.path_beneath(request).ok()?;
        let entry = self.entry_now(path.as_bytes(), state)?;
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
        match self.entry(path.as_bytes(), state).await {
            Ok(entry) => match entry.state {
                State::File(_) => self.answer_from(&entry, request),
                _ => None,
            },
            Err(error) => Some(error.into_response(state)),
        }
    }

    /// The file that would be sent, and its coding.
    pub(crate) async fn selected(
        &self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<String> {
        let path = self.path_beneath(request).ok()?;
        let entry = self.entry_for(&path, request, state).await.ok()?;
        let State::File(file) = &entry.state else {
            return None;
        };
        let accept_encoding = request.head.fields.combined(Known::AcceptEncoding);
        let (coding, path) = file.describe(accept_encoding.as_deref());
        let root = self.route.options.root.display();
        Some(format!("{root}/{path} ({coding})"))
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
        let entry = self.entry_for(&path, request, state).await?;
        match self.answer_from(&entry, request) {
            Some(response) => Ok(response),
            None => self.list(&path, request, state).await,
        }
    }

    /// The entry that answers for `path`: its own, or the single-page application's.
    async fn entry_for(
        &self,
        path: &NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Rc<Entry>, FilesError> {
        let entry = self.entry(path.as_bytes(), state).await?;
        match self.fallback(&entry, request) {
            Some(path) => self.entry(path, state).await,
            None => Ok(entry),
        }
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

    /// The path to look at instead: a navigation that leads to nothing is for a single-page
    /// application.
    fn fallback(&self, entry: &Entry, request: &Request<'_>) -> Option<&'static [u8]> {
        let options = &self.route.options;
        let leads_nowhere = match entry.state {
            State::Missing => true,
            // Without its slash the path leads to a redirect.
            State::Directory => request.path.is_directory() && !options.listing,
            State::File(_) | State::Forbidden => false,
        };
        (options.spa && leads_nowhere && is_navigation(request)).then_some(b"/index.html")
    }

    /// The response for an entry; `None` if it is a listing.
    fn answer_from(&self, entry: &Entry, request: &Request<'_>) -> Option<Response<'static>> {
        let not_found = || Some(Response::problem(Status::NOT_FOUND));
        match &entry.state {
            State::File(file) => {
                let accept_encoding = request.head.fields.combined(Known::AcceptEncoding);
                Some(file.select(accept_encoding.as_deref()).answer(request.head))
            }
            State::Directory if !request.path.is_directory() => {
                Some(redirect_to_directory(request))
            }
            State::Directory if self.route.options.listing => None,
            State::Directory | State::Missing => not_found(),
            State::Forbidden => Some(Response::problem(Status::FORBIDDEN)),
        }
    }

    /// The entry of `path`, without waiting: from the cache, or by a look at what the system holds
    /// in memory.
    fn entry_now(&self, path: &[u8], state: &WorkerState) -> Option<Rc<Entry>> {
        let known = match self.cached(path, state) {
            Cached::Current(entry) => return Some(entry),
            Cached::Old(entry) => Some(entry),
            Cached::Nothing => None,
        };
        let look = self.look(path, known.as_deref(), state);
        let seen = look.run(Waiting::Never).ok()?;
        Some(self.remember(path, known, seen, state))
    }

    /// What the cache has for `path`, and whether a cheap look shows that it is still right.
    fn cached(&self, path: &[u8], state: &WorkerState) -> Cached {
        let Some(entry) = state.cache.borrow_mut().find(self.route.id, path) else {
            return Cached::Nothing;
        };
        let is_fresh = entry.is_fresh(runtime::now(), self.route.options.revalidate);
        if is_fresh || self.confirm_unchanged(path, &entry, state) {
            Cached::Current(entry)
        } else {
            Cached::Old(entry)
        }
    }

    /// The entry of `path`, with a look that may wait on the pool.
    async fn entry(&self, path: &[u8], state: &WorkerState) -> Result<Rc<Entry>, FilesError> {
        let known = match self.cached(path, state) {
            Cached::Current(entry) => return Ok(entry),
            Cached::Old(entry) => Some(entry),
            Cached::Nothing => None,
        };
        let look = self.look(path, known.as_deref(), state);
        let seen = now_or_on_pool(&state.disk, move |waiting| look.run(waiting)).await?;
        let seen = seen.map_err(|source| self.read_error(path, source))?;
        Ok(self.remember(path, known, seen, state))
    }

    /// Whether a cheap look confirms `entry`, which is then as fresh as that look.
    fn confirm_unchanged(&self, path: &[u8], entry: &Entry, state: &WorkerState) -> bool {
        let State::File(file) = &entry.state else {
            return false;
        };
        let Some(root) = self.root_now(state) else {
            return false;
        };
        let seen = self.directory_now(&root, path, state);
        let confirming = seen.filter(|seen| seen.confirms(root.as_fd(), file));
        if let Some(seen) = confirming {
            entry.confirm(seen.at);
        }
        confirming.is_some()
    }

    fn look(&self, path: &[u8], known: Option<&Entry>, state: &WorkerState) -> Look {
        let root = self.root_now(state);
        let seen = root
            .as_ref()
            .and_then(|root| self.directory_now(root, path, state));
        Look {
            route: Arc::clone(&self.route),
            root,
            directory: seen.and_then(|seen| seen.identity),
            path: path.to_vec(),
            known: match known.map(|entry| &entry.state) {
                Some(State::File(file)) => file.identities().collect(),
                _ => Vec::new(),
            },
        }
    }

    /// The open root; `None` if opening it would have to wait. It is opened again after
    /// `revalidate`, because its name may lead to another directory now.
    fn root_now(&self, state: &WorkerState) -> Option<Arc<OwnedFd>> {
        let options = &self.route.options;
        if let Some((root, opened)) = state.roots.borrow().get(&self.route.id)
            && runtime::now().duration_since(*opened) < options.revalidate
        {
            return Some(Arc::clone(root));
        }
        let root = Arc::new(beneath::open_root(&options.root, Waiting::Never).ok()?);
        self.keep_root(Arc::clone(&root), state);
        Some(root)
    }

    fn keep_root(&self, root: Arc<OwnedFd>, state: &WorkerState) {
        let now = runtime::now();
        let mut roots = state.roots.borrow_mut();
        // Roots of routes that a reload took away are never asked for again.
        roots.retain(|_, (_, opened)| now.duration_since(*opened) < FORGET_ROOT);
        roots.insert(self.route.id, (root, now));
    }

    /// The state of the directory of `path`; `None` if every look must be a full one.
    fn directory_now(
        &self,
        root: &OwnedFd,
        path: &[u8],
        state: &WorkerState,
    ) -> Option<DirectoryState> {
        let period = self.route.options.revalidate;
        let mut directories = state.directories.borrow_mut();
        let see = || directories.of((self.route.id, root.as_fd()), path, runtime::now(), period);
        (!period.is_zero()).then(see)
    }

    fn remember(
        &self,
        path: &[u8],
        known: Option<Rc<Entry>>,
        seen: Seen,
        state: &WorkerState,
    ) -> Rc<Entry> {
        let now = runtime::now();
        if let Some(root) = seen.new_root {
            self.keep_root(root, state);
        }
        let found = match (seen.outcome, known) {
            (Outcome::Unchanged(directory), Some(entry)) => {
                entry.confirm(now);
                if let State::File(file) = &entry.state {
                    file.set_directory(directory);
                }
                return entry;
            }
            (Outcome::File(loaded), _) => State::File(loaded.into_cached(&self.route.options)),
            (Outcome::Directory, _) => State::Directory,
            (Outcome::Forbidden, _) => State::Forbidden,
            (Outcome::Missing | Outcome::Unchanged(_), _) => State::Missing,
        };
        let entry = Entry::new(found, now);
        state
            .cache
            .borrow_mut()
            .insert(self.route.id, path, Rc::clone(&entry));
        entry
    }

    /// The listing of the directory at `path`, in the form the client prefers.
    async fn list(
        &self,
        path: &NormalPath<'_>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Response<'static>, FilesError> {
        let accept = request.head.fields.combined(Known::Accept);
        let format = Format::preferred(accept.as_deref());
        let sort = Sort::from_query(request.head.target.query.unwrap_or_default());
        let (shown, beneath) = (request.path.as_bytes().to_vec(), path.as_bytes().to_vec());
        let route = Arc::clone(&self.route);
        let rendered = state.disk.run(move || {
            let root = beneath::open_root(&route.options.root, Waiting::Allowed)?;
            let entries = directory::read(root.as_fd(), &beneath)?;
            let mut listing = Renderer::new(format, shown, sort, entries);
            let mut first = Vec::new();
            let is_longer = listing.next_block(&mut first);
            Ok((first, is_longer.then_some(listing)))
        });
        let (first, rest) = rendered
            .await?
            .map_err(|source| self.read_error(path.as_bytes(), source))?;
        let fields = FieldLines::new()
            .with("Content-Type", format.content_type())
            .with("Vary", "Accept")
            .with("X-Content-Type-Options", "nosniff");
        let content = match rest {
            None => Content::Octets(Octets::Owned(first)),
            Some(listing) => Content::Blocks(Box::new(ListingBlocks { first, listing })),
        };
        Ok(Response {
            status: Status::OK,
            fields: fields.into(),
            content,
        })
    }

    fn read_error(&self, path: &[u8], source: io::Error) -> FilesError {
        FilesError::Read {
            path: String::from_utf8_lossy(path).into_owned(),
            root: self.route.options.root.display().to_string(),
            source,
        }
    }
}

impl FilesError {
    /// The response for an error. The client hears only whether it may try again: 503, otherwise
    /// 500.
    fn into_response(self, state: &WorkerState) -> Response<'static> {
        let is_shortage = match &self {
            Self::Blocking(BlockingError::Saturated | BlockingError::NoThread) => true,
            Self::Blocking(BlockingError::Panicked(_)) => false,
            Self::Read { source, .. } => matches!(
                Errno::from_io_error(source),
                Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN)
            ),
        };
        state.complain(&self);
        if is_shortage {
            return Response::busy();
        }
        Response::problem(Status::INTERNAL_SERVER_ERROR)
    }
}

impl WorkerState {
    /// The state of a worker that has looked at nothing yet.
    pub(crate) fn new(disk: Arc<BlockingPool>) -> Self {
        Self {
            disk,
            cache: RefCell::default(),
            roots: RefCell::default(),
            directories: RefCell::default(),
            complained: Cell::new(None),
        }
    }

    /// Logs an error, at most once a second: a broken disk breaks every request.
    fn complain(&self, error: &FilesError) {
        let now = runtime::now();
        let recently = |at: Instant| now.duration_since(at) < Duration::from_secs(1);
        if !self.complained.get().is_some_and(recently) {
            self.complained.set(Some(now));
            diagnostic::error(format_args!("{}", diagnostic::chain(error)));
        }
    }
}

/// Whether a browser goes to another page, rather than fetching a part of one. Browsers say so in a
/// field. For other clients a request counts that accepts HTML and whose path names no file type.
fn is_navigation(request: &Request<'_>) -> bool {
    if let Some(mode) = request.head.fields.first(Known::SecFetchMode) {
        return mode == b"navigate";
    }
    let last = request.path.last_segment();
    let accept = request.head.fields.combined(Known::Accept);
    let names_html = |accept: &[u8]| memchr::memmem::find(accept, b"text/html").is_some();
    !last.contains(&b'.') && accept.as_deref().is_some_and(names_html)
}

/// The content of a listing that is longer than one block.
struct ListingBlocks {
    /// The first block, which the blocking pool rendered after it read the directory.
    first: Vec<u8>,
    listing: Renderer,
}

impl Blocks for ListingBlocks {
    fn next_block(&mut self, out: &mut Vec<u8>) -> bool {
        if self.first.is_empty() {
            return self.listing.next_block(out);
        }
        out.append(&mut self.first);
        true
    }
}
