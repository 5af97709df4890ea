//! What is counted together: the client, a field of the request, its path, its host.

use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::net::IpAddr;

use crate::address::ClientAddress;
use crate::config::model::RateKey;
use crate::http::cookies;
use crate::http::fields::Fields;

/// A client as it is counted: an IPv4 address, or an IPv6 network of 64 bits, because a customer gets at
/// least one of these and may use all of its addresses (RFC 6177 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    V4([u8; 4]),
    V6([u8; 8]),
    /// Peers of a Unix socket.
    Unix,
    /// Those of whom a proxy does not say who they are.
    Unknown,
}

impl Client {
    /// Feeds the hash by a number or two, which is faster than octet by octet.
    fn feed(self, hasher: &mut impl Hasher) {
        let (kind, address) = match self {
            Self::V4(octets) => (1, u32::from_ne_bytes(octets).into()),
            Self::V6(octets) => (2, u64::from_ne_bytes(octets)),
            Self::Unix => (3, 0),
            Self::Unknown => (4, 0),
        };
        hasher.write_u8(kind);
        hasher.write_u64(address);
    }

    pub(crate) fn of(address: ClientAddress) -> Self {
        match address {
            ClientAddress::Ip(ip) => match ip.to_canonical() {
                IpAddr::V4(ip) => Self::V4(ip.octets()),
                IpAddr::V6(ip) => {
                    let octets = ip.octets();
                    let mut network = [0; 8];
                    network.copy_from_slice(&octets[..8]);
                    Self::V6(network)
                }
            },
            ClientAddress::Unix => Self::Unix,
            ClientAddress::Unknown => Self::Unknown,
        }
    }
}

/// What of a request a key may be made of.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) client: ClientAddress,
    pub(crate) fields: &'a Fields<'a>,
    /// As the route was found by it.
    pub(crate) path: &'a [u8],
    /// Without its port.
    pub(crate) host: &'a [u8],
}

/// The hash of the key that `parts` make of a request.
///
/// A request without the field or the cookie has the key of all that have none: a client that leaves it out
/// gets no bucket of its own.
pub(super) fn hash(secret: &RandomState, parts: &[RateKey], asked: &Asked<'_>) -> u64 {
    let mut hasher = secret.build_hasher();
    for part in parts {
        match part {
            RateKey::Client => Client::of(asked.client).feed(&mut hasher),
            RateKey::Path => asked.path.hash(&mut hasher),
            RateKey::Host => hash_host(asked.host, &mut hasher),
            RateKey::Cookie(name) => cookies::find(asked.fields, name).hash(&mut hasher),
            RateKey::Header(name) => {
                let values = asked.fields.values(name);
                values.for_each(|value| value.hash(&mut hasher));
                // So that two fields cannot be taken for one.
                hasher.write_u8(0xff);
            }
        }
    }
    hasher.finish()
}

/// Hosts are compared without regard to case (RFC 3986 §3.2.2), and with the dot of the root at the end or without.
fn hash_host(host: &[u8], hasher: &mut impl Hasher) {
    let host = host.strip_suffix(b".").unwrap_or(host);
    host.iter()
        .for_each(|octet| hasher.write_u8(octet.to_ascii_lowercase()));
    hasher.write_u8(0xff);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(
        parts: &[RateKey],
        client: &str,
        path: &str,
        host: &str,
        lines: &[(&str, &str)],
    ) -> u64 {
        thread_local!(static SECRET: RandomState = RandomState::new());
        let line = |(name, value): &(&'static str, &'static str)| httparse::Header {
            name,
            value: value.as_bytes(),
        };
        // The lines of a test live as long as the process.
        let lines: Vec<(&'static str, &'static str)> = lines
            .iter()
            .map(|(name, value)| (leaked(name), leaked(value)))
            .collect();
        let lines: Vec<_> = lines.iter().map(line).collect();
        let client: IpAddr = client.parse().expect("an address");
        let asked = Asked {
            client: client.into(),
            fields: &Fields::new(&lines),
            path: path.as_bytes(),
            host: host.as_bytes(),
        };
        SECRET.with(|secret| hash(secret, parts, &asked))
    }

    fn leaked(text: &str) -> &'static str {
        Box::leak(text.to_owned().into_boxed_str())
    }

    #[test]
    fn requests_of_one_client_have_one_key() {
        let of = |client: &str| hash_of(&[RateKey::Client], client, "/", "h", &[]);
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ] {
            assert_eq!(of(one) == of(other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn each_part_counts_and_no_other() {
        let (header, cookie) = (
            RateKey::Header("X-Key".into()),
            RateKey::Cookie("id".into()),
        );
        let base = (
            "192.0.2.1",
            "/a",
            "h.test",
            &[("x-key", "1"), ("Cookie", "id=7")][..],
        );
        let with =
            |part: &RateKey, (client, path, host, lines): (&str, &str, &str, &[(&str, &str)])| {
                hash_of(std::slice::from_ref(part), client, path, host, lines)
            };
        for (other, changed) in [
            (
                ("192.0.2.2", "/a", "H.test", base.3),
                [true, false, false, false, false],
            ),
            (
                ("192.0.2.1", "/b", "h.test", base.3),
                [false, true, false, false, false],
            ),
            (
                ("192.0.2.1", "/a", "i.test", base.3),
                [false, false, true, false, false],
            ),
            (
                (
                    "192.0.2.1",
                    "/a",
                    "h.test",
                    &[("x-key", "2"), ("Cookie", "id=7")],
                ),
                [false, false, false, true, false],
            ),
            (
                (
                    "192.0.2.1",
                    "/a",
                    "h.test",
                    &[("X-Key", "1"), ("Cookie", "a=1; id=8")],
                ),
                [false, false, false, false, true],
            ),
            (
                ("192.0.2.1", "/a", "h.test", &[]),
                [false, false, false, true, true],
            ),
        ] {
            let parts = [
                &RateKey::Client,
                &RateKey::Path,
                &RateKey::Host,
                &header,
                &cookie,
            ];
            let found = parts.map(|part| with(part, base) != with(part, other));
            assert_eq!(found, changed, "{other:?}");
        }
    }

    #[test]
    fn a_host_is_the_same_with_the_dot_of_the_root() {
        let of = |host| hash_of(&[RateKey::Host], "::1", "/", host, &[]);
        assert_eq!(of("h.test"), of("H.test."));
        assert_ne!(of("h.test"), of("h.tes"));
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        let both = [RateKey::Header("a".into()), RateKey::Header("b".into())];
        let of = |lines: &[(&str, &str)]| hash_of(&both, "::1", "/", "h", lines);
        assert_ne!(of(&[("a", "1")]), of(&[("b", "1")]));
        assert_ne!(
            of(&[("a", "12"), ("b", "3")]),
            of(&[("a", "1"), ("b", "23")])
        );
        assert_ne!(of(&[("a", "1"), ("a", "2")]), of(&[("a", "12")]));
    }

    #[test]
    fn another_table_has_other_hashes() {
        let asked = Asked {
            client: ClientAddress::Unix,
            fields: &Fields::new(&[]),
            path: b"/",
            host: b"h",
        };
        let [one, other] = [(); 2].map(|()| hash(&RandomState::new(), &[RateKey::Client], &asked));
        assert_ne!(one, other, "a client cannot know which keys are of one set");
    }
}
