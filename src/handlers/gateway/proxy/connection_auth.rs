//! Schemes of authentication that hold for a connection, and not for one request: `NTLM`, and `Negotiate`
//! (RFC 4559 §6).
//!
//! An application that takes them, such as IIS, knows its client by the connection. Requests of other clients must not
//! follow there, so that such a connection is closed once it has been used: a client without credentials would get
//! what is another's.

use crate::http::fields::is_name;
use crate::http::list;
use crate::http::request::RequestHead;

/// Whether the request of `head` proves who its client is by such a scheme.
pub(super) fn owns_connection(head: &RequestHead<'_>) -> bool {
    let is_proof = |name: &str| {
        let octets = name.as_bytes();
        is_name(octets, b"authorization") || is_name(octets, b"proxy-authorization")
    };
    let mut proofs = head.fields.iter().filter(|(name, _)| is_proof(name));
    proofs.any(|(_, value)| names_scheme(value))
}

/// Whether the response field `name` asks the client to prove itself by such a scheme, or goes on with that.
pub(super) fn asks_for_proof(name: &str, value: &[u8]) -> bool {
    let octets = name.as_bytes();
    (is_name(octets, b"www-authenticate") || is_name(octets, b"proxy-authenticate"))
        && names_scheme(value)
}

/// Whether one of the credentials or challenges in `value` is of such a scheme.
fn names_scheme(value: &[u8]) -> bool {
    let is_one = |scheme: &[u8]| {
        let mut schemes = [&b"NTLM"[..], b"Negotiate", b"Kerberos"].into_iter();
        schemes.any(|other| scheme.eq_ignore_ascii_case(other))
    };
    let is_blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    list::elements(value).any(|element| element.split(is_blank).next().is_some_and(is_one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_known_by_its_scheme() {
        for (name, value, expected) in [
            ("WWW-Authenticate", "NTLM", true),
            ("www-authenticate", "negotiate YIIB==", true),
            ("WWW-Authenticate", "Basic realm=\"a\", NTLM TlRM=", true),
            ("WWW-Authenticate", "NTLM\tTlRM=", true),
            ("Proxy-Authenticate", "Kerberos", true),
            ("WWW-Authenticate", "Basic realm=\"NTLM\"", false),
            ("WWW-Authenticate", "Digest nonce=\"x\"", false),
            ("X-Authenticate", "NTLM", false),
            ("WWW-Authenticate", "", false),
        ] {
            assert_eq!(
                asks_for_proof(name, value.as_bytes()),
                expected,
                "{name}: {value}"
            );
        }
    }
}
