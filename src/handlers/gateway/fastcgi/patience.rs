//! How long an application server may take, and when its idle connections are given up for a request
//! that waits.

use std::time::Duration;

use crate::runtime::{self, Permit, Tick};
use crate::upstream::Queue;

/// The time that an application server has.
pub(super) struct Patience {
    /// How long it may do nothing.
    timeout: Duration,
    /// When it must have done what is waited for.
    deadline: Tick,
    queueing: Queueing,
}

/// Where a request stands with the [`Queue`].
enum Queueing {
    /// It joins then, unless something has come.
    Joins(Tick),
    /// It is in the queue, as long as it holds this.
    Joined { _permit: Option<Permit> },
    /// It is never in the queue: something has come, or it went out on a kept connection.
    Never,
}

/// What a deadline that has passed means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    TimedOut,
    /// The request waits in the queue from now on.
    Joined,
}

impl Patience {
    /// The time for a request that was put on a connection now, which carried others before if it
    /// `is_reused`.
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

    /// Gives it its time again: it has done something, or there is more for it to do.
    pub(super) fn restart(&mut self) {
        self.deadline = runtime::deadline_after(self.timeout);
    }

    /// Something has come: the request waits for no process.
    pub(super) fn stop_queueing(&mut self) {
        self.queueing = Queueing::Never;
    }

    /// Whether its time is up, although it does something all the time.
    pub(super) fn is_over(&self) -> bool {
        self.deadline <= runtime::deadline_after(Duration::ZERO)
    }

    /// The next moment at which something is to be done if nothing happens.
    pub(super) fn next_deadline(&self) -> Tick {
        match self.queueing {
            Queueing::Joins(at) => self.deadline.min(at),
            Queueing::Joined { .. } | Queueing::Never => self.deadline,
        }
    }

    /// That moment has come.
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

    /// A second, and what follows the patience of a request that has it.
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
