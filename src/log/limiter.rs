//! Limits how many lines about one subject are written: a route whose application server is down has
//! one for each request.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long the lines about a subject are counted together.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// How many lines about a subject are written within a [`WINDOW`].
const BURST: u64 = 50;

/// How many subjects are told apart at a time. Beyond that, lines are written.
const MAX_SUBJECTS: usize = 1024;

/// The lines about each subject in its window.
pub(super) struct Limiter(BTreeMap<String, Window>);

struct Window {
    began: Instant,
    written: u64,
    left_out: u64,
}

impl Limiter {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Whether one more line about `subject` is written. If not, it is counted.
    pub(super) fn admit(&mut self, subject: &str, now: Instant) -> bool {
        if let Some(window) = self.0.get_mut(subject) {
            // A window that has left lines out ends when they have been told of.
            if now.duration_since(window.began) >= WINDOW && window.left_out == 0 {
                (window.began, window.written) = (now, 0);
            }
            let is_written = window.written < BURST;
            *if is_written {
                &mut window.written
            } else {
                &mut window.left_out
            } += 1;
            return is_written;
        }
        if self.0.len() == MAX_SUBJECTS {
            let is_on = |window: &Window| now.duration_since(window.began) < WINDOW;
            self.0
                .retain(|_, window| is_on(window) || window.left_out > 0);
        }
        if self.0.len() < MAX_SUBJECTS {
            let window = Window {
                began: now,
                written: 1,
                left_out: 0,
            };
            self.0.insert(subject.to_owned(), window);
        }
        true
    }

    /// Whether lines were left out that [`take_counted`](Self::take_counted) has not returned.
    pub(super) fn has_counted(&self) -> bool {
        self.0.values().any(|window| window.left_out > 0)
    }

    /// The subjects whose window is over, each with the number of lines that were left out.
    pub(super) fn take_counted(&mut self, now: Instant) -> Vec<(String, u64)> {
        let is_over = |window: &Window| {
            window.left_out > 0 && now.saturating_duration_since(window.began) >= WINDOW
        };
        let mut over = Vec::new();
        self.0.retain(|subject, window| {
            if is_over(window) {
                over.push((subject.clone(), window.left_out));
            }
            !is_over(window)
        });
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_lines_of_one_subject_are_counted() {
        let (mut limiter, start) = (Limiter::new(), Instant::now());
        let mut admitted = |at: Instant, subject: &str| {
            let all = (0..100).filter(|_| limiter.admit(subject, at));
            all.count()
        };
        assert_eq!(admitted(start, "a"), 50);
        assert_eq!(admitted(start, "b"), 50);
        assert_eq!(admitted(start + WINDOW, "a"), 0, "the count is told first");
        assert!(limiter.take_counted(start + WINDOW / 2).is_empty());
        let counted = limiter.take_counted(start + WINDOW);
        assert_eq!(counted, [("a".to_owned(), 150), ("b".to_owned(), 50)]);
        assert!(!limiter.has_counted());
        assert!(limiter.admit("a", start + WINDOW));
    }

    #[test]
    fn subjects_are_bounded() {
        let (mut limiter, start) = (Limiter::new(), Instant::now());
        for number in 0..2 * MAX_SUBJECTS {
            assert!(limiter.admit(&number.to_string(), start));
        }
        assert_eq!(limiter.0.len(), MAX_SUBJECTS);
        assert!(limiter.admit("later", start + WINDOW));
        assert_eq!(limiter.0.len(), 1);
    }
}
