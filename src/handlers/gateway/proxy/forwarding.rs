//! What an upstream is told of the client: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded`
//! (RFC 7239).
//!
//! A proxy that is trusted has told us of its own client; its list goes on, with the proxy's address
//! appended. What any other client says of itself in such fields never arrives, in whatever spelling.

use std::net::IpAddr;

use super::request::is_same_variable;
use crate::http::fields::is_token;
use crate::http::response::FieldLines;
use crate::message::request::Request;

/// Fields that say who the client is. Applications believe more of them than this server sets.
const IDENTITY: &[&str] = &["Forwarded", "X-Real-IP"];

/// The beginning of the names of others.
const PREFIX: &str = "X-Forwarded-";

/// Fields that are written anew from a trusted proxy's and what is known here.
const REWRITTEN: &[&str] = &[
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
];

/// Whether the client's field `name` is dropped, because it says what the client must not say or what
/// is said anew.
pub(super) fn is_forwarding(name: &str, is_from_proxy: bool) -> bool {
    if !matches!(name.as_bytes().first(), Some(b'x' | b'X' | b'f' | b'F')) {
        return false;
    }
    let is_named = |names: &[&str]| names.iter().any(|other| is_same_variable(name, other));
    if is_from_proxy {
        return is_named(REWRITTEN);
    }
    let start = name.get(..PREFIX.len());
    is_named(IDENTITY) || start.is_some_and(|start| is_same_variable(start, PREFIX))
}

/// Appends what is known of the client; `host` is the one that it asked for.
pub(super) fn push(request: &Request<'_>, host: &[u8], lines: &mut FieldLines) {
    let arrival = request.arrival;
    let is_from_proxy = arrival.is_some_and(|arrival| arrival.is_from_proxy);
    let peer = match arrival.and_then(|arrival| arrival.peer) {
        Some(peer) => Some(peer.ip().to_canonical()),
        None if is_from_proxy => None,
        None => request.client.ip(),
    };
    let proto = match arrival {
        Some(arrival) if arrival.is_https => "https",
        _ => "http",
    };
    let before = |name: &str| {
        if is_from_proxy {
            values(request, name)
        } else {
            Vec::new()
        }
    };
    let own = peer.map(|peer| peer.to_string().into_bytes());
    push_list("X-Forwarded-For", before("X-Forwarded-For"), own, lines);
    lines.push("X-Forwarded-Proto", proto);
    let original = before("X-Forwarded-Host").pop();
    let host = original.as_deref().unwrap_or(host);
    if !host.is_empty() {
        lines.push("X-Forwarded-Host", host);
    }
    let element = forwarded_element(peer, host, proto);
    push_list("Forwarded", before("Forwarded"), Some(element), lines);
}

/// The values of the lines of that name, in their order.
fn values(request: &Request<'_>, name: &str) -> Vec<Vec<u8>> {
    let lines = request.head.fields.iter();
    let lines = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    lines
        .map(|(_, value)| value.to_vec())
        .filter(|value| !value.is_empty())
        .collect()
}

/// Appends one line with all members, if there are any.
fn push_list(name: &str, before: Vec<Vec<u8>>, own: Option<Vec<u8>>, lines: &mut FieldLines) {
    let members: Vec<Vec<u8>> = before.into_iter().chain(own).collect();
    if !members.is_empty() {
        lines.push(name, members.join(&b", "[..]));
    }
}

/// An element of `Forwarded` (RFC 7239 §4).
fn forwarded_element(peer: Option<IpAddr>, host: &[u8], proto: &str) -> Vec<u8> {
    let node = match peer {
        Some(IpAddr::V4(address)) => address.to_string(),
        // §6: brackets and colons stand in quotes.
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        None => "unknown".to_owned(),
    };
    let mut element = format!("for={node}").into_bytes();
    // A host was checked when the request was read, and holds no quote.
    if is_token(host) {
        element.extend_from_slice(&[b";host=", host].concat());
    } else if !host.is_empty() {
        element.extend_from_slice(&[b";host=\"", host, b"\""].concat());
    }
    element.extend_from_slice(format!(";proto={proto}").as_bytes());
    element
}
