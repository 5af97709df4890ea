//! Requests that wait for a server with room: a line for each upstream, which all workers share.
//!
//! ```text
//! all servers are busy ─→ Place ─┬─ it is called ─→ it chooses once more ─┬─→ Chosen
//!                           ↑    └─ its time is up, or its client leaves  │
//!                           └────── another request took the room ────────┘
//! ```
//!
//! When a server has one request less, the request is called that has waited longest, whichever
//! worker it is on. A request that comes while others wait stands behind them, even if a server has
//! room. The line belongs to the servers and outlives reloads as they do: requests of all generations
//! stand in it, in the order in which they came, and choose from the servers of the one that serves.
//!
//! A server can have room for another reason: it is enabled, its pause is over, or a reload has
//! brought it. No request is called for that. The first of the line looks every [`LOOK`]; when it
//! leaves, the next one is woken and is the first from then on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::runtime::{self, Receiver, Sender, channel, either};

/// How often the first of the line looks for room that it is not called for.
const LOOK: Duration = Duration::from_millis(100);

/// The requests that wait for the servers of one upstream.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// How many wait. When a server has one request less and this is 0, the lock is not taken.
    length: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The request that has waited longest is the first.
    waiting: VecDeque<Waiting>,
    /// The number of the next request that joins.
    next: u64,
}

struct Waiting {
    number: u64,
    is_called: bool,
    caller: Sender<()>,
}

/// A request's place in a line. It is given up when this is dropped.
pub(super) struct Place {
    line: Arc<Line>,
    number: u64,
    calls: Receiver<()>,
}

impl Line {
    /// How many wait.
    pub(super) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Takes a place at the end of the line, unless `max` are taken. If the place is the first, the
    /// caller must then choose once more, because a server may have got room before the request stood
    /// in the line.
    pub(super) fn join(self: &Arc<Self>, max: usize) -> Option<Place> {
        let mut state = self.lock();
        let length = self.length();
        if length >= max {
            return None;
        }
        let (caller, calls) = channel();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(Waiting {
            number,
            is_called: false,
            caller,
        });
        self.length.store(length + 1, Ordering::SeqCst);
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

    /// A server has one request less: calls the first request that is not called yet.
    pub(super) fn call(&self) {
        if self.length.load(Ordering::SeqCst) > 0 {
            self.lock().call();
        }
    }

    /// The state, whose length changes under this lock alone.
    fn lock(&self) -> MutexGuard<'_, State> {
        // No change can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Calls the first that is not called yet, because a server has room.
    fn call(&mut self) {
        let mut waiting = self.waiting.iter_mut();
        if let Some(first) = waiting.find(|waiting| !waiting.is_called) {
            first.is_called = true;
            first.caller.send(());
        }
    }

    /// Wakes the request that has become the first, so that it looks by itself from now on. That is no call:
    /// if it were one, the next room would go to the request behind it.
    fn wake_first(&self) {
        if let Some(first) = self.waiting.front() {
            first.caller.send(());
        }
    }

    /// The place of the request with that number. Numbers ascend.
    fn position(&self, number: u64) -> Option<usize> {
        let waiting = &self.waiting;
        waiting
            .binary_search_by_key(&number, |waiting| waiting.number)
            .ok()
    }
}

impl Place {
    /// Whether no request has waited longer.
    pub(super) fn is_first(&self) -> bool {
        self.line.lock().position(self.number) == Some(0)
    }

    /// Waits until the request should look for a server, but not beyond `until`.
    ///
    /// # Cancellation
    /// A call that was not heard goes to the next one in the line when the place is given up.
    pub(super) async fn wait(&mut self, until: Instant) {
        let left = until.saturating_duration_since(runtime::now());
        let pause = if self.is_first() {
            left.min(LOOK)
        } else {
            left
        };
        either(self.calls.receive(), runtime::sleep(pause)).await;
        self.hear();
    }

    /// Takes note that the request looks for a server: from now on it can be called again.
    fn hear(&self) {
        let mut state = self.line.lock();
        if let Some(nth) = state.position(self.number) {
            state.waiting[nth].is_called = false;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        let nth = state.position(self.number);
        let Some(left) = nth.and_then(|nth| state.waiting.remove(nth)) else {
            return;
        };
        if left.is_called {
            state.call();
        }
        if nth == Some(0) {
            state.wake_first();
        }
        let length = &self.line.length;
        length.store(length.load(Ordering::Relaxed) - 1, Ordering::SeqCst);
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the places are called, by their numbers.
    fn called(line: &Line) -> Vec<u64> {
        let state = line.lock();
        let called = state.waiting.iter().filter(|waiting| waiting.is_called);
        called.map(|waiting| waiting.number).collect()
    }

    #[test]
    fn the_one_that_has_waited_longest_is_called_first() {
        let line = Arc::new(Line::default());
        let places: Vec<Place> = (0..3).filter_map(|_| line.join(3)).collect();
        assert!(line.join(3).is_none(), "no place is left");
        assert_eq!(line.length(), 3);
        assert!(places[0].is_first() && !places[1].is_first());
        line.call();
        assert_eq!(called(&line), [0]);
        line.call();
        assert_eq!(called(&line), [0, 1]);
        // The first has found no room after all: it is called again before the third.
        places[0].hear();
        line.call();
        assert_eq!(called(&line), [0, 1]);
        drop(places);
        assert_eq!(line.length(), 0);
    }

    #[test]
    fn a_call_to_one_that_leaves_goes_to_the_next() {
        let line = Arc::new(Line::default());
        let mut places: Vec<Place> = (0..4).filter_map(|_| line.join(9)).collect();
        line.call();
        line.call();
        assert_eq!(called(&line), [0, 1]);
        drop(places.remove(1));
        assert_eq!(called(&line), [0, 2]);
        // One that was called and has found a server uses the call up.
        let third = places.remove(1);
        third.hear();
        drop(third);
        assert_eq!(called(&line), [0]);
        assert_eq!(line.length(), 2);
    }

    /// The first of the line looks by itself, so that the next one has to learn that it is the first. It was
    /// called for that, and the next room went to the one behind it.
    #[test]
    fn the_one_behind_the_first_is_woken_when_that_leaves_and_called_for_the_next_room() {
        let woken = runtime::run(async {
            let line = Arc::new(Line::default());
            let mut places: Vec<Place> = (0..3).filter_map(|_| line.join(9)).collect();
            drop(places.remove(0));
            assert!(places[0].is_first());
            assert_eq!(called(&line), [] as [u64; 0]);
            line.call();
            assert_eq!(called(&line), [1]);
            places[0].hear();
            // Its wake and its call; the one behind it was not woken.
            let both = places[0]
                .calls
                .receive()
                .await
                .and(places[0].calls.receive().await);
            let other = either(places[1].calls.receive(), runtime::yield_now()).await;
            both.is_some() && matches!(other, runtime::Either::Second(()))
        });
        assert!(woken.expect("a loop"));
    }
}
