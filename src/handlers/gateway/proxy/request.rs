//! The head of the request that an upstream is sent, made anew from what was read of the client's.
//!
//! ```text
//! GET /app/a%2Fb?q=1 HTTP/1.1          as the client wrote it, below the route
//! Host: shop.example                   the client's, or what `host` says
//! Accept: */*                          the client's fields, but not those of its connection
//! X-Forwarded-For: 192.0.2.7           what is known of the client, in place of what it says itself
//! X-Forwarded-Proto: http
//! X-Forwarded-Host: shop.example
//! Forwarded: for=192.0.2.7;host=shop.example;proto=http
//! Via: 1.1 tidegate
//! traceparent: 00-0af7…-b7ad…-03       with `[tracing]`: the trace, and the span of this try
//! Content-Length: 3                    the framing of this connection
//! ```

use super::forwarding;
use super::max_forwards;
use super::own_fields::OwnFields;
use super::target;
use crate::config::model::{HostField, Proxy};
use crate::handlers::gateway::{client_certificate, trace};
use crate::http::field_roles::is_hop_by_hop;
use crate::http::fields::{Known, is_same_variable};
use crate::http::framing::Framing;
use crate::http::list;
use crate::http::request::RequestHead;
use crate::http::response::{FieldLines, push_decimal};
use crate::http::version::Version;
use crate::message::request::Request;
use crate::message::request_id::REQUEST_ID;

/// What this server calls itself in `Via` (RFC 9110 §7.6.3).
const PSEUDONYM: &str = "tidegate";

/// How often a request may have passed a server of this name. One that has passed more often goes in a
/// circle.
const MAX_PASSES: usize = 8;

/// Octets that are likely to be enough for the fields that this server adds to a head.
const OWN_FIELDS: usize = 512;

/// Octets that are likely to be enough for the head that is made of `head`.
pub(super) fn usual_length(head: &RequestHead<'_>) -> usize {
    head.length + OWN_FIELDS
}

/// How the content of a request is delimited on its way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentFraming {
    /// No content, and no field that says so.
    None,
    Length(u64),
    Chunked,
}

/// What a request asks for beside its content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes<'r> {
    /// The protocol to change to, as the client wrote it.
    pub(super) upgrade: Option<&'r [u8]>,
    /// Whether the client waits for `100 Continue`, and has not been told to go on.
    pub(super) expects_continue: bool,
    /// Whether the client takes trailer fields.
    pub(super) trailers: bool,
    /// Whether it proves who its client is for the whole connection, so that no other request may follow there;
    /// see [`connection_auth`](super::connection_auth).
    pub(super) owns_connection: bool,
}

/// The protocol that the request asks for by `Upgrade`, if it is one of `allowed` (RFC 9110 §7.8). Of
/// several it is the first.
pub(super) fn wanted_protocol<'r>(head: &RequestHead<'r>, allowed: &[String]) -> Option<&'r [u8]> {
    if head.version != Version::Http11 || head.framing != Framing::Empty {
        return None;
    }
    let options = head.fields.combined(Known::Connection)?;
    let mut options = list::elements(&options);
    if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
        return None;
    }
    let mut protocols = head.fields.values("upgrade").flat_map(list::elements);
    protocols.find(|protocol| {
        let mut allowed = allowed.iter();
        allowed.any(|allowed| protocol.eq_ignore_ascii_case(allowed.as_bytes()))
    })
}

/// Whether the client takes trailer fields (RFC 9110 §10.1.4).
pub(super) fn takes_trailers(head: &RequestHead<'_>) -> bool {
    let mut members = head.fields.values("te").flat_map(list::elements);
    head.version == Version::Http11
        && members.any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

/// Whether the request has passed this server, or others of its name, so often that it goes in a circle.
pub(super) fn goes_in_a_circle(head: &RequestHead<'_>) -> bool {
    let members = head.fields.values("via").flat_map(list::elements);
    let is_ours = |member: &&[u8]| {
        let words = member.split(|octet| matches!(octet, b' ' | b'\t'));
        let mut words = words.filter(|word| !word.is_empty());
        words.nth(1) == Some(PSEUDONYM.as_bytes())
    };
    members.filter(is_ours).count() > MAX_PASSES
}

/// Encodes the head of the request that a server is sent, and returns it in the buffer `start`, which is empty;
/// `host` is what `Host` says of the server.
pub(super) fn encode(
    request: &Request<'_>,
    options: &Proxy,
    own_fields: &OwnFields,
    host: &str,
    (framing, wishes): (SentFraming, Wishes<'_>),
    mut start: Vec<u8>,
) -> Vec<u8> {
    let head = request.head;
    start.extend_from_slice(head.method.as_str().as_bytes());
    start.push(b' ');
    target::push(request, options.strip_prefix, &mut start);
    start.extend_from_slice(b" HTTP/1.1\r\n");
    let mut lines = FieldLines::behind(start);
    push_host(head, options, host, &mut lines);
    push_fields(request, options, &mut lines);
    push_marks(request, options, &mut lines);
    for (name, value) in request.verified.lines() {
        if !options.request_headers.replace(name) {
            lines.push_clean(name, [value]);
        }
    }
    if !options.client_certificate.is_empty() {
        client_certificate::push_fields(request, &options.client_certificate, &mut lines);
    }
    let changes = &options.request_headers;
    forwarding::push(request, original_host(head), changes, &mut lines);
    if !changes.replace("Via") {
        let via = [head.version.number(), " ", PSEUDONYM].map(str::as_bytes);
        lines.push_clean("Via", via);
    }
    match framing {
        SentFraming::None => {}
        SentFraming::Length(length) => {
            let mut digits = Vec::with_capacity(20);
            push_decimal(length, &mut digits);
            lines.push_clean("Content-Length", [&digits]);
        }
        SentFraming::Chunked => lines.push("Transfer-Encoding", "chunked"),
    }
    match (wishes.upgrade.is_some(), wishes.trailers) {
        (true, true) => lines.push("Connection", "upgrade, TE"),
        (true, false) => lines.push("Connection", "upgrade"),
        (false, true) => lines.push("Connection", "TE"),
        (false, false) => {}
    }
    if let Some(protocol) = wishes.upgrade {
        lines.push_clean("Upgrade", [protocol]);
    }
    if wishes.trailers {
        lines.push("TE", "trailers");
    }
    if wishes.expects_continue {
        lines.push("Expect", "100-continue");
    }
    own_fields.push(request, &mut lines);
    let mut encoded = lines.into_bytes();
    encoded.extend_from_slice(b"\r\n");
    encoded
}

/// The host that the client asked for, with its port (RFC 9112 §3.2.2: that of an absolute-form stands
/// above the field).
pub(super) fn original_host<'r>(head: &RequestHead<'r>) -> &'r [u8] {
    let field = || head.fields.first(Known::Host);
    head.target.authority.or_else(field).unwrap_or_default()
}

fn push_host(head: &RequestHead<'_>, options: &Proxy, upstream: &str, lines: &mut FieldLines) {
    let original = original_host(head);
    match &options.host {
        HostField::Keep if !original.is_empty() => lines.push_clean("Host", [original]),
        HostField::Set(host) => lines.push("Host", host),
        // A client of HTTP/1.0 may name no host, and every request of HTTP/1.1 has to.
        HostField::Keep | HostField::Upstream => lines.push("Host", upstream),
    }
}

/// Appends what the exchange is known by: its id, and its trace.
fn push_marks(request: &Request<'_>, options: &Proxy, lines: &mut FieldLines) {
    let changes = &options.request_headers;
    if let Some(id) = request.id().filter(|_| !changes.replace(REQUEST_ID)) {
        lines.push_clean(REQUEST_ID, [id.as_str().as_bytes()]);
    }
    if let Some(trace) = request.trace() {
        trace::push_fields(trace, changes, lines);
    }
}

/// Appends the client's fields, as it sent them, without those of its connection and its framing, those
/// that this server has something to say about, and those that the operator sets or removes.
fn push_fields(request: &Request<'_>, options: &Proxy, lines: &mut FieldLines) {
    let fields = &request.head.fields;
    let named = fields.combined(Known::Connection).unwrap_or_default();
    let is_of_connection = |name: &str| {
        let mut options = list::elements(&named);
        options.any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
    };
    let changes = &options.request_headers;
    let is_from_proxy = request
        .arrival
        .is_some_and(|arrival| arrival.believed.is_some());
    let max_forwards = max_forwards::left(request.head);
    let hidden = request.hidden_fields();
    let (has_id, has_trace) = (request.id().is_some(), request.trace().is_some());
    for (name, value) in fields.iter() {
        let is_ours = matches!(name.len(), 4 | 6 | 14 | 17)
            && ["Host", "Expect", "Content-Length", "Transfer-Encoding"]
                .iter()
                .any(|other| is_same_variable(name, other));
        let is_dropped = is_ours
            || has_id && is_same_variable(name, REQUEST_ID)
            || has_trace && trace::is_of_trace(name)
            || is_hop_by_hop(name)
            || !named.is_empty() && is_of_connection(name)
            || forwarding::is_forwarding(name, is_from_proxy)
            || request.verified.withholds(name)
            || changes.replace(name)
            || hidden.has(name);
        match max_forwards {
            _ if is_dropped => {}
            Some(left) if max_forwards::is_it(name) => {
                lines.push(name, left.saturating_sub(1).to_string());
            }
            _ => lines.push_clean(name, [value]),
        }
    }
}
