//! The counters of all workers: those that run, those that are retired, and those that are gone.

use std::sync::Arc;

use crate::metrics::Counters;

/// What all workers have counted. Each has counters of its own, for only one thread may write to
/// them: a worker that is retired takes its own along, and the next of its index gets others.
#[derive(Default)]
pub(crate) struct Tally {
    /// By the index of their worker.
    current: Vec<Arc<Counters>>,
    /// Of workers that may still have connections.
    retired: Vec<Arc<Counters>>,
    /// The sum of those that have ended.
    ended: Counters,
}

impl Tally {
    /// Has counters for exactly so many workers.
    pub(crate) fn resize(&mut self, workers: usize) {
        let surplus = workers.min(self.current.len());
        self.retired.extend(self.current.drain(surplus..));
        self.current.resize_with(workers, Arc::default);
        // The last hold on a worker's counters but this one ends with the worker.
        let ended = self
            .retired
            .extract_if(.., |counters| Arc::strong_count(counters) == 1);
        ended.for_each(|counters| self.ended.absorb(&counters));
    }

    /// Those of the worker of that index.
    pub(crate) fn of_worker(&self, index: usize) -> Arc<Counters> {
        Arc::clone(&self.current[index])
    }

    /// The sum of one count.
    pub(crate) fn total(&self, of: fn(&Counters) -> u64) -> u64 {
        let alive = self.current.iter().chain(&self.retired);
        let alive: u64 = alive.map(|counters| of(counters)).sum();
        alive + of(&self.ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retired_worker_shares_its_counters_with_nobody() {
        let mut tally = Tally::default();
        tally.resize(2);
        let first = tally.of_worker(1);
        tally.resize(1);
        tally.resize(2);
        assert!(!Arc::ptr_eq(&first, &tally.of_worker(1)));
        assert_eq!(tally.retired.len(), 1, "the worker still runs");
        drop(first);
        tally.resize(2);
        assert!(tally.retired.is_empty());
    }
}
