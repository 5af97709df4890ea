//! What a server is chosen for: a request and its client, or the client of a stream.

use std::net::IpAddr;

use super::hash;
use crate::address::ClientAddress;
use crate::config::model::HashKey;
use crate::http::cookies;
use crate::http::request::RequestHead;

/// What a server is chosen for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'r> {
    pub(crate) client: ClientAddress,
    /// `None` for a stream, which has no requests.
    pub(crate) head: Option<&'r RequestHead<'r>>,
}

impl<'r> Wanted<'r> {
    /// The value of the request's cookie of that name.
    pub(super) fn cookie(&self, name: &str) -> Option<&'r [u8]> {
        cookies::find(&self.head?.fields, name)
    }

    /// The hash of what `key` names in the request, such as a cookie; `None` if the request does
    /// not have it.
    pub(super) fn key(&self, key: &HashKey) -> Option<u64> {
        match key {
            HashKey::Client => match self.client {
                ClientAddress::Ip(IpAddr::V4(address)) => Some(hash::of(&address.octets())),
                ClientAddress::Ip(IpAddr::V6(address)) => Some(hash::of(&address.octets())),
                ClientAddress::Unix | ClientAddress::Unknown => None,
            },
            HashKey::Path => self.head.map(|head| hash::of(head.target.path)),
            HashKey::Header(name) => {
                let first = self.head?.fields.values(name).next();
                first.filter(|value| !value.is_empty()).map(hash::of)
            }
            HashKey::Cookie(name) => self.cookie(name).map(hash::of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::{HeadLimits, Parsed, field_space};

    /// What is hashed of a request of `client`.
    fn key(key: HashKey, client: ClientAddress, head: &str) -> Option<u64> {
        let limits = HeadLimits {
            max_bytes: 1000,
            max_fields: 10,
        };
        let mut space = field_space();
        match RequestHead::parse(head.as_bytes(), &mut space, limits) {
            Ok(Parsed::Complete(head, _)) => Wanted {
                client,
                head: Some(&head),
            }
            .key(&key),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_key_is_what_the_operator_names() {
        let request =
            |path: &str, further: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{further}\r\n");
        let plain = request("/a?b", "");
        let client = ClientAddress::from(std::net::IpAddr::from([10, 0, 0, 1]));
        let unknown = ClientAddress::Unix;
        let path = || HashKey::Path;
        let header = || HashKey::Header("X-Tenant".to_owned());
        let cookie = || HashKey::Cookie("session".to_owned());
        assert_eq!(key(HashKey::Client, unknown, &plain), None);
        assert!(key(HashKey::Client, client, &plain).is_some());
        assert_eq!(
            key(path(), unknown, &plain),
            key(path(), client, &request("/a?c", ""))
        );
        assert_ne!(
            key(path(), unknown, &plain),
            key(path(), client, &request("/b", ""))
        );
        assert_eq!(key(header(), unknown, &plain), None);
        assert_eq!(
            key(header(), unknown, &request("/", "x-tenant: 7\r\n")),
            Some(hash::of(b"7"))
        );
        assert_eq!(
            key(cookie(), unknown, &request("/", "Cookie: session=\r\n")),
            None
        );
        let with_cookie = request("/", "Cookie: a=1; session=7\r\n");
        assert_eq!(key(cookie(), unknown, &with_cookie), Some(hash::of(b"7")));
    }
}
