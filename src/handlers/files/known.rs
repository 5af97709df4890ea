//! What a worker knows of a path: from its cache, by a cheap check, or by a look at the disk.
//!
//! ```text
//! path ─ cache ── fresh ─────────────────────────────────────────┐
//!          ├ stale, but unchanged ───────────────────────────────┤
//!          └ changed or unknown → Look::run ─ from memory ───────┤→ Entry
//!                                   └ WouldBlock → blocking pool ┘
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::coded::{self, Made};
use super::entry::{Entry, State};
use super::error::FilesError;
use super::load::Choice;
use super::look::{FilesRoute, Look, Outcome, Seen};
use super::unchanged::DirectoryState;
use super::worker_state::WorkerState;
use crate::disk::barrier::Barrier;
use crate::disk::beneath::{Root, Waiting};
use crate::disk::now_or_on_pool;
use crate::log::limited;
use crate::message::request::Request;
use crate::runtime;

/// What the cache has for a path.
enum Cached {
    /// An entry that another look would confirm.
    Current(Rc<Entry>),
    /// An entry that has to be compared with what is there now.
    Old(Rc<Entry>),
    Nothing,
}

impl FilesRoute {
    /// The entry of `path`, without waiting: from the cache, or by a look at what the system holds
    /// in memory.
    pub(super) fn entry_now(
        self: &Arc<Self>,
        path: &[u8],
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Rc<Entry>> {
        let known = match self.cached(path, request, state) {
            Cached::Current(entry) => return Some(entry),
            Cached::Old(entry) => Some(entry),
            Cached::Nothing => None,
        };
        let look = self.look(path, known.as_deref(), state);
        let seen = look.run(Waiting::Never).ok()?;
        Some(self.remember(path, known, seen, state))
    }

    /// What the cache has for `path`, and whether a cheap look shows that it is still right.
    fn cached(self: &Arc<Self>, path: &[u8], request: &Request<'_>, state: &WorkerState) -> Cached {
        let now = runtime::now();
        let Some(entry) = state.find(self.id, path, now) else {
            return Cached::Nothing;
        };
        if self.is_fresh(&entry, request, now) || self.confirm_unchanged(path, &entry, state) {
            state.hits.set(state.hits.get() + 1);
            Cached::Current(entry)
        } else {
            Cached::Old(entry)
        }
    }

    /// Whether `entry` is believed at `now` without a look at its path.
    ///
    /// The content of an open file is read when it is sent. So the file is looked at before its head is
    /// sent, whatever its path leads to by now: it may have been overwritten in place, and another
    /// length and another entity tag would be told than those of the content.
    fn is_fresh(&self, entry: &Entry, request: &Request<'_>, now: Instant) -> bool {
        if !entry.is_fresh(now, self.options.revalidate) {
            return false;
        }
        let State::File(file) = &entry.state else {
            return true;
        };
        if !file.is_open() {
            return true;
        }
        file.is_as_opened(request.head, &self.options)
    }

    /// `entry`, which is that of `path`, with the coding that has to be made for the client. Without it, if
    /// there is none to be made, or none is to be had.
    pub(super) async fn with_coding(
        self: &Arc<Self>,
        path: &[u8],
        entry: Rc<Entry>,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Rc<Entry> {
        let State::File(file) = &entry.state else {
            return entry;
        };
        let Choice::ToMake(coding) = file.choose(request.head, &self.options) else {
            return entry;
        };
        let (_, identity, itself) = file.itself();
        let octets = match coded::make(*identity, coding, itself.body(), &state.coding).await {
            Made::Octets(octets) => octets,
            Made::Nothing => {
                file.leave_as_it_is();
                return entry;
            }
            Made::NotNow => return entry,
        };
        // Another coding may have been made meanwhile, and the file may have changed.
        let current = state.find(self.id, path, runtime::now());
        let current = current.filter(|current| current.is_same_file(&entry));
        let is_current = current.is_some();
        let entry = current.unwrap_or(entry);
        let State::File(file) = &entry.state else {
            return entry;
        };
        let file = file.with_made(coding, octets, &self.options);
        let entry = entry.with_file(file);
        if is_current {
            state.insert(self.id, path, &entry);
        }
        entry
    }

    /// The entry of `path`, with a look that may wait on the pool.
    pub(super) async fn entry(
        self: &Arc<Self>,
        path: &[u8],
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Result<Rc<Entry>, FilesError> {
        let known = match self.cached(path, request, state) {
            Cached::Current(entry) => return Ok(entry),
            Cached::Old(entry) => Some(entry),
            Cached::Nothing => None,
        };
        let look = self.look(path, known.as_deref(), state);
        let seen = now_or_on_pool(&state.disk, move |waiting| look.run(waiting)).await?;
        let seen = seen.map_err(|source| FilesError::reading(self, path, source))?;
        Ok(self.remember(path, known, seen, state))
    }

    /// Whether a cheap look confirms `entry`, which is then as fresh as that look.
    fn confirm_unchanged(
        self: &Arc<Self>,
        path: &[u8],
        entry: &Entry,
        state: &WorkerState,
    ) -> bool {
        let State::File(file) = &entry.state else {
            return false;
        };
        let Some(root) = self.root_now(state) else {
            return false;
        };
        let seen = self.directory_now(&root, path, state);
        let confirming = seen.filter(|seen| seen.confirms(&root, file));
        if let Some(seen) = confirming {
            entry.confirm(seen.at);
        }
        confirming.is_some()
    }

    fn look(self: &Arc<Self>, path: &[u8], known: Option<&Entry>, state: &WorkerState) -> Look {
        let root = self.root_now(state);
        let seen = root
            .as_ref()
            .and_then(|root| self.directory_now(root, path, state));
        Look {
            route: Arc::clone(self),
            root,
            directory: seen.and_then(|seen| seen.identity),
            path: path.to_vec(),
            known: match known.map(|entry| &entry.state) {
                Some(State::File(file)) => file.identities().collect(),
                _ => Vec::new(),
            },
        }
    }

    /// The open root; `None` if opening it would have to wait. It is opened again after
    /// `revalidate`, because its name may lead to another directory now.
    fn root_now(&self, state: &WorkerState) -> Option<Arc<Root>> {
        if let Some(root) = state.root(self.id) {
            return Some(root);
        }
        let options = &self.options;
        let root = Root::open(&options.root, &options.links, Waiting::Never).ok()?;
        let root = Arc::new(root);
        self.keep_root(Arc::clone(&root), state);
        Some(root)
    }

    fn keep_root(&self, root: Arc<Root>, state: &WorkerState) {
        state.keep_root(self.id, root, self.options.revalidate);
    }

    /// The state of the directory of `path`; `None` if every look must be a full one.
    fn directory_now(
        &self,
        root: &Root,
        path: &[u8],
        state: &WorkerState,
    ) -> Option<DirectoryState> {
        let period = self.options.revalidate;
        let mut directories = state.directories.borrow_mut();
        let see = || directories.of((self.id, root), path, runtime::now(), period);
        (!period.is_zero()).then(see)
    }

    fn remember(
        self: &Arc<Self>,
        path: &[u8],
        known: Option<Rc<Entry>>,
        seen: Seen,
        state: &WorkerState,
    ) -> Rc<Entry> {
        state.misses.set(state.misses.get() + 1);
        let now = runtime::now();
        if let Some(root) = seen.new_root {
            self.keep_root(root, state);
        }
        let found = match (seen.outcome, known) {
            (Outcome::Unchanged(directory), Some(entry)) => {
                entry.confirm(now);
                if let State::File(file) = &entry.state {
                    file.set_directory(directory);
                }
                return entry;
            }
            (Outcome::File(loaded), _) => State::File(loaded.into_cached(&self.options)),
            (Outcome::Directory, _) => State::Directory,
            (Outcome::Page, _) => State::Page,
            (Outcome::Forbidden, _) => State::Forbidden,
            (Outcome::Missing | Outcome::Unchanged(_), _) => State::Missing,
        };
        let barrier = seen.barrier.map(|barrier| tell(path, &found, &barrier));
        let entry = Entry::new(found, barrier, now);
        state.insert(self.id, path, &entry);
        entry
    }
}

/// Tells the operator what stood in the way of the file at `path`, or of one beside it. Returns the
/// words for it.
fn tell(path: &[u8], found: &State, barrier: &Barrier) -> Box<str> {
    if barrier.is_worth_a_line() {
        let path = String::from_utf8_lossy(path);
        let outcome = found.describe();
        limited::warn(format_args!("{outcome} for {path:?}: {barrier}"));
    }
    barrier.to_string().into()
}
