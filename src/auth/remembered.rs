//! Which credentials were verified a moment ago, without the credentials.
//!
//! A page of fifty files would cost fifty verifications, and each is slow on purpose. So a keyed hash of
//! what was verified is kept for a while. The key is in memory alone, and a new one with each reading of
//! the file, so that a password that was changed is forgotten at once.
//!
//! ```text
//! HMAC-SHA-256(key, "alice:sesame") ─→ set, by its first octets ─→ one of four places: tag, until when
//! ```
//!
//! All workers share it, without a lock: a place consists of atomics. A reader that meets a writer may see a
//! mixture of two tags. Without the key no client can find credentials that have such a tag.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;

/// How long credentials are remembered.
pub(super) const REMEMBERED: Duration = Duration::from_secs(600);

/// Places in a set.
const WAYS: usize = 4;

/// Most sets: 4096 users at once.
const MAX_SETS: usize = 1024;

/// The credentials that are remembered.
pub(super) struct Remembered {
    key: hmac::Key,
    /// A power of two of them.
    sets: Box<[[Place; WAYS]]>,
}

#[derive(Default)]
struct Place {
    tag: [AtomicU64; 4],
    /// Milliseconds; 0: the place is free.
    until: AtomicU64,
}

impl Remembered {
    /// Nothing is remembered yet, of a file with so many users.
    ///
    /// # Errors
    /// The system gives no random octets.
    pub(super) fn new(users: usize) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let rng = aws_lc_rs::rand::SystemRandom::new();
        let sets = users.next_power_of_two().min(MAX_SETS);
        Ok(Self {
            key: hmac::Key::generate(hmac::HMAC_SHA256, &rng)?,
            sets: (0..sets).map(|_| Default::default()).collect(),
        })
    }

    /// Whether `credentials` are remembered at `now`, in milliseconds.
    pub(super) fn has(&self, credentials: &[u8], now: u64) -> bool {
        let tag = self.tag(credentials);
        self.set(&tag).iter().any(|place| {
            // Every word is compared, so that the time tells nothing of where they differ.
            let differences = place.tag.iter().zip(tag).fold(0, |found, (word, other)| {
                found | (word.load(Ordering::Relaxed) ^ other)
            });
            differences == 0 && now < place.until.load(Ordering::Acquire)
        })
    }

    /// Remembers `credentials` from `now` on. They take the place of those that are forgotten first.
    pub(super) fn add(&self, credentials: &[u8], now: u64) {
        let tag = self.tag(credentials);
        let set = self.set(&tag);
        let is_it = |place: &&Place| {
            place
                .tag
                .iter()
                .zip(tag)
                .all(|(word, other)| word.load(Ordering::Relaxed) == other)
        };
        let oldest = set
            .iter()
            .min_by_key(|place| place.until.load(Ordering::Relaxed));
        let Some(place) = set.iter().find(is_it).or(oldest) else {
            return;
        };
        // Free until the tag is whole.
        place.until.store(0, Ordering::Release);
        for (word, value) in place.tag.iter().zip(tag) {
            word.store(value, Ordering::Relaxed);
        }
        let until = now + REMEMBERED.as_millis() as u64;
        place.until.store(until, Ordering::Release);
    }

    fn tag(&self, credentials: &[u8]) -> [u64; 4] {
        let tag = hmac::sign(&self.key, credentials);
        let mut words = [0; 4];
        for (word, octets) in words.iter_mut().zip(tag.as_ref().chunks_exact(8)) {
            *word = octets
                .iter()
                .fold(0, |word, octet| word << 8 | u64::from(*octet));
        }
        words
    }

    fn set(&self, tag: &[u64; 4]) -> &[Place; WAYS] {
        &self.sets[tag[0] as usize & (self.sets.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: u64 = REMEMBERED.as_millis() as u64;

    #[test]
    fn remembers_what_was_added_for_a_while() {
        let remembered = Remembered::new(10).expect("random octets");
        assert!(!remembered.has(b"a:b", 5));
        remembered.add(b"a:b", 5);
        remembered.add(b"a:b", 5);
        assert!(remembered.has(b"a:b", 5) && remembered.has(b"a:b", 4 + LATER));
        assert!(!remembered.has(b"a:b", 5 + LATER));
        for other in [&b"a:c"[..], b"A:b", b"a:b ", b""] {
            assert!(!remembered.has(other, 5));
        }
        // Another reading of the file knows nothing of it.
        assert!(!Remembered::new(10).expect("random octets").has(b"a:b", 5));
    }

    #[test]
    fn more_credentials_than_places_forget_the_oldest() {
        let remembered = Remembered::new(1).expect("random octets");
        let credentials: Vec<Vec<u8>> =
            (0..6).map(|nth| format!("u{nth}:p").into_bytes()).collect();
        for (nth, credentials) in credentials.iter().enumerate() {
            remembered.add(credentials, nth as u64);
        }
        let known: Vec<bool> = credentials.iter().map(|it| remembered.has(it, 6)).collect();
        assert_eq!(known, [false, false, true, true, true, true]);
    }

    #[test]
    fn a_place_that_threads_write_at_once_is_used_on() {
        let remembered = Remembered::new(1).expect("random octets");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let remembered = &remembered;
                scope.spawn(move || {
                    for nth in 0..500 {
                        remembered.add(format!("{thread}:{nth}").as_bytes(), 1);
                    }
                });
            }
        });
        remembered.add(b"a:b", 1);
        assert!(remembered.has(b"a:b", 1) && !remembered.has(b"a:c", 1));
    }
}
