//! Octets a second on a connection: how many may be sent now, and when some may be sent again.
//!
//! Sent octets are a debt that is paid off at the rate. While there is a debt nothing is sent; without one,
//! as much as a tenth of a second's worth may be. So a connection waits about ten times a second, not once
//! for each packet, and a wait that ends late is made up for.

use std::cell::Cell;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How much may be sent at once is what this time is worth.
const SLICE: Duration = Duration::from_millis(100);

/// The least that may be sent at once: less would be packets that are hardly filled.
const LEAST: u64 = 1024;

/// The debt of a connection, which outlives its responses.
#[derive(Debug, Default)]
pub(crate) struct Debt(
    /// When it is paid off; `None`: nothing was ever sent at a pace.
    Cell<Option<Instant>>,
);

/// A connection's debt, and how fast it pays.
#[derive(Clone, Copy)]
pub(crate) struct Pace<'c> {
    debt: &'c Debt,
    octets_a_second: NonZeroU64,
}

impl Debt {
    /// This debt, which is paid off at so many octets a second.
    pub(crate) fn at(&self, octets_a_second: NonZeroU64) -> Pace<'_> {
        Pace {
            debt: self,
            octets_a_second,
        }
    }
}

impl Pace<'_> {
    /// How many octets may be sent at `now`.
    ///
    /// # Errors
    /// How long to wait until some may be.
    pub(crate) fn allowance(&self, now: Instant) -> Result<usize, Duration> {
        let paid_at = self.debt.0.get().unwrap_or(now);
        if paid_at > now {
            return Err(paid_at - now);
        }
        // The time since the last debt counts, up to a slice: a wait may have ended late.
        let credit = (now - paid_at).min(SLICE) + SLICE;
        let octets = self.worth(credit).max(LEAST);
        Ok(usize::try_from(octets).unwrap_or(usize::MAX))
    }

    /// Takes note that so many octets were sent at `now`.
    pub(crate) fn sent(&self, count: usize, now: Instant) {
        let earliest = now.checked_sub(SLICE).unwrap_or(now);
        let paid_at = self
            .debt
            .0
            .get()
            .map_or(now, |paid_at| paid_at.max(earliest));
        self.debt.0.set(paid_at.checked_add(self.time_of(count)));
    }

    fn worth(&self, time: Duration) -> u64 {
        let octets = u128::from(self.octets_a_second.get()) * time.as_nanos() / 1_000_000_000;
        u64::try_from(octets).unwrap_or(u64::MAX)
    }

    fn time_of(&self, count: usize) -> Duration {
        let nanos = count as u128 * 1_000_000_000 / u128::from(self.octets_a_second.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as fast as it may for so long, where each wait ends `late`; how many octets that is.
    fn sent_within(octets_a_second: u64, time: Duration, late: Duration) -> u64 {
        let debt = Debt::default();
        let pace = debt.at(NonZeroU64::new(octets_a_second).expect("no zero"));
        let start = Instant::now();
        let (mut now, mut sent) = (start, 0);
        while now < start + time {
            match pace.allowance(now) {
                Ok(count) => {
                    pace.sent(count, now);
                    sent += count as u64;
                }
                Err(wait) => now += wait + late,
            }
        }
        sent
    }

    #[test]
    fn sends_at_its_rate_however_late_a_wait_ends() {
        let time = Duration::from_secs(20);
        for octets_a_second in [1024, 64 << 10, 2 << 20, 1 << 30] {
            for late in [0, 16, 32, 90] {
                let sent = sent_within(octets_a_second, time, Duration::from_millis(late));
                let ratio = sent as f64 / (octets_a_second * 20) as f64;
                assert!(
                    (0.99..1.06).contains(&ratio),
                    "{octets_a_second} {late}: {ratio}"
                );
            }
        }
    }

    #[test]
    fn a_rest_earns_no_more_than_a_slice() {
        let debt = Debt::default();
        let pace = debt.at(NonZeroU64::new(1 << 20).expect("no zero"));
        let start = Instant::now();
        pace.sent(1 << 20, start);
        assert_eq!(pace.allowance(start), Err(Duration::from_secs(1)));
        let later = start + Duration::from_secs(100);
        let allowance = pace.allowance(later).expect("the debt is paid");
        assert!(allowance <= (1 << 20) / 5, "{allowance}");
        pace.sent(allowance, later);
        assert!(pace.allowance(later).is_err());
    }

    #[test]
    fn what_was_sent_at_another_rate_is_paid_first() {
        let debt = Debt::default();
        let start = Instant::now();
        debt.at(NonZeroU64::new(1000).expect("no zero"))
            .sent(3000, start);
        let fast = debt.at(NonZeroU64::new(1 << 30).expect("no zero"));
        assert_eq!(fast.allowance(start), Err(Duration::from_secs(3)));
    }
}
