//! Whether a server is healthy, by the answers to the questions that are asked without a client.
//!
//! A server counts as healthy until it has given so many bad answers in a row, also one that has not been
//! asked yet: a start must not refuse requests that the servers could answer. For the same reason the answers
//! to one question say nothing once another is asked, or none.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::config::model::HealthCheck;

/// The health of one server. One task changes it, and workers read it.
#[derive(Debug, Default)]
pub(super) struct Health {
    is_bad: AtomicBool,
    /// How many of the last answers, in a row, speak for the other state.
    against: AtomicU32,
    /// The check that the answers were given to.
    check: Mutex<Option<HealthCheck>>,
}

impl Health {
    pub(super) fn is_bad(&self) -> bool {
        self.is_bad.load(Ordering::Relaxed)
    }

    /// Says by which check the health is known from now on; `None`: by none. What the answers to another
    /// question have said is forgotten.
    pub(super) fn follow(&self, check: Option<&HealthCheck>) {
        let mut known = self.check.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = match (&*known, check) {
            (Some(known), Some(check)) => known.asks_the_same_as(check),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_same {
            *known = check.cloned();
            self.against.store(0, Ordering::Relaxed);
            self.is_bad.store(false, Ordering::Relaxed);
        }
    }

    /// Takes note of an answer: after `rises` good ones in a row a server is healthy, after `falls` bad
    /// ones it is not. Returns whether that has changed.
    pub(super) fn note(&self, is_good: bool, rises: u32, falls: u32) -> bool {
        let is_bad = self.is_bad();
        if is_good != is_bad {
            self.against.store(0, Ordering::Relaxed);
            return false;
        }
        let enough = if is_bad { rises } else { falls };
        let against = self.against.load(Ordering::Relaxed) + 1;
        let changes = against >= enough;
        self.against
            .store(if changes { 0 } else { against }, Ordering::Relaxed);
        if changes {
            self.is_bad.store(!is_bad, Ordering::Relaxed);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_a_row_change_the_health() {
        // Good and bad answers, and the health after each: healthy, or not.
        for (answers, expected) in [
            ("bbb", "++-"),
            ("bbgbbb", "+++++-"),
            ("bbbgg", "++--+"),
            ("bbbgbgg", "++----+"),
            ("ggbbbb", "++++--"),
        ] {
            let health = Health::default();
            let after = answers.chars().map(|answer| {
                let before = health.is_bad();
                let has_changed = health.note(answer == 'g', 2, 3);
                assert_eq!(has_changed, before != health.is_bad());
                if health.is_bad() { '-' } else { '+' }
            });
            assert_eq!(after.collect::<String>(), expected, "{answers}");
        }
    }
}
