//! How many requests may be sent to another server after one has failed. While a server is down,
//! every request that is repeated is one more for the other servers, and too many of them would
//! overload those, too.
//!
//! Requests and repeats are counted for each of the last seconds. A second's place is used again after
//! the span; workers that take it over in the same moment may lose a few counts, which does no harm.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// How many seconds are looked at.
const SPAN: u64 = 10;

/// One request of so many may be repeated.
const ONE_OF: u64 = 5;

/// So many repeats are allowed in the span in any case, for upstreams that are asked seldom.
const ALWAYS: u64 = 10;

/// The counts of one group.
#[derive(Debug)]
pub(super) struct Budget {
    start: Instant,
    seconds: [Second; SPAN as usize],
}

/// What was counted in one second.
#[derive(Debug, Default)]
struct Second {
    /// Which second this is, counted from the start.
    number: AtomicU64,
    requests: AtomicU32,
    repeats: AtomicU32,
}

impl Budget {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            seconds: Default::default(),
        }
    }

    /// Counts a request.
    pub(super) fn note_request(&self, now: Instant) {
        self.second(now).requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a request may be repeated. If so, it is counted.
    pub(super) fn may_repeat(&self, now: Instant) -> bool {
        let second = self.second(now);
        let current = second.number.load(Ordering::Relaxed);
        let (mut requests, mut repeats) = (0, 0);
        for second in &self.seconds {
            if second.number.load(Ordering::Relaxed) + SPAN > current {
                requests += u64::from(second.requests.load(Ordering::Relaxed));
                repeats += u64::from(second.repeats.load(Ordering::Relaxed));
            }
        }
        let may = repeats < ALWAYS.max(requests / ONE_OF);
        if may {
            second.repeats.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    /// The counts of the present second, which are empty if it has just begun.
    fn second(&self, now: Instant) -> &Second {
        let number = now.saturating_duration_since(self.start).as_secs();
        let second = &self.seconds[(number % SPAN) as usize];
        // Only one request a second writes: the look before it needs no locked instruction.
        let is_new = second.number.load(Ordering::Relaxed) != number;
        if is_new && second.number.swap(number, Ordering::Relaxed) != number {
            second.requests.store(0, Ordering::Relaxed);
            second.repeats.store(0, Ordering::Relaxed);
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget() -> (Budget, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Budget::new(start), move |seconds| {
            start + Duration::from_secs(seconds)
        })
    }

    fn allowed(budget: &Budget, now: Instant) -> usize {
        (0..1000).filter(|_| budget.may_repeat(now)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_repeated() {
        let (budget, at) = budget();
        (0..200).for_each(|nth| budget.note_request(at(nth % 10)));
        assert_eq!(allowed(&budget, at(9)), 40);
        assert_eq!(allowed(&budget, at(9)), 0);
    }

    #[test]
    fn a_few_may_always_be_repeated() {
        let (budget, at) = budget();
        budget.note_request(at(0));
        assert_eq!(allowed(&budget, at(0)), 10);
        assert_eq!(allowed(&budget, at(9)), 0);
        assert_eq!(allowed(&budget, at(10)), 10, "the span is over");
    }

    #[test]
    fn only_the_last_seconds_count() {
        let (budget, at) = budget();
        (0..1000).for_each(|_| budget.note_request(at(3)));
        assert_eq!(
            allowed(&budget, at(25)),
            10,
            "long ago, in another second's place"
        );
        (0..1000).for_each(|_| budget.note_request(at(33)));
        assert_eq!(allowed(&budget, at(42)), 200);
        assert_eq!(
            allowed(&budget, at(43)),
            0,
            "the repeats of a second ago still do"
        );
        assert_eq!(allowed(&budget, at(52)), 10);
    }
}
