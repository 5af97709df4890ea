//! The generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): a token bucket in one number.
//!
//! A bucket takes `burst` requests at once, and after each `interval` one more. All there is to know of it
//! is when it will be full again:
//!
//! ```text
//!              now                full again
//!  ─────────────┼───────────────────┼──────────→ time
//!               └ 3 intervals ──────┘             3 of its requests are taken, burst - 3 are left
//! ```
//!
//! A request moves that moment on by one interval, if it is then at most `burst` intervals away. A bucket
//! that is full already is as good as one that nothing is known of, so that it can be forgotten.
//!
//! Times are nanoseconds since a moment that the caller has chosen.

use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gcra {
    interval: u64,
    burst: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It may go on once `wait` is over, which is zero as a rule. The bucket is full again at `full_at`.
    Taken { full_at: u64, wait: u64 },
    /// It would have to wait longer than it may: for `wait`.
    Refused { wait: u64 },
}

impl Gcra {
    /// `requests` in each `period`, of which `burst` may come at once; neither is zero.
    pub(super) fn new(requests: u32, period: Duration, burst: u32) -> Self {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            interval: (period / u64::from(requests.max(1))).max(1),
            burst: u64::from(burst.max(1)),
        }
    }

    /// Decides on a request at `now` whose bucket will be full at `full_at`; it may wait for `patience`.
    pub(super) fn decide(&self, full_at: u64, now: u64, patience: u64) -> Decision {
        let full_at = full_at.max(now).saturating_add(self.interval);
        let wait = (full_at - now).saturating_sub(self.depth());
        if wait > patience {
            return Decision::Refused { wait };
        }
        Decision::Taken { full_at, wait }
    }

    /// When the bucket is full if one request is given back to it.
    pub(super) fn give_back(&self, full_at: u64) -> u64 {
        full_at.saturating_sub(self.interval)
    }

    /// How many requests are left at `now` in the bucket that will be full at `full_at`.
    pub(super) fn left(&self, full_at: u64, now: u64) -> u64 {
        let taken = full_at.saturating_sub(now).div_ceil(self.interval);
        self.burst.saturating_sub(taken)
    }

    /// How long an empty bucket takes until it is full.
    fn depth(&self) -> u64 {
        self.interval.saturating_mul(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// 10 a minute, of which 3 may come at once: one more every 6 seconds.
    fn three() -> Gcra {
        Gcra::new(10, Duration::from_secs(60), 3)
    }

    /// What becomes of requests at these seconds: how long each waits, or `None` if it is refused.
    fn waits(gcra: Gcra, patience: u64, seconds: &[u64]) -> Vec<Option<u64>> {
        let mut bucket = 0;
        let mut ask = |second: &u64| {
            let now = second * SECOND;
            match gcra.decide(bucket, now, patience * SECOND) {
                Decision::Refused { .. } => None,
                Decision::Taken { full_at, wait } => {
                    bucket = full_at;
                    Some(wait / SECOND)
                }
            }
        };
        seconds.iter().map(&mut ask).collect()
    }

    #[test]
    fn a_bucket_takes_its_burst_and_then_one_each_interval() {
        for (seconds, taken) in [
            (&[100, 100, 100, 100][..], &[true, true, true, false][..]),
            (
                &[100, 100, 100, 105, 106, 106],
                &[true, true, true, false, true, false],
            ),
            (
                &[100, 100, 100, 118, 118, 118, 118],
                &[true, true, true, true, true, true, false],
            ),
            // However long it rests, it holds no more than its burst.
            (
                &[0, 100_000, 100_000, 100_000, 100_000],
                &[true, true, true, true, false],
            ),
            (&[0, 6, 12, 18, 24], &[true; 5]),
        ] {
            let found = waits(three(), 0, seconds);
            let found: Vec<bool> = found.iter().map(Option::is_some).collect();
            assert_eq!(found, taken, "{seconds:?}");
        }
    }

    #[test]
    fn a_refused_request_takes_nothing() {
        let seconds = [0, 0, 0, 1, 2, 3, 4, 5, 6];
        let taken = waits(three(), 0, &seconds).into_iter().flatten().count();
        assert_eq!(taken, 4, "three at once, and one after six seconds");
    }

    #[test]
    fn a_request_that_may_wait_gets_the_next_free_moment() {
        let found = waits(three(), 12, &[0, 0, 0, 0, 0, 0, 6]);
        let expected = [Some(0), Some(0), Some(0), Some(6), Some(12), None, Some(12)];
        assert_eq!(found, expected);
    }

    #[test]
    fn says_how_long_a_refused_request_would_wait() {
        let gcra = three();
        let full_at = 118 * SECOND;
        for (now, wait) in [(100, 6), (101, 5), (105, 1)] {
            let decision = gcra.decide(full_at, now * SECOND, 0);
            assert_eq!(
                decision,
                Decision::Refused {
                    wait: wait * SECOND
                }
            );
        }
        // The moment itself is early enough.
        let decision = gcra.decide(full_at, 106 * SECOND, 0);
        assert!(matches!(decision, Decision::Taken { wait: 0, .. }));
    }

    #[test]
    fn tells_what_is_left() {
        for (full_at, now, left) in [
            (0, 100, 3),
            (106, 100, 2),
            (118, 100, 0),
            (118, 101, 0),
            (112, 107, 2),
        ] {
            assert_eq!(
                three().left(full_at * SECOND, now * SECOND),
                left,
                "{full_at} {now}"
            );
        }
        assert_eq!(three().give_back(106 * SECOND), 100 * SECOND);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let gcra = Gcra::new(1, Duration::from_secs(24 * 3600), 100_000);
        let decision = gcra.decide(u64::MAX - 1, 5, 0);
        assert!(matches!(decision, Decision::Refused { .. }));
        assert_eq!(Gcra::new(u32::MAX, Duration::from_secs(1), 1).interval, 1);
    }
}
