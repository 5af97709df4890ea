//! How long an application server may take, and when its idle connections are given up for a request
//! that waits.

use std::time::Duration;

use crate::runtime::{self, Permit, Tick};
use crate::upstream::Queue;

/// The time that an application server has.
pub(super) struct Patience {
    /// How long it may do nothing.
    timeout: Duration,
    /// When the thing that is waited for must have happened.
    deadline: Tick,
    queueing: Queueing,
}

/// Whether a request is in the [`Queue`].
enum Queueing {
    /// It joins at that moment, unless something has come before.
    Joins(Tick),
    /// It is in the queue while it holds the permit.
    Joined { _permit: Option<Permit> },
    /// It does not join: something has come, or it was sent on a kept connection.
    Never,
}

/// What happens when a deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    TimedOut,
    /// The request waits in the queue from now on.
    Joined,
}

impl Patience {
    /// The time for a request that is sent from now on, on a connection that has carried others
    /// before if it `is_reused`.
    pub(super) fn new(timeout: Duration, is_reused: bool) -> Self {
        Self {
            timeout,
            deadline: runtime::deadline_after(timeout),
            queueing: if is_reused {
                Queueing::Never
            } else {
                Queueing::Joins(runtime::deadline_after(Queue::PATIENCE))
            },
        }
    }

    /// How long the application server may do nothing.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Restarts the timeout: the application server has done something, or got more to do.
    pub(super) fn restart(&mut self) {
        self.deadline = runtime::deadline_after(self.timeout);
    }

    /// Leaves the queue for good: something has come, so the request does not wait for a process.
    pub(super) fn stop_queueing(&mut self) {
        self.queueing = Queueing::Never;
    }

    /// Whether the timeout has passed. Asked about an application server that does something all
    /// the time.
    pub(super) fn is_over(&self) -> bool {
        self.deadline <= runtime::deadline_after(Duration::ZERO)
    }

    /// When to stop waiting if nothing happens.
    pub(super) fn next_deadline(&self) -> Tick {
        match self.queueing {
            Queueing::Joins(at) => self.deadline.min(at),
            Queueing::Joined { .. } | Queueing::Never => self.deadline,
        }
    }

    /// Called when that moment has come and nothing has happened.
    pub(super) fn on_deadline(&mut self, queue: &Queue) -> Overdue {
        if self.next_deadline() == self.deadline {
            return Overdue::TimedOut;
        }
        let _permit = queue.join();
        self.queueing = Queueing::Joined { _permit };
        Overdue::Joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `test` on a loop, with a timeout of a second.
    fn after_a_second(test: impl FnOnce(Duration) + 'static) {
        runtime::run(async move { test(Duration::from_secs(1)) }).expect("a loop");
    }

    #[test]
    fn a_request_on_a_fresh_connection_joins_the_queue_and_then_times_out() {
        after_a_second(|second| {
            let queue = Queue::default();
            let mut patience = Patience::new(second, false);
            let deadline = runtime::deadline_after(second);
            assert!(patience.next_deadline() < deadline && queue.is_empty());
            assert_eq!(patience.on_deadline(&queue), Overdue::Joined);
            assert!(!queue.is_empty());
            assert!(patience.next_deadline() == deadline);
            assert_eq!(patience.on_deadline(&queue), Overdue::TimedOut);
            patience.stop_queueing();
            assert!(queue.is_empty());
        });
    }

    #[test]
    fn others_never_join() {
        after_a_second(|second| {
            let deadline = runtime::deadline_after(second);
            let reused = Patience::new(second, true);
            assert!(reused.next_deadline() == deadline);
            let mut heard = Patience::new(second, false);
            heard.stop_queueing();
            assert!(heard.next_deadline() == deadline && !heard.is_over());
        });
    }

    #[test]
    fn a_timeout_shorter_than_the_queue_s_patience_is_a_timeout() {
        after_a_second(|_| {
            let queue = Queue::default();
            let mut patience = Patience::new(Duration::ZERO, false);
            assert!(patience.is_over());
            assert_eq!(patience.on_deadline(&queue), Overdue::TimedOut);
            assert!(queue.is_empty());
        });
    }
}
