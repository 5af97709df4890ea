//! `cgi = DIR`: a program for each request (RFC 3875).
//!
//! ```text
//! find the script ─ read all content ─ take a place ─ start ─ its header section ─ its content
//! disk pool         loop               at once        disk    loop, `timeout`      loop, as it is sent
//! ```
//!
//! The content is read before anything is started, so that a slow client holds no process. Once
//! started, a script is a [`running::Running`]; dropping that ends the script.

mod error;
mod errors;
mod running;
mod start;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::meta_variables::{Script, meta_variables};
use super::script::{self, FoundScript};
use super::script_log::RunName;
use super::script_response::{ScriptAnswer, ScriptHead};
use crate::config::model::{Cgi, Route};
use crate::disk::absence::Absence;
use crate::disk::on_pool;
use crate::disk::read_ahead::ReadAhead;
use crate::disk::spool::Spooled;
use crate::http::framing::Framing;
use crate::http::status::Status;
use crate::log::{diagnostic, limited};
use crate::message::conditional::{Supply, represent};
use crate::message::content::{Content, ContentError, ContentSource, ContentStream, ReadContent};
use crate::message::request::Request;
use crate::message::response::{Answer, Response};
use crate::message::selected::Selected;
use crate::reason::Reason;
use crate::runtime::{BlockingError, BlockingPool, Either, Permits, either, timeout};

use error::CgiError;
use running::{Output, Running};
use start::Invocation;

/// A directory of scripts.
pub(crate) struct CgiHandler {
    route: Arc<CgiRoute>,
}

/// What a `cgi` route is, for its handler and for jobs on the disk pool.
struct CgiRoute {
    options: Cgi,
    /// The route's name in the log.
    name: Arc<str>,
    /// A permit for each script of the route that runs, over all workers and generations.
    processes: Arc<Permits>,
}

impl CgiHandler {
    pub(crate) fn new(options: &Cgi, route: &Route, processes: Arc<Permits>) -> Self {
        let route = CgiRoute {
            options: options.clone(),
            name: route.to_string().into(),
            processes,
        };
        Self {
            route: Arc::new(route),
        }
    }

    /// The script that would run.
    pub(crate) async fn selected(
        &self,
        request: &Request<'_>,
        disk: &Arc<BlockingPool>,
    ) -> Selected {
        match self.find(request, disk).await {
            Ok(script) => Selected::file(self.route.file(&script).display().to_string()),
            Err(error) => Selected::nothing(diagnostic::chain(&error)),
        }
    }

    /// # Errors
    /// If the request's content could not be read.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        disk: &Arc<BlockingPool>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'static>, ContentError> {
        let script = match self.find(request, disk).await {
            Ok(script) => script,
            Err(error) => {
                let script = request.path.as_bytes();
                return Ok(self.problem(&error, request, script).into());
            }
        };
        match self.run(&script, request, disk, content).await {
            Ok(answer) => Ok(answer),
            Err(CgiError::Content(error)) => Err(error),
            Err(error) => Ok(self.problem(&error, request, &script.path).into()),
        }
    }

    /// The script that `request` is for.
    async fn find(
        &self,
        request: &Request<'_>,
        disk: &Arc<BlockingPool>,
    ) -> Result<FoundScript, CgiError> {
        let script = match &self.route.options.script {
            Some(name) => FoundScript::owning_the_route(name),
            None => self.look_for(request, disk).await?,
        };
        let name = script.path.rsplit(|byte| *byte == b'/').next();
        if name.is_some_and(|name| name.starts_with(b"nph-")) {
            return Err(CgiError::NonParsedHeaders);
        }
        Ok(script)
    }

    /// The script that the path of `request` leads to.
    async fn look_for(
        &self,
        request: &Request<'_>,
        disk: &Arc<BlockingPool>,
    ) -> Result<FoundScript, CgiError> {
        let path = request.path.below().to_vec();
        let route = Arc::clone(&self.route);
        let find = move || script::find(&route.options.root, &route.options.links, &path);
        let found = on_pool(disk, find).await?;
        found.map_err(CgiError::Look)?.ok_or(CgiError::Missing)
    }

    async fn run(
        &self,
        script: &FoundScript,
        request: &Request<'_>,
        disk: &Arc<BlockingPool>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'static>, CgiError> {
        let route = &self.route;
        // Refuse before the client has sent its content. Checked again below, because that takes
        // time.
        if !route.processes.has_free() {
            return Err(CgiError::Busy);
        }
        let input = match request.head.framing {
            // After a local redirect the rest of the content is not this request's.
            Framing::Empty => Spooled::Memory(Vec::new()),
            _ => Spooled::read(content, disk).await?,
        };
        let permit = route.processes.take().ok_or(CgiError::Busy)?;
        let invocation = route.invocation(script, request, input);
        let start = move || invocation.start(permit);
        let started = disk.run(start).await??;
        let name = RunName::new(&route.name, request, &script.path);
        let mut running = Running::new(started, name).map_err(CgiError::Read)?;
        let head = timeout(route.options.timeout, running.head());
        let answer = match either(head, content.client_gone()).await {
            Either::First(head) => head.map_err(|_| CgiError::TimedOut)??,
            Either::Second(()) => return Err(ContentError::CutOff.into()),
        };
        match answer {
            ScriptAnswer::LocalRedirect(target) => {
                let rest = Output::new(running, route.options.timeout, None);
                match either(rest.drain(), content.client_gone()).await {
                    Either::First(()) => Ok(Answer::LocalRedirect(target)),
                    Either::Second(()) => Err(ContentError::CutOff.into()),
                }
            }
            ScriptAnswer::Response(head) => Ok(self.forward(head, running, request, disk)),
        }
    }

    /// The response for a script's answer. Its content may still be on its way.
    fn forward(
        &self,
        head: ScriptHead,
        running: Running,
        request: &Request<'_>,
        disk: &Arc<BlockingPool>,
    ) -> Answer<'static> {
        let options = &self.route.options;
        let output = Output::new(running, options.timeout, head.length);
        let source: Box<dyn ContentSource> = if options.stream {
            Box::new(output)
        } else {
            Box::new(ReadAhead::new(output, disk))
        };
        let stream = ContentStream::beginning_with(head.content, head.length, source);
        let content = Supply::Entire(Content::Stream(stream));
        represent(head.status, head.fields, content, request).into()
    }

    /// The response if the script gave none. Logs why, unless there is no such script.
    fn problem(&self, error: &CgiError, request: &Request<'_>, script: &[u8]) -> Response<'static> {
        let name = RunName::new(&self.route.name, request, script);
        if let CgiError::Look(source) = error
            && let Some((status, reason)) = kept_out(source)
        {
            limited::warn(format_args!("{name}: {status}: {source}"));
            return Response::problem_of(status, reason);
        }
        let response = match error {
            CgiError::Missing => return Response::problem(Reason::ScriptMissing),
            CgiError::Busy | CgiError::Pool(BlockingError::Saturated | BlockingError::NoThread) => {
                let chain = diagnostic::chain(error);
                diagnostic::warn_limited(&self.route.name, format_args!("{name}: {chain}"));
                return Response::busy(match error {
                    CgiError::Busy => Reason::ScriptsBusy,
                    _ => Reason::ThreadsBusy,
                });
            }
            error if error.is_of_lack() => Response::busy(Reason::SystemShortage),
            CgiError::TimedOut => Response::problem(Reason::ScriptTimeout),
            CgiError::Pool(BlockingError::Panicked(_)) => {
                Response::problem_of(Status::INTERNAL_SERVER_ERROR, Reason::ScriptUnreadable)
            }
            CgiError::Look(_) => {
                Response::problem_of(Status::BAD_GATEWAY, Reason::ScriptUnreadable)
            }
            CgiError::Start(_) => Response::problem(Reason::ScriptNotStarted),
            CgiError::Ended(_) => Response::problem(Reason::ScriptEnded),
            _ => Response::problem(Reason::ScriptOutput),
        };
        let chain = diagnostic::chain(error);
        diagnostic::error_limited(&self.route.name, format_args!("{name}: {chain}"));
        response
    }
}

impl CgiRoute {
    fn file(&self, script: &FoundScript) -> PathBuf {
        self.options.root.join(OsStr::from_bytes(&script.path))
    }

    /// The program to start for `request`, and its variables and input.
    fn invocation(
        &self,
        script: &FoundScript,
        request: &Request<'_>,
        input: Spooled,
    ) -> Invocation {
        let program = self.file(script);
        let (name, path_info) = request.path.split_below(script.end);
        let described = Script {
            name,
            path_info,
            filename: program.as_os_str().as_bytes(),
            document_root: self.options.root.as_os_str().as_bytes(),
        };
        Invocation {
            variables: meta_variables(request, &described, Some(input.length())),
            environment: self.options.environment.clone(),
            program,
            input,
        }
    }
}

/// The status and the reason if the system, or a link, keeps the server from a script.
fn kept_out(error: &io::Error) -> Option<(Status, Reason)> {
    match Absence::of(error)? {
        Absence::Forbidden => Some((Status::FORBIDDEN, Reason::ScriptPermission)),
        Absence::Outside => Some((Status::NOT_FOUND, Reason::ScriptMissing)),
        Absence::NameMissing | Absence::Unusable => None,
    }
}
