//! One exchange: from a request's head to the record of how it ended, in named steps.
//!
//! ```text
//! client      who asks, behind proxies that are trusted
//! route       the server and the route that answer, or the status that says why none does; `when` tells
//!             routes of one path apart
//! admission   whether the client is let in, and whether the content is small enough
//! rate        whether the client asks too often; a request may be held here
//! auth        whether the client has proved what is wanted, at once; `authorize` waits for the proof
//! cors        what scripts of other origins may do; a preflight is answered here
//! rewrite     what the handler is asked for, if that is not what the client has asked for
//! handler     the response, at once or waited for, wherever local redirects lead (`led`)
//! compression the response's content in a coding that the client takes
//! finishing   what the operator changes of it, and its framing
//! outcome     counted and recorded, exactly once
//! ```
//!
//! What an exchange is known by (`marks`), its id and its trace, is there before the first step. A request that the
//! connection answers itself, because no route can be known (`unrouted`), takes the last two steps alone.
//!
//! Admission stands behind the route, because a route may have an `allow`, a `deny` and a
//! `max_content` of its own. A request that it refuses, or that is a preflight, counts at no rate. What is
//! decided here is the same whether the response is given at once or waited for; the connection calls the
//! steps.

mod admission;
mod auth;
mod authorize;
pub(super) mod client;
pub(super) mod compression;
pub(super) mod cors;
pub(super) mod finishing;
mod handler;
mod led;
mod marks;
pub(super) mod outcome;
pub(super) mod rate;
mod rewrite;
mod route;
pub(super) mod unrouted;
pub(super) mod when;

use std::cell::{Cell, OnceCell};
use std::fmt::Arguments;
use std::rc::Rc;
use std::sync::Arc;

use crate::address::{ClientAddress, ListenAddress};
use crate::config::model::Limits;
use crate::generation::policy::ServingPolicy;
use crate::generation::{Generation, Listening, Opening, Route};
use crate::handlers::{Begun, ProxiedRequest, WorkerState};
use crate::http::forwarded::ForwardedField;
use crate::http::path::NormalPath;
use crate::http::raw_path::behind_segments;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::http::template::Values;
use crate::log::{diagnostic, limited, secrets};
use crate::message::identity::Identity;
use crate::message::marks::{Marks, MarksPlace};
use crate::message::request::{Arrival, Request, TellsOfConnection};
use crate::message::request_id::RequestId;
use crate::message::response::DuplexResponse;
use crate::message::routed_path::RoutedPath;
use crate::message::selected::Selected;
use crate::message::trace::Trace;
use crate::message::upstream_note::{NotePlace, UpstreamNote};
use crate::metrics::series::SeriesId;
use crate::reason::Reason;
use crate::throttle::rates::Counted;

use led::LedTo;
use route::{Matched, Refusal};

/// A request whose way through the configuration is known.
pub(super) struct Exchange<'g, 'r> {
    generation: &'g Generation,
    listener: &'r ListenAddress,
    head: &'r RequestHead<'r>,
    /// The client's address, after trusted proxies.
    pub(super) client: ClientAddress,
    /// What scripts are told of the connection; see [`set_arrival`](Self::set_arrival).
    arrival: Option<&'r Arrival<'r>>,
    /// The policy that holds for the response: that of the route, or of the server or the whole
    /// configuration where no route answers.
    pub(super) policy: &'g ServingPolicy,
    /// The route that answers; or what the server answers if no route does.
    matched: Result<Matched<'g, 'r>, Refusal>,
    /// The routes that answer in place of that one, where it gives a local redirect.
    led_to: LedTo,
    /// The user, once one was verified.
    identity: OnceCell<Arc<Identity>>,
    /// What the handler has begun already.
    begun: Cell<Option<Begun>>,
    /// What the rates of the policy have said, once the request is counted.
    counted: Cell<Option<Counted>>,
    /// Which servers of an upstream the handler has asked.
    note: NotePlace,
    /// Its id, if the policy wants one, and its trace, if it has one.
    marks: MarksPlace,
}

/// The connection over which a request came: what decides with the configuration whether the request is answered.
pub(super) struct Over<'c> {
    pub(super) connection: &'c dyn TellsOfConnection,
    /// Whether a trusted proxy has said by the PROXY protocol who the client is.
    pub(super) has_proxy_header: bool,
    /// `None`: it is a plain connection. Over TLS, the handshake asked for a client's certificate as the server
    /// does that the client named then (SNI), and the number stands for what was asked.
    pub(super) client_rule: Option<u64>,
}

/// What was done for a request when it was asked for an answer at once, and is not done twice.
pub(super) struct Before {
    /// What its handler has begun.
    pub(super) of_handler: Option<Begun>,
    /// What the rates have said to it.
    pub(super) counted: Option<Counted>,
    /// What the handler was told that it is known by.
    pub(super) marks: Option<Rc<Marks>>,
}

/// A response, the policy that holds for it, and the route that gives it, if one does.
pub(super) struct Answered<'g, 'c> {
    pub(super) response: DuplexResponse<'g, 'c>,
    pub(super) policy: &'g ServingPolicy,
    pub(super) route: Option<&'g Route>,
}

impl<'g, 'r> Exchange<'g, 'r> {
    /// Finds client, route and handler for the request of `head`, which came in at `listener` from `peer` on
    /// `connection`; `listening` is that listener.
    ///
    /// If the server for this request asks for something else of its connections, such as another certificate of
    /// the client, it is not asked over this one (RFC 9110 §7.4).
    #[inline]
    pub(super) fn new(
        listening: Listening<'g>,
        listener: &'r ListenAddress,
        peer: ClientAddress,
        head: &'r RequestHead<'r>,
        over: Over<'_>,
    ) -> Self {
        let proxies = &listening.generation.proxies;
        let client = client::address(proxies, peer, &head.fields);
        let connection = Some(over.connection);
        let opening = Opening {
            has_proxy_header: over.has_proxy_header,
            is_tls: over.client_rule.is_some(),
        };
        let is_in_reach = listening.is_open_to(opening)
            && match over.client_rule {
                None => !head.target.is_https || client::may_have_secured(proxies, peer),
                Some(rule) => listening.client_rule(head.host) == rule,
            };
        let peer = Some(peer);
        Self::of_client(
            listening,
            listener,
            client,
            head,
            connection,
            peer,
            is_in_reach,
        )
    }

    /// As [`new`](Self::new), where it is known who the client is, and whether the server `is_in_reach` over the
    /// connection. With a `peer`, the exchange has an id if its policy wants one, and a trace.
    fn of_client(
        listening: Listening<'g>,
        listener: &'r ListenAddress,
        client: ClientAddress,
        head: &'r RequestHead<'r>,
        connection: Option<&dyn TellsOfConnection>,
        peer: Option<ClientAddress>,
        is_in_reach: bool,
    ) -> Self {
        let (policy, mut matched) = route::find(listening, head);
        let is_preflight = matches!(matched, Err(Refusal::Preflight));
        if let Err(refusal) = admission::admit(policy, client, connection, is_preflight) {
            matched = Err(refusal);
        }
        let (identity, own) = (OnceCell::new(), MarksPlace::new());
        if policy.is_marked
            && let Some(peer) = peer
        {
            let generation = listening.generation;
            let found = marks::of_request(generation, policy, &head.fields, peer, connection);
            let _ = found.map(|found| own.set(found));
        }
        if let Some(auth) = &policy.auth {
            auth::begin(auth, head, &mut matched, &identity);
        }
        if !is_in_reach {
            matched = Err(Refusal::Because(Reason::OtherConnection));
        }
        Self {
            generation: listening.generation,
            listener,
            head,
            client,
            arrival: None,
            policy,
            matched,
            led_to: LedTo::default(),
            identity,
            begun: Cell::new(None),
            counted: Cell::new(None),
            note: NotePlace::default(),
            marks: own,
        }
    }

    /// The id of the exchange, if it has one.
    pub(super) fn id(&self) -> Option<&RequestId> {
        self.marks.get()?.id.as_ref()
    }

    /// The trace of the exchange, if it has one.
    pub(super) fn trace(&self) -> Option<&Trace> {
        self.marks.get()?.trace.as_ref()
    }

    /// What the exchange is known by, if it has an id or a trace.
    pub(super) fn marks(&self) -> Option<&Rc<Marks>> {
        self.marks.get()
    }

    /// Sets what scripts are told of the connection that the request came on.
    pub(super) fn set_arrival(&mut self, arrival: &'r Arrival<'r>) {
        self.arrival = Some(arrival);
    }

    /// Whether `peer` is a trusted proxy that says that the client of `head` came over TLS.
    pub(super) fn is_https(
        generation: &Generation,
        peer: ClientAddress,
        head: &RequestHead<'_>,
    ) -> bool {
        client::is_https(&generation.proxies, peer, &head.fields)
    }

    /// The field in which `peer` says who its client is, if it is a proxy whose word is believed.
    pub(super) fn believed(generation: &Generation, peer: ClientAddress) -> Option<ForwardedField> {
        let proxies = &generation.proxies;
        client::is_trusted_proxy(proxies, peer).then_some(proxies.field)
    }

    /// Goes on with the exchange, which has to be waited for, from what was done for it when it was asked for an
    /// answer at once, if anything was.
    pub(super) fn resume(&mut self, before: Option<Before>) {
        let mut own = self.marks.take();
        if let Some(before) = before {
            self.begun.set(before.of_handler);
            self.counted.set(before.counted);
            own = before.marks;
        }
        if let Some(own) = marks::of_waiting(self.generation, own) {
            let _ = self.marks.set(own);
        }
    }

    /// The waits and sizes that hold from here on.
    pub(super) fn limits(&self) -> &'g Limits {
        &self.policy.limits
    }

    /// Bytes of the request's head, with the empty line at its end.
    pub(super) fn head_length(&self) -> usize {
        self.head.length
    }

    /// The route that answers, if one does; or that gives a local redirect to one that does.
    pub(super) fn route(&self) -> Option<&'g Route> {
        self.matched.as_ref().ok().map(|matched| matched.route)
    }

    /// The series that the exchange is counted in: that of the route that answers or refuses it, wherever local
    /// redirects have led.
    #[inline]
    pub(super) fn series(&self) -> SeriesId {
        let led_to = self.led_to.last();
        led_to.map_or(self.policy.series, |led_to| led_to.series)
    }

    /// The key of that route, if it is one.
    fn key(&self) -> Option<&str> {
        match self.led_to.last() {
            None => self.policy.route.as_deref(),
            Some(led_to) => led_to.route.as_deref(),
        }
    }

    /// The path that the route matches, if one does.
    pub(super) fn path(&self) -> Option<&NormalPath<'r>> {
        self.matched.as_ref().ok().map(|matched| &matched.path)
    }

    /// Logs at level debug where the request goes, and at level warning that no server answers for its host:
    /// the client sees only the status 421, which does not say what is missing. The request came in at `bound`.
    #[inline]
    pub(super) fn tell(&self, bound: &ListenAddress) {
        if diagnostic::may_debug(self.client) {
            self.tell_route(bound);
        }
        if let Err(refusal) = &self.matched
            && refusal.is_misdirected()
        {
            self.tell_misdirected(bound);
        }
    }

    /// As [`tell`](Self::tell), of an exchange that is answered at once, with `status`.
    #[inline]
    pub(super) fn tell_answered(
        &self,
        status: Status,
        reason: Option<Reason>,
        bound: &ListenAddress,
    ) {
        self.tell(bound);
        if diagnostic::may_debug(self.client) {
            self.tell_answer(status, reason);
        }
    }

    #[cold]
    fn tell_answer(&self, status: Status, reason: Option<Reason>) {
        let reason = reason.map(|reason| format!(" ({reason})"));
        let reason = reason.unwrap_or_default();
        let request = secrets::in_diagnostics(self.head);
        let what = format_args!("{request}: answered at once: {status}{reason}");
        diagnostic::debug_of(self.client, what);
    }

    #[cold]
    fn tell_route(&self, bound: &ListenAddress) {
        let host = String::from_utf8_lossy(self.head.host);
        let request = secrets::in_diagnostics(self.head);
        self.tell_destination(format_args!("{request} for {host:?} at {bound}"));
    }

    /// Logs at level debug where the local redirect to `target` leads: to the route of `next`.
    #[cold]
    fn tell_local_redirect(&self, target: &str, next: &Exchange<'_, '_>) {
        if diagnostic::may_debug(self.client) {
            let request = secrets::in_diagnostics(self.head);
            let target = secrets::named(target);
            next.tell_destination(format_args!("{request}: local redirect to {target}"));
        }
    }

    /// Logs where `what` goes: to a route, or why to none.
    fn tell_destination(&self, what: Arguments<'_>) {
        let client = self.client;
        match &self.matched {
            Ok(matched) => diagnostic::debug_of(client, format_args!("{what}: {}", matched.route)),
            Err(Refusal::Preflight) => {
                let what = format_args!("{what}: answered as a preflight of `cors`");
                diagnostic::debug_of(client, what);
            }
            Err(refusal) => {
                let of_route = self.policy.route.as_ref();
                let of_route = of_route.map(|key| format!(", route `{key}`"));
                let (of_route, why) = (of_route.unwrap_or_default(), refusal.describe());
                diagnostic::debug_of(client, format_args!("{what}{of_route}: refused: {why}"));
            }
        }
    }

    #[cold]
    fn tell_misdirected(&self, bound: &ListenAddress) {
        let host = String::from_utf8_lossy(self.head.host);
        limited::warn(format_args!(
            "{bound}: no server there answers for the host {host:?}; add it to the hosts of one, or leave hosts out to answer for every host"
        ));
    }

    /// Whether code behind the route answers, or another server says whether the request is let in. `explain`
    /// and `[[test]]` do not run the one and do not ask the other.
    pub(super) fn is_answered_by_code(&self) -> bool {
        let route = self.route();
        self.asks_a_service() || route.is_some_and(|route| route.handler.is_code(self.head))
    }

    /// Whether the response has to be waited for in any case.
    pub(super) fn always_waits(&self) -> bool {
        self.asks_a_service()
            || self
                .route()
                .is_some_and(|route| route.rewrite.is_some() || route.handler.always_waits())
    }

    /// Whether a handler that answers at once, or a field of the operator's, wants to know of the
    /// connection.
    pub(super) fn is_told_arrival_now(&self) -> bool {
        self.policy.tells_arrival()
            || self
                .route()
                .is_some_and(|route| route.handler.is_told_arrival_now())
    }

    /// Calls `fill` with what the variables in the operator's fields stand for, in a response under
    /// `policy`, whose route's pattern covers so many segments.
    #[cold]
    fn with_values<T>(
        &self,
        policy: &ServingPolicy,
        covered: usize,
        fill: impl FnOnce(&Values<'_>) -> T,
    ) -> T {
        let parsed;
        let path = match &self.matched {
            Ok(matched) => matched.path.as_bytes(),
            Err(_) => {
                parsed = NormalPath::parse(self.head.target.path);
                parsed.as_ref().map_or(&b""[..], NormalPath::as_bytes)
            }
        };
        // Behind a local redirect another route answers, for another path than the client's.
        let is_own = std::ptr::eq(policy, self.policy);
        fill(&Values {
            path,
            rest: behind_segments(path, if is_own { covered } else { 0 }),
            matched: if is_own { path } else { b"" },
            is_sent: false,
            query: self.head.target.query,
            host: self.head.host,
            is_https: self.arrival.is_some_and(|arrival| arrival.is_https),
            method: self.head.method.as_str(),
            client: self.client.ip(),
        })
    }

    /// The file that answers, and in which coding, where the response is a file.
    pub(super) async fn file(&self, local: &WorkerState) -> Selected {
        let Ok(matched) = &self.matched else {
            return Selected::default();
        };
        let handler = &matched.route.handler;
        let Some(rewrite) = &matched.route.rewrite else {
            return handler.file(&self.request(matched), local).await;
        };
        let ask = async |request: &Request<'_>| handler.file(request, local).await;
        let selected = self.rewritten(matched, rewrite, ask).await;
        selected.unwrap_or_default()
    }

    /// What an upstream would be sent, where one answers.
    pub(super) async fn proxied(&self) -> Option<ProxiedRequest> {
        let matched = self.matched.as_ref().ok()?;
        let handler = &matched.route.handler;
        match &matched.route.rewrite {
            None => handler.proxied(&self.request(matched)),
            Some(rewrite) => {
                let ask = async |request: &Request<'_>| handler.proxied(request);
                self.rewritten(matched, rewrite, ask).await.ok().flatten()
            }
        }
    }

    /// The request, as the handler of the route sees it.
    fn request<'m>(&'m self, matched: &'m Matched<'_, '_>) -> Request<'m> {
        self.request_of(RoutedPath::new(&matched.path, matched.length))
    }

    /// The request, with its path as a route matches that.
    #[inline(always)]
    fn request_of<'m>(&'m self, path: RoutedPath<'m>) -> Request<'m> {
        Request {
            head: self.head,
            path,
            verified: self.verified(),
            changes: &self.policy.representation,
            client: self.client,
            listener: self.listener,
            arrival: self.arrival,
            marks: &self.marks,
            note: &self.note,
            original: None,
        }
    }

    /// Ends an exchange that was answered at once. Only the path, the user and the marks may have to be freed: a
    /// handler that has begun something, or noted a server that it asked, has not answered at once.
    #[inline(always)]
    pub(super) fn end_at_once(mut self) {
        debug_assert!(self.begun.take().is_none() && self.take_note().is_none());
        debug_assert!(self.led_to.is_empty());
        drop(self.identity.take());
        drop(self.marks.take());
        self.matched = Err(Refusal::Because(Reason::OtherConnection));
        std::mem::forget(self);
    }

    /// What the handler has noted of the servers of an upstream that it asked, once it has answered.
    pub(super) fn take_note(&self) -> Option<Box<UpstreamNote>> {
        self.note.take()
    }
}
