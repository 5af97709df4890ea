//! The client behind proxies: its address, and whether it came over TLS. Trusted proxies, and no
//! other peers, say so in `X-Forwarded-For` and `X-Forwarded-Proto`, or in `Forwarded`.
//!
//! ```text
//! X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.2     the peer is 10.0.0.1; 10.0.0.0/8 is trusted
//!                           ^ the client   ^ trusted
//! ```
//!
//! The field is read from its end, because each proxy appends the address of its own peer. A trusted
//! proxy is believed for the element that it appended, and for none before it.

use std::borrow::Cow;

use crate::address::ClientAddress;
use crate::config::model::Proxies;
use crate::http::fields::Fields;
use crate::http::forwarded::{self, ForwardedField, elements};

/// The address of the client: that of the peer, or where the peer is a trusted proxy, the last
/// address of the field that is no trusted proxy's. The client may have made up what stands before
/// that.
///
/// An element that is no address, such as `unknown`, is a client whose address is not known. It is
/// never taken for the proxy that passed it on.
// On the path of every request.
#[inline(always)]
pub(crate) fn address(
    proxies: &Proxies,
    peer: ClientAddress,
    fields: &Fields<'_>,
) -> ClientAddress {
    if !is_trusted_proxy(proxies, peer) {
        return peer;
    }
    address_behind(proxies, peer, fields)
}

/// [`address`], of a peer that is a trusted proxy.
fn address_behind(proxies: &Proxies, peer: ClientAddress, fields: &Fields<'_>) -> ClientAddress {
    let chain = proxies.field.value(fields);
    let mut nearest = peer;
    for element in elements(&chain).rev() {
        match proxies.field.address_in(element) {
            Some(address) if proxies.trust(address) => nearest = address.into(),
            Some(address) => return address.into(),
            None => return ClientAddress::Unknown,
        }
    }
    nearest
}

/// Whether a request for an `https` resource may come from `peer`: over a connection that is not
/// secured it may only if a gateway that is trusted has secured it (RFC 9110 §7.4). A gateway at a Unix
/// socket is one: the permissions of the socket say so.
pub(crate) fn may_have_secured(proxies: &Proxies, peer: ClientAddress) -> bool {
    peer == ClientAddress::Unix || is_trusted_proxy(proxies, peer)
}

/// Whether the client came over TLS to a proxy, as `peer`, a trusted proxy, says of it.
///
/// Proxies in a row may each add an element. The element that counts is as far from the end of its
/// field as the client's address is from the end of its own; where there are fewer elements, the
/// first one counts. What a client has made up stands before that.
pub(crate) fn is_https(proxies: &Proxies, peer: ClientAddress, fields: &Fields<'_>) -> bool {
    if !is_trusted_proxy(proxies, peer) {
        return false;
    }
    let field = proxies.field;
    let chain = field.value(fields);
    let is_proxy = |element: &&[u8]| {
        field
            .address_in(element)
            .is_some_and(|address| proxies.trust(address))
    };
    let behind_client = elements(&chain).rev().take_while(is_proxy).count();
    let schemes = match field {
        ForwardedField::XForwardedFor => forwarded::combined(fields, "x-forwarded-proto"),
        ForwardedField::Forwarded => chain.clone(),
    };
    let scheme = elements(&schemes).rev().nth(behind_client);
    let scheme = scheme
        .or(elements(&schemes).next())
        .map(|element| match field {
            ForwardedField::XForwardedFor => Some(Cow::Borrowed(element)),
            ForwardedField::Forwarded => forwarded::parameter(element, "proto"),
        });
    scheme
        .flatten()
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
}

/// Whether `peer` is a proxy whose word about the client is believed.
pub(crate) fn is_trusted_proxy(proxies: &Proxies, peer: ClientAddress) -> bool {
    match peer {
        ClientAddress::Ip(address) => proxies.trust(address),
        ClientAddress::Unix => proxies.unix,
        ClientAddress::Unknown => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::config::network;
    use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space};
    use crate::test_support::with_head;

    /// The client of a request with these `X-Forwarded-For` values, a line each, which came from
    /// `peer`. The networks 10.0.0.0/8 and ::1 are trusted.
    fn client(peer: &str, values: &[&[u8]]) -> String {
        client_by(
            ForwardedField::XForwardedFor,
            "x-forwarded-For",
            peer,
            values,
        )
    }

    fn client_by(field: ForwardedField, name: &str, peer: &str, values: &[&[u8]]) -> String {
        let trusted = ["10.0.0.0/8", "::1"].map(network).into();
        let proxies = Proxies {
            trusted,
            unix: false,
            field,
        };
        let mut bytes = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
        for value in values {
            bytes.extend([name.as_bytes(), b": ", *value, b"\r\n"].concat());
        }
        bytes.extend(b"\r\n");
        let mut space = field_space();
        let limits = HeadLimits {
            max_bytes: 4096,
            max_fields: 20,
        };
        let Ok(Parsed::Complete(head, _)) = RequestHead::parse(&bytes, &mut space, limits) else {
            panic!("{} is no head", bytes.escape_ascii())
        };
        let peer: IpAddr = peer.parse().expect("an address");
        match address(&proxies, peer.into(), &head.fields) {
            ClientAddress::Ip(address) => address.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn tls_is_known_from_trusted_proxies_alone() {
        let trusted = ["10.0.0.0/8"].map(network).into();
        let field = ForwardedField::XForwardedFor;
        let proxies = Proxies {
            trusted,
            unix: false,
            field,
        };
        for (peer, forwarded, proto, expected) in [
            ("10.0.0.1", "1.1.1.1", "https", true),
            ("10.0.0.1", "1.1.1.1", "HTTPS", true),
            ("10.0.0.1", "1.1.1.1", "http", false),
            ("10.0.0.1", "1.1.1.1", "", false),
            ("10.0.0.1", "", "https", true),
            ("192.0.2.9", "1.1.1.1", "https", false),
            // Two proxies: the client came to the first over TLS.
            ("10.0.0.1", "1.1.1.1, 10.0.0.2", "https, http", true),
            ("10.0.0.1", "1.1.1.1, 10.0.0.2", "https", true),
            ("10.0.0.1", "1.1.1.1, 10.0.0.2", "http, https", false),
            // The first element is the client's own.
            ("10.0.0.1", "6.6.6.6, 1.1.1.1", "https, http", false),
        ] {
            let lines = format!("X-Forwarded-For: {forwarded}\r\nX-Forwarded-Proto: {proto}\r\n");
            let peer: IpAddr = peer.parse().expect("an address");
            let found = with_head(&lines, |head| is_https(&proxies, peer.into(), &head.fields));
            assert_eq!(found, expected, "{peer} {forwarded:?} {proto:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, values, expected) in [
            ("192.0.2.9", &["1.1.1.1"][..], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("::ffff:10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6 ,1.1.1.1,\t10.0.0.2,"], "1.1.1.1"),
            ("10.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.2"], "1.1.1.1"),
            ("::1", &["10.0.0.7, 10.0.0.8"], "10.0.0.7"),
        ] {
            let values: Vec<_> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(client(peer, &values), expected, "{peer} {values:?}");
        }
    }

    #[test]
    fn one_field_is_believed_and_not_the_other() {
        let forwarded =
            |values| client_by(ForwardedField::Forwarded, "Forwarded", "10.0.0.1", values);
        for (values, expected) in [
            (&[&b"for=1.1.1.1"[..]][..], "1.1.1.1"),
            (
                &[b"for=6.6.6.6, For=\"1.1.1.1:80\";proto=https, for=10.0.0.2"],
                "1.1.1.1",
            ),
            (
                &[b"for=6.6.6.6", b"by=_a;for=\"[2001:db8::1]:4711\""],
                "2001:db8::1",
            ),
            (&[b"for=1.1.1.1:_port"], "1.1.1.1"),
            (&[b"for=\", for=1.1.1.1"], "1.1.1.1"),
            (&[b"for=unknown, for=10.0.0.2"], "Unknown"),
            (&[b"for=_hidden"], "Unknown"),
            (&[b"proto=https"], "Unknown"),
            (&[b"for=1.1.1.1;for=10.0.0.2"], "Unknown"),
            (&[b"10.0.0.2"], "Unknown"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(forwarded(values), expected, "{values:?}");
        }
        let other = client_by(
            ForwardedField::Forwarded,
            "X-Forwarded-For",
            "10.0.0.1",
            &[b"1.1.1.1"],
        );
        assert_eq!(other, "10.0.0.1");
        let other = client_by(
            ForwardedField::XForwardedFor,
            "Forwarded",
            "10.0.0.1",
            &[b"for=1.1.1.1"],
        );
        assert_eq!(other, "10.0.0.1");
    }

    #[test]
    fn an_address_may_have_brackets_and_a_port() {
        for (value, expected) in [
            ("192.0.2.1:80", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:10.0.0.2]:80", "10.0.0.2"),
        ] {
            assert_eq!(client("10.0.0.1", &[value.as_bytes()]), expected, "{value}");
        }
    }

    /// A client sent a quote, the proxy appended the client's address behind it, and both together
    /// were read as one element. It was no address, so that the client counted as the proxy.
    #[test]
    fn a_quote_does_not_hide_the_address_behind_it() {
        for values in [
            &[&b"\", 192.0.2.7"[..]][..],
            &[b"\"", b"192.0.2.7"],
            &[b"\"10.0.0.2, 192.0.2.7"],
            &[b"for=\"x, 192.0.2.7, 10.0.0.2"],
            &[b"\\\", 192.0.2.7"],
        ] {
            assert_eq!(client("10.0.0.1", values), "192.0.2.7", "{values:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_an_unknown_client() {
        for value in [
            &b"\""[..],
            b"\"10.0.0.2\"",
            b"unknown",
            b"_hidden",
            b"unknown, 10.0.0.2",
            b"1.1.1.1, unknown, 10.0.0.2",
            b"10.0.0.2;10.0.0.3",
            b"10.0.0.2 10.0.0.3",
            b"for=10.0.0.2",
            b"localhost",
            b"10.0.0",
            b"10.0.0.02",
            b"10.0.0.2:",
            b"10.0.0.2:http",
            b"10.0.0.2:65536",
            b"[10.0.0.2]",
            b"[::1",
            b"::1]",
            b"[[::1]]",
            b"[::1]:",
            b"::1%lo",
            b"0.0.0.0",
            b"::",
            b"\xff",
        ] {
            let shown = value.escape_ascii();
            assert_eq!(client("10.0.0.1", &[value]), "Unknown", "{shown}");
        }
    }
}
