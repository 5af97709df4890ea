//! The elements of `Forwarded` (RFC 7239): what a proxy says of the connection that a request came on.
//!
//! ```text
//! Forwarded: for=192.0.2.7;proto=https, for="[2001:db8::1]:4711"
//!            └──────── element ───────┘
//! ```
//!
//! A caller splits the field's value into elements and says which of them it believes.

use std::borrow::Cow;

use super::fields::is_token;
use super::list::trim;

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
