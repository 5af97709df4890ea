//! What a worker keeps for its `files` routes, and for how long.
//!
//! Descriptors are the scarce part of it. Tasks close files and roots that are not asked for, for as long
//! as there are any; and if descriptors run out, whatever the worker can open again is closed.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::error::Error;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::entry::Entry;
use super::held::Held;
use super::listings::Listings;
use super::roots::Roots;
use super::unchanged::Directories;
use crate::disk::beneath::Root;
use crate::log::diagnostic;
use crate::runtime::descriptors::DescriptorShare;
use crate::runtime::{self, BlockingPool, Pools};

/// How often open files are looked at.
const WATCH: Duration = Duration::from_secs(1);

/// What a worker keeps for all its `files` routes.
pub(crate) struct WorkerState {
    /// Runs looks at the disk that have to wait for it.
    pub(super) disk: Arc<BlockingPool>,
    /// Compresses files.
    pub(super) coding: Arc<BlockingPool>,
    /// Makes archives.
    pub(super) archives: Arc<BlockingPool>,
    pub(super) directories: RefCell<Directories>,
    /// Long listings that are being sent.
    pub(super) listings: RefCell<Listings>,
    /// Looks that the cache answered, since they were last told.
    pub(super) hits: Cell<u64>,
    /// Looks at the disk because the cache had no answer, since they were last told.
    pub(super) misses: Cell<u64>,
    kept: Rc<Kept>,
    complained: Cell<Option<Instant>>,
}

/// What a worker's caches hold, and what became of looks into them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CacheState {
    /// Since this was last asked for.
    pub(crate) hits: u64,
    /// The same, for looks at the disk.
    pub(crate) misses: u64,
    /// Files whose content is in memory.
    pub(crate) content: Held,
    /// Files that are open.
    pub(crate) open: Held,
    /// Paths that lead to no file.
    pub(crate) no_file: Held,
}

/// What holds descriptors.
#[derive(Default)]
struct Kept {
    cache: RefCell<Cache>,
    roots: RefCell<Roots>,
    share: DescriptorShare,
    /// A task sleeps that will close files that are not asked for.
    files_are_watched: Cell<bool>,
    /// A task sleeps that will close roots that are used no more.
    roots_are_watched: Cell<bool>,
}

impl WorkerState {
    /// The state of a worker that has looked at nothing yet.
    pub(crate) fn new(pools: &Pools) -> Self {
        Self {
            disk: Arc::clone(&pools.disk),
            coding: Arc::clone(&pools.coding),
            archives: Arc::clone(&pools.archives),
            directories: RefCell::default(),
            listings: RefCell::default(),
            hits: Cell::new(0),
            misses: Cell::new(0),
            kept: Rc::default(),
            complained: Cell::new(None),
        }
    }

    /// The entry that the cache has for a path at `now`, fresh or not.
    // Two callers, of which one is hot: without this the compiler inlines it into neither.
    #[inline(always)]
    pub(super) fn find(&self, route: u64, path: &[u8], now: Instant) -> Option<Rc<Entry>> {
        let mut cache = self.kept.cache.borrow_mut();
        cache.find(route, path, now)
    }

    /// Has the cache remember `entry` for a path.
    pub(super) fn insert(&self, route: u64, path: &[u8], entry: &Rc<Entry>) {
        let is_open = entry.descriptors() > 0;
        let share = if is_open { self.kept.share.size() } else { 0 };
        let mut cache = self.kept.cache.borrow_mut();
        cache.insert((route, path), Rc::clone(entry), runtime::now(), share);
        drop(cache);
        if is_open && !self.kept.files_are_watched.replace(true) {
            let kept = Rc::clone(&self.kept);
            runtime::spawn(async move { kept.watch_files().await });
        }
    }

    /// What the caches hold; looks are counted from 0 again.
    pub(crate) fn take_cache_state(&self) -> CacheState {
        let [content, open, no_file] = self.kept.cache.borrow().held();
        CacheState {
            hits: self.hits.take(),
            misses: self.misses.take(),
            content,
            open,
            no_file,
        }
    }

    /// Forgets what the caches hold for routes whose ids are not among `kept`: no generation has them any more.
    pub(crate) fn keep_routes(&self, kept: &HashSet<u64>) {
        self.kept.cache.borrow_mut().keep_routes(kept);
    }

    /// The open root of a route, if it can still be used.
    pub(super) fn root(&self, route: u64) -> Option<Arc<Root>> {
        self.kept.roots.borrow().find(route, runtime::now())
    }

    /// Keeps the root of a route open for `period`.
    pub(super) fn keep_root(&self, route: u64, root: Arc<Root>, period: Duration) {
        let most = self.kept.share.size().div_ceil(4);
        let mut roots = self.kept.roots.borrow_mut();
        let is_kept = roots.keep(route, root, (runtime::now(), period), most);
        if is_kept && !self.kept.roots_are_watched.replace(true) {
            let kept = Rc::clone(&self.kept);
            runtime::spawn(async move { kept.watch_roots().await });
        }
    }

    /// Closes everything that can be opened again: descriptors have run out. Returns whether there was
    /// anything. What is being sent stays open until it is sent.
    pub(crate) fn release_descriptors(&self) -> bool {
        self.kept.close_all()
    }

    /// Logs an error, at most once a second: a broken disk breaks every request.
    pub(super) fn complain(&self, error: &dyn Error) {
        let now = runtime::now();
        let recently = |at: Instant| now.duration_since(at) < Duration::from_secs(1);
        if !self.complained.get().is_some_and(recently) {
            self.complained.set(Some(now));
            diagnostic::error(format_args!("{}", diagnostic::chain(error)));
        }
    }
}

impl Kept {
    /// Closes files that are not asked for, until none is open.
    async fn watch_files(&self) {
        while !self.cache.borrow_mut().open_files().is_empty() {
            runtime::sleep(WATCH).await;
            if self.share.is_called_in() {
                self.close_all();
            }
            let mut cache = self.cache.borrow_mut();
            cache.open_files().close_unused(runtime::now());
        }
        self.files_are_watched.set(false);
    }

    /// Closes roots that are used no more, until none is open.
    async fn watch_roots(&self) {
        while let Some(end) = self.next_end_of_root() {
            let left = end.duration_since(runtime::now());
            runtime::sleep(left.max(WATCH)).await;
            self.roots.borrow_mut().close_unused(runtime::now());
        }
        self.roots_are_watched.set(false);
    }

    fn next_end_of_root(&self) -> Option<Instant> {
        self.roots.borrow().next_end()
    }

    fn close_all(&self) -> bool {
        let had_files = self.cache.borrow_mut().open_files().close_all();
        let had_roots = self.roots.borrow_mut().close_all();
        had_files || had_roots
    }
}
