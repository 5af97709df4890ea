//! Session tickets (RFC 8446 §4.6.1, RFC 5077): a ticket holds the state of a session, encrypted. The client
//! keeps it and shows it with its next connection, which saves both sides the signature of a handshake.
//!
//! All workers share the keys, so that each of them can decrypt the tickets of the others. A key
//! encrypts for [`PERIOD`], decrypts for another one, and is dropped then: an attacker who reads
//! the memory of the process later cannot decrypt the sessions from before.

use std::fmt;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

/// How long a key encrypts, and how long a ticket is good at least.
const PERIOD: Duration = Duration::from_secs(12 * 60 * 60);

const KEY_LENGTH: usize = 32;
const NAME_LENGTH: usize = 16;

/// The keys of a process. They are made when the first is wanted: the first random octets of a process
/// cost tens of milliseconds, and a server without TLS wants none.
pub(crate) struct TicketKeys(LazyLock<RwLock<Keys>>);

struct Keys {
    current: Key,
    /// The one before it.
    last: Option<Key>,
    /// When `current` began to encrypt.
    since: Instant,
}

struct Key {
    /// The name, which stands at the start of its tickets, and the key.
    octets: [u8; NAME_LENGTH + KEY_LENGTH],
    key: RandomizedNonceKey,
}

impl Default for TicketKeys {
    fn default() -> Self {
        Self(LazyLock::new(|| {
            RwLock::new(Keys {
                current: Key::random(),
                last: None,
                since: Instant::now(),
            })
        }))
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys")
    }
}

impl Key {
    fn random() -> Self {
        let mut octets = [0; NAME_LENGTH + KEY_LENGTH];
        rand::fill(&mut octets).expect("the system has random octets");
        Self::of(octets)
    }

    fn of(octets: [u8; NAME_LENGTH + KEY_LENGTH]) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &octets[NAME_LENGTH..]);
        Self {
            octets,
            key: key.expect("the key is as long as it is to be"),
        }
    }

    fn name(&self) -> &[u8] {
        &self.octets[..NAME_LENGTH]
    }

    fn encrypt(&self, scope: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        let scope = Aad::from(scope.to_be_bytes());
        let nonce = self.key.seal_in_place_append_tag(scope, &mut sealed).ok()?;
        Some([self.name(), nonce.as_ref(), &sealed].concat())
    }

    fn decrypt(&self, scope: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = ticket
            .strip_prefix(self.name())?
            .split_first_chunk::<NONCE_LEN>()?;
        let mut plain = sealed.to_vec();
        let scope = Aad::from(scope.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key.open_in_place(nonce, scope, &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl TicketKeys {
    /// Has another key encrypt if the present one has done so for its time at `now`.
    fn rotate(&self, now: Instant) {
        let age = |keys: &Keys| now.saturating_duration_since(keys.since);
        if age(&self.0.read().unwrap_or_else(PoisonError::into_inner)) < PERIOD {
            return;
        }
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let age = age(&keys);
        if age < PERIOD {
            return;
        }
        let before = std::mem::replace(&mut keys.current, Key::random());
        // After two periods without a handshake its tickets are too old.
        keys.last = Some(before).filter(|_| age < 2 * PERIOD);
        keys.since = now;
    }

    /// The keys as octets, for another process that goes on with them: how many seconds the present one
    /// has encrypted, its octets, and those of the one before it, if there is one.
    pub(crate) fn to_octets(&self) -> Vec<u8> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let age = keys.since.elapsed().as_secs().to_be_bytes();
        let last = keys.last.as_ref().map(|key| &key.octets[..]);
        [&age, &keys.current.octets[..], last.unwrap_or_default()].concat()
    }

    /// Goes on with the keys in `octets`, which another process has given by
    /// [`to_octets`](Self::to_octets). Octets of another form change nothing.
    pub(crate) fn adopt(&self, octets: &[u8]) {
        let Some((age, keys)) = octets.split_first_chunk() else {
            return;
        };
        let age = Duration::from_secs(u64::from_be_bytes(*age));
        let since = Instant::now().checked_sub(age);
        let (keys, rest) = keys.as_chunks();
        let mut keys = keys.iter().map(|octets| Key::of(*octets));
        if let (Some(current), Some(since), []) = (keys.next(), since, rest) {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Keys {
                current,
                last: keys.next(),
                since,
            };
        }
    }

    fn encrypt(&self, scope: u64, plain: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.rotate(now);
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.current.encrypt(scope, plain)
    }

    fn decrypt(&self, scope: u64, ticket: &[u8], now: Instant) -> Option<Vec<u8>> {
        self.rotate(now);
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_last = || keys.last.as_ref()?.decrypt(scope, ticket);
        keys.current.decrypt(scope, ticket).or_else(of_last)
    }
}

/// Makes and reads the tickets of all servers that ask for the same client's certificate (`scope`).
/// It cannot decrypt tickets of another scope: a session without a certificate must not be resumed
/// at a server that requires one.
#[derive(Debug)]
pub(super) struct Ticketer {
    pub(super) keys: Arc<TicketKeys>,
    /// Stands for what is asked of a client's certificate.
    pub(super) scope: u64,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.keys.encrypt(self.scope, plain, Instant::now())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.keys.decrypt(self.scope, ticket, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_one_period_at_least_and_two_at_most() {
        let keys = TicketKeys::default();
        let start = Instant::now();
        let at = |hours: u64| start + Duration::from_secs(hours * 3600);
        let ticket = |hours| keys.encrypt(7, b"session", at(hours)).expect("a ticket");
        let is_good = |ticket: &[u8], hours| keys.decrypt(7, ticket, at(hours)).is_some();
        let (early, late) = (ticket(0), ticket(11));
        assert!(is_good(&early, 11) && is_good(&late, 12) && is_good(&early, 13));
        let second = ticket(13);
        assert_ne!(early[..NAME_LENGTH], second[..NAME_LENGTH]);
        assert!(is_good(&late, 23) && is_good(&second, 23));
        assert!(!is_good(&late, 25) && is_good(&second, 25));
        // No client came for days.
        assert!(!is_good(&second, 100));
    }

    #[test]
    fn another_process_may_go_on_with_the_keys() {
        let (keys, others) = (TicketKeys::default(), TicketKeys::default());
        let start = Instant::now();
        let at = |hours: u64| start + Duration::from_secs(hours * 3600);
        let ticket = |hours| keys.encrypt(7, b"session", at(hours)).expect("a ticket");
        let tickets = [ticket(0), ticket(13)];
        let is_good = |ticket: &Vec<u8>| others.decrypt(7, ticket, start).is_some();
        for octets in [&b""[..], b"x", &[0; 8], &[0; 60]] {
            others.adopt(octets);
            assert!(!tickets.iter().any(is_good));
        }
        others.adopt(&keys.to_octets());
        assert!(tickets.iter().all(is_good));
    }

    #[test]
    fn a_ticket_is_worth_nothing_elsewhere_or_changed() {
        let keys = TicketKeys::default();
        let now = Instant::now();
        let ticket = keys.encrypt(7, b"session", now).expect("a ticket");
        assert_eq!(
            keys.decrypt(7, &ticket, now).as_deref(),
            Some(&b"session"[..])
        );
        assert_eq!(keys.decrypt(8, &ticket, now), None);
        assert_eq!(TicketKeys::default().decrypt(7, &ticket, now), None);
        for end in 0..ticket.len() {
            assert_eq!(keys.decrypt(7, &ticket[..end], now), None);
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.decrypt(7, &changed, now), None, "{at}");
        }
    }
}
