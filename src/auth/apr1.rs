//! `$apr1$`: what Apache makes of MD5, as `htpasswd -m` writes it.
//!
//! It is verified because many files hold it, and never made: MD5 is so fast that a thousand rounds of it
//! hold up no attacker who has the file.

use md5::{Digest as _, Md5};

/// What stands before the salt.
pub(super) const PREFIX: &str = "$apr1$";

/// How many characters of a salt count.
const MAX_SALT: usize = 8;

const ROUNDS: usize = 1000;

/// The alphabet of the digest's text.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of a digest.
pub(super) const DIGEST_LENGTH: usize = 22;

/// Whether `text` consists of characters of the alphabet.
pub(super) fn is_of_alphabet(text: &[u8]) -> bool {
    text.iter().all(|octet| ALPHABET.contains(octet))
}

/// The digest of `password` with `salt`, as it stands behind the salt.
pub(super) fn digest(password: &[u8], salt: &[u8]) -> [u8; DIGEST_LENGTH] {
    let salt = &salt[..salt.len().min(MAX_SALT)];
    let mut last = first_round(password, salt);
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        let is_odd = round % 2 == 1;
        next.update(if is_odd { password } else { &last });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if is_odd { &last } else { password });
        last = next.finalize().into();
    }
    text(&last)
}

fn first_round(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut first = Md5::new()
        .chain_update(password)
        .chain_update(PREFIX)
        .chain_update(salt);
    let mut left = password.len();
    while left > 0 {
        let part = left.min(inner.len());
        first.update(&inner[..part]);
        left -= part;
    }
    let mut bits = password.len();
    while bits > 0 {
        let octet = if bits & 1 == 1 {
            0
        } else {
            password.first().copied().unwrap_or_default()
        };
        first.update([octet]);
        bits >>= 1;
    }
    first.finalize().into()
}

/// The octets in the order in which they are written, three to four characters, the lowest bits first.
fn text(digest: &[u8; 16]) -> [u8; DIGEST_LENGTH] {
    const GROUPS: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut text = [0; DIGEST_LENGTH];
    let mut put = |at: usize, mut bits: u32, count: usize| {
        for character in &mut text[at..at + count] {
            *character = ALPHABET[(bits & 63) as usize];
            bits >>= 6;
        }
    };
    for (nth, [high, middle, low]) in GROUPS.into_iter().enumerate() {
        let [high, middle, low] = [high, middle, low].map(|place| u32::from(digest[place]));
        put(nth * 4, high << 16 | middle << 8 | low, 4);
    }
    put(20, u32::from(digest[11]), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_apache_and_openssl_make() {
        for (password, salt, expected) in [
            ("myPassword", "qHDFfhPC", "nITSVHgYbDAK1Y0acGRnY0"),
            ("", "saltsalt", "a8ml/vK5HEjiZ5oypDWA7/"),
            ("a", "x", "16j9.5e7KiXmuYFAYpPJM/"),
            (
                "a password of more than sixteen octets",
                "12345678",
                "HyLtDQeVnh.AtT9R982D6.",
            ),
        ] {
            let found = digest(password.as_bytes(), salt.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), expected, "{password}");
        }
    }
}
