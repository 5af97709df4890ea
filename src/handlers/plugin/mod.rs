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
mod decoding;
mod feed;
mod later;
mod represent;
mod stream;

use std::borrow::Cow;
use std::future::poll_fn;
use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::api::{self, Body, Content, ContentSource, Instance, Life, Received, RouteLife};
use crate::config::model::{Capture, PluginRoute, Route};
use crate::disk::spool::Spooled;
use crate::http::framing::Framing;
use crate::http::path::{decoded_segment, readable};
use crate::http::raw_path::behind_segments;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::conditional::Supply;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::{Arrival, Request};
use crate::message::request_id::RequestId;
use crate::message::response::{DuplexResponse, Response};
use crate::reason::Reason;
use crate::runtime::{self, BlockingPool, Either, Pools, either, pipe_to_thread};
use crate::tls::facts::Facts;

use crate::coding::decoded_content::DecodedContent;
use call::{Call, Coming, Expiry, Failure, Outcome};
use decoding::{decoder, has_coding, is_of_coded};
use feed::{Feed, Step};

/// A handler behind a route.
pub(crate) struct PluginHandler {
    instance: Arc<Instance>,
    life: Arc<RouteLife>,
    /// The route's own threads, if it has some.
    pool: Option<Arc<BlockingPool>>,
    /// The route's name in the log.
    route: String,
    /// What the parameters of the route's pattern stand for, and their names.
    parameters: Vec<(Capture, String)>,
    timeout: Duration,
    stream: bool,
    /// The octets of content that the handler is given at most where content is decoded for it; `None`: it
    /// is not.
    decodes: Option<u64>,
}

/// What comes of asking a handler that never waits.
pub(crate) enum Now {
    Response(Response<'static>),
    /// The response is decided later.
    Begun(Box<Begun>),
}

/// A handler that has been called, and whose response is not decided yet.
pub(crate) struct Begun {
    call: Call,
    outcome: Outcome,
}

impl PluginHandler {
    pub(crate) fn new(
        plugin: &PluginRoute,
        instance: Arc<Instance>,
        life: Arc<RouteLife>,
        pool: Option<Arc<BlockingPool>>,
        route: &Route,
    ) -> Self {
        let parameters = route.pattern.parameters();
        let parameters = parameters.map(|(name, capture)| (capture, name.to_owned()));
        Self {
            instance,
            life,
            pool,
            route: route.to_string(),
            parameters: parameters.collect(),
            timeout: plugin.timeout,
            stream: plugin.stream,
            decodes: plugin.decompress.then_some(route.policy.limits.max_content),
        }
    }

    /// Whether the handler runs on the loop.
    pub(crate) fn never_waits(&self) -> bool {
        self.instance.never_waits
    }

    /// The response of a handler that never waits, to a request without content.
    pub(crate) fn answer_now(&self, request: &Request<'_>, pools: &Pools) -> Option<Now> {
        if !self.instance.never_waits {
            return None;
        }
        let (call, outcome) = self.run_on_loop(request, no_content());
        Some(match outcome {
            Ok(api::Made {
                body: Body::Later(_),
                ..
            }) => Now::Begun(Box::new(Begun { call, outcome })),
            outcome => Now::Response(self.respond(outcome, call, request, pools)),
        })
    }

    /// The response of the handler.
    ///
    /// # Errors
    /// If the content cannot be read, or the client has gone.
    pub(crate) async fn answer<'c>(
        &self,
        request: &Request<'_>,
        pools: &Pools,
        content: impl ReadContent + 'c,
        begun: Option<Box<Begun>>,
    ) -> Result<DuplexResponse<'static, 'c>, ContentError> {
        let max_content = match self.decodes {
            Some(max_content) if has_coding(request.head) => max_content,
            _ => return self.answer_to(request, pools, content, begun).await,
        };
        match decoder(request.head) {
            Ok(decoder) => {
                let content = DecodedContent::new(content, decoder, max_content);
                Box::pin(self.answer_to(request, pools, content, begun)).await
            }
            Err(response) => Ok(response),
        }
    }

    /// The response of the handler to a request with this content.
    async fn answer_to<'c>(
        &self,
        request: &Request<'_>,
        pools: &Pools,
        mut content: impl ReadContent + 'c,
        begun: Option<Box<Begun>>,
    ) -> Result<DuplexResponse<'static, 'c>, ContentError> {
        if self.stream && request.head.framing != Framing::Empty {
            return self.answer_to_stream(request, pools, content).await;
        }
        let kept = match request.head.framing {
            Framing::Empty => no_content(),
            _ => kept(Spooled::read(&mut content, &pools.disk).await?),
        };
        let begun = match begun {
            Some(begun) => Ok((begun.call, Coming::Here(begun.outcome))),
            None if self.instance.never_waits => {
                let (call, outcome) = self.run_on_loop(request, kept);
                Ok((call, Coming::Here(outcome)))
            }
            None => self.begin(request, kept, pools),
        };
        let (call, coming) = match begun {
            Ok(begun) => begun,
            Err(failure) => return Ok(self.failed(&failure)),
        };
        let expiry = self.expiry(content.client_gone());
        match self.wait(coming, &call, pools, expiry).await {
            Ok(outcome) => Ok(self.respond(outcome, call, request, pools)),
            Err(Expiry::TimedOut) => Ok(self.timed_out(&call)),
            Err(Expiry::ClientGone) => Err(ContentError::CutOff),
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
            Framing::Length(length) if !self.is_decoded(request) => Some(length),
            _ => None,
        };
        let source = Content::new(length, ContentSource::Pipe(reader));
        let (call, coming) = match self.begin(request, source, pools) {
            Ok(begun) => begun,
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
            self.wait(coming, &call, pools, expiry).await
        };
        match waited {
            Ok(outcome) => {
                let respond = |content| feed::beside(content, feed);
                Ok(self.respond_with(outcome, call, request, pools, respond))
            }
            Err(Expiry::TimedOut) => Ok(self.timed_out(&call)),
            Err(Expiry::ClientGone) => Err(ContentError::CutOff),
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
        self.expiry(feed.client_gone()).await
    }

    /// Why waiting ends for code that has been given everything.
    async fn expiry(&self, client_gone: impl Future<Output = ()>) -> Expiry {
        match either(client_gone, runtime::sleep(self.timeout)).await {
            Either::First(()) => Expiry::ClientGone,
            Either::Second(()) => Expiry::TimedOut,
        }
    }

    /// Waits for the handler's response, and where the handler decides that later, for the decision.
    ///
    /// # Errors
    /// `expiry`, if it comes first.
    async fn wait(
        &self,
        coming: Coming,
        call: &Call,
        pools: &Pools,
        expiry: impl Future<Output = Expiry>,
    ) -> Result<Outcome, Expiry> {
        let mut expiry = pin!(expiry);
        let mut outcome = match either(coming.outcome(), expiry.as_mut()).await {
            Either::First(outcome) => outcome,
            Either::Second(why) => return Err(why),
        };
        while let Ok(api::Made {
            body: Body::Later(later),
            ..
        }) = outcome
        {
            let pool = self.pool(pools);
            outcome = later::decided(*later, &call.life, pool, expiry.as_mut()).await?;
        }
        Ok(outcome)
    }

    /// The threads that run the handler.
    fn pool<'p>(&'p self, pools: &'p Pools) -> &'p BlockingPool {
        self.pool.as_ref().unwrap_or(&pools.code)
    }

    /// Has a thread call the handler.
    fn begin(
        &self,
        request: &Request<'_>,
        content: Content,
        pools: &Pools,
    ) -> Result<(Call, Coming), Failure> {
        let life = Life::new(Arc::clone(&self.life));
        let owned = self.request(request, content, &life);
        let instance = Arc::clone(&self.instance);
        let is_head = request.head.is_head();
        Call::begin(instance, owned, life, is_head, self.pool(pools))
    }

    /// Calls the handler on the loop.
    fn run_on_loop(&self, request: &Request<'_>, content: Content) -> (Call, Outcome) {
        let life = Life::new(Arc::clone(&self.life));
        let owned = self.request(request, content, &life);
        let call = Call::on_loop(life);
        (call, call::run(self.instance.handler(), owned))
    }

    /// The response for the result of a call.
    fn respond(
        &self,
        outcome: Outcome,
        call: Call,
        request: &Request<'_>,
        pools: &Pools,
    ) -> Response<'static> {
        self.respond_with(outcome, call, request, pools, |content| content)
    }

    /// [`respond`](Self::respond), with the content changed by `change`.
    fn respond_with<'c>(
        &self,
        outcome: Outcome,
        mut call: Call,
        request: &Request<'_>,
        pools: &Pools,
        change: impl FnOnce(Supply<'static>) -> Supply<'c>,
    ) -> DuplexResponse<'static, 'c> {
        let is_head = request.head.is_head();
        // Content is made by a thread also if the response was made on the loop, or decided later.
        let made = outcome.and_then(|made| call.make_content(made, is_head, self.pool(pools)));
        match made {
            Ok(made) => {
                let content = stream::content(made.body, call, &self.route);
                represent(made.head, content.map(change), request)
            }
            Err(failure) => {
                call.end();
                self.failed(&failure)
            }
        }
    }

    /// The response of the server to a handler that is late.
    fn timed_out(&self, call: &Call) -> Response<'static> {
        self.failed(&Failure::TimedOut {
            timeout: self.timeout,
            waited_for: call.waits_for(),
        })
    }

    /// The response if the handler gave none. Logs why.
    fn failed(&self, failure: &Failure) -> Response<'static> {
        let status = failure.status();
        let why = failure.describe();
        match status.code() {
            500.. => diagnostic::error_of(&self.route, format_args!("{why}")),
            // The client's fault.
            _ => diagnostic::debug(format_args!("{}: {why}", self.route)),
        }
        let reason = failure.reason();
        match status {
            Status::SERVICE_UNAVAILABLE => Response::busy(reason),
            _ => Response::problem_of(status, reason),
        }
    }

    /// Whether the handler is given other octets than the client sends.
    fn is_decoded(&self, request: &Request<'_>) -> bool {
        self.decodes.is_some() && has_coding(request.head)
    }

    /// The request, copied into a form that can leave the loop.
    fn request(&self, request: &Request<'_>, content: Content, life: &Arc<Life>) -> api::Request {
        let received = Received {
            method: request.head.method,
            client: request.client.ip_or_unspecified(),
            peer: request
                .arrival
                .and_then(|arrival| arrival.connection.peer()),
            scheme: if request.arrival.is_some_and(|arrival| arrival.is_https) {
                "https"
            } else {
                "http"
            },
            tls: request.arrival.and_then(tls_of),
            host: request.head.host,
            target: &target(request),
            path: &readable(request.path.as_bytes()),
            matched: readable(request.path.covered()).len(),
            id: request.id().map(RequestId::as_str),
        };
        let mut owned = api::Request::received(received, content, Arc::clone(life));
        let verified = request.verified;
        let is_decoded = self.is_decoded(request);
        let is_withheld = |name: &str| verified.withholds(name) || is_decoded && is_of_coded(name);
        let fields = request.head.fields.iter();
        let fields = fields.filter(|(name, _)| !is_withheld(name));
        for (name, value) in fields.chain(verified.lines()) {
            owned.push_field(name, value);
        }
        if let Some(user) = verified.user() {
            owned.set_user(user);
        }
        // They are of the path that the route has matched, whatever `rewrite` makes of it.
        let matched = request.as_sent().path.as_bytes();
        for (capture, name) in &self.parameters {
            match capture {
                Capture::Segment(index) => {
                    let segment = behind_segments(matched, *index).get(1..);
                    let segment = segment.unwrap_or_default();
                    let end = memchr::memchr(b'/', segment).unwrap_or(segment.len());
                    owned.push_parameter(name, &decoded_segment(&segment[..end]));
                }
                Capture::Tail(index) => {
                    let tail = behind_segments(matched, *index).get(1..);
                    owned.push_parameter(name, &readable(tail.unwrap_or_default()));
                }
            }
        }
        owned
    }
}

/// The request-target that the handler is told: the client's, or what `rewrite` makes of it.
fn target<'r>(request: &'r Request<'_>) -> Cow<'r, str> {
    let head = request.head;
    if request.original.is_none() {
        return Cow::Borrowed(head.raw_target);
    }
    let path = String::from_utf8_lossy(head.target.path);
    match head.target.query {
        None => path,
        Some(query) => Cow::Owned(format!("{path}?{}", String::from_utf8_lossy(query))),
    }
}

/// What the handler is told of the connection, if it is one over TLS.
fn tls_of(arrival: &Arrival<'_>) -> Option<Box<api::Tls>> {
    let secured = arrival.connection.secured()?;
    let certificate = secured.client_certificate();
    let told = certificate.and_then(|der| Some((der, Facts::of(der).ok()?)));
    Some(Box::new(api::Tls {
        version: secured.version,
        cipher: secured.cipher,
        server_name: secured.server_name.map(str::to_owned),
        client_certificate: told.map(|(der, facts)| api::ClientCertificate {
            subject: facts.subject,
            issuer: facts.issuer,
            serial: facts.serial,
            fingerprint: facts.fingerprint,
            der: der.to_vec(),
        }),
    }))
}

/// The response with `content`, or 500 if the handler failed to give any.
fn represent<'c>(
    head: api::MadeHead,
    content: Option<Supply<'c>>,
    request: &Request<'_>,
) -> DuplexResponse<'static, 'c> {
    match content {
        Some(content) => represent::represent(head, content, request),
        None => Response::problem(Reason::HandlerAnswerInvalid),
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
