//! An entry of the cache: what a path leads to, and the key under which a table has it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hashbrown::{Equivalent, HashMap};

use super::load::CachedFile;

/// What an entry weighs without its path and its content: key, table, counters.
pub(super) const ENTRY: usize = 192;

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
    /// The page of a clean URL, which is at the path without its final slash.
    Page,
    Missing,
    Forbidden,
}

impl State {
    /// What becomes of the file that was asked for.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Missing => "404",
            Self::Forbidden => "403",
            Self::File(_) | Self::Directory | Self::Page => "a file is passed over",
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
        now < self.checked.get() + period
    }

    /// This entry, with `file` in the place of the file that it has.
    pub(super) fn with_file(&self, file: CachedFile) -> Rc<Self> {
        Rc::new(Self {
            state: State::File(file),
            barrier: self.barrier.clone(),
            checked: self.checked.clone(),
        })
    }

    /// Whether both are files, in the same state.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        match (&self.state, &other.state) {
            (State::File(one), State::File(other)) => one.identities().eq(other.identities()),
            _ => false,
        }
    }

    /// Notes that the disk was looked at at `now`, and nothing had changed.
    pub(super) fn confirm(&self, now: Instant) {
        self.checked.set(now);
    }

    /// How much it weighs in the cache's bounds without its path, in bytes.
    pub(super) fn weight(&self) -> usize {
        let content = match &self.state {
            State::File(file) => file.weight(),
            State::Directory | State::Page | State::Missing | State::Forbidden => 0,
        };
        ENTRY + content + self.barrier.as_ref().map_or(0, |barrier| barrier.len())
    }

    /// How many descriptors it keeps open.
    pub(super) fn descriptors(&self) -> usize {
        match &self.state {
            State::File(file) => file.descriptors(),
            State::Directory | State::Page | State::Missing | State::Forbidden => 0,
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// The handler's id: one path leads to different files in different routes.
    handler: u64,
    path: Box<[u8]>,
}

impl Key {
    pub(crate) fn new(handler: u64, path: &[u8]) -> Self {
        let path = path.into();
        Self { handler, path }
    }

    /// The id of the handler whose path it is.
    pub(crate) fn handler(&self) -> u64 {
        self.handler
    }

    /// How much it weighs in the cache's bounds, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.path.len()
    }
}

/// A [`Key`] that borrows its path. It must hash as a `Key` does, with the same fields in the same
/// order.
#[derive(Hash)]
pub(crate) struct BorrowedKey<'a> {
    pub(crate) handler: u64,
    pub(crate) path: &'a [u8],
}

impl Equivalent<Key> for BorrowedKey<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.handler == key.handler && *self.path == *key.path
    }
}

pub(crate) type Table<T> = HashMap<Key, T, foldhash::fast::RandomState>;

#[cfg(test)]
mod tests {
    use super::*;

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
