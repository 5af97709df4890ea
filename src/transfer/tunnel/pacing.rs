//! How fast a tunnel sends to its client, where that is limited.

use std::num::NonZeroU64;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::runtime::{self, Sleeper};
use crate::throttle::pace::Debt;

/// The pace of a tunnel. Few tunnels have one, so that it is in a box.
pub(super) struct Pacing {
    debt: Debt,
    octets_a_second: NonZeroU64,
    /// What is left of the octets that may be sent before the debt is looked at again.
    left: usize,
    sleeper: Sleeper,
}

impl Pacing {
    /// A pace of so many octets a second. For a thread that runs a loop.
    pub(super) fn new(octets_a_second: NonZeroU64) -> Self {
        Self {
            debt: Debt::default(),
            octets_a_second,
            left: 0,
            sleeper: Sleeper::new(),
        }
    }

    /// How many octets may be sent now: one at least.
    ///
    /// # Errors
    /// How long to wait until some may be.
    pub(super) fn allowance(&mut self) -> Result<usize, Duration> {
        if self.left == 0 {
            self.left = self
                .debt
                .at(self.octets_a_second)
                .allowance(runtime::now())?;
        }
        Ok(self.left)
    }

    /// Takes note that so many octets were sent.
    pub(super) fn sent(&mut self, count: usize) {
        if count > 0 {
            self.left = self.left.saturating_sub(count);
            let pace = self.debt.at(self.octets_a_second);
            pace.sent(count, runtime::now());
        }
    }

    /// Has the task of `context` go on when `wait` is over.
    pub(super) fn poll_pause(&self, context: &mut Context<'_>, wait: Duration) -> Poll<()> {
        self.sleeper.poll(context, runtime::deadline_after(wait))
    }
}
