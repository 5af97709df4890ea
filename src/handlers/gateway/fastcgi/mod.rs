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
//! | which script answers for a path | [`script`] |
//! | octets on the wire | [`record`] |
//! | one request, both ways at once | [`conversation`], [`content`] |
//! | a request's way out, and a response's way in | [`sending`], [`receiving`] |
//! | connections | [`upstream`](crate::upstream) |
//! | what scripts write to the log | [`script_log`](super::script_log) |

mod content;
mod conversation;
mod error;
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) mod fuzz;
mod receiving;
mod record;
mod script;
mod sending;
mod sent_file;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::meta_variables::{self, meta_variables};
use super::script_log::{self, ScriptLog};
use super::script_response::{ScriptAnswer, ScriptHead};
use crate::config::model::{Fastcgi, Route};
use crate::disk::barrier::Barrier;
use crate::disk::now_or_on_pool;
use crate::disk::read_ahead::ReadAhead;
use crate::disk::spool::Spooled;
use crate::handlers::files::{self, FilesHandler, FilesRoute};
use crate::http::framing::Framing;
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;
use crate::log::{diagnostic, limited};
use crate::message::conditional::{Supply, represent};
use crate::message::content::{
    Content, ContentError, ContentSource, ContentStream, Octets, ReadContent,
};
use crate::message::location::redirect_to_directory;
use crate::message::request::Request;
use crate::message::response::{Answer, Response, allow};
use crate::message::selected::Selected;
use crate::runtime::{BlockingError, BlockingPool, Either, either};
use crate::upstream::{Connection, Input};

use content::{Replayed, SpooledContent, UpstreamContent};
use conversation::{Conversation, HeadReturns};
use error::{Failure, UpstreamError};
use script::{Found, Script, Search, Searched, Start};

/// The methods for which a file is sent.
const FILE_METHODS: MethodSet = MethodSet::of(&[Method::Get, Method::Head]);

/// The handler of a `fastcgi` route.
pub(crate) struct FastcgiHandler {
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
    /// What application servers send goes here first.
    pub(crate) input: &'w Rc<Input>,
    pub(crate) disk: &'w Arc<BlockingPool>,
}

/// What an application server has said, up to its head at least.
struct Conversed {
    answer: ScriptAnswer,
    conversation: Conversation,
    /// The part of the request's content that the application server has not got. `None` if the client
    /// has still to send it.
    rest: Option<SpooledContent>,
}

/// Why it is not known what a path leads to.
#[derive(Debug, thiserror::Error)]
enum SearchError {
    #[error("cannot look for a script")]
    Look(#[source] io::Error),
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

impl FastcgiHandler {
    pub(crate) fn new(options: &Fastcgi, files: Arc<FilesRoute>, route: &Route) -> Self {
        Self {
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
            Ok(Found::Nothing) => Response::problem(Status::NOT_FOUND),
            Ok(Found::Forbidden) => Response::problem(Status::FORBIDDEN),
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

    /// What the path leads to, by a look at the disk that may wait on the pool.
    async fn find(
        &self,
        request: &Request<'_>,
        worker: Worker<'_>,
    ) -> Result<Searched, SearchError> {
        if let Some(name) = &self.options.script {
            let below = request.path.below();
            let script = Script::owning_the_route(name, below);
            return Ok(Searched {
                found: Found::Script(script),
                barrier: None,
            });
        }
        let start = if self.is_exact {
            Start::OnlyPath
        } else if request.path.is_route_without_slash() {
            Start::RootWithoutSlash
        } else {
            Start::Beneath
        };
        let search = Search {
            options: Arc::clone(&self.options),
            start,
            path: request.path.stripped().as_bytes().to_vec(),
        };
        let found = now_or_on_pool(worker.disk, move |waiting| search.run(waiting)).await?;
        found.map_err(SearchError::Look)
    }

    /// Tells the operator what stood in the way of a script; returns what was found.
    fn tell_barrier(&self, searched: Searched, request: &Request<'_>) -> Found {
        let Searched { found, barrier } = searched;
        if let Some(barrier) = barrier.filter(Barrier::is_worth_a_line) {
            let outcome = match found {
                Found::Forbidden => "403",
                Found::Nothing => "404",
                _ => "a script is passed over",
            };
            let (route, request) = (&self.route, request.head.in_log());
            limited::warn(format_args!("{route}: {request}: {outcome}: {barrier}"));
        }
        found
    }

    fn unsearched(&self, error: &SearchError, request: &Request<'_>) -> Response<'static> {
        let (request, chain) = (request.head.in_log(), diagnostic::chain(error));
        diagnostic::error_of(&self.route, format_args!("{request}: {chain}"));
        match error {
            SearchError::Blocking(BlockingError::Saturated | BlockingError::NoThread) => {
                Response::busy()
            }
            _ => Response::problem(Status::INTERNAL_SERVER_ERROR),
        }
    }

    /// Has the application server run `script`.
    async fn run<'a>(
        &'a self,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'a>, ContentError> {
        let conversed = match request.head.framing {
            Framing::Length(length) if self.options.stream => {
                self.converse_while_content_comes(script, request, worker, content, length)
                    .await
            }
            _ => {
                self.converse_about_all(script, request, worker, content)
                    .await
            }
        };
        let answer = match conversed {
            Ok(conversed) => {
                self.answer_from(conversed, script, request, worker, content)
                    .await
            }
            Err(failure) => Err(failure),
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(Failure::Client(error)) => Err(error),
            Err(Failure::Upstream(error)) => Ok(self.failed(&error, script, request).into()),
        }
    }

    /// Takes all content in, then asks the application server: a slow client holds none of its
    /// processes. A script is also told the length before it gets the content.
    async fn converse_about_all(
        &self,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Conversed, Failure> {
        let spooled = match request.head.framing {
            // After a local redirect the rest of the content is not this request's.
            Framing::Empty => Spooled::Memory(Vec::new()),
            _ => Spooled::read(content, worker.disk).await?,
        };
        let length = spooled.length();
        let mut replayed = Replayed::new(SpooledContent::new(spooled, worker.disk), content);
        let mut first = Vec::new();
        replayed.read(&mut first).await?;
        let opened = either(self.open(), replayed.client_gone()).await;
        let mut conversation = self.begin(opened, script, request, worker, length)?;
        conversation.push_content(&first, (first.len() as u64) < length);
        drop(first);
        Ok(Conversed {
            answer: conversation
                .head(&mut replayed, HeadReturns::AtOnce)
                .await?,
            conversation,
            rest: Some(replayed.into_rest()),
        })
    }

    /// Asks the application server as soon as the client has sent some of the `length` octets of
    /// content, and passes the rest on as it comes.
    async fn converse_while_content_comes(
        &self,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
        length: u64,
    ) -> Result<Conversed, Failure> {
        let mut first = Vec::new();
        let goes_on =
            length > 0 && content.read(&mut first).await? && (first.len() as u64) < length;
        let opened = either(self.open(), content.client_gone()).await;
        let mut conversation = self.begin(opened, script, request, worker, length)?;
        conversation.push_content(&first, goes_on);
        drop(first);
        let answer = conversation
            .head(content, HeadReturns::AfterContent)
            .await?;
        let has_all = conversation.is_asked() || conversation.is_ended();
        Ok(Conversed {
            answer,
            conversation,
            rest: has_all.then(|| SpooledContent::nothing(worker.disk)),
        })
    }

    /// A conversation on the connection that was `opened`, unless the client has gone meanwhile.
    fn begin(
        &self,
        opened: Either<Result<Connection, UpstreamError>, ()>,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        length: u64,
    ) -> Result<Conversation, Failure> {
        let connection = match opened {
            Either::First(opened) => opened?,
            Either::Second(()) => return Err(ContentError::CutOff.into()),
        };
        Ok(Conversation::new(
            connection,
            worker.input,
            self.options.timeout,
            self.request_records(script, request, length),
            ScriptLog::new(self.name_in_log(script, request)),
        ))
    }

    /// The answer for what the application server has said.
    async fn answer_from<'a>(
        &'a self,
        conversed: Conversed,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'a>, Failure> {
        let Conversed {
            answer,
            conversation,
            rest,
        } = conversed;
        match answer {
            ScriptAnswer::LocalRedirect(target) => {
                self.drain_script(conversation, rest, script);
                Ok(Answer::LocalRedirect(target))
            }
            ScriptAnswer::Response(head) => {
                let said = (head, conversation, rest);
                let response = self.response(said, script, request, worker, content);
                Ok(response.await?.into())
            }
        }
    }

    /// The records of a request up to its content.
    fn request_records(&self, script: &Script, request: &Request<'_>, length: u64) -> Vec<u8> {
        let root = self.options.root.as_os_str().as_encoded_bytes();
        let described = meta_variables::Script {
            name: &[request.path.covered(), &script.name].concat(),
            path_info: &script.path_info,
            // The root `/` has its slash at its end, and the script's path at its start.
            filename: &[root.strip_suffix(b"/").unwrap_or(root), &script.path].concat(),
            document_root: root,
        };
        let mut variables = meta_variables(request, &described, Some(length));
        for (name, value) in &self.options.params {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone().into(), value.clone().into_bytes()));
        }
        let parameters = variables
            .iter()
            .map(|(name, value)| (name.as_bytes(), &value[..]));
        let mut records = Vec::new();
        record::push_begin(&mut records);
        record::push_parameters(parameters, &mut records);
        records
    }

    async fn open(&self) -> Result<Connection, UpstreamError> {
        let opened = Connection::open(&self.options.peer, self.options.timeout).await;
        opened.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => UpstreamError::ConnectTimedOut,
            _ => UpstreamError::Connect(error),
        })
    }

    /// The response from a script's head and the content that follows it.
    async fn response(
        &self,
        (mut head, mut conversation, rest): (ScriptHead, Conversation, Option<SpooledContent>),
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Response<'static>, Failure> {
        if self.options.sendfile || !self.options.send_files.is_empty() {
            let name = sent_file::take_name(&mut head, request.path.covered(), &self.options);
            if let Some(name) = name.map_err(UpstreamError::from)? {
                self.drain_script(conversation, rest, script);
                let answer =
                    sent_file::answer(head, name, &self.options, request, worker.disk).await;
                return Ok(answer.map_err(UpstreamError::from)?);
            }
        }
        let content = if conversation.is_ended() {
            whole(&head, conversation, request.head.is_head())
        } else {
            let first = conversation.take_output();
            let rest = match rest {
                Some(rest) => rest,
                // Nothing reads the request while the response is sent.
                None => {
                    let spooled = Spooled::read(content, worker.disk).await?;
                    SpooledContent::new(spooled, worker.disk)
                }
            };
            let source = self.rest_of(conversation, rest, script);
            let source: Box<dyn ContentSource> = if self.options.stream {
                Box::new(source)
            } else {
                Box::new(ReadAhead::new(source, worker.disk))
            };
            Content::Stream(ContentStream::beginning_with(first, head.length, source))
        };
        let content = Supply::Entire(content);
        Ok(represent(head.status, head.fields, content, request))
    }

    /// The content that follows the head. `rest` is what is left of the request's content.
    fn rest_of(
        &self,
        conversation: Conversation,
        rest: SpooledContent,
        script: &Script,
    ) -> UpstreamContent {
        let name = String::from_utf8_lossy(&script.path[1..]);
        let upstream = format!("script `{}`: {}", name.escape_debug(), self.options.peer);
        UpstreamContent::new(conversation, rest, upstream)
    }

    /// Lets the script run to its end; its response is not needed any more. But if the client has still
    /// to send what the script reads, the connection is closed.
    fn drain_script(
        &self,
        conversation: Conversation,
        rest: Option<SpooledContent>,
        script: &Script,
    ) {
        if let Some(rest) = rest {
            Box::new(self.rest_of(conversation, rest, script)).discard();
        }
    }

    /// What the log calls the run of `script` for `request`.
    fn name_in_log(&self, script: &Script, request: &Request<'_>) -> String {
        script_log::name(&self.route, request, &script.path[1..])
    }

    /// The response if the application server gave none.
    fn failed(
        &self,
        error: &UpstreamError,
        script: &Script,
        request: &Request<'_>,
    ) -> Response<'static> {
        let (peer, chain) = (&self.options.peer, diagnostic::chain(error));
        let name = self.name_in_log(script, request);
        diagnostic::error_limited(&self.route, format_args!("{name}: {peer}: {chain}"));
        match error.status() {
            Status::SERVICE_UNAVAILABLE => Response::busy(),
            status => Response::problem(status),
        }
    }
}

/// The content of a response that has ended. For HEAD it is empty, with the length that the script
/// gave.
fn whole(head: &ScriptHead, mut conversation: Conversation, is_for_head: bool) -> Content<'static> {
    let content = conversation.take_output();
    drop(conversation);
    if is_for_head || head.status.forbids_content() {
        return Content::Stream(ContentStream::unsent(head.length));
    }
    match head.length.filter(|length| *length != content.len() as u64) {
        Some(length) => Content::Stream(ContentStream::announced(content, length)),
        None => Content::Octets(Octets::Owned(content)),
    }
}

/// The response with a file, or which methods a file takes.
fn as_file(request: &Request<'_>, response: Response<'static>) -> Response<'static> {
    match request.head.method {
        Method::Get | Method::Head => response,
        Method::Options => allow(Status::NO_CONTENT, FILE_METHODS.with(Method::Options)),
        _ => allow(
            Status::METHOD_NOT_ALLOWED,
            FILE_METHODS.with(Method::Options),
        ),
    }
}
