//! Sums the counters of all workers: of those that run, are retired, or have ended.

use std::sync::Arc;

use super::Counters;
use super::exchanges::ExchangeSums;
use crate::reason::Reason;

/// The counters of all workers. Only one thread may write to a worker's counters, so a retired worker
/// keeps its own, and the next worker with its index gets new ones.
#[derive(Default)]
pub(crate) struct Tally {
    /// Of the workers that run, by index.
    current: Vec<Arc<Counters>>,
    /// Of retired workers, which may still have connections.
    retired: Vec<Arc<Counters>>,
    /// The sum of the counters of workers that have ended.
    ended: Counters,
}

impl Tally {
    /// Makes counters for exactly so many workers.
    pub(crate) fn resize(&mut self, workers: usize) {
        let surplus = workers.min(self.current.len());
        self.retired.extend(self.current.drain(surplus..));
        self.current.resize_with(workers, Arc::default);
        // When a worker ends, this is the only reference to its counters.
        let ended = self
            .retired
            .extract_if(.., |counters| Arc::strong_count(counters) == 1);
        ended.for_each(|counters| self.ended.absorb(&counters));
    }

    /// How many workers accept connections.
    pub(crate) fn workers(&self) -> usize {
        self.current.len()
    }

    /// The counters of the worker with that index.
    pub(crate) fn of_worker(&self, index: usize) -> Arc<Counters> {
        Arc::clone(&self.current[index])
    }

    /// The sum of one counter over all workers.
    pub(crate) fn total(&self, of: impl Fn(&Counters) -> u64) -> u64 {
        self.all().map(of).sum()
    }

    /// How many exchanges have ended for each reason, where there were any.
    pub(crate) fn reasons(&self) -> Vec<(Reason, u64)> {
        let count = |reason| (reason, self.total(|counters| counters.reasons.read(reason)));
        let counted = Reason::ALL.iter().map(|reason| count(*reason));
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// The counts of exchanges over all workers.
    pub(crate) fn exchanges(&self) -> ExchangeSums {
        let mut sums = ExchangeSums::new();
        self.all()
            .for_each(|counters| counters.exchanges.add_to(&mut sums));
        sums
    }

    fn all(&self) -> impl Iterator<Item = &Counters> {
        let alive = self.current.iter().chain(&self.retired);
        alive.map(|counters| &**counters).chain([&self.ended])
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
