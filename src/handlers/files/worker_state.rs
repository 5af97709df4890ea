//! What a worker keeps for its `files` routes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::unchanged::Directories;
use crate::disk::beneath::Root;
use crate::log::diagnostic;
use crate::runtime::{self, BlockingPool};

/// What a worker keeps for all its `files` routes.
pub(crate) struct WorkerState {
    /// Runs looks at the disk that have to wait for it.
    pub(super) disk: Arc<BlockingPool>,
    pub(super) cache: RefCell<Cache>,
    /// The open root of each route, by its id, and since when.
    pub(super) roots: RefCell<HashMap<u64, (Arc<Root>, Instant)>>,
    pub(super) directories: RefCell<Directories>,
    complained: Cell<Option<Instant>>,
}

impl WorkerState {
    /// The state of a worker that has looked at nothing yet.
    pub(crate) fn new(disk: Arc<BlockingPool>) -> Self {
        Self {
            disk,
            cache: RefCell::default(),
            roots: RefCell::default(),
            directories: RefCell::default(),
            complained: Cell::new(None),
        }
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
