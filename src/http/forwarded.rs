//! The elements of `Forwarded` (RFC 7239) and `X-Forwarded-For`: what a proxy says of the connection that a request
//! came on.
//!
//! ```text
//! Forwarded: for=192.0.2.7;proto=https, for="[2001:db8::1]:4711"
//!            └──────── element ───────┘
//! ```
//!
//! A caller splits the field's value into elements and says which of them it believes.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::fields::{Fields, is_token};
use super::list::trim;

/// The field in which proxies say who the client is. One alone is believed: a proxy that sets one field
/// passes on what a client has put into the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ForwardedField {
    /// `X-Forwarded-For`, and with it `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedField {
    /// The value of the field in `fields`: all its lines, with commas between them.
    pub(crate) fn value(self, fields: &Fields<'_>) -> Vec<u8> {
        let name = match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        };
        combined(fields, name)
    }

    /// The address in an element of the field; `None` if there is none that can be read.
    pub(crate) fn address_in(self, element: &[u8]) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => parse_address(element),
            Self::Forwarded => {
                let node = parameter(element, "for")?;
                // RFC 7239 §6: the port may be one that the proxy does not tell.
                let end = memchr::memmem::find(&node, b":_").unwrap_or(node.len());
                parse_address(&node[..end])
            }
        }
    }
}

/// Returns the value of the parameter `name` of `element`, without its quotes. Returns `None` if the
/// element has no such parameter or has it twice, and if the value is neither a token nor a quoted
/// string. The case of `name` does not matter (§4).
pub(crate) fn parameter<'e>(element: &'e [u8], name: &str) -> Option<Cow<'e, [u8]>> {
    let mut found = element.split(|byte| *byte == b';').filter_map(|pair| {
        let equals = memchr::memchr(b'=', pair)?;
        let is_it = trim(&pair[..equals]).eq_ignore_ascii_case(name.as_bytes());
        is_it.then(|| trim(&pair[equals + 1..]))
    });
    match (found.next(), found.next()) {
        (Some(value), None) => unquoted(value),
        _ => None,
    }
}

/// Returns what a token or a quoted string stands for (RFC 9110 §5.6.4). Addresses are taken without
/// quotes, too: many proxies send them so.
fn unquoted(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let [b'"', quoted @ .., b'"'] = value else {
        let is_plain = |byte: &u8| matches!(byte, b':' | b'[' | b']');
        let rest: Vec<u8> = value
            .iter()
            .copied()
            .filter(|byte| !is_plain(byte))
            .collect();
        return is_token(&rest).then_some(Cow::Borrowed(value));
    };
    let mut unquoted = Vec::with_capacity(quoted.len());
    let mut octets = quoted.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => return None,
            b'\\' => unquoted.push(*octets.next()?),
            octet => unquoted.push(*octet),
        }
    }
    Some(Cow::Owned(unquoted))
}

/// The values of all lines of a field, with commas between them.
pub(crate) fn combined(fields: &Fields<'_>, name: &str) -> Vec<u8> {
    let values: Vec<&[u8]> = fields.values(name).collect();
    values.join(&b","[..])
}

/// The elements of a field value; empty ones are left out (RFC 9110 §5.6.1.2). A quote means nothing
/// here: a list that was split with respect to quotes would let a client hide the commas that proxies
/// put behind its own quote.
pub(crate) fn elements(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value
        .split(|byte| *byte == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// Reads `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`. Returns
/// `None` for everything else, and for an address that no client can have.
fn parse_address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let between_brackets = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match between_brackets {
        Some(address) => IpAddr::V6(address.parse().ok()?),
        None => text.parse().ok().or_else(|| {
            let with_port: Option<SocketAddr> = text.parse().ok();
            with_port.map(|address| address.ip())
        })?,
    };
    Some(address.to_canonical()).filter(|address| !address.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_parameter_and_takes_its_quotes_off() {
        for (element, expected) in [
            ("for=192.0.2.7", Some("192.0.2.7")),
            ("FOR = 192.0.2.7 ; proto=https", Some("192.0.2.7")),
            (
                "by=_a;For=\"[2001:db8::1]:4711\"",
                Some("[2001:db8::1]:4711"),
            ),
            ("for=192.0.2.7:80", Some("192.0.2.7:80")),
            ("for=unknown", Some("unknown")),
            ("for=\"a\\\"b\"", Some("a\"b")),
            ("for=\"", None),
            ("for=\"192.0.2.7", None),
            ("for=\"a\"b\"", None),
            ("for=\"a\\\"", None),
            ("for=", None),
            ("for", None),
            ("for=a b", None),
            ("for=1.1.1.1;for=2.2.2.2", None),
            ("proto=https", None),
            ("", None),
        ] {
            let found = parameter(element.as_bytes(), "for");
            let expected = expected.map(str::as_bytes);
            assert_eq!(found.as_deref(), expected, "{element:?}");
        }
    }
}
