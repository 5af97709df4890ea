//! `fastcgi = ADDRESS`: scripts that an application server runs, such as PHP-FPM, and the files
//! beside them. Files are sent by the handler of `files` itself: they must be answered, cached and
//! listed in the same way, so this is the one handler that uses another one.
//!
//! ```text
//! path ─┬─ no script in it, and a file ───────────→ as `files` answers
//!       └─ script ── conversation ───────────────┬→ response, its content as it comes
//!                    (upstream)                  ├→ local redirect
//!                                                └→ a file, named by X-Sendfile
//! ```
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | which script answers for a path | [`finding`], [`script`] |
//! | which scripts need not be looked for | [`known_scripts`] |
//! | from a request to the script's answer | [`asking`] |
//! | octets on the wire | [`record`] |
//! | one request, both ways at once | [`Dialogue`](crate::upstream::Dialogue), [`content`] |
//! | a response's way in | [`receiving`] |
//! | why there is none, or no whole one | [`error`] |
//! | a file in place of the script's content | [`sent_file`] |
//! | connections | [`upstream`](crate::upstream) |
//! | what scripts write to the log | [`script_log`](super::script_log) |

mod asking;
mod content;
mod error;
mod finding;
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) mod fuzz;
mod known_scripts;
mod receiving;
mod record;
mod script;
mod sent_file;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::meta_variables;
use crate::config::model::{Fastcgi, Route};
use crate::handlers::files::{self, FilesHandler, FilesRoute};
use crate::http::method::{Method, MethodSet};
use crate::log::diagnostic;
use crate::message::content::{ContentError, ReadContent};
use crate::message::location::redirect_to_directory;
use crate::message::request::Request;
use crate::message::response::{Answer, Response, not_allowed, options};
use crate::message::selected::Selected;
use crate::reason::Reason;
use crate::runtime::BlockingPool;
use crate::upstream::Buffers;

pub(crate) use known_scripts::KnownScripts;
use script::{Found, Searched};

/// The methods for which a file is sent.
const FILE_METHODS: MethodSet = MethodSet::of(&[Method::Get, Method::Head]);

/// The handler of a `fastcgi` route.
pub(crate) struct FastcgiHandler {
    /// Tells this route's scripts in [`KnownScripts`] from another route's, and from those of the same
    /// route before a reload.
    id: u64,
    options: Arc<Fastcgi>,
    /// Sends files that are no scripts.
    files: FilesHandler,
    /// The route's name in the log.
    route: Arc<str>,
    /// Whether the route covers only its own path, which then is no directory.
    is_exact: bool,
}

/// The worker's state that the handler uses.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'w> {
    pub(crate) files: &'w files::WorkerState,
    pub(crate) scripts: &'w RefCell<KnownScripts>,
    pub(crate) buffers: &'w Rc<Buffers>,
    pub(crate) disk: &'w Arc<BlockingPool>,
}

impl FastcgiHandler {
    pub(crate) fn new(options: &Fastcgi, files: Arc<FilesRoute>, route: &Route) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            options: Arc::new(options.clone()),
            files: FilesHandler::new(files, true),
            route: route.to_string().into(),
            is_exact: route.pattern.exact,
        }
    }

    /// The response, if it is a file that is in memory.
    pub(crate) fn answer_now(
        &self,
        request: &Request<'_>,
        worker: Worker<'_>,
    ) -> Option<Response<'static>> {
        let may_be_file = self.may_be_file(request) && FILE_METHODS.contains(request.head.method);
        may_be_file.then(|| self.files.file_now(request, worker.files))?
    }

    /// The script that would run, or the file that would be sent.
    pub(crate) async fn selected(&self, request: &Request<'_>, worker: Worker<'_>) -> Selected {
        if self.may_be_file(request) {
            let selected = self.files.selected(request, worker.files).await;
            if selected.file.is_some() {
                return selected;
            }
        }
        let Searched { found, barrier } = match self.find(request, worker).await {
            Ok(searched) => searched,
            Err(error) => return Selected::nothing(diagnostic::chain(&error)),
        };
        let barrier = barrier.map(|barrier| barrier.to_string());
        match found {
            Found::Script(script) => {
                let path = String::from_utf8_lossy(&script.path).into_owned();
                let file = format!("{}{path} (script)", self.options.root.display());
                Selected {
                    file: Some(file),
                    path: None,
                    barrier,
                }
            }
            Found::Index => self.files.selected(request, worker.files).await,
            Found::Directory => Selected::without_slash(),
            Found::Nothing | Found::Forbidden => {
                let reason = || "no script and no file is there, and no `fallback`".to_owned();
                Selected::nothing(barrier.unwrap_or_else(reason))
            }
        }
    }

    /// The response.
    ///
    /// # Errors
    /// If the request's content could not be read, or the client has gone.
    pub(crate) async fn answer<'a>(
        &'a self,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'a>, ContentError> {
        if self.may_be_file(request)
            && let Some(response) = self.files.file(request, worker.files).await
        {
            return Ok(as_file(request, response).into());
        }
        let found = self.find(request, worker).await;
        let found = found.map(|searched| self.tell_barrier(searched, request));
        let response = match found {
            Ok(Found::Script(script)) => return self.run(&script, request, worker, content).await,
            Ok(Found::Index) => as_file(request, self.files.answer(request, worker.files).await),
            Ok(Found::Directory) => redirect_to_directory(request),
            Ok(Found::Nothing) => Response::problem(Reason::ScriptMissing),
            Ok(Found::Forbidden) => Response::problem(Reason::ScriptPermission),
            Err(error) => self.unsearched(&error, request),
        };
        Ok(response.into())
    }

    /// Whether the path can lead to a file that may be sent. A path that may be a script's is never
    /// one, even if the file appears between two looks; nor is one of PHP's that `scripts` leaves out,
    /// because its source may hold passwords.
    fn may_be_file(&self, request: &Request<'_>) -> bool {
        let path = request.path.stripped();
        self.options.static_files
            && self.options.script.is_none()
            && !path.is_directory()
            && !meta_variables::segment_ends(path.as_bytes())
                .any(|end| !self.options.may_be_sent(&path.as_bytes()[..end]))
    }
}

/// The response with a file, or which methods a file takes.
fn as_file(request: &Request<'_>, response: Response<'static>) -> Response<'static> {
    match request.head.method {
        Method::Get | Method::Head => response,
        Method::Options => options(FILE_METHODS.with(Method::Options)),
        _ => not_allowed(FILE_METHODS.with(Method::Options)),
    }
}
