//! The buckets of a rate, of all workers together, in memory of a fixed size.
//!
//! ```text
//!   hash of the key ─→ set ─┬ lock
//!                           ├ keys     k₀ k₁ … k₁₅      hashes, of which each is a key
//!                           └ full at  t₀ t₁ … t₁₅      when its bucket is full again
//! ```
//!
//! A key has its place in one set. Workers that ask for keys of different sets do not meet, and two that
//! ask for the same one see each other's changes, so that the count is exact. A lock is held for a look
//! at sixteen numbers; nothing is allocated.
//!
//! Where a set is full, the bucket goes that is full soonest: the key that has asked least. A flood of new
//! keys has buckets that lack one request each, so it displaces its own, and not that of a client which
//! has used its up. With `burst = 1` every used bucket lacks one request, and the oldest goes: `max_keys` has
//! to be enough for the clients of one interval.
//!
//! The hash is keyed (SipHash), so that no client can choose keys of one set; and of 64
//! bits, so that two keys share a bucket once in 2⁶⁴ / `max_keys`.

use std::collections::TryReserveError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys of a set: their hashes fill two cache lines.
const WAYS: usize = 16;

/// Buckets by the hash of their keys.
#[derive(Debug)]
pub(super) struct Table {
    sets: Box<[Mutex<Set>]>,
    /// Places that are used of each set.
    ways: usize,
    /// How many buckets were given up that were not full.
    evicted: AtomicU64,
}

#[derive(Debug, Default)]
struct Set {
    /// 0: the place is free.
    keys: [u64; WAYS],
    full_at: [u64; WAYS],
    /// The latest moment at which a worker has asked for one of the keys.
    latest: u64,
}

impl Table {
    /// A table for `max_keys` keys, or up to fifteen more.
    ///
    /// # Errors
    /// The system does not give the memory. It may be 170 MB, so that this is no reason to abort the process.
    pub(super) fn new(max_keys: usize) -> Result<Self, TryReserveError> {
        let count = max_keys.div_ceil(WAYS).max(1);
        let mut sets: Vec<Mutex<Set>> = Vec::new();
        sets.try_reserve_exact(count)?;
        sets.resize_with(count, Mutex::default);
        Ok(Self {
            sets: sets.into_boxed_slice(),
            ways: max_keys.clamp(1, WAYS),
            evicted: AtomicU64::new(0),
        })
    }

    /// Has `change` say what the bucket of `key` becomes at `now`: it is given when the bucket is full, 0 for
    /// one of which nothing is known, and the moment that counts; it returns when the bucket is full from now
    /// on, if that changes.
    ///
    /// Each worker reads the clock once a turn, so one that asks later may name an earlier moment. What counts
    /// is the latest that any has named: otherwise the request of the other worker would seem to lie ahead,
    /// and the last request of a burst would be refused.
    pub(super) fn change<R>(
        &self,
        key: u64,
        now: u64,
        change: impl FnOnce(u64, u64) -> (Option<u64>, R),
    ) -> R {
        let key = key.max(1);
        let mut set = self.set(key);
        let now = set.latest.max(now);
        set.latest = now;
        let place = set.keys[..self.ways].iter().position(|other| *other == key);
        let (becomes, result) = change(place.map_or(0, |place| set.full_at[place]), now);
        if let Some(full_at) = becomes {
            let place = place.unwrap_or_else(|| self.make_place(&mut set, now));
            set.keys[place] = key;
            set.full_at[place] = full_at;
        }
        result
    }

    /// How many buckets were given up for others before they were full again.
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The place of the bucket that is full soonest.
    fn make_place(&self, set: &mut Set, now: u64) -> usize {
        let places = 0..self.ways;
        let place = places.min_by_key(|place| set.full_at[*place]).unwrap_or(0);
        if set.full_at[place] > now {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        place
    }

    fn set(&self, key: u64) -> MutexGuard<'_, Set> {
        // The upper half of the product: every set gets as many of all hashes.
        let index = (u128::from(key) * self.sets.len() as u128) >> 64;
        // A panic cannot leave a set half changed.
        self.sets[index as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes differ in all their bits.
    fn hash(key: u64) -> u64 {
        (key + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn put(table: &Table, key: u64, full_at: u64) {
        table.change(key, 0, |_, _| (Some(full_at), ()));
    }

    /// When the bucket of `key` is full; 0 if nothing is known of it.
    fn look(table: &Table, key: u64) -> u64 {
        table.change(key, 0, |full_at, _| (None, full_at))
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        assert!(Table::new(usize::MAX).is_err());
    }

    #[test]
    fn the_latest_moment_that_was_named_counts() {
        let table = Table::new(16).expect("there is memory");
        let moment = |now| table.change(7, now, |_, now| (None, now));
        assert_eq!([5, 3, 6, 0].map(moment), [5, 5, 6, 6]);
    }

    #[test]
    fn a_key_keeps_its_bucket() {
        let table = Table::new(1000).expect("there is memory");
        for key in 0..500 {
            put(&table, hash(key), key + 7);
        }
        for key in 0..500 {
            assert_eq!(look(&table, hash(key)), key + 7);
        }
        assert_eq!((look(&table, 12), table.evicted()), (0, 0));
    }

    #[test]
    fn the_bucket_that_is_full_soonest_makes_room() {
        let table = Table::new(3).expect("there is memory");
        for (key, full_at) in [(1, 30), (2, 10), (3, 20), (4, 40)] {
            put(&table, key, full_at);
        }
        let found = [1, 2, 3, 4].map(|key| look(&table, key));
        assert_eq!((found, table.evicted()), ([30, 0, 20, 40], 1));
        // One that is full already is no loss.
        table.change(5, 25, |_, _| (Some(50), ()));
        let found = [1, 3, 4, 5].map(|key| look(&table, key));
        assert_eq!((found, table.evicted()), ([30, 0, 40, 50], 1));
    }

    #[test]
    fn holds_no_more_keys_than_it_may() {
        let table = Table::new(64).expect("there is memory");
        for key in 0..100_000 {
            put(&table, hash(key), 1_000_000 + key);
        }
        let known = (0..100_000)
            .filter(|key| look(&table, hash(*key)) > 0)
            .count();
        assert!(known <= 64, "{known}");
        assert_eq!(table.evicted(), 100_000 - known as u64);
    }

    #[test]
    fn workers_see_each_others_changes() {
        let table = Table::new(100).expect("there is memory");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for key in 0..1000 {
                        table.change(key % 7, 0, |count, _| (Some(count + 1), ()));
                    }
                });
            }
        });
        // 0 and 1 are one key.
        let counts: u64 = (1..7).map(|key| look(&table, key)).sum();
        assert_eq!(counts, 8000);
    }
}
