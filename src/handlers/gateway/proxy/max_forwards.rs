//! `Max-Forwards`: how many more servers a request may pass (RFC 9110 §7.6.2).
//!
//! It counts for OPTIONS here. TRACE never reaches a handler, and with other methods the field is passed on
//! as any other.

use crate::http::method::{Method, MethodSet};
use crate::http::request::RequestHead;
use crate::message::response::{Response, options};

const MAX_FORWARDS: &str = "Max-Forwards";

/// How many more servers the request of `head` may pass; `None` if it does not say so, or not as a number.
pub(super) fn left(head: &RequestHead<'_>) -> Option<u64> {
    if head.method != Method::Options {
        return None;
    }
    let mut values = head.fields.values(MAX_FORWARDS);
    match (values.next(), values.next()) {
        (Some(value), None) => number(value),
        _ => None,
    }
}

/// Whether the field of that name says it.
pub(super) fn is_it(name: &str) -> bool {
    name.eq_ignore_ascii_case(MAX_FORWARDS)
}

/// The response to a request that may pass no further server.
pub(super) fn response() -> Response<'static> {
    options(MethodSet::ALL_BUT_TUNNELS)
}

/// A number of digits alone; a larger one than fits is the largest that does.
fn number(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let digits = str::from_utf8(value).ok().filter(|_| is_number)?;
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_consists_of_digits() {
        for (value, expected) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1.5", None),
            ("1, 2", None),
        ] {
            assert_eq!(number(value.as_bytes()), expected, "{value:?}");
        }
    }
}
