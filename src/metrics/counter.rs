//! [`Counter`]: a number that one thread changes and any thread may read.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread changes and any thread may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes the number this one. Only the thread that owns the counter may call this.
    pub(crate) fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Adds `change`. Only the thread that owns the counter may call this.
    pub(crate) fn add(&self, change: u64) {
        self.0
            .store(self.read().wrapping_add(change), Ordering::Relaxed);
    }

    /// Subtracts one. Only the thread that owns the counter may call this.
    pub(crate) fn subtract_one(&self) {
        self.0.store(self.read().wrapping_sub(1), Ordering::Relaxed);
    }
}
