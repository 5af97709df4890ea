//! `sticky`: a cookie names the server that a client had before.
//!
//! ```text
//! Set-Cookie: tidegate-shop=5f0c…; Path=/; HttpOnly; SameSite=Lax
//!                           └ HMAC-SHA-256 (key; upstream, address), 128 bits of it
//! ```
//!
//! The value is a signature of the server's address, without the address: a client learns nothing from
//! it, and one that makes up a value names no server. It says nothing about the client, so that two
//! clients of a server have the same one. The values of all servers are computed when a list of
//! servers is made; a request's is compared with them.

use std::io;
use std::sync::OnceLock;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::address::UpstreamAddress;
use crate::config::model;
use crate::log::diagnostic;

/// How many octets of the signature a cookie holds.
const LENGTH: usize = 16;

/// Makes the values of the cookie of one upstream.
pub(super) struct Signer<'u> {
    key: &'u [u8],
    upstream: &'u str,
}

impl<'u> Signer<'u> {
    /// The signer of the upstream of that name: with the operator's secret, or a key that this process
    /// makes once, so that a reload keeps it.
    pub(super) fn new(sticky: &'u model::Sticky, upstream: &'u str) -> Self {
        let key = match &sticky.secret {
            Some(secret) => secret.as_bytes(),
            None => key_of_process(),
        };
        Self { key, upstream }
    }

    /// The value that names the server at `address`.
    pub(super) fn value(&self, address: &UpstreamAddress) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.key);
        let mut mac = mac.expect("HMAC takes a key of any length");
        // No name of an upstream holds a line end, so that no two pairs are alike.
        mac.update(self.upstream.as_bytes());
        mac.update(b"\n");
        mac.update(address.to_string().as_bytes());
        let signature = mac.finalize().into_bytes();
        HEXLOWER.encode(&signature[..LENGTH])
    }
}

/// The value of `Set-Cookie` that gives a client the cookie.
pub(super) fn set_cookie(sticky: &model::Sticky, value: &str) -> String {
    format!("{}={value}; Path=/; HttpOnly; SameSite=Lax", sticky.cookie)
}

/// The key of an upstream without a secret of its own.
fn key_of_process() -> &'static [u8] {
    static KEY: OnceLock<[u8; 32]> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut key = [0; 32];
        if let Err(error) = fill_random(&mut key) {
            // The key is then known, and a client can choose its server by a cookie of its own; nothing else
            // depends on the key.
            diagnostic::warn(format_args!(
                "the system has no random octets for the cookies of `sticky` ({error}): give them a `secret`"
            ));
        }
        key
    })
}

fn fill_random(mut key: &mut [u8]) -> io::Result<()> {
    while !key.is_empty() {
        let flags = rustix::rand::GetRandomFlags::empty();
        let filled = rustix::io::retry_on_intr(|| rustix::rand::getrandom(&mut *key, flags))?;
        key = &mut key[filled..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sticky(secret: Option<&str>) -> model::Sticky {
        model::Sticky {
            cookie: "tidegate-shop".to_owned(),
            secret: secret.map(str::to_owned),
        }
    }

    fn address(port: u16) -> UpstreamAddress {
        UpstreamAddress::Ip(([10, 0, 0, 1], port).into())
    }

    fn value(secret: Option<&str>, upstream: &str, port: u16) -> String {
        Signer::new(&sticky(secret), upstream).value(&address(port))
    }

    /// Several of these servers beside one another agree, and so does the next version: the expected
    /// value is what `openssl dgst -sha256 -hmac secret` says.
    #[test]
    fn the_value_is_a_signature() {
        assert_eq!(
            value(Some("secret"), "shop", 80),
            "b2ef64e63e86f558d6f441be9c3c3a9b"
        );
    }

    #[test]
    fn values_differ_by_secret_upstream_and_address_and_stay() {
        let values = [
            value(Some("a"), "shop", 80),
            value(Some("b"), "shop", 80),
            value(Some("a"), "blog", 80),
            value(Some("a"), "shop", 81),
            value(None, "shop", 80),
        ];
        let distinct: std::collections::BTreeSet<_> = values.iter().collect();
        assert_eq!(distinct.len(), values.len());
        assert_eq!(
            value(None, "shop", 80),
            values[4],
            "one key for the process"
        );
        assert!(values.iter().all(|value| value.len() == 2 * LENGTH));
    }

    #[test]
    fn random_octets_come_from_the_system() {
        let mut keys = [[0; 32]; 2];
        keys.iter_mut()
            .for_each(|key| fill_random(key).expect("Linux has some"));
        assert!(keys[0] != keys[1] && keys[0] != [0; 32]);
    }
}
