//! Whether a route is still there for what outlives a request's exchange: a stream of events, a tunnel.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the route is there. Generations that have the route share it: the supervisor retires it when the
/// first generation without the route has been adopted.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    is_retired: AtomicBool,
}

impl Presence {
    /// Says that a reload has taken the route out, or that it is for other clients now.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
    }

    /// Says that the route is there, perhaps again: a reload may be taken back.
    pub(crate) fn revive(&self) {
        self.is_retired.store(false, Ordering::Release);
    }

    pub(crate) fn is_there(&self) -> bool {
        !self.is_retired.load(Ordering::Acquire)
    }
}
