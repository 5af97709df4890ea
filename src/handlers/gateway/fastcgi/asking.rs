//! Has the application server run a script: from a request to its answer.
//!
//! ```text
//! content ─┬─ all of it, spooled ─┬→ dialogue → head ─┬→ all is there: the response
//!          └─ as it comes ────────┘                       ├→ more follows: the rest as a source
//!                                                         └→ another path, or a file: the script ends
//! ```

use std::io;

use super::content::UpstreamContent;
use super::error::{Failure, UpstreamError};
use super::receiving::Receiving;
use super::script::Script;
use super::{FastcgiHandler, Worker, record, sent_file};
use crate::disk::read_ahead::ReadAhead;
use crate::disk::replay::{Replayed, SpooledContent};
use crate::disk::spool::Spooled;
use crate::handlers::gateway::meta_variables::{self, meta_variables};
use crate::handlers::gateway::script_log::{RunName, ScriptLog};
use crate::handlers::gateway::script_response::{HeaderSection, ScriptAnswer, ScriptHead};
use crate::http::framing::Framing;
use crate::log::diagnostic;
use crate::message::conditional::{Supply, represent};
use crate::message::content::{
    Content, ContentError, ContentSource, ContentStream, Octets, ReadContent,
};
use crate::message::request::Request;
use crate::message::response::{Answer, Response};
use crate::reason::Reason;
use crate::runtime::{Either, either};
use crate::upstream::{Connection, Dialogue, HeadReturns};

/// What an application server has said, up to its head at least.
struct Heard {
    answer: ScriptAnswer,
    dialogue: Dialogue<Receiving>,
    /// The part of the request's content that the application server has not got. `None` if the client
    /// has still to send it.
    rest: Option<SpooledContent>,
}

/// Octets that are enough for the records of nearly every request, up to its content.
const USUAL_REQUEST: usize = 2048;

impl FastcgiHandler {
    /// Has the application server run `script`.
    pub(super) async fn run<'a>(
        &'a self,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'a>, ContentError> {
        let heard = match request.head.framing {
            Framing::Length(length) if self.options.stream => {
                self.ask_while_content_comes(script, request, worker, content, length)
                    .await
            }
            _ => {
                self.ask_with_all_content(script, request, worker, content)
                    .await
            }
        };
        let answer = match heard {
            Ok(heard) => {
                self.answer_from(heard, script, request, worker, content)
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
    async fn ask_with_all_content(
        &self,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Heard, Failure> {
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
        let mut dialogue = self.begin(opened, script, request, worker, length)?;
        dialogue.push_content(&first, (first.len() as u64) < length);
        drop(first);
        Ok(Heard {
            answer: head(&mut dialogue, &mut replayed, HeadReturns::AtOnce).await?,
            dialogue,
            rest: Some(replayed.into_rest()),
        })
    }

    /// Asks the application server as soon as the client has sent some of the `length` octets of
    /// content, and passes the rest on as it comes.
    async fn ask_while_content_comes(
        &self,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
        length: u64,
    ) -> Result<Heard, Failure> {
        let mut first = Vec::new();
        let goes_on =
            length > 0 && content.read(&mut first).await? && (first.len() as u64) < length;
        let opened = either(self.open(), content.client_gone()).await;
        let mut dialogue = self.begin(opened, script, request, worker, length)?;
        dialogue.push_content(&first, goes_on);
        drop(first);
        let answer = head(&mut dialogue, content, HeadReturns::AfterContent).await?;
        let has_all = dialogue.is_asked() || dialogue.is_ended();
        Ok(Heard {
            answer,
            dialogue,
            rest: has_all.then(SpooledContent::nothing),
        })
    }

    /// A dialogue on the connection that was `opened`, unless the client has gone meanwhile.
    fn begin(
        &self,
        opened: Either<Result<Connection, UpstreamError>, ()>,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        length: u64,
    ) -> Result<Dialogue<Receiving>, Failure> {
        let connection = match opened {
            Either::First(opened) => opened?,
            Either::Second(()) => return Err(ContentError::CutOff.into()),
        };
        let buffer = worker.buffers.for_request(USUAL_REQUEST);
        Ok(Dialogue::new(
            connection,
            worker.buffers,
            self.options.timeout,
            self.request_records(script, request, length, buffer),
            Receiving::new(ScriptLog::new(self.name_in_log(script, request))),
        ))
    }

    /// The answer for what the application server has said.
    async fn answer_from<'a>(
        &'a self,
        heard: Heard,
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Answer<'a>, Failure> {
        let Heard {
            answer,
            dialogue,
            rest,
        } = heard;
        match answer {
            ScriptAnswer::LocalRedirect(target) => {
                self.drain_script(dialogue, rest, script);
                Ok(Answer::LocalRedirect(target))
            }
            ScriptAnswer::Response(head) => {
                let said = (head, dialogue, rest);
                let response = self.response(said, script, request, worker, content);
                Ok(response.await?.into())
            }
        }
    }

    /// The records of a request up to its content, in the buffer `records`, which is empty.
    fn request_records(
        &self,
        script: &Script,
        request: &Request<'_>,
        length: u64,
        mut records: Vec<u8>,
    ) -> Vec<u8> {
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
            variables.replace(name, value.as_bytes());
        }
        record::push_begin(&mut records);
        record::push_parameters(variables.iter(), &mut records);
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
        (mut head, mut dialogue, rest): (ScriptHead, Dialogue<Receiving>, Option<SpooledContent>),
        script: &Script,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: &mut impl ReadContent,
    ) -> Result<Response<'static>, Failure> {
        if self.options.sendfile || !self.options.send_files.is_empty() {
            let name = sent_file::take_name(&mut head, request.path.covered(), &self.options);
            if let Some(name) = name.map_err(UpstreamError::from)? {
                self.drain_script(dialogue, rest, script);
                let answer =
                    sent_file::answer(head, name, &self.options, request, worker.disk).await;
                return Ok(answer.map_err(UpstreamError::from)?);
            }
        }
        let content = if dialogue.is_ended() {
            whole(&head, dialogue, request.head.is_head())
        } else {
            let first = dialogue.take_content();
            let rest = match rest {
                Some(rest) => rest,
                // Nothing reads the request while the response is sent.
                None => {
                    let spooled = Spooled::read(content, worker.disk).await?;
                    SpooledContent::new(spooled, worker.disk)
                }
            };
            let source = self.rest_of(dialogue, rest, script);
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
        dialogue: Dialogue<Receiving>,
        rest: SpooledContent,
        script: &Script,
    ) -> UpstreamContent {
        let name = String::from_utf8_lossy(&script.path[1..]);
        let upstream = format!("script `{}`: {}", name.escape_debug(), self.options.peer);
        UpstreamContent::new(dialogue, rest, upstream)
    }

    /// Lets the script run to its end; its response is not needed any more. But if the client has still
    /// to send what the script reads, the connection is closed.
    fn drain_script(
        &self,
        dialogue: Dialogue<Receiving>,
        rest: Option<SpooledContent>,
        script: &Script,
    ) {
        if let Some(rest) = rest {
            Box::new(self.rest_of(dialogue, rest, script)).discard();
        }
    }

    /// What the log calls the run of `script` for `request`.
    fn name_in_log(&self, script: &Script, request: &Request<'_>) -> RunName {
        RunName::new(&self.route, request, &script.path[1..])
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
        match error.reason() {
            reason @ (Reason::UpstreamOverloaded | Reason::UpstreamNoDescriptor) => {
                Response::busy(reason)
            }
            reason => Response::problem(reason),
        }
    }
}

/// Waits for the head of what the application server says.
async fn head(
    dialogue: &mut Dialogue<Receiving>,
    content: &mut impl ReadContent,
    returns: HeadReturns,
) -> Result<ScriptAnswer, Failure> {
    let mut section = HeaderSection::default();
    let find = |receiving: &mut Receiving| Ok(receiving.head(&mut section)?);
    dialogue.head(content, returns, find).await
}

/// The content of a response that has ended. For HEAD it is empty, with the length that the script
/// gave.
fn whole(
    head: &ScriptHead,
    mut dialogue: Dialogue<Receiving>,
    is_for_head: bool,
) -> Content<'static> {
    let content = dialogue.take_content();
    drop(dialogue);
    if is_for_head || head.status.forbids_content() {
        return Content::Stream(ContentStream::unsent(head.length));
    }
    match head.length.filter(|length| *length != content.len() as u64) {
        Some(length) => Content::Stream(ContentStream::announced(content, length)),
        None => Content::Octets(Octets::Owned(content)),
    }
}
