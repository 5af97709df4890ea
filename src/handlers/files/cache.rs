//! What a worker remembers of the paths it was asked for: files with their content, and paths where
//! nothing is. It has one owner, so it needs no lock, and it is bounded.
//!
//! Two generations bound it. An entry that is used goes into the young one. When the young one is
//! full, it becomes the old one, and what the old one held is forgotten. So an entry that is used
//! at least once a generation stays, and a flood of paths that are asked for once only pushes out
//! others of that kind.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hashbrown::{Equivalent, HashMap};

use super::load::CachedFile;

/// The most that the entries of one worker may weigh, in bytes. Half of it, one generation, holds
/// ten thousand files of a few KiB that are asked for again and again.
const CAPACITY: usize = 128 * 1024 * 1024;

/// What an entry weighs without its path and its content: key, table, counters.
const ENTRY: usize = 192;

/// What a path leads to, and when the disk said so.
pub(super) struct Entry {
    pub(super) state: State,
    /// What stood in the way of the file, or of one beside it, in words for the operator.
    pub(super) barrier: Option<Box<str>>,
    /// When the disk was last looked at.
    checked: Cell<Instant>,
}

pub(super) enum State {
    File(CachedFile),
    Directory,
    Missing,
    Forbidden,
}

impl State {
    /// What becomes of the file that was asked for.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Missing => "404",
            Self::Forbidden => "403",
            Self::File(_) | Self::Directory => "a file is passed over",
        }
    }
}

impl Entry {
    pub(super) fn new(state: State, barrier: Option<Box<str>>, checked: Instant) -> Rc<Self> {
        Rc::new(Self {
            state,
            barrier,
            checked: Cell::new(checked),
        })
    }

    /// Whether the disk was looked at less than `period` ago.
    pub(super) fn is_fresh(&self, now: Instant, period: Duration) -> bool {
        now.duration_since(self.checked.get()) < period
    }

    /// Notes that the disk was looked at at `now`, and nothing had changed.
    pub(super) fn confirm(&self, now: Instant) {
        self.checked.set(now);
    }
}

#[derive(PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The handler's id: one path leads to different files in different routes.
    handler: u64,
    path: Box<[u8]>,
}

impl Key {
    pub(super) fn new(handler: u64, path: &[u8]) -> Self {
        let path = path.into();
        Self { handler, path }
    }
}

/// A [`Key`] that borrows its path. It must hash as a `Key` does, with the same fields in the same
/// order.
#[derive(Hash)]
pub(super) struct BorrowedKey<'a> {
    pub(super) handler: u64,
    pub(super) path: &'a [u8],
}

impl Equivalent<Key> for BorrowedKey<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.handler == key.handler && *self.path == *key.path
    }
}

type Table = HashMap<Key, Rc<Entry>, foldhash::fast::RandomState>;

#[derive(Default)]
pub(super) struct Cache {
    young: Table,
    old: Table,
    /// The weight of the young entries.
    weight: usize,
}

impl Cache {
    /// The entry for `path`, fresh or not.
    pub(super) fn find(&mut self, handler: u64, path: &[u8]) -> Option<Rc<Entry>> {
        let key = BorrowedKey { handler, path };
        if let Some(entry) = self.young.get(&key) {
            return Some(Rc::clone(entry));
        }
        let (key, entry) = self.old.remove_entry(&key)?;
        self.put(key, Rc::clone(&entry));
        Some(entry)
    }

    /// Remembers `entry` for `path`, and forgets the entry it had before.
    pub(super) fn insert(&mut self, handler: u64, path: &[u8], entry: Rc<Entry>) {
        self.old.remove(&BorrowedKey { handler, path });
        self.put(Key::new(handler, path), entry);
    }

    fn put(&mut self, key: Key, entry: Rc<Entry>) {
        let added = weigh(&key, &entry);
        let replaced = self
            .young
            .get(&key)
            .map_or(0, |replaced| weigh(&key, replaced));
        self.young.insert(key, entry);
        self.weight = self.weight + added - replaced;
        if self.weight > CAPACITY / 2 {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
    }
}

fn weigh(key: &Key, entry: &Entry) -> usize {
    let content = match &entry.state {
        State::File(file) => file.weight(),
        State::Directory | State::Missing | State::Forbidden => 0,
    };
    ENTRY + key.path.len() + content + entry.barrier.as_ref().map_or(0, |barrier| barrier.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Rc<Entry> {
        Entry::new(State::Missing, None, Instant::now())
    }

    #[test]
    fn finds_what_was_put_there() {
        let mut cache = Cache::default();
        cache.insert(1, b"/a", missing());
        assert!(cache.find(1, b"/a").is_some());
        assert!(cache.find(2, b"/a").is_none(), "another route's");
        assert!(cache.find(1, b"/b").is_none());
    }

    #[test]
    fn stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        cache.insert(1, b"/used", missing());
        cache.insert(1, b"/unused", missing());
        let fits = CAPACITY / ENTRY;
        for number in 0..2 * fits {
            cache.insert(1, format!("/flood/{number}").as_bytes(), missing());
            if number % 1000 == 0 {
                assert!(cache.find(1, b"/used").is_some(), "after {number}");
            }
        }
        assert!(cache.find(1, b"/unused").is_none());
        assert!(cache.young.len() + cache.old.len() <= fits);
    }

    #[test]
    fn is_fresh_for_a_period() {
        let now = Instant::now();
        let entry = Entry::new(State::Missing, None, now);
        let second = Duration::from_secs(1);
        assert!(entry.is_fresh(now, second));
        assert!(
            !entry.is_fresh(now, Duration::ZERO),
            "serve looks every time"
        );
        assert!(!entry.is_fresh(now + second, second));
        entry.confirm(now + second);
        assert!(entry.is_fresh(now + second, second));
    }
}
