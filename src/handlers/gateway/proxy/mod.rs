//! `proxy = UPSTREAM`: servers that speak HTTP answer.
//!
//! ```text
//! client ─→ request, made anew ─→ upstream
//! client ←─ response, made anew ←─ upstream     what either side sends is read once, and strictly
//! ```
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the head that an upstream is sent | [`request`], [`target`], [`forwarding`], [`max_forwards`], [`own_fields`] |
//! | the content that it is sent | [`body`] |
//! | which server is asked, and which one after it | [`asking`], [`tries`], [`heard`] |
//! | a response's way in | [`receiving`], [`content`] |
//! | which connection no other request may follow on | [`connection_auth`] |
//! | what an upstream can do wrong | [`fault`] |
//! | which fields a route keeps from its clients | [`withheld`] |
//! | a server that says who is let in | [`forward_auth`] |
//! | what `explain` tells of a request | [`explained`] |
//! | servers and their connections | [`upstream`](crate::upstream) |

mod asking;
mod body;
mod connection_auth;
mod content;
mod explained;
mod fault;
mod forward_auth;
mod forwarding;
mod heard;
mod max_forwards;
mod own_fields;
mod receiving;
mod request;
mod target;
mod tries;
mod withheld;

use std::mem::take;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{Proxy, Route, RoutePattern};
use crate::disk::read_ahead::ReadAhead;
use crate::http::proxy_status;
use crate::http::request::RequestHead;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::log::{diagnostic, secrets};
use crate::message::content::{
    ContentError, ContentSource, ContentStream, DuplexContent, Octets, ReadContent,
};
use crate::message::presence::Presence;
use crate::message::request::Request;
use crate::message::response::{CommonFields, DuplexAnswer, DuplexResponse, Response};
use crate::message::tunnel::Tunnel;
use crate::message::upstream_note::UpstreamNote;
use crate::reason::Reason;
use crate::runtime::BlockingPool;
use crate::upstream::{Buffers, Dialogue, Group, KeptConnections};

use body::{Body, BodyReader};
use content::{Asked, Trailers, UpstreamContent};
pub(crate) use explained::Explained;
pub(crate) use forward_auth::{ForwardAuth, Said};
use heard::{Heard, Spoken, Unanswered};
use own_fields::OwnFields;
use receiving::{Receiving, UpstreamHead};
use withheld::Withheld;

/// The handler of a `proxy` route.
pub(crate) struct ProxyHandler {
    options: Proxy,
    own_fields: OwnFields,
    withheld: Arc<Withheld>,
    upstream: Arc<Group>,
    /// The route's name in the log.
    route: Arc<str>,
    /// Whether the route is still there: its tunnels end with it.
    life: Arc<Presence>,
}

/// The worker's state that the handler uses.
#[derive(Clone, Copy)]
pub(crate) struct Worker<'w> {
    pub(crate) buffers: &'w Rc<Buffers>,
    pub(crate) kept: &'w Rc<KeptConnections>,
    pub(crate) disk: &'w Arc<BlockingPool>,
}

impl ProxyHandler {
    pub(crate) fn new(
        options: &Proxy,
        upstream: Arc<Group>,
        route: &Route,
        life: Arc<Presence>,
    ) -> Self {
        let name = route.to_string();
        Self {
            withheld: Arc::new(Withheld::of(route)),
            ..Self::named(options, upstream, &route.pattern, &name, life)
        }
    }

    /// [`new`](Self::new), for what the log calls `name`.
    fn named(
        options: &Proxy,
        upstream: Arc<Group>,
        pattern: &RoutePattern,
        name: &str,
        life: Arc<Presence>,
    ) -> Self {
        let mut options = options.clone();
        // What a client says of its certificate itself never arrives, in whatever spelling.
        let names = options.client_certificate.iter().map(|(name, _)| name);
        options.request_headers.remove.extend(names.cloned());
        Self {
            own_fields: OwnFields::new(&options.request_headers, pattern),
            options,
            withheld: Arc::default(),
            upstream,
            route: name.into(),
            life,
        }
    }

    /// The response of an upstream to `request`. The log names the request by the head that the client has `sent`.
    ///
    /// # Errors
    /// If the request's content could not be read, or the client has gone.
    pub(crate) async fn answer<'a, 'c, C: ReadContent + Copy + 'c>(
        &'a self,
        sent: &RequestHead<'_>,
        request: &Request<'_>,
        worker: Worker<'_>,
        content: C,
    ) -> Result<DuplexAnswer<'a, 'c>, ContentError> {
        if let Some(response) = self.answer_unasked(request.head) {
            return Ok(response.into());
        }
        let body = Body::new(request, content, self.options.buffer, worker.disk).await?;
        match self.ask(request, &worker, &body).await {
            Ok(heard) => Ok(self.response(heard, request, worker).into()),
            Err(why) => Ok(self.failed(why, sent, request)?.into()),
        }
    }

    /// The response to the request of `head`, if no upstream is asked.
    pub(crate) fn answer_unasked(&self, head: &RequestHead<'_>) -> Option<Response<'static>> {
        if request::goes_in_a_circle(head) {
            Some(self.told(Response::problem(Reason::ProxyLoop), None))
        } else if max_forwards::left(head) == Some(0) {
            Some(max_forwards::response())
        } else {
            None
        }
    }

    /// The response of what an upstream has said.
    fn response<'c, C: ReadContent + Copy + 'c>(
        &self,
        heard: Heard<C>,
        request: &Request<'_>,
        worker: Worker<'_>,
    ) -> DuplexResponse<'static, 'c> {
        let Heard { said, asked, note } = heard;
        let Spoken {
            mut head,
            dialogue,
            rest,
        } = said;
        let mut fields = FieldLines::behind(take(&mut head.fields));
        if let Some(cookie) = asked.chosen.set_cookie() {
            fields.push("Set-Cookie", cookie);
        }
        self.push_required_protocols(&head, &mut fields);
        if self.options.proxy_status {
            let server = asked.chosen.server().name();
            fields.push("Proxy-Status", proxy_status::value(None, Some(server)));
        }
        request.note.set(Some(note));
        let content = self.content(&head, dialogue, asked, rest, request, worker);
        DuplexResponse {
            status: head.status,
            fields: fields.into(),
            content,
            common: if head.has_date {
                CommonFields::None
            } else {
                CommonFields::Date
            },
        }
    }

    /// Tells the client of the protocols that a 426 asks for, as far as this route lets connections change to them.
    fn push_required_protocols(&self, head: &UpstreamHead, fields: &mut FieldLines) {
        let is_allowed = |protocol: &&Vec<u8>| {
            let mut allowed = self.options.upgrade.iter();
            allowed.any(|allowed| protocol.eq_ignore_ascii_case(allowed.as_bytes()))
        };
        let protocols = head.required_protocols.iter().filter(is_allowed);
        let protocols: Vec<_> = protocols.map(Vec::as_slice).collect();
        if !protocols.is_empty() {
            fields.push("Connection", "upgrade");
            fields.push("Upgrade", protocols.join(&b", "[..]));
        }
    }

    /// The content of a response: all of it, or as it comes.
    fn content<'c, C: ReadContent + Copy + 'c>(
        &self,
        head: &UpstreamHead,
        mut dialogue: Box<Dialogue<Receiving>>,
        asked: Asked,
        rest: BodyReader<'static, C>,
        request: &Request<'_>,
        worker: Worker<'_>,
    ) -> DuplexContent<'static, 'c> {
        let first = dialogue.take_content();
        if head.status == Status::SWITCHING_PROTOCOLS {
            return DuplexContent::Tunnel(Box::new(self.tunnel(dialogue, first, asked)));
        }
        let length = head.length;
        if dialogue.is_ended() {
            let trailers = dialogue.protocol_mut().take_trailers();
            asked.end(dialogue);
            return if first.is_empty() && (length.is_some() || request.head.is_head()) {
                DuplexContent::Stream(ContentStream::unsent(length))
            } else if trailers.is_empty() {
                DuplexContent::Octets(Octets::Owned(first))
            } else {
                let end = Box::new(Trailers(trailers));
                DuplexContent::Stream(ContentStream::beginning_with(first, None, end))
            };
        }
        let server = asked.chosen.server().address().to_string();
        let name = format!("upstream `{}`: {server}", self.upstream.options().name);
        let source = UpstreamContent::new(dialogue, asked, rest, name);
        let source: Box<dyn ContentSource + 'c> = if self.options.buffer && !head.is_unbuffered {
            Box::new(ReadAhead::new(source, worker.disk))
        } else {
            Box::new(source)
        };
        DuplexContent::Stream(ContentStream::beginning_with(first, length, source))
    }

    /// What follows a 101. The server counts a request more while the tunnel is open.
    fn tunnel(&self, dialogue: Box<Dialogue<Receiving>>, first: Vec<u8>, asked: Asked) -> Tunnel {
        let route = Arc::clone(&self.life);
        let chosen = asked.chosen;
        Tunnel {
            upstream: dialogue.into_parts().0.into_transport(),
            first,
            idle_timeout: self.options.tunnel_timeout,
            grace: self.options.tunnel_grace,
            is_wanted: Box::new(move || route.is_there() && chosen.server().is_listed()),
        }
    }

    /// How long an upstream may take from the end of the request to the end of the response's head.
    fn head_timeout(&self) -> Duration {
        let timeouts = &self.upstream.options().timeouts;
        self.options.timeout.unwrap_or(timeouts.head)
    }

    /// How long an upstream may do nothing while content is sent.
    fn read_timeout(&self) -> Duration {
        let timeouts = &self.upstream.options().timeouts;
        self.options.timeout.unwrap_or(timeouts.read)
    }

    /// What the log calls the request of that head, for which the server at that address is asked.
    fn name_in_log(&self, sent: &RequestHead<'_>, server: &str) -> String {
        let (upstream, request) = (&self.upstream.options().name, secrets::in_diagnostics(sent));
        format!("{request}: upstream `{upstream}`: {server}")
    }

    /// The response if no upstream gave one to `request`, which was made for that with the head `sent`.
    fn failed(
        &self,
        why: Unanswered,
        sent: &RequestHead<'_>,
        request: &Request<'_>,
    ) -> Result<Response<'static>, ContentError> {
        let (reason, note, chain) = match why {
            Unanswered::Client(error) => return Err(error),
            Unanswered::Failed(failed) => {
                let (fault, note) = *failed;
                (fault.reason(), note, diagnostic::chain(&fault))
            }
            Unanswered::NoServer(why) => {
                let note = UpstreamNote {
                    error: Some(why.reason()),
                    ..UpstreamNote::default()
                };
                (why.reason(), note, why.to_string())
            }
        };
        let name = self.name_in_log(sent, note.server.as_deref().unwrap_or("no server"));
        diagnostic::error_limited(&self.route, format_args!("{}: {name}: {chain}", self.route));
        // The head of a response came, but not its end: none of it has gone to the client.
        let status = reason.status().unwrap_or(Status::BAD_GATEWAY);
        let response = match status {
            Status::SERVICE_UNAVAILABLE => Response::busy(reason),
            status => Response::problem_of(status, reason),
        };
        let response = self.told(response, note.server.as_deref());
        request.note.set(Some(Box::new(note)));
        Ok(response)
    }

    /// `response`, an error of this server's own, with `Proxy-Status` if the route has it.
    fn told(&self, mut response: Response<'static>, server: Option<&str>) -> Response<'static> {
        if let (true, DuplexContent::Problem(Some(reason))) =
            (self.options.proxy_status, &response.content)
        {
            let mut fields = FieldLines::behind(response.fields.to_vec());
            fields.push(
                "Proxy-Status",
                proxy_status::value(reason.proxy_error(), server),
            );
            response.fields = fields.into();
        }
        response
    }
}
