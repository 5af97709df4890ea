//! Counted permits: how many of a thing there are at once, over all threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A bounded number of permits. A task or thread that does what is bounded holds a [`Permit`].
///
/// It is only a count: nothing else is published by it, hence the relaxed orderings.
#[derive(Debug)]
pub(crate) struct Permits {
    taken: AtomicUsize,
    max: usize,
}

/// One of the [`Permits`], given back when it is dropped, on whatever thread.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Permits>);

impl Permits {
    /// At most `max` permits at once.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            max,
        }
    }

    /// As many permits as are asked for: for what is counted and not bounded.
    pub(crate) fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// Takes a permit; `None` if all are taken.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Permit> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(Arc::clone(self));
        (before < self.max).then_some(permit)
    }

    /// Whether [`take`](Self::take) would succeed now. Another thread may be faster.
    pub(crate) fn has_free(&self) -> bool {
        self.taken() < self.max
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_is_free_again() {
        let permits = Arc::new(Permits::new(2));
        let first = permits.take();
        let second = permits.take();
        assert!(first.is_some() && second.is_some() && !permits.has_free());
        assert!(permits.take().is_none());
        assert_eq!(permits.taken(), 2, "a refusal takes nothing");
        drop(first);
        assert!(permits.has_free() && permits.take().is_some());
    }
}
