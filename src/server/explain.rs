//! Explains what becomes of a request, with the code that serves.
//!
//! A question is a request that no client sent. It is parsed, routed and answered like any other, on
//! an event loop of its own, and the result is described. A `[[test]]` table is such a question with
//! the answer that the operator expects ([`expected`]).

mod auth;
mod candidates;
mod compression;
mod cors;
mod expected;
mod exposed;
mod facts;
mod parts;
mod rate;
mod sent_scripts;
mod session;
mod siblings;
mod stream;
mod suspect;
mod tracing;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::{Value, json};

use super::exchange::{Answered, Exchange};
use super::worker::clock::CurrentSecond;
use crate::address::ListenAddress;
use crate::config::model::{Limits, RoutePattern};
use crate::control::question::{Question, Scheme};
use crate::control::reach::Reach;
use crate::control::{ControlReply, ControlRequest, ControlVerb, Submit};
use crate::generation::{Generation, Route, Site};
use crate::handlers::{Handler, ProxiedRequest, WorkerState};
use crate::http::error::RequestError;
use crate::http::field_list::FieldLine;
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};
use crate::http::status::Status;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::{Arrival, TellsOfConnection};
use crate::message::secured::Secured;
use crate::message::selected::Selected;
use crate::runtime::{self, Pools};
use crate::server::exchange::Over;
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};

use auth::auth_of;
use candidates::{Candidate, Rewritten, candidates};
use compression::compression_of;
use cors::cors_of;
pub(crate) use expected::{Mismatch, mismatches_of_tests, run_tests};
pub(crate) use exposed::exposed_files;
use facts::Facts;
use parts::{admission_of, servers_to_json, servers_to_rows};
use rate::{RateOutlook, rates_of};
use session::{NoSession, is_tls};
pub(crate) use siblings::passed_over_siblings;
use stream::StreamExplanation;
use tracing::trace_of;

/// What happens to a request at a server, or to a connection at a stream.
#[derive(Debug)]
pub(crate) enum Explanation {
    Request(Box<RequestExplanation>),
    /// The listener is a stream's.
    Stream(StreamExplanation),
    /// Client and listener do not agree about TLS.
    NoSession(NoSession),
}

impl Explanation {
    /// Describes it for a person, in lines.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Request(request) => request.to_text(),
            Self::Stream(stream) => stream.to_text(),
            Self::NoSession(none) => none.to_text(),
        }
    }

    /// Describes it for a program.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Request(request) => request.to_json(),
            Self::Stream(stream) => stream.to_json(),
            Self::NoSession(none) => none.to_json(),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) struct RequestExplanation {
    /// Method and target.
    pub(crate) request: String,
    pub(crate) listener: String,
    /// The hosts of the server that answers; `None` where none does.
    pub(crate) server: Option<String>,
    /// Every route whose pattern matches the path.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) route: Option<RoutePattern>,
    /// What the handler is asked for in place of what the client asked for.
    pub(crate) rewrite: Option<Rewritten>,
    /// The file that is sent, and in which coding.
    pub(crate) file: Option<String>,
    /// Where that file stands; not told.
    pub(crate) path: Option<PathBuf>,
    /// Why the file that was asked for, or a compressed one beside it, cannot be sent.
    pub(crate) barrier: Option<String>,
    /// What an upstream would be sent, where one answers.
    pub(crate) upstream: Option<ProxiedRequest>,
    /// `None` where code answers: it is not run, because it may change something.
    pub(crate) answer: Option<Facts>,
    /// The limits of the route, in the terms of the file.
    pub(crate) limits: String,
    /// Whether the client is let in, and by which rules.
    pub(crate) access: String,
    /// The rates at which it counts, and what each of them would do.
    pub(crate) rates: Vec<RateOutlook>,
    /// What the client has to prove and whether it has, where there is `auth`.
    pub(crate) auth: Option<String>,
    /// Whether another server says whether the request is let in. It is not asked.
    pub(crate) asks_a_service: bool,
    /// What scripts of the request's origin may do, where there is `cors`.
    pub(crate) cors: Option<String>,
    /// What becomes of the request's trace, where there is `[tracing]`.
    pub(crate) trace: Option<String>,
    /// Whether the answer is compressed, and why not, where there is `compress`.
    pub(crate) compress: Option<String>,
}

impl RequestExplanation {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.request);
        let mut row = |name: &str, value: &str| text.push_str(&format!("  {name:<10}{value}\n"));
        self.route_to_rows(&mut row);
        self.policy_to_rows(&mut row);
        self.answer_to_rows(&mut row);
        text
    }

    /// Where the request goes: server, route, what its handler is asked for.
    fn route_to_rows(&self, row: &mut impl FnMut(&str, &str)) {
        row("listener", &self.listener);
        row(
            "server",
            self.server
                .as_deref()
                .unwrap_or("none answers for this host"),
        );
        for (index, candidate) in self.candidates.iter().enumerate() {
            let name = if index == 0 { "routes" } else { "" };
            let Candidate {
                pattern,
                place,
                verdict,
            } = candidate;
            row(name, &format!("{pattern} ({place}) {verdict}"));
        }
        if self.candidates.is_empty() {
            row("routes", "none matches");
        }
        if let Some(rewrite) = &self.rewrite {
            row("rewrite", &rewrite.to_string());
        }
        row("file", self.file.as_deref().unwrap_or("none"));
        if let Some(barrier) = &self.barrier {
            row("", barrier);
        }
    }

    /// What holds for the request there.
    fn policy_to_rows(&self, row: &mut impl FnMut(&str, &str)) {
        row("limits", &self.limits);
        row("access", &self.access);
        for (index, rate) in self.rates.iter().enumerate() {
            row(if index == 0 { "rate" } else { "" }, &rate.to_string());
        }
        if let Some(auth) = &self.auth {
            row("auth", auth);
        }
        if let Some(cors) = &self.cors {
            row("cors", cors);
        }
        if let Some(compress) = &self.compress {
            row("compress", compress);
        }
        if let Some(trace) = &self.trace {
            row("trace", trace);
        }
    }

    /// What the client gets, or who says that.
    fn answer_to_rows(&self, row: &mut impl FnMut(&str, &str)) {
        if let Some(proxied) = &self.upstream {
            row("upstream", &proxied.upstream);
            servers_to_rows(&proxied.servers, &mut *row);
            for (index, line) in proxied.head.iter().enumerate() {
                row(if index == 0 { "request" } else { "" }, line);
            }
        }
        let Some(answer) = &self.answer else {
            let who = match self.upstream {
                _ if self.asks_a_service => "up to the service of `auth`",
                Some(_) => "up to the upstream",
                None => "up to the code behind the route",
            };
            return row("status", who);
        };
        answer.to_rows(row);
    }

    fn to_json(&self) -> Value {
        let candidate = |candidate: &Candidate| {
            let Candidate {
                pattern,
                place,
                verdict,
            } = candidate;
            json!({ "route": pattern, "place": place, "verdict": verdict })
        };
        json!({
            "listener": self.listener,
            "server": self.server,
            "considered": self.candidates.iter().map(candidate).collect::<Vec<_>>(),
            "route": self.route.as_ref().map(ToString::to_string),
            "rewrite": self.rewrite.as_ref().and_then(|rewrite| rewrite.to.as_ref().ok()),
            "file": self.file,
            "barrier": self.barrier,
            "upstream": self.upstream.as_ref().map(upstream_to_json),
            "limits": self.limits,
            "access": self.access,
            "rates": self.rates.iter().map(RateOutlook::to_json).collect::<Vec<_>>(),
            "auth": self.auth,
            "cors": self.cors,
            "compress": self.compress,
            "trace": self.trace,
            "status": self.answer.as_ref().map(|answer| answer.status.code()),
            "fields": self.answer.as_ref().map(Facts::fields_to_json),
        })
    }
}

fn upstream_to_json(proxied: &ProxiedRequest) -> Value {
    json!({
        "name": proxied.upstream,
        "servers": servers_to_json(&proxied.servers),
        "request": proxied.head,
    })
}

/// How full the buckets of rates are that a question meets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Buckets {
    /// As the requests of clients have left them.
    AsTheyAre,
    /// As if no other request had come.
    Full,
}

/// Explains what `generation` makes of each of `questions`. The outer error concerns all of them, an
/// inner one its question.
///
/// # Errors
/// A sentence: the system gives no event queue; a question is no valid request.
pub(crate) fn explain(
    generation: &Arc<Generation>,
    questions: Vec<Question>,
    buckets: Buckets,
) -> Result<Vec<Result<Explanation, String>>, String> {
    let stand_in: Submit = Arc::new(reply_in_place_of_supervisor);
    let generation = Arc::clone(generation);
    let explaining = async move {
        // This loop may wait for a job: nothing else runs on it.
        let reach = Reach::without_server(stand_in);
        let local = WorkerState::new(Pools::without_threads(), reach);
        let mut explanations = Vec::new();
        for question in &questions {
            explanations.push(match stream::find(&generation, question) {
                Some((listener, stream)) => Ok(Explanation::Stream(StreamExplanation::of(
                    listener, stream, question,
                ))),
                None => answer(&generation, question, &local, buckets).await,
            });
        }
        explanations
    };
    runtime::run(explaining).map_err(|error| format!("there is no event queue: {error}"))
}

/// Replies with empty counts to a handler that asks the supervisor for counts, and drops any other
/// request. The supervisor itself must not be asked: it may be waiting for this explanation.
fn reply_in_place_of_supervisor(request: ControlRequest) {
    if request.verb == ControlVerb::Counters {
        (request.reply)(ControlReply {
            status: Status::OK,
            text: String::new(),
            json: json!({}),
        });
    }
}

async fn answer(
    generation: &Generation,
    question: &Question,
    local: &WorkerState,
    buckets: Buckets,
) -> Result<Explanation, String> {
    let bytes = question.head();
    let mut space = field_space();
    let parsed = RequestHead::parse(bytes.as_bytes(), &mut space, HeadLimits::NONE);
    let Ok(Parsed::Complete(head, _)) = parsed else {
        return Err(no_valid_request(question, parsed.err()));
    };
    let listener = listener(generation, question, &head)?;
    if let Some(none) = NoSession::find(generation, listener, question) {
        return Ok(Explanation::NoSession(none));
    }
    let peer = question.client.into();
    let connection = Imagined {
        client: question.client,
        listener,
        has_client_certificate: question.has_certificate,
    };
    let listening = generation.at(listener);
    let opening = listening.opening();
    let arrival = Arrival {
        is_https: opening.is_tls || Exchange::is_https(generation, peer, &head),
        believed: Exchange::believed(generation, peer),
        connection: &connection,
    };
    let over = Over {
        connection: &connection,
        has_proxy_header: opening.has_proxy_header,
        client_rule: opening.is_tls.then(|| listening.client_rule(head.host)),
    };
    let mut exchange = Exchange::new(listening, listener, peer, &head, over);
    exchange.set_arrival(&arrival);
    exchange.resume(None);
    exchange.look_at_rates(buckets == Buckets::Full);
    let explained = explain_exchange(generation, question, (&exchange, &head, listener), local);
    Ok(Explanation::Request(Box::new(explained.await?)))
}

/// What becomes of the exchange that `question` is about; its head came in at the listener.
async fn explain_exchange(
    generation: &Generation,
    question: &Question,
    (exchange, head, listener): (&Exchange<'_, '_>, &RequestHead<'_>, &ListenAddress),
    local: &WorkerState,
) -> Result<RequestExplanation, String> {
    let Selected {
        file,
        path,
        barrier,
    } = exchange.file(local).await;
    let refused = exchange.refusal_of_auth(local, NoContent).await;
    let auth = auth_of(exchange, refused.is_some());
    let facts = match refused {
        Some(answered) => Some(facts_of(answered, generation, exchange)),
        None if exchange.is_answered_by_code() => None,
        None => Some(ask(generation, exchange, local).await?),
    };
    let site = generation.at(listener).site(head.host);
    let compress = compression_of(
        exchange.policy,
        facts.as_ref().map(|facts| (facts.status, &facts.fields)),
        head,
        exchange.route().is_some_and(sends_files),
    );
    Ok(RequestExplanation {
        request: format!("{} {}", question.method, question.target),
        listener: listener.to_string(),
        server: site.map(name),
        candidates: site
            .map(|site| candidates(site, head, exchange))
            .unwrap_or_default(),
        route: exchange.route().map(|route| route.pattern.clone()),
        rewrite: exchange.rewritten_target().map(|to| Rewritten {
            from: question.target.clone(),
            to,
        }),
        file,
        path,
        barrier,
        upstream: exchange.proxied().await,
        answer: facts,
        limits: describe_limits(exchange, generation.limits_at(listener)),
        access: admission_of(
            exchange.policy.admission.as_ref(),
            exchange.client,
            question.has_certificate,
        ),
        rates: rates_of(exchange),
        auth,
        asks_a_service: exchange.asks_a_service(),
        cors: cors_of(&exchange.policy.cors, head),
        trace: trace_of(exchange, generation),
        compress,
    })
}

/// Whether the code behind the route may name a file, which is sent in place of its content.
fn sends_files(route: &Route) -> bool {
    matches!(route.handler, Handler::Fastcgi(_) | Handler::Plugin(_))
}

fn no_valid_request(question: &Question, error: Option<RequestError>) -> String {
    let why = error.map_or("it is incomplete".to_owned(), |error| error.to_string());
    let Question { method, target, .. } = question;
    format!("{method} {target} is no valid request: {why}")
}

/// Answers the exchange; returns the head that would be sent, as it is encoded.
async fn ask(
    generation: &Generation,
    exchange: &Exchange<'_, '_>,
    local: &WorkerState,
) -> Result<Facts, String> {
    let answered = exchange.answer(local, NoContent).await;
    let answered =
        answered.ok_or("its answer needs content, and the request was made without any")?;
    Ok(facts_of(answered, generation, exchange))
}

/// The head that is sent for `answered`.
fn facts_of(
    answered: Answered<'_, '_>,
    generation: &Generation,
    exchange: &Exchange<'_, '_>,
) -> Facts {
    let framed = FramedResponse::new(
        answered.response,
        answered.policy,
        RequestTraits::of(exchange).answered_by(answered.route),
        true,
    );
    let now = Instant::now();
    let second = CurrentSecond::new(now);
    let mut encoded = Vec::new();
    framed.encode_head(
        second.at(now).common(framed.common(generation)),
        exchange.standing(),
        &mut encoded,
    );
    let mut facts = Facts::of_head(framed.status, &encoded);
    let route = exchange.route();
    // Their content is known to the server that runs alone.
    let is_of_server = |route: &Route| {
        matches!(
            route.handler,
            Handler::Status(_) | Handler::Metrics(_) | Handler::Ready(_) | Handler::Live(_)
        )
    };
    if route.is_some_and(is_of_server) {
        let is_framing = |line: &FieldLine| {
            line.is_named("Content-Length") || line.is_named("Transfer-Encoding")
        };
        facts.fields.retain(|line| !is_framing(line));
    }
    facts
}

/// The listener that the request arrives at: the one that the question names, or one at its port.
/// Without either, the first at which a server names the host; without any, the first. Of several, one that speaks
/// TLS or not as the question does.
///
/// # Errors
/// A sentence: nothing listens there, or nothing that speaks TLS, as the question does.
fn listener<'g>(
    generation: &'g Generation,
    question: &Question,
    head: &RequestHead<'_>,
) -> Result<&'g ListenAddress, String> {
    let names_host = |address: &&ListenAddress| {
        let site = generation.at(address).site(head.host);
        site.is_some_and(|site| !site.hosts.is_empty())
    };
    let is_meant = |address: &&ListenAddress| is_spoken(generation, question, address);
    let mut meant = generation.addresses().filter(is_meant);
    if let Some(wanted) = &question.listener {
        let is_it = |address: &&ListenAddress| address.to_string() == *wanted;
        return found(generation, question, is_it, wanted);
    }
    if let Some(port) = question.port {
        // A port that the system chooses is not in the file.
        let is_at = |address: &&ListenAddress| {
            let has_port = address.ip().is_some_and(|address| address.port() == port);
            has_port || address.has_any_port()
        };
        return found(generation, question, is_at, &format!("port {port}"));
    }
    let first = || generation.addresses().find(is_meant);
    if let Some(found) = meant.find(names_host).or_else(first) {
        return Ok(found);
    }
    if question.scheme == Some(Scheme::Https) {
        return Err(nothing_listens(generation, "an address with TLS"));
    }
    // Each speaks TLS: it tells the client so.
    let mut addresses = generation.addresses();
    let found = addresses.find(names_host);
    let found = found.or_else(|| generation.addresses().next());
    found.ok_or_else(|| "nothing listens".to_owned())
}

/// The listener for which `is_it` holds; an error calls it `place`. Of several, one that speaks TLS or not as the
/// question does.
///
/// # Errors
/// A sentence: nothing listens there, or nothing that speaks TLS, as the question does.
fn found<'g>(
    generation: &'g Generation,
    question: &Question,
    is_it: impl Fn(&&'g ListenAddress) -> bool,
    place: &str,
) -> Result<&'g ListenAddress, String> {
    let is_meant = |address: &&ListenAddress| is_spoken(generation, question, address);
    let mut meant = generation.addresses().filter(&is_it).filter(is_meant);
    if let Some(found) = meant.next() {
        return Ok(found);
    }
    let found = generation.addresses().find(&is_it);
    let found = found.ok_or_else(|| nothing_listens(generation, place))?;
    match question.scheme {
        Some(Scheme::Https) => Err(session::speaks_no_tls(found, question)),
        _ => Ok(found),
    }
}

/// Whether the listener at `address` speaks TLS if the question says `https`, and speaks none if it says `http`.
fn is_spoken(generation: &Generation, question: &Question, address: &ListenAddress) -> bool {
    match question.scheme {
        None => true,
        Some(Scheme::Http) => !is_tls(generation, address),
        Some(Scheme::Https) => is_tls(generation, address),
    }
}

fn nothing_listens(generation: &Generation, place: &str) -> String {
    let streams = generation.streams().map(|(address, _)| address);
    let addresses = generation.addresses().chain(streams);
    let addresses = addresses.map(ToString::to_string);
    let addresses = addresses.collect::<Vec<_>>().join(", ");
    format!("nothing listens at {place}; the configuration listens at {addresses}")
}

fn name(site: &Site) -> String {
    match &site.hosts[..] {
        [] => "any host".to_owned(),
        hosts => hosts
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// The limits of a request, and of the connection that it comes on.
fn describe_limits(exchange: &Exchange<'_, '_>, of_connection: &Limits) -> String {
    let limits = exchange.limits();
    let mut text = format!(
        "max_content {} bytes, body_timeout {:?}, send_timeout {:?}",
        limits.max_content, limits.body_timeout, limits.send_timeout
    );
    if let Some(max) = of_connection.connections_per_client {
        text.push_str(&format!(", connections_per_client {max}"));
    }
    if let Some(octets) = limits.max_rate_out {
        text.push_str(&format!(", max_rate_out {octets} bytes a second"));
    }
    text
}

/// A connection that no client has made, to the listener.
struct Imagined<'l> {
    client: IpAddr,
    listener: &'l ListenAddress,
    /// Whether the client has shown a certificate. What that says is not known.
    has_client_certificate: bool,
}

impl TellsOfConnection for Imagined<'_> {
    fn peer(&self) -> Option<SocketAddr> {
        Some((self.client, 0).into())
    }

    fn server_ip(&self) -> Option<IpAddr> {
        self.listener.ip().map(|address| address.ip())
    }

    fn secured(&self) -> Option<Secured<'_>> {
        None
    }

    fn has_client_certificate(&self) -> bool {
        self.has_client_certificate
    }
}

/// The content of a request that no client sent: there is none, and the client never goes.
#[derive(Clone, Copy)]
struct NoContent;

impl ReadContent for NoContent {
    async fn read(&mut self, _: &mut Vec<u8>) -> Result<bool, ContentError> {
        Ok(false)
    }

    fn poll_client_gone(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
