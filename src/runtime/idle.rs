//! The sources that their tasks can do without, by how long they have been idle.
//!
//! A connection becomes idle with every exchange, and is given up almost never. So becoming idle costs one
//! store, and the oldest are looked for among all sources when one of them is to be given up, many at a
//! time.

use std::time::Duration;

/// How many of the oldest sources are found in one walk over all.
const FOUND_AT_ONCE: usize = 256;

/// Which sources have been idle longest.
#[derive(Default)]
pub(super) struct IdleSources {
    /// The time since the runtime's start.
    pub(super) now: Duration,
    /// For each key, since when its source is idle, if it is.
    since: Vec<Duration>,
    /// Those found by the last walk, the oldest last. A source in it may no longer be idle; one that is
    /// not in it is younger.
    found: Vec<Oldest>,
}

/// A source, and since when it was idle.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Oldest {
    pub(super) since: Duration,
    pub(super) key: usize,
}

impl IdleSources {
    /// Makes room for a source of that key.
    pub(super) fn make_room_for(&mut self, key: usize) {
        if self.since.len() <= key {
            self.since.resize(key + 1, Duration::ZERO);
        }
    }

    /// Takes note that the source becomes idle.
    pub(super) fn begin(&mut self, key: usize) {
        self.since[key] = self.now;
    }

    /// The source that has been idle longest; `None` if none is idle. `keys` are those of all sources.
    pub(super) fn oldest(
        &mut self,
        keys: impl Iterator<Item = usize>,
        is_idle: impl Fn(usize) -> bool,
    ) -> Option<Oldest> {
        if let Some(oldest) = self.next_found(&is_idle) {
            return Some(oldest);
        }
        let since = |key| Oldest {
            since: self.since[key],
            key,
        };
        self.found = keys.filter(|key| is_idle(*key)).map(since).collect();
        let age = |oldest: &Oldest| (oldest.since, oldest.key);
        if self.found.len() > FOUND_AT_ONCE {
            self.found.select_nth_unstable_by_key(FOUND_AT_ONCE, age);
            self.found.truncate(FOUND_AT_ONCE);
        }
        self.found.sort_unstable_by_key(age);
        self.found.reverse();
        self.next_found(&is_idle)
    }

    /// The oldest of those that were found and are still idle.
    fn next_found(&mut self, is_idle: &impl Fn(usize) -> bool) -> Option<Oldest> {
        while let Some(oldest) = self.found.last().copied() {
            if is_idle(oldest.key) && self.since[oldest.key] == oldest.since {
                return Some(oldest);
            }
            self.found.pop();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_still_idle_is_found() {
        const COUNT: usize = 3 * FOUND_AT_ONCE;
        let mut sources = IdleSources::default();
        let mut is_idle = vec![true; COUNT];
        // The highest key has been idle longest.
        for key in (0..COUNT).rev() {
            sources.make_room_for(key);
        }
        for key in (0..COUNT).rev() {
            sources.now += Duration::from_millis(1);
            sources.begin(key);
        }
        is_idle[COUNT - 2] = false;
        for key in (0..COUNT).rev().filter(|key| *key != COUNT - 2) {
            let oldest = sources.oldest(0..COUNT, |key| is_idle[key]);
            assert_eq!(oldest.map(|oldest| oldest.key), Some(key));
            is_idle[key] = false;
        }
        let none = sources.oldest(0..COUNT, |key| is_idle[key]);
        assert!(none.is_none());
    }
}
