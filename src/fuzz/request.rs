//! The head of a request, its target and host, and whose request it is.

use std::net::IpAddr;

use crate::config::model::Proxies;
use crate::http::error::RequestError;
use crate::http::fields::Known;
use crate::http::forwarded::ForwardedField;
use crate::http::framing::Framing;
use crate::http::method::Method;
use crate::http::path::{ENCODED_SLASH, NormalPath};
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space, may_be_complete};
use crate::http::target::{Form, Target, is_valid_host, port, without_port};
use crate::http::version::Version;
use crate::server::client_address;

const LIMITS: HeadLimits = HeadLimits {
    max_bytes: 4096,
    max_fields: 32,
};

/// The longest input of which every beginning is parsed.
const LONGEST: usize = 2048;

/// A request head: complete at the same octet however it arrives, and never ambiguous.
pub fn head(input: &[u8]) {
    let input = &input[..input.len().min(LONGEST)];
    let whole = parse(input);
    for length in 0..input.len() {
        match parse(&input[..length]) {
            Ok(None) => {}
            begun => {
                assert_eq!(begun, whole, "after {length} octets it was {begun:?}");
                assert!(
                    begun.is_err() || may_be_complete(&input[..length], length.saturating_sub(1)),
                    "complete after {length} octets, without an empty line in the last one"
                );
                break;
            }
        }
    }
}

/// The length and the framing of the head at the start of `input`; `None` if it is incomplete.
fn parse(input: &[u8]) -> Result<Option<(usize, Framing)>, RequestError> {
    let mut space = field_space();
    let (head, length) = match RequestHead::parse(input, &mut space, LIMITS)? {
        Parsed::Partial => return Ok(None),
        Parsed::Complete(head, length) => (head, length),
    };
    assert!(length <= input.len() && length <= LIMITS.max_bytes);
    assert!(head.fields.count() <= LIMITS.max_fields);
    assert!(head.host.is_empty() || is_valid_host(head.host));
    let (length_field, coding) = (Known::ContentLength, Known::TransferEncoding);
    match head.framing {
        Framing::Empty => assert!(!head.fields.has(coding)),
        Framing::Length(_) => assert!(!head.fields.has(coding) && head.fields.has(length_field)),
        Framing::Chunked => {
            assert!(head.fields.has(coding) && !head.fields.has(length_field));
            assert_eq!(head.version, Version::Http11);
        }
    }
    for (_, value) in head.fields.iter() {
        assert!(!value.iter().any(|octet| b"\r\n\0".contains(octet)));
    }
    Ok(Some((length, head.framing)))
}

/// A request-target, and the normal path in it: none leads above the root, and normalizing twice is
/// normalizing once.
pub fn target(input: &[u8]) {
    for method in [Method::Get, Method::Options, Method::Connect] {
        let Some(target) = Target::parse(method, input) else {
            continue;
        };
        if matches!(target.form, Form::Asterisk | Form::Authority) {
            continue;
        }
        let Ok(path) = NormalPath::parse(target.path) else {
            continue;
        };
        assert!(path.as_bytes().starts_with(b"/"));
        let segments: Vec<&[u8]> = path.as_bytes().split(|octet| *octet == b'/').collect();
        let (first, last) = (0, segments.len() - 1);
        for (index, segment) in segments.iter().enumerate() {
            assert!(!matches!(*segment, b"." | b".."), "{segments:?}");
            assert!(
                !segment.is_empty() || index == first || index == last,
                "{segments:?}"
            );
        }
        let has_encoded_slash = target
            .path
            .windows(3)
            .any(|octets| octets.eq_ignore_ascii_case(b"%2f"));
        assert!(has_encoded_slash || !path.as_bytes().contains(&ENCODED_SLASH));
        let encoded = crate::http::path::encode_path(path.as_bytes()).to_string();
        let again = NormalPath::parse(encoded.as_bytes()).expect("a normal path is a path");
        assert_eq!(again.as_bytes(), path.as_bytes(), "{encoded}");
    }
}

/// The value of `Host`: its parts are parts of it.
pub fn host(input: &[u8]) {
    if !is_valid_host(input) {
        return;
    }
    let name = without_port(input);
    assert!(input.starts_with(name));
    assert!(
        is_valid_host(name),
        "a valid host is valid without its port"
    );
    if let Some(port) = port(input) {
        assert!(input.ends_with(port) && port.iter().all(u8::is_ascii_digit));
    }
}

/// The fields in which proxies name the client. A client that cannot be read is never a trusted proxy.
///
/// The input is the lines of a header section behind its first line.
pub fn forwarded(input: &[u8]) {
    let peer = IpAddr::from([10, 0, 0, 1]);
    let text = [b"GET / HTTP/1.1\r\nHost: h\r\n", input, b"\r\n\r\n"].concat();
    let mut space = field_space();
    let Ok(Parsed::Complete(head, _)) = RequestHead::parse(&text, &mut space, LIMITS) else {
        return;
    };
    // Without a trusted proxy the peer is the client, whatever the request says.
    let no_proxies = Proxies::default();
    assert_eq!(
        client_address(&no_proxies, peer.into(), &head.fields),
        peer.into()
    );
    for field in [ForwardedField::XForwardedFor, ForwardedField::Forwarded] {
        let trusted = ["10.0.0.0/8", "::1"].map(crate::config::network).into();
        let unix = true;
        client_address(
            &Proxies {
                trusted,
                unix,
                field,
            },
            peer.into(),
            &head.fields,
        );
    }
}
