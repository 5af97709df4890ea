//! The files that a worker keeps open, so that the next request for one need not open it.
//!
//! A descriptor is scarcer than memory: whatever is kept here is missing to connections. And an open
//! file keeps its octets on the disk, even if it was deleted. So three things bound the files: how many
//! descriptors they have, the memory of what is kept beside them, and how long they are not asked for.
//! The one that was asked for last stays longest.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::entry::{BorrowedKey, Entry, Key, Table};
use super::held::Held;

/// How long a file stays open that is not asked for.
const UNUSED: Duration = Duration::from_secs(4);

/// The most that the entries may weigh, in bytes: fields, and small codings of large files.
const CAPACITY: usize = 32 * 1024 * 1024;

#[derive(Default)]
pub(super) struct OpenFiles {
    entries: Table<OpenFile>,
    descriptors: usize,
    weight: usize,
    /// How often files were asked for.
    uses: u64,
}

struct OpenFile {
    entry: Rc<Entry>,
    /// When it was asked for the last time.
    used: Instant,
    /// How often files had been asked for by then: it orders files that one turn asked for.
    order: u64,
}

impl OpenFiles {
    pub(super) fn find(&mut self, key: &BorrowedKey<'_>, now: Instant) -> Option<Rc<Entry>> {
        let file = self.entries.get_mut(key)?;
        self.uses += 1;
        (file.used, file.order) = (now, self.uses);
        Some(Rc::clone(&file.entry))
    }

    /// Adds an entry; there is none of that key yet. Of more descriptors than `share`, those go that
    /// were asked for longest ago.
    pub(super) fn insert(&mut self, key: Key, entry: Rc<Entry>, now: Instant, share: usize) {
        self.descriptors += entry.descriptors();
        self.weight += key.weight() + entry.weight();
        self.uses += 1;
        let file = OpenFile {
            entry,
            used: now,
            order: self.uses,
        };
        self.entries.insert(key, file);
        if self.descriptors > share || self.weight > CAPACITY {
            self.shrink(share);
        }
    }

    /// Closes the files that were asked for longest ago, an eighth more than have to go: the next
    /// files need no search then.
    fn shrink(&mut self, share: usize) {
        let (most, heaviest) = (share - share / 8, CAPACITY - CAPACITY / 8);
        let mut costs: Vec<_> = self.entries.values().map(OpenFile::cost).collect();
        costs.sort_unstable();
        let (mut descriptors, mut weight) = (self.descriptors, self.weight);
        let mut last_gone = 0;
        for (order, of_file, weight_of_file) in costs {
            if descriptors <= most && weight <= heaviest {
                break;
            }
            descriptors -= of_file;
            weight -= weight_of_file;
            last_gone = order;
        }
        self.retain(|_, file| file.order > last_gone);
    }

    /// Closes the files whose keys are not `kept`.
    pub(super) fn retain_keys(&mut self, is_kept: impl Fn(&Key) -> bool) {
        self.retain(|key, _| is_kept(key));
    }

    pub(super) fn remove(&mut self, key: &BorrowedKey<'_>) {
        if let Some((key, file)) = self.entries.remove_entry(key) {
            self.forget(&key, &file);
        }
    }

    /// Closes what has not been asked for lately.
    pub(super) fn close_unused(&mut self, now: Instant) {
        self.retain(|_, file| now.duration_since(file.used) < UNUSED);
    }

    /// Closes everything that is not being sent; whether anything was open.
    pub(super) fn close_all(&mut self) -> bool {
        !std::mem::take(self).entries.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What it holds.
    pub(super) fn held(&self) -> Held {
        Held {
            entries: self.entries.len(),
            bytes: self.weight,
        }
    }

    fn retain(&mut self, is_kept: impl Fn(&Key, &OpenFile) -> bool) {
        let gone = self.entries.extract_if(|key, file| !is_kept(key, file));
        let gone: Vec<_> = gone.collect();
        for (key, file) in gone {
            self.forget(&key, &file);
        }
    }

    fn forget(&mut self, key: &Key, file: &OpenFile) {
        self.descriptors -= file.entry.descriptors();
        self.weight -= key.weight() + file.entry.weight();
    }

    #[cfg(test)]
    pub(super) fn descriptors(&self) -> usize {
        self.descriptors
    }
}

impl OpenFile {
    /// Its order, its descriptors, and its weight without that of its path.
    fn cost(&self) -> (u64, usize, usize) {
        (self.order, self.entry.descriptors(), self.entry.weight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Files;
    use crate::disk::beneath::Waiting;
    use crate::handlers::files::entry::State;
    use crate::handlers::files::load::MAX_IN_MEMORY;
    use crate::handlers::files::look::{FilesRoute, Look, Outcome};
    use crate::test_support::TemporaryDirectory;
    use std::sync::Arc;

    /// A file that is too large for the memory.
    fn large() -> (TemporaryDirectory, Rc<Entry>) {
        let tree = TemporaryDirectory::new("open-files");
        tree.write("large", &vec![b'x'; MAX_IN_MEMORY as usize + 1]);
        let options = Files::beneath(tree.path().to_owned());
        let look = Look {
            route: Arc::new(FilesRoute::new(&options)),
            root: None,
            path: b"/large".to_vec(),
            directory: None,
            known: Vec::new(),
        };
        match look.run(Waiting::Allowed).expect("no error").outcome {
            Outcome::File(loaded) => {
                let state = State::File(loaded.into_cached(&options));
                (tree, Entry::new(state, None, Instant::now()))
            }
            _ => panic!("it is a file"),
        }
    }

    fn key(path: &'static str) -> BorrowedKey<'static> {
        BorrowedKey {
            handler: 1,
            path: path.as_bytes(),
        }
    }

    /// A worker kept every file open that it was ever asked for, until no descriptor was left and
    /// every request was answered 503.
    #[test]
    fn of_too_many_files_those_go_that_were_asked_for_longest_ago() {
        let (_tree, entry) = large();
        let (mut files, now) = (OpenFiles::default(), Instant::now());
        let names = ["0", "1", "2", "3", "4", "5", "6", "7"];
        for name in names {
            files.insert(Key::new(1, name.as_bytes()), Rc::clone(&entry), now, 8);
        }
        assert_eq!(files.descriptors(), 8);
        assert!(files.find(&key("0"), now).is_some());
        files.insert(Key::new(1, b"8"), Rc::clone(&entry), now, 8);
        assert_eq!(files.descriptors(), 7, "an eighth more than has to go");
        for (name, is_open) in [
            ("0", true),
            ("1", false),
            ("2", false),
            ("3", true),
            ("8", true),
        ] {
            assert_eq!(files.find(&key(name), now).is_some(), is_open, "{name}");
        }
        files.insert(Key::new(1, b"9"), Rc::clone(&entry), now, 1);
        assert_eq!(files.descriptors(), 1, "the share has become smaller");
        assert!(files.find(&key("9"), now).is_some());
    }

    /// A large file that was deleted was kept open, and its octets on the disk, as long as the server
    /// ran.
    #[test]
    fn a_file_that_is_not_asked_for_is_closed() {
        let (_tree, entry) = large();
        let (mut files, now) = (OpenFiles::default(), Instant::now());
        for name in [b"a", b"b"] {
            files.insert(Key::new(1, name), Rc::clone(&entry), now, 8);
        }
        let later = now + UNUSED / 2;
        assert!(files.find(&key("b"), later).is_some());
        files.close_unused(now + UNUSED);
        assert!(files.find(&key("a"), later).is_none());
        assert!(files.find(&key("b"), later).is_some());
        files.close_unused(later + UNUSED);
        assert!(files.is_empty());
        assert_eq!((files.descriptors, files.weight), (0, 0));
        assert_eq!(Rc::strong_count(&entry), 1);
    }
}
