//! The id of an exchange, by which its records here, at proxies before this server and at what stands
//! behind it can be put together.
//!
//! One that is made here is a UUID of version 7 (RFC 9562 §5.7), so that ids sort by time:
//!
//! ```text
//! 019ac2d5-3c1e-7a44-b0e2-91f4a7c05d3b
//! └ milliseconds ┘ │└ random
//!                  version
//! ```
//!
//! A trusted proxy may have given the request an id already; then that is its id.

use std::cell::RefCell;
use std::fmt;
use std::time::SystemTime;

use rustix::rand::{GetRandomFlags, getrandom};

/// The field in which proxies and this server name the id.
pub(crate) const REQUEST_ID: &str = "X-Request-Id";

/// The longest id that is taken from a proxy.
const MAX_LENGTH: usize = 64;

/// Random octets of an id.
const RANDOM: usize = 10;

/// Octets that are taken from the system at a time: a call for each id would cost more than the id.
const POOL: usize = 32 * RANDOM;

/// The id of an exchange.
#[derive(Clone, Copy)]
pub(crate) struct RequestId {
    text: [u8; MAX_LENGTH],
    length: u8,
}

thread_local! {
    static RANDOM_OCTETS: RefCell<Pool> = const { RefCell::new(Pool::EMPTY) };
}

/// Random octets of which some may have been used.
struct Pool {
    octets: [u8; POOL],
    used: usize,
}

impl Pool {
    const EMPTY: Self = Self {
        octets: [0; POOL],
        used: POOL,
    };

    /// The next octets. If the system gives none, they are zeros: an id that is not unique is worth more
    /// than no answer.
    fn take(&mut self) -> [u8; RANDOM] {
        if self.used == POOL {
            self.octets = [0; POOL];
            let _ = getrandom(&mut self.octets, GetRandomFlags::NONBLOCK);
            self.used = 0;
        }
        let mut taken = [0; RANDOM];
        taken.copy_from_slice(&self.octets[self.used..self.used + RANDOM]);
        self.used += RANDOM;
        taken
    }
}

impl RequestId {
    /// An id that no other exchange has.
    #[cold]
    pub(crate) fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let milliseconds = since_epoch.unwrap_or_default().as_millis();
        let random = RANDOM_OCTETS.with_borrow_mut(Pool::take);
        Self::of_parts(milliseconds, random)
    }

    fn of_parts(milliseconds: u128, random: [u8; RANDOM]) -> Self {
        let mut octets = [0; 16];
        octets[..6].copy_from_slice(&milliseconds.to_be_bytes()[10..]);
        octets[6..].copy_from_slice(&random);
        octets[6] = octets[6] & 0x0f | 0x70;
        octets[8] = octets[8] & 0x3f | 0x80;
        let mut id = Self {
            text: [0; MAX_LENGTH],
            length: 0,
        };
        for (nth, octet) in octets.into_iter().enumerate() {
            if matches!(nth, 4 | 6 | 8 | 10) {
                id.push(b'-');
            }
            id.push(HEX[usize::from(octet >> 4)]);
            id.push(HEX[usize::from(octet & 15)]);
        }
        id
    }

    fn push(&mut self, octet: u8) {
        self.text[usize::from(self.length)] = octet;
        self.length += 1;
    }

    /// The id that a trusted proxy gave the request; `None` if it is none that can stand in a log, a
    /// field and a page as it is.
    pub(crate) fn taken(value: &[u8]) -> Option<Self> {
        let is_plain = |octet: &u8| {
            octet.is_ascii_alphanumeric()
                || matches!(octet, b'-' | b'_' | b'.' | b':' | b'=' | b'+')
        };
        let is_good = (1..=MAX_LENGTH).contains(&value.len()) && value.iter().all(is_plain);
        is_good.then(|| {
            let mut text = [0; MAX_LENGTH];
            text[..value.len()].copy_from_slice(value);
            Self {
                text,
                length: value.len() as u8,
            }
        })
    }

    /// The id as a text without any character that would need an escape.
    pub(crate) fn as_str(&self) -> &str {
        let text = &self.text[..usize::from(self.length)];
        str::from_utf8(text).expect("it is ASCII")
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9562 §A.6.
    #[test]
    fn an_id_is_a_uuid_of_version_7() {
        let random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
        let id = RequestId::of_parts(0x017f_22e2_79b0, random);
        assert_eq!(id.as_str(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn ids_are_unique() {
        let ids: Vec<String> = (0..1000)
            .map(|_| RequestId::new().as_str().to_owned())
            .collect();
        let unique: std::collections::BTreeSet<&String> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
    }

    #[test]
    fn ids_sort_by_time() {
        let at = |milliseconds, random| {
            let id = RequestId::of_parts(milliseconds, [random; RANDOM]);
            id.as_str().to_owned()
        };
        let ids = [at(1, 255), at(2, 0), at(0xffff, 7), at(0x1_0000, 3)];
        assert!(ids.is_sorted(), "{ids:?}");
    }

    #[test]
    fn an_id_of_a_proxy_is_taken_if_it_can_stand_anywhere() {
        let long = "x".repeat(MAX_LENGTH + 1);
        for (value, is_taken) in [
            ("a", true),
            ("1-67891233-abcdef012345678912345678", true),
            (&long[1..], true),
            (&long, false),
            ("", false),
            ("a b", false),
            ("a\"b", false),
            ("<a>", false),
            ("\u{e9}", false),
        ] {
            let id = RequestId::taken(value.as_bytes());
            assert_eq!(id.is_some(), is_taken, "{value:?}");
            assert!(id.is_none_or(|id| id.as_str() == value));
        }
    }
}
