//! The sources that their tasks can do without, by how long they have been idle.
//!
//! A connection becomes idle with every exchange, and is given up almost never. So becoming idle costs one
//! store, and the oldest are looked for among all sources when one of them is to be given up, many at a
//! time.

use std::time::Duration;

use slab::Slab;

use super::reactor::Source;

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

    /// The source that has been idle longest; `None` if none is idle.
    pub(super) fn oldest(&mut self, sources: &Slab<Source>) -> Option<Oldest> {
        if let Some(oldest) = self.next_found(sources) {
            return Some(oldest);
        }
        let idle = sources.iter().filter(|(_, source)| source.is_idle());
        let since = |key: usize| self.since[key];
        self.found = idle
            .map(|(key, _)| Oldest {
                since: since(key),
                key,
            })
            .collect();
        let age = |oldest: &Oldest| (oldest.since, oldest.key);
        if self.found.len() > FOUND_AT_ONCE {
            self.found.select_nth_unstable_by_key(FOUND_AT_ONCE, age);
            self.found.truncate(FOUND_AT_ONCE);
        }
        self.found.sort_unstable_by_key(age);
        self.found.reverse();
        self.next_found(sources)
    }

    /// The oldest of those that were found and are still idle.
    fn next_found(&mut self, sources: &Slab<Source>) -> Option<Oldest> {
        while let Some(oldest) = self.found.last().copied() {
            let source = sources.get(oldest.key);
            let is_idle = source.is_some_and(Source::is_idle);
            if is_idle && self.since[oldest.key] == oldest.since {
                return Some(oldest);
            }
            self.found.pop();
        }
        None
    }
}
