//! What the server counts: each worker by itself, and all together.

pub(crate) mod tally;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What the workers count together.
#[derive(Debug, Default)]
pub(crate) struct ProcessCounters {
    /// Open connections, for `max_connections`.
    pub(crate) connections: AtomicUsize,
}

/// What one worker has done. Only that worker writes, so it needs no locked instruction; and no
/// other worker's counters lie in the same cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// Connections open now.
    pub(crate) open: Counter,
    pub(crate) accepted: Counter,
    pub(crate) requests: Counter,
}

impl Counters {
    /// Adds what was counted by a worker that has ended.
    pub(crate) fn absorb(&self, ended: &Self) {
        self.open.add(ended.open.read());
        self.accepted.add(ended.accepted.read());
        self.requests.add(ended.requests.read());
    }
}

/// A number that one thread changes and any may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, change: u64) {
        self.0
            .store(self.read().wrapping_add(change), Ordering::Relaxed);
    }
}
