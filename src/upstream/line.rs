//! Requests that wait for a server with room: a line for each upstream, which all workers share.
//!
//! ```text
//! all servers are busy ─→ Place ─┬─ it is called ─→ it chooses once more ─┬─→ Chosen
//!                           ↑    └─ its time is up, or its client leaves  │
//!                           └──────────── another was faster ─────────────┘
//! ```
//!
//! When a server has one request less, the one is called that has waited longest, whichever worker it is on. A
//! request that comes while others wait stands behind them, even if a server has room. The line belongs to the
//! servers and outlives reloads as they do, but a request waits for those of the generation that it began with:
//! so the first of each group is called.
//!
//! A server can have room for another reason: it is enabled, or its pause is over. No request is called for that. The
//! first of each group looks every [`LOOK`], and calls the next one if it found something.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::runtime::{self, Either, Receiver, Sender, channel, either};

/// How often the first of a group looks for room that it is not called for.
const LOOK: Duration = Duration::from_millis(100);

/// The requests that wait for the servers of one upstream.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// How many wait. A server that has one request less looks at nothing else while it is 0.
    length: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The one that has waited longest is the first.
    waiting: VecDeque<Waiting>,
    next: u64,
}

struct Waiting {
    number: u64,
    /// The group that it chooses from, by its id.
    group: u64,
    is_called: bool,
    caller: Sender<()>,
}

/// A request's place in a line. It is given up when this is dropped.
pub(super) struct Place {
    line: Arc<Line>,
    number: u64,
    calls: Receiver<()>,
}

/// Why a request in a line looks for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// A server has one request less.
    Called,
    /// It is time to look.
    Time,
}

impl Line {
    /// How many wait.
    pub(super) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Whether anything waits for a server of that group.
    pub(super) fn has_any_of(&self, group: u64) -> bool {
        let is_its = |waiting: &Waiting| waiting.group == group;
        self.length() > 0 && self.lock().waiting.iter().any(is_its)
    }

    /// Takes a place at the end of the line, unless `max` are taken. The caller must then choose once more,
    /// because a server may have got room before it stood in the line.
    pub(super) fn join(self: &Arc<Self>, group: u64, max: usize) -> Option<Place> {
        let mut state = self.lock();
        if state.waiting.len() >= max {
            return None;
        }
        let (caller, calls) = channel();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(Waiting {
            number,
            group,
            is_called: false,
            caller,
        });
        self.length.store(state.waiting.len(), Ordering::SeqCst);
        drop(state);
        // A server counts one request less, then looks at the length. The caller looks at the count after
        // this: one of the two sees what the other has done.
        fence(Ordering::SeqCst);
        Some(Place {
            line: Arc::clone(self),
            number,
            calls,
        })
    }

    /// A server has one request less: calls the first of each group that is not called yet.
    pub(super) fn call(&self) {
        if self.length.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut state = self.lock();
        let mut groups = Vec::new();
        for waiting in &mut state.waiting {
            if !waiting.is_called && !groups.contains(&waiting.group) {
                groups.push(waiting.group);
                waiting.is_called = true;
                waiting.caller.send(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the request should look for a server, but not beyond `until`.
    ///
    /// # Cancellation
    /// A call that was not heard goes to the next one in the line when the place is given up.
    pub(super) async fn wait(&mut self, until: Instant) -> Reason {
        loop {
            let left = until.saturating_duration_since(runtime::now());
            let pause = runtime::sleep(left.min(LOOK));
            let reason = match either(self.calls.receive(), pause).await {
                Either::First(_) => Reason::Called,
                Either::Second(()) => Reason::Time,
            };
            if self.hears(reason) || runtime::now() >= until {
                return reason;
            }
        }
    }

    /// Whether the request should look: it is called, or the first of its group. From now on it can be called
    /// again.
    pub(super) fn hears(&self, reason: Reason) -> bool {
        let mut state = self.line.lock();
        let Some(nth) = position(&state, self.number) else {
            return true;
        };
        state.waiting[nth].is_called = false;
        let group = state.waiting[nth].group;
        let is_before = |waiting: &Waiting| waiting.group == group;
        reason == Reason::Called || !state.waiting.range(..nth).any(is_before)
    }

    /// Gives the place up: the request has a server. If it was not called for that, there may be room for more.
    pub(super) fn leave(self, reason: Reason) {
        let line = Arc::clone(&self.line);
        drop(self);
        if reason == Reason::Time {
            line.call();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let left = position(&state, self.number).and_then(|nth| state.waiting.remove(nth));
        self.line
            .length
            .store(state.waiting.len(), Ordering::SeqCst);
        drop(state);
        if left.is_some_and(|waiting| waiting.is_called) {
            self.line.call();
        }
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.number, self.group)
    }
}

/// The place of the request with that number. Numbers ascend.
fn position(state: &State, number: u64) -> Option<usize> {
    let waiting = &state.waiting;
    waiting
        .binary_search_by_key(&number, |waiting| waiting.number)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of `places` are called, by their numbers.
    fn called(line: &Line) -> Vec<u64> {
        let state = line.lock();
        let called = state.waiting.iter().filter(|waiting| waiting.is_called);
        called.map(|waiting| waiting.number).collect()
    }

    #[test]
    fn the_one_that_has_waited_longest_is_called_first() {
        let line = Arc::new(Line::default());
        let places: Vec<Place> = (0..3).filter_map(|_| line.join(1, 3)).collect();
        assert!(line.join(1, 3).is_none(), "no place is left");
        assert_eq!(line.length(), 3);
        line.call();
        assert_eq!(called(&line), [0]);
        line.call();
        assert_eq!(called(&line), [0, 1]);
        // The first has found no room after all: it is called again before the third.
        assert!(places[0].hears(Reason::Called));
        line.call();
        assert_eq!(called(&line), [0, 1]);
        drop(places);
        assert_eq!(line.length(), 0);
    }

    #[test]
    fn a_call_to_one_that_leaves_goes_to_the_next() {
        let line = Arc::new(Line::default());
        let mut places: Vec<Place> = (0..3).filter_map(|_| line.join(1, 9)).collect();
        line.call();
        drop(places.remove(0));
        assert_eq!(called(&line), [1]);
        // One that was called and has found a server uses the call up.
        let second = places.remove(0);
        assert!(second.hears(Reason::Called));
        second.leave(Reason::Called);
        assert_eq!(called(&line), [] as [u64; 0]);
        // One that has found a server by itself tells the next one.
        let fourth = line.join(1, 9);
        places.remove(0).leave(Reason::Time);
        assert_eq!(called(&line), [3]);
        drop(fourth);
    }

    /// The first of the old generation may wait for servers that are not there any more.
    #[test]
    fn the_first_of_each_group_is_called() {
        let line = Arc::new(Line::default());
        let groups = [1, 1, 2, 2];
        let _places: Vec<_> = groups.iter().map(|group| line.join(*group, 9)).collect();
        assert!(line.has_any_of(2) && !line.has_any_of(3));
        line.call();
        assert_eq!(called(&line), [0, 2]);
    }
}
