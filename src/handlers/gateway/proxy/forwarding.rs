//! What an upstream is told of the client: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded`
//! (RFC 7239).
//!
//! A proxy that is trusted has told us of its own client, in the one field in which it is believed; its list goes
//! on, with the proxy's address appended, in that field and in the other. What the other field said, the proxy may
//! have passed on from its client: that never arrives, nor does what any other client says of itself, in whatever
//! spelling.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::config::model::HeaderChanges;
use crate::http::address_text::AddressText;
use crate::http::fields::{is_same_variable, is_token};
use crate::http::forwarded::{self, ForwardedField, elements};
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

/// Appends what is known of the client, less what the operator says in `changes`; `host` is the one that it
/// asked for.
pub(super) fn push(
    request: &Request<'_>,
    host: &[u8],
    changes: &HeaderChanges,
    lines: &mut FieldLines,
) {
    let arrival = request.arrival;
    let believed = arrival.and_then(|arrival| arrival.believed);
    let peer = match arrival.and_then(|arrival| arrival.connection.peer()) {
        Some(peer) => Some(peer.ip().to_canonical()),
        None if believed.is_some() => None,
        None => request.client.ip(),
    };
    let proto = match arrival {
        Some(arrival) if arrival.is_https => "https",
        _ => "http",
    };
    let text = peer.map(AddressText::new);
    let address = text.as_ref().map_or(&b""[..], AddressText::as_bytes);
    let is_said = |name: &str| !changes.replace(name);
    if is_said("X-Forwarded-For") {
        let before = believed.map_or_else(Vec::new, |field| x_forwarded_for(request, field));
        push_list("X-Forwarded-For", &before, [address], lines);
    }
    if is_said("X-Forwarded-Proto") {
        lines.push_clean("X-Forwarded-Proto", [proto.as_bytes()]);
    }
    let original = believed.and_then(|field| host_said(request, field));
    let host = original.as_deref().unwrap_or(host);
    if !host.is_empty() && is_said("X-Forwarded-Host") {
        lines.push_clean("X-Forwarded-Host", [host]);
    }
    if is_said("Forwarded") {
        let host = escaped(host);
        let element = forwarded_element(peer, address, &host, proto);
        let before = believed.map_or_else(Vec::new, |field| forwarded(request, field));
        push_list("Forwarded", &before, element, lines);
    }
}

/// What a proxy that is believed in `field` has said, as members of `X-Forwarded-For`.
fn x_forwarded_for(request: &Request<'_>, field: ForwardedField) -> Vec<Vec<u8>> {
    if field == ForwardedField::XForwardedFor {
        return values(request, "X-Forwarded-For");
    }
    let text = |address: IpAddr| AddressText::new(address).as_bytes().to_vec();
    let member = |element: &[u8]| field.address_in(element).map_or(b"unknown".to_vec(), text);
    let said = field.value(&request.head.fields);
    elements(&said).map(member).collect()
}

/// The same, as members of `Forwarded`.
fn forwarded(request: &Request<'_>, field: ForwardedField) -> Vec<Vec<u8>> {
    if field == ForwardedField::Forwarded {
        return values(request, "Forwarded");
    }
    let member = |element: &[u8]| {
        let address = field.address_in(element);
        let text = address.map(AddressText::new);
        let text = text.as_ref().map_or(&b""[..], AddressText::as_bytes);
        [&b"for="[..], &node(address, text).concat()].concat()
    };
    let said = field.value(&request.head.fields);
    elements(&said).map(member).collect()
}

/// The host that the client asked for, as the proxy next to us says.
fn host_said(request: &Request<'_>, field: ForwardedField) -> Option<Vec<u8>> {
    match field {
        ForwardedField::XForwardedFor => values(request, "X-Forwarded-Host").pop(),
        ForwardedField::Forwarded => {
            let said = field.value(&request.head.fields);
            let host = forwarded::parameter(elements(&said).next_back()?, "host")?;
            Some(host.into_owned()).filter(|host| !host.is_empty())
        }
    }
}

/// Returns `host` for a quoted string (RFC 9110 §5.6.4). One that a proxy has told of was not checked.
fn escaped(host: &[u8]) -> Cow<'_, [u8]> {
    let is_special = |octet: u8| matches!(octet, b'"' | b'\\');
    if !host.iter().any(|octet| is_special(*octet)) {
        return Cow::Borrowed(host);
    }
    let escape = |octet: &u8| {
        is_special(*octet)
            .then_some(b'\\')
            .into_iter()
            .chain([*octet])
    };
    Cow::Owned(host.iter().flat_map(escape).collect())
}

/// The values of the lines of that name, in their order.
fn values(request: &Request<'_>, name: &str) -> Vec<Vec<u8>> {
    let values = request.head.fields.values(name);
    let values = values.filter(|value| !value.is_empty());
    values.map(<[u8]>::to_vec).collect()
}

/// Appends one line with all members, if there are any: those before ours, and ours in parts.
fn push_list<const N: usize>(
    name: &str,
    before: &[Vec<u8>],
    own: [&[u8]; N],
    lines: &mut FieldLines,
) {
    let has_own = own.iter().any(|part| !part.is_empty());
    match (before, has_own) {
        ([], false) => {}
        ([], true) => lines.push_clean(name, own),
        (_, false) => lines.push_clean(name, [&before.join(&b", "[..])]),
        (_, true) => {
            let before = before.join(&b", "[..]);
            lines.push_clean(name, [&before, b", ", &own.concat()]);
        }
    }
}

/// The parts of the node of `peer` (RFC 7239 §6), whose text `address` is: brackets and colons stand in quotes.
fn node(peer: Option<IpAddr>, address: &[u8]) -> [&[u8]; 3] {
    match peer {
        Some(IpAddr::V4(_)) => [b"", address, b""],
        Some(IpAddr::V6(_)) => [b"\"[", address, b"]\""],
        None => [b"", b"unknown", b""],
    }
}

/// The parts of an element of `Forwarded` (RFC 7239 §4); `address` is the text of `peer`, `host` is escaped.
fn forwarded_element<'e>(
    peer: Option<IpAddr>,
    address: &'e [u8],
    host: &'e [u8],
    proto: &'e str,
) -> [&'e [u8]; 9] {
    let [open, node, close] = node(peer, address);
    let (before_host, behind_host): (&[u8], &[u8]) = match host {
        [] => (b"", b""),
        host if is_token(host) => (b";host=", b""),
        _ => (b";host=\"", b"\""),
    };
    let proto = proto.as_bytes();
    [
        b"for=",
        open,
        node,
        close,
        before_host,
        host,
        behind_host,
        b";proto=",
        proto,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_quotes_what_is_no_token() {
        for (peer, host, expected) in [
            (Some("192.0.2.7"), "h", "for=192.0.2.7;host=h;proto=http"),
            (Some("192.0.2.7"), "", "for=192.0.2.7;proto=http"),
            (
                Some("::1"),
                "h:80",
                "for=\"[::1]\";host=\"h:80\";proto=http",
            ),
            (None, "h", "for=unknown;host=h;proto=http"),
        ] {
            let address = peer.unwrap_or_default().as_bytes();
            let peer = peer.map(|peer| peer.parse().expect("an address"));
            let element = forwarded_element(peer, address, host.as_bytes(), "http");
            assert_eq!(String::from_utf8_lossy(&element.concat()), expected);
        }
    }

    #[test]
    fn a_list_goes_on_behind_the_members_of_a_proxy() {
        let known = [b"a".to_vec(), b"b, c".to_vec()];
        for (before, own, expected) in [
            (&known[..0], [&b""[..], b""], ""),
            (&known[..0], [b"d", b"e"], "X: de\r\n"),
            (&known[..], [b"", b""], "X: a, b, c\r\n"),
            (&known[..], [b"d", b"e"], "X: a, b, c, de\r\n"),
        ] {
            let mut lines = FieldLines::new();
            push_list("X", before, own, &mut lines);
            assert_eq!(String::from_utf8_lossy(lines.as_bytes()), expected);
        }
    }
}
