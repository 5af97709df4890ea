//! The queue between the threads that report something and the thread that writes it.
//!
//! ```text
//! push ─→ lines ─→ write_all, on a thread of its own ─→ standard error
//!   └ full: counted, and told once there is room
//! ```

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::limiter::{Limiter, WINDOW};
use super::line::line;
use crate::config::model::LogLevel;

/// How many octets of lines may wait.
const MAX_WAITING: usize = 256 * 1024;

pub(super) struct Queue {
    state: Mutex<State>,
    /// Notified of each line, and whenever the thread has written one.
    changed: Condvar,
}

struct State {
    lines: VecDeque<String>,
    /// The octets of `lines`.
    waiting: usize,
    /// Lines that found no room, and were not told of yet.
    lost: u64,
    /// All lines that found no room.
    lost_ever: u64,
    /// Whether there is a thread that writes.
    has_writer: bool,
    is_writing: bool,
    limiter: Limiter,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                lines: VecDeque::new(),
                waiting: 0,
                lost: 0,
                lost_ever: 0,
                has_writer: false,
                is_writing: false,
                limiter: Limiter::new(),
            }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that a thread will write. Returns whether there was none before.
    pub(super) fn begin(&self) -> bool {
        !std::mem::replace(&mut self.lock().has_writer, true)
    }

    /// Takes note that there is no thread after all.
    pub(super) fn end(&self) {
        self.lock().has_writer = false;
    }

    /// Whether one more line about `subject` is written, or only counted.
    pub(super) fn admit(&self, subject: &str, now: Instant) -> bool {
        self.lock().limiter.admit(subject, now)
    }

    /// Has the thread write `line`. Gives it back if there is no thread.
    pub(super) fn push(&self, line: String) -> Option<String> {
        let mut state = self.lock();
        if !state.has_writer {
            return Some(line);
        }
        state.put(line);
        drop(state);
        self.changed.notify_all();
        None
    }

    /// Writes what is pushed, one line after the other, for ever.
    pub(super) fn write_all(&self, write: impl Fn(&str)) {
        loop {
            let next = self.next();
            write(&next);
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for a line.
    fn next(&self) -> String {
        let mut state = self.lock();
        loop {
            if let Some(line) = state.take() {
                state.is_writing = true;
                return line;
            }
            state = if state.limiter.has_counted() {
                let waited = self.changed.wait_timeout(state, WINDOW);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let waited = self.changed.wait(state);
                waited.unwrap_or_else(PoisonError::into_inner)
            };
            state.tell_what_was_left_out(Instant::now());
        }
    }

    /// How many lines found no room, since the start.
    pub(super) fn lost_ever(&self) -> u64 {
        self.lock().lost_ever
    }

    /// Waits until every line is written, but no longer than `patience`.
    pub(super) fn wait_until_empty(&self, patience: Duration) {
        let is_busy =
            |state: &mut State| state.has_writer && (state.is_writing || !state.lines.is_empty());
        let state = self.lock();
        drop(self.changed.wait_timeout_while(state, patience, is_busy));
    }
}

impl State {
    fn put(&mut self, line: String) {
        if self.waiting + line.len() > MAX_WAITING {
            self.lost += 1;
            self.lost_ever += 1;
            return;
        }
        self.waiting += line.len();
        self.lines.push_back(line);
    }

    /// Takes the next line; when none is left, the line that tells how many were lost.
    fn take(&mut self) -> Option<String> {
        if let Some(line) = self.lines.pop_front() {
            self.waiting -= line.len();
            return Some(line);
        }
        let lost = std::mem::take(&mut self.lost);
        (lost > 0).then(|| {
            line(
                LogLevel::Warn,
                format_args!("{lost} lines were lost here, because standard error was not read"),
            )
        })
    }

    fn tell_what_was_left_out(&mut self, now: Instant) {
        for (subject, count) in self.limiter.take_counted(now) {
            self.put(line(
                LogLevel::Warn,
                format_args!("{subject}: {count} further lines about it were left out"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_told_in_its_place() {
        let queue = Queue::new();
        assert_eq!(queue.push("at once".to_owned()), Some("at once".to_owned()));
        assert!(queue.begin() && !queue.begin());
        let long = "x".repeat(MAX_WAITING / 2);
        for _ in 0..5 {
            assert_eq!(queue.push(long.clone()), None);
        }
        let mut state = queue.lock();
        assert_eq!(state.take().as_ref(), Some(&long));
        assert_eq!(state.take().as_ref(), Some(&long));
        let told = state.take().expect("some were lost");
        assert!(told.contains("warning: 3 lines were lost"), "{told}");
        assert_eq!(state.take(), None);
        drop(state);
        assert_eq!(queue.lost_ever(), 3, "also when they were told of");
    }
}
