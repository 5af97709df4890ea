//! The client behind proxies: its address by `X-Forwarded-For`, and whether it came over TLS by
//! `X-Forwarded-Proto`, from those who are trusted and no other.

use std::net::IpAddr;

use crate::config::model::Cidr;
use crate::http::list;
use crate::http::request::RequestHead;

/// Whose request it is: the peer's, or where the peer is a trusted proxy, the last address of
/// `X-Forwarded-For` that is not one. Whatever stands before that, the client may have made up.
pub(crate) fn address(trusted: &[Cidr], peer: IpAddr, head: &RequestHead<'_>) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(peer) {
        return peer;
    }
    let lines = head
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
    let values: Vec<&[u8]> = lines.map(|(_, value)| value).collect();
    let chain = values.join(&b","[..]);
    let addresses: Vec<_> = list::elements(&chain).map(parse_address).collect();
    let mut nearest = peer;
    for address in addresses.into_iter().rev() {
        // A name, or nonsense: what we know of is as far as we go.
        let Some(address) = address else {
            return nearest;
        };
        nearest = address;
        if !is_trusted(address) {
            return nearest;
        }
    }
    nearest
}

/// Whether the client came over TLS to a proxy, as `X-Forwarded-Proto` says of `peer`, a trusted proxy.
///
/// Proxies in a row may each add an element. The one that counts stands as far from the end as the
/// client in `X-Forwarded-For`; where there are fewer elements, the first. What a client has made up
/// stands before that.
pub(crate) fn is_https(trusted: &[Cidr], peer: IpAddr, head: &RequestHead<'_>) -> bool {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if trusted.is_empty() || !is_trusted(peer) {
        return false;
    }
    let chain = combined(head, "x-forwarded-for");
    let addresses: Vec<_> = chain.split(|byte| *byte == b',').collect();
    let proxies = addresses.iter().rev().take_while(|element| {
        let address = parse_address(list::trim(element));
        address.is_some_and(is_trusted)
    });
    let behind_client = proxies.count();
    let schemes = combined(head, "x-forwarded-proto");
    let schemes: Vec<_> = schemes.split(|byte| *byte == b',').collect();
    let scheme = schemes.iter().rev().nth(behind_client);
    let scheme = scheme.or(schemes.first()).copied().unwrap_or_default();
    list::trim(scheme).eq_ignore_ascii_case(b"https")
}

/// The values of all lines of a field, with commas between them.
fn combined(head: &RequestHead<'_>, name: &str) -> Vec<u8> {
    let lines = head.fields.iter();
    let lines = lines.filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let values: Vec<&[u8]> = lines.map(|(_, value)| value).collect();
    values.join(&b","[..])
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`
fn parse_address(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element).ok()?;
    let with_port = || {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|address| address.ip())
    };
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .or_else(with_port)
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::network;
    use crate::http::request::{HeadLimits, Parsed, field_space};

    #[test]
    fn tls_is_known_from_trusted_proxies_alone() {
        let trusted = ["10.0.0.0/8"].map(network);
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
            let text = format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {forwarded}\r\n\
                 X-Forwarded-Proto: {proto}\r\n\r\n"
            );
            let mut space = field_space();
            let limits = HeadLimits {
                max_bytes: 4096,
                max_fields: 20,
            };
            let parsed = RequestHead::parse(text.as_bytes(), &mut space, limits);
            let Ok(Parsed::Complete(head, _)) = parsed else {
                panic!("{text:?} is no head")
            };
            let found = is_https(&trusted, peer.parse().expect("an address"), &head);
            assert_eq!(found, expected, "{peer} {forwarded:?} {proto:?}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted = ["10.0.0.0/8", "::1"].map(network);
        for (peer, lines, expected) in [
            ("192.0.2.9", "X-Forwarded-For: 1.1.1.1\r\n", "192.0.2.9"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1"),
            (
                "10.0.0.1",
                "X-Forwarded-For: 6.6.6.6, 1.1.1.1, 10.0.0.2\r\n",
                "1.1.1.1",
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 1.1.1.1:80\r\n",
                "1.1.1.1",
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: 1.1.1.1, unknown, 10.0.0.2\r\n",
                "10.0.0.2",
            ),
            (
                "10.0.0.1",
                "X-Forwarded-For: [2001:db8::1]:80\r\n",
                "2001:db8::1",
            ),
            ("::1", "X-Forwarded-For: 10.0.0.7, 10.0.0.8\r\n", "10.0.0.7"),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
            let mut space = field_space();
            let limits = HeadLimits {
                max_bytes: 4096,
                max_fields: 20,
            };
            let Ok(Parsed::Complete(head, _)) =
                RequestHead::parse(text.as_bytes(), &mut space, limits)
            else {
                panic!("{text:?} is no head")
            };
            let found = address(&trusted, peer.parse().expect("an address"), &head);
            assert_eq!(found.to_string(), expected, "{peer} {lines:?}");
        }
    }
}
