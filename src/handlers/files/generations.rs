//! A table that is bounded by what its entries weigh.
//!
//! Two generations bound it. An entry that is used goes into the young one. When the young one is
//! full, it becomes the old one, and what the old one held is forgotten. So an entry that is used
//! at least once a generation stays, and a flood of paths that are asked for once only pushes out
//! others of that kind.

use std::rc::Rc;

use super::entry::{BorrowedKey, Entry, Key, Table};
use super::held::Held;

pub(super) struct Generations {
    young: Table<Rc<Entry>>,
    old: Table<Rc<Entry>>,
    /// The weight of the young entries.
    weight: usize,
    /// The weight of the old entries.
    old_weight: usize,
    /// The most that all entries may weigh, in bytes.
    capacity: usize,
}

impl Generations {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            young: Table::default(),
            old: Table::default(),
            weight: 0,
            old_weight: 0,
            capacity,
        }
    }

    /// The entry of `key`, if it is young.
    #[inline]
    pub(super) fn find_young(&self, key: &BorrowedKey<'_>) -> Option<Rc<Entry>> {
        self.young.get(key).map(Rc::clone)
    }

    /// The entry of `key`, if it is old; it becomes young.
    pub(super) fn find_old(&mut self, key: &BorrowedKey<'_>) -> Option<Rc<Entry>> {
        let (key, entry) = self.old.remove_entry(key)?;
        self.old_weight -= weigh(&key, &entry);
        self.insert(key, Rc::clone(&entry));
        Some(entry)
    }

    /// Adds an entry; there is none of that key yet.
    pub(super) fn insert(&mut self, key: Key, entry: Rc<Entry>) {
        self.weight += weigh(&key, &entry);
        self.young.insert(key, entry);
        if self.weight > self.capacity / 2 {
            self.old = std::mem::take(&mut self.young);
            self.old_weight = std::mem::take(&mut self.weight);
        }
    }

    pub(super) fn remove(&mut self, key: &BorrowedKey<'_>) {
        if let Some((key, entry)) = self.old.remove_entry(key) {
            self.old_weight -= weigh(&key, &entry);
        }
        if let Some((key, entry)) = self.young.remove_entry(key) {
            self.weight -= weigh(&key, &entry);
        }
    }

    /// Forgets the entries whose keys are not `kept`.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Key) -> bool) {
        let gone = self.young.extract_if(|key, _| !is_kept(key));
        self.weight -= gone.map(|(key, entry)| weigh(&key, &entry)).sum::<usize>();
        let gone = self.old.extract_if(|key, _| !is_kept(key));
        self.old_weight -= gone.map(|(key, entry)| weigh(&key, &entry)).sum::<usize>();
    }

    /// What it holds.
    pub(super) fn held(&self) -> Held {
        Held {
            entries: self.young.len() + self.old.len(),
            bytes: self.weight + self.old_weight,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

fn weigh(key: &Key, entry: &Entry) -> usize {
    key.weight() + entry.weight()
}
