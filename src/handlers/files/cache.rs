//! What a worker remembers of the paths it was asked for: files with their content, open files, and
//! paths where nothing is. It has one owner, so it needs no lock, and each table in it is bounded.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use super::entry::{BorrowedKey, Entry, Key, State};
use super::generations::Generations;
use super::held::Held;
use super::open_files::OpenFiles;

/// The most that the files of one worker may weigh whose content is in memory, in bytes. Half of it,
/// one generation, holds ten thousand files of a few KiB that are asked for again and again.
const FILES_CAPACITY: usize = 128 * 1024 * 1024;

/// The most that paths may weigh which lead to no file, in bytes. Clients can ask for any number of
/// them, and a look that finds nothing costs little.
const OTHERS_CAPACITY: usize = 2 * 1024 * 1024;

/// Entries stand in one of three tables, by what is scarce about them.
pub(super) struct Cache {
    /// Files whose content is in memory.
    files: Generations,
    /// Files that are open.
    open: OpenFiles,
    /// Paths that lead to no file.
    others: Generations,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            files: Generations::new(FILES_CAPACITY),
            open: OpenFiles::default(),
            others: Generations::new(OTHERS_CAPACITY),
        }
    }
}

impl Cache {
    /// The entry for `path`, fresh or not.
    // Two callers, of which one is hot: without this the compiler inlines it into neither.
    #[inline(always)]
    pub(super) fn find(&mut self, handler: u64, path: &[u8], now: Instant) -> Option<Rc<Entry>> {
        let key = BorrowedKey { handler, path };
        self.files
            .find_young(&key)
            .or_else(|| self.open.find(&key, now))
            .or_else(|| self.others.find_young(&key))
            .or_else(|| self.files.find_old(&key))
            .or_else(|| self.others.find_old(&key))
    }

    /// Remembers `entry` for `path`, and forgets the entry it had before. At most `share` descriptors
    /// stay open.
    pub(super) fn insert(
        &mut self,
        (handler, path): (u64, &[u8]),
        entry: Rc<Entry>,
        now: Instant,
        share: usize,
    ) {
        let key = BorrowedKey { handler, path };
        self.files.remove(&key);
        self.open.remove(&key);
        self.others.remove(&key);
        let key = Key::new(handler, path);
        match &entry.state {
            State::File(_) if entry.descriptors() > 0 => self.open.insert(key, entry, now, share),
            State::File(_) => self.files.insert(key, entry),
            State::Directory | State::Page | State::Missing | State::Forbidden => {
                self.others.insert(key, entry)
            }
        }
    }

    /// Forgets the paths of all routes whose ids are not among `kept`.
    pub(super) fn keep_routes(&mut self, kept: &HashSet<u64>) {
        let is_kept = |key: &Key| kept.contains(&key.handler());
        self.files.retain(is_kept);
        self.open.retain_keys(is_kept);
        self.others.retain(is_kept);
    }

    /// What the tables hold: of files in memory, of open files, of paths that lead to no file.
    pub(super) fn held(&self) -> [Held; 3] {
        [self.files.held(), self.open.held(), self.others.held()]
    }

    /// The files that are open.
    pub(super) fn open_files(&mut self) -> &mut OpenFiles {
        &mut self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::files::entry::ENTRY;

    fn missing() -> Rc<Entry> {
        Entry::new(State::Missing, None, Instant::now())
    }

    fn insert(cache: &mut Cache, handler: u64, path: &str) {
        let now = Instant::now();
        cache.insert((handler, path.as_bytes()), missing(), now, 0);
    }

    fn has(cache: &mut Cache, handler: u64, path: &str) -> bool {
        let found = cache.find(handler, path.as_bytes(), Instant::now());
        found.is_some()
    }

    #[test]
    fn finds_what_was_put_there() {
        let mut cache = Cache::default();
        insert(&mut cache, 1, "/a");
        assert!(has(&mut cache, 1, "/a"));
        assert!(!has(&mut cache, 2, "/a"), "another route's");
        assert!(!has(&mut cache, 1, "/b"));
    }

    #[test]
    fn stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = Cache::default();
        insert(&mut cache, 1, "/used");
        insert(&mut cache, 1, "/unused");
        let fits = OTHERS_CAPACITY / ENTRY;
        for number in 0..2 * fits {
            insert(&mut cache, 1, &format!("/flood/{number}"));
            if number % 1000 == 0 {
                assert!(has(&mut cache, 1, "/used"), "after {number}");
            }
        }
        assert!(!has(&mut cache, 1, "/unused"));
        assert!(cache.others.len() <= fits);
        let [files, open, others] = cache.held();
        assert_eq!((files, open), (Held::default(), Held::default()));
        assert_eq!(others.entries, cache.others.len());
        let (least, most) = (ENTRY * others.entries, OTHERS_CAPACITY);
        assert!((least..=most).contains(&others.bytes), "{others:?}");
    }

    /// Every path may be asked for, also those of 8,000 octets that lead nowhere. They filled the
    /// memory that is meant for the content of files: 128 MiB in each worker.
    #[test]
    fn paths_that_lead_nowhere_have_a_small_budget_of_their_own() {
        let mut cache = Cache::default();
        let long = "x".repeat(8000);
        for number in 0..1000 {
            insert(&mut cache, 1, &format!("/{number}/{long}"));
        }
        assert!(cache.others.len() <= OTHERS_CAPACITY / long.len());
        assert_eq!(cache.files.len(), 0);
    }

    /// A reload that changes a route gives it another id. What was cached for the id of before stayed, and every reload
    /// added to it.
    #[test]
    fn routes_that_no_generation_has_any_more_are_forgotten() {
        let mut cache = Cache::default();
        for handler in [1, 2] {
            insert(&mut cache, handler, "/young");
        }
        let [.., both] = cache.held();
        // Until what was added first is old.
        while cache
            .others
            .find_young(&BorrowedKey {
                handler: 1,
                path: b"/young",
            })
            .is_some()
        {
            let number = cache.others.len();
            insert(&mut cache, 3, &format!("/{number}"));
        }
        insert(&mut cache, 1, "/new");
        cache.keep_routes(&HashSet::from([2]));
        assert!(has(&mut cache, 2, "/young"));
        assert!(!has(&mut cache, 1, "/young") && !has(&mut cache, 1, "/new"));
        let [.., left] = cache.held();
        assert_eq!((left.entries, left.bytes), (1, both.bytes / 2));
        cache.keep_routes(&HashSet::new());
        assert_eq!(cache.held(), [Held::default(); 3]);
    }

    #[test]
    fn a_path_has_one_entry_whatever_it_leads_to() {
        let mut cache = Cache::default();
        insert(&mut cache, 1, "/a");
        let [.., one] = cache.held();
        insert(&mut cache, 1, "/a");
        assert_eq!(cache.others.len(), 1);
        let [.., again] = cache.held();
        assert_eq!(again, one);
    }
}
