//! `handler = NAME`: runs code that is part of the program, and protects the server from it.
//!
//! ```text
//! loop     request ─ content, all of it ─→ Call ───────── either ─→ response ─ represent ─→ sent
//!                      or as it arrives ─→  │      outcome │ timeout: 504 │ client gone
//! pool                                      └→ handle() ───┘                 │
//!                                                └→ pump: content, as it is made
//! ```
//!
//! The code runs on a thread of the blocking pool. The loop only waits, and stops waiting when the
//! time is up or the client has gone. A handler that never waits runs on the loop.

mod call;
mod feed;
mod represent;
mod stream;

use std::future::poll_fn;
use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::api::{self, Content, ContentSource, Instance, Received};
use crate::config::model::{PatternSegment, PluginRoute, Route};
use crate::disk::spool::Spooled;
use crate::http::framing::Framing;
use crate::http::path::{decoded_segment, readable};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::conditional::Supply;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::message::response::{DuplexResponse, Response};
use crate::runtime::{self, Either, Pools, either, pipe_to_thread};

use call::{Call, Failure};
use feed::{Feed, Step};

/// A handler behind a route.
pub(crate) struct PluginHandler {
    instance: Arc<Instance>,
    /// The route's name in the log.
    route: String,
    /// The segments of the route's pattern that are parameters, and their names.
    parameters: Vec<(usize, String)>,
    timeout: Duration,
    stream: bool,
}

/// How waiting for a handler ended.
enum Waited {
    /// The handler returned a response; the call is still open for the response's content.
    Made(api::Made, Call),
    /// The handler returned none; this one is sent instead.
    Failed(Response<'static>),
}

/// Why the loop stops waiting for a handler.
enum Expiry {
    TimedOut,
    ClientGone,
}

impl PluginHandler {
    pub(crate) fn new(plugin: &PluginRoute, instance: Arc<Instance>, route: &Route) -> Self {
        let segments = route.pattern.segments.iter().enumerate();
        let parameters = segments.filter_map(|(index, segment)| match segment {
            PatternSegment::Parameter(name) => Some((index, name.clone())),
            PatternSegment::Static(_) => None,
        });
        Self {
            instance,
            route: route.to_string(),
            parameters: parameters.collect(),
            timeout: plugin.timeout,
            stream: plugin.stream,
        }
    }

    /// The response of a handler that never waits, to a request without content.
    pub(crate) fn answer_now(
        &self,
        request: &Request<'_>,
        pools: &Pools,
    ) -> Option<Response<'static>> {
        let is_quick = self.instance.never_waits;
        is_quick.then(|| self.answer_on_loop(request, no_content(), pools))
    }

    /// The response of the handler.
    ///
    /// # Errors
    /// If the content cannot be read, or the client has gone.
    pub(crate) async fn answer<'c>(
        &self,
        request: &Request<'_>,
        pools: &Pools,
        mut content: impl ReadContent + 'c,
    ) -> Result<DuplexResponse<'static, 'c>, ContentError> {
        if self.stream && request.head.framing != Framing::Empty {
            return self.answer_to_stream(request, pools, content).await;
        }
        let kept = match request.head.framing {
            Framing::Empty => no_content(),
            _ => kept(Spooled::read(&mut content, &pools.disk).await?),
        };
        if self.instance.never_waits {
            return Ok(self.answer_on_loop(request, kept, pools));
        }
        let call = match self.begin(request, kept, pools) {
            Ok(call) => call,
            Err(failure) => return Ok(self.failed(&failure)),
        };
        let expiry = async {
            match either(content.client_gone(), runtime::sleep(self.timeout)).await {
                Either::First(()) => Expiry::ClientGone,
                Either::Second(()) => Expiry::TimedOut,
            }
        };
        match self.wait(call, expiry).await? {
            Waited::Made(made, call) => {
                let content = stream::content(made.body, Some(call), &self.route);
                Ok(represent(made.head, content, request))
            }
            Waited::Failed(response) => Ok(response),
        }
    }

    /// The response to a request whose content is given to the handler as it arrives. The handler
    /// may respond before it has read all of it: it goes on reading while its response is sent.
    async fn answer_to_stream<'c>(
        &self,
        request: &Request<'_>,
        pools: &Pools,
        content: impl ReadContent + 'c,
    ) -> Result<DuplexResponse<'static, 'c>, ContentError> {
        let (writer, reader) = pipe_to_thread();
        let length = match request.head.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Empty => None,
        };
        let source = Content::new(length, ContentSource::Pipe(reader));
        let call = match self.begin(request, source, pools) {
            Ok(call) => call,
            Err(failure) => return Ok(self.failed(&failure)),
        };
        let mut feed = Feed::new(content, writer);
        let waited = {
            let mut expiry = pin!(self.feed(&mut feed));
            // Feeding begins first, and with it the invitation of content (`100 Continue`): a handler
            // may answer at once, and go on reading.
            let begun = poll_fn(|context| Poll::Ready(expiry.as_mut().poll(context))).await;
            let expiry = async {
                match begun {
                    Poll::Ready(expiry) => expiry,
                    Poll::Pending => expiry.await,
                }
            };
            self.wait(call, expiry).await?
        };
        match waited {
            Waited::Made(made, call) => {
                let content = stream::content(made.body, Some(call), &self.route);
                let content = content.map(|content| feed::beside(content, feed));
                Ok(represent(made.head, content, request))
            }
            Waited::Failed(response) => Ok(response),
        }
    }

    /// Gives the handler content as it arrives, and returns why to stop waiting for its response.
    /// The timeout begins anew with everything that arrives, because a slow client is not the
    /// handler's fault.
    async fn feed(&self, feed: &mut Feed<impl ReadContent>) -> Expiry {
        loop {
            match feed.step(self.timeout).await {
                Step::Fed => {}
                Step::Done => break,
                Step::ClientGone => return Expiry::ClientGone,
                Step::TimedOut => return Expiry::TimedOut,
            }
        }
        match either(feed.client_gone(), runtime::sleep(self.timeout)).await {
            Either::First(()) => Expiry::ClientGone,
            Either::Second(()) => Expiry::TimedOut,
        }
    }

    /// Waits for the handler, until `expiry` comes first.
    ///
    /// # Errors
    /// [`ContentError::CutOff`] if the client has gone.
    async fn wait(
        &self,
        mut call: Call,
        expiry: impl Future<Output = Expiry>,
    ) -> Result<Waited, ContentError> {
        match either(call.outcome(), expiry).await {
            Either::First(Ok(made)) => Ok(Waited::Made(made, call)),
            Either::First(Err(failure)) => {
                call.detach();
                Ok(Waited::Failed(self.failed(&failure)))
            }
            Either::Second(Expiry::TimedOut) => {
                let has_begun = call.has_begun();
                let timeout = self.timeout;
                let failure = Failure::TimedOut { timeout, has_begun };
                Ok(Waited::Failed(self.failed(&failure)))
            }
            Either::Second(Expiry::ClientGone) => Err(ContentError::CutOff),
        }
    }

    fn begin(
        &self,
        request: &Request<'_>,
        content: Content,
        pools: &Pools,
    ) -> Result<Call, Failure> {
        let owned = self.request(request, content);
        let instance = Arc::clone(&self.instance);
        Call::begin(instance, owned, request.head.is_head(), &pools.code)
    }

    /// Runs the handler on the loop. The content of its response may still be made by a thread.
    fn answer_on_loop(
        &self,
        request: &Request<'_>,
        content: Content,
        pools: &Pools,
    ) -> Response<'static> {
        let owned = self.request(request, content);
        let made = call::run(&*self.instance.handler, owned);
        let made =
            made.and_then(|made| call::pump_elsewhere(made, request.head.is_head(), &pools.code));
        match made {
            Ok((made, pumping)) => {
                let content = stream::content(made.body, pumping, &self.route);
                represent(made.head, content, request)
            }
            Err(failure) => self.failed(&failure),
        }
    }

    /// The response if the handler gave none. Logs why.
    fn failed(&self, failure: &Failure) -> Response<'static> {
        let status = failure.status();
        let why = failure.describe();
        match status.code() {
            500.. => diagnostic::error(format_args!("{}: {why}", self.route)),
            // The client's fault.
            _ => diagnostic::debug(format_args!("{}: {why}", self.route)),
        }
        match status {
            Status::SERVICE_UNAVAILABLE => Response::busy(),
            _ => Response::problem(status),
        }
    }

    /// The request, copied into a form that can leave the loop.
    fn request(&self, request: &Request<'_>, content: Content) -> api::Request {
        let received = Received {
            method: request.head.method,
            client: request.client.ip_or_unspecified(),
            target: request.head.raw_target,
            path: &readable(request.path.as_bytes()),
            matched: readable(request.path.covered()).len(),
        };
        let mut owned = api::Request::received(received, content);
        for (name, value) in request.head.fields.iter() {
            owned.push_field(name, value);
        }
        if !self.parameters.is_empty() {
            let mut segments = request.path.segments();
            let mut at = 0;
            for (index, name) in &self.parameters {
                if let Some(segment) = segments.nth(index - at) {
                    owned.push_parameter(name, &decoded_segment(segment));
                }
                at = index + 1;
            }
        }
        owned
    }
}

/// The response with `content`, or 500 if the handler failed to give any.
fn represent<'c>(
    head: api::MadeHead,
    content: Option<Supply<'c>>,
    request: &Request<'_>,
) -> DuplexResponse<'static, 'c> {
    match content {
        Some(content) => represent::represent(head, content, request),
        None => Response::problem(Status::INTERNAL_SERVER_ERROR),
    }
}

fn no_content() -> Content {
    Content::new(Some(0), ContentSource::Memory(Cursor::default()))
}

fn kept(spooled: Spooled) -> Content {
    let length = Some(spooled.length());
    let source = match spooled {
        Spooled::Memory(octets) => ContentSource::Memory(Cursor::new(octets)),
        Spooled::File { file, .. } => ContentSource::File(file),
    };
    Content::new(length, source)
}
