//! Handshakes take turns: a flood of them must not keep the loop from its other connections.
//!
//! ```text
//! handshake → ClientHello → is there room in this turn of the loop? ─ yes → its work
//!                                └ no → the line ─ PER_TURN in each turn, first come, first served ┘
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Instant;

use crate::runtime;

/// Handshakes that a thread works at in one turn of its loop. Each takes a few hundred microseconds.
const PER_TURN: u32 = 4;

/// Handshakes in the line of a thread with which it accepts no further connection that begins with one. The
/// rest of a flood waits in the system's queue, and not as connections of ours in the place of others.
const CROWD: usize = 256;

/// The gate of a thread.
#[derive(Default)]
struct Gate {
    /// The last turn of the loop, by its beginning, and how many handshakes it had.
    turn: Option<(Instant, u32)>,
    line: VecDeque<Rc<Place>>,
}

/// A place in the line.
struct Place {
    has_turn: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

thread_local! {
    static GATE: RefCell<Gate> = RefCell::default();
}

/// Whether so many handshakes wait on this thread that no further one should begin.
pub(crate) fn is_crowded() -> bool {
    GATE.with_borrow(|gate| gate.line.len() >= CROWD)
}

/// Waits until the loop has room for the work of a handshake in its turn. Returns whether that was later.
///
/// # Cancellation
/// The place in the line is given up.
pub(super) async fn take_turn() -> bool {
    let Some(place) = GATE.with_borrow_mut(Gate::enter) else {
        return false;
    };
    poll_fn(|context| {
        if place.has_turn.get() {
            return Poll::Ready(());
        }
        place.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
    true
}

impl Gate {
    /// Lets a handshake in, or gives it a place in the line.
    fn enter(&mut self) -> Option<Rc<Place>> {
        if self.line.is_empty() {
            if self.has_room() {
                self.count();
                return None;
            }
            runtime::spawn(let_in());
        }
        let place = Rc::new(Place {
            has_turn: Cell::new(false),
            waker: RefCell::default(),
        });
        self.line.push_back(Rc::clone(&place));
        Some(place)
    }

    /// Whether this turn of the loop has room for a handshake.
    fn has_room(&mut self) -> bool {
        let now = runtime::now();
        match self.turn {
            Some((turn, count)) if turn == now => count < PER_TURN,
            _ => {
                self.turn = Some((now, 0));
                true
            }
        }
    }

    /// Counts a handshake in this turn.
    fn count(&mut self) {
        if let Some((_, count)) = &mut self.turn {
            *count += 1;
        }
    }

    /// Takes the next one from the line, if this turn has room for it.
    fn next(&mut self) -> Option<Rc<Place>> {
        while self.has_room() {
            let place = self.line.pop_front()?;
            // Otherwise its handshake has ended, and needs no room.
            if Rc::strong_count(&place) > 1 {
                self.count();
                return Some(place);
            }
        }
        None
    }
}

/// Empties the line when it is dropped: when the loop of the worker ends, no handshake waits any more.
struct Line;

impl Drop for Line {
    fn drop(&mut self) {
        GATE.with_borrow_mut(|gate| gate.line.clear());
    }
}

/// Lets those in the line in, a few in each turn, until it is empty.
async fn let_in() {
    let _line = Line;
    while GATE.with_borrow(|gate| !gate.line.is_empty()) {
        runtime::yield_now().await;
        while let Some(place) = GATE.with_borrow_mut(Gate::next) {
            place.has_turn.set(true);
            if let Some(waker) = place.waker.take() {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `HANDSHAKES` that note their numbers in `done`, of which every tenth is given up in the line.
    /// Returns how many turns of the loop another task has had meanwhile.
    fn flood(done: &Rc<RefCell<Vec<u32>>>) -> u32 {
        let done = Rc::clone(done);
        let turns = runtime::run(async move {
            for number in 0..HANDSHAKES {
                let done = Rc::clone(&done);
                runtime::spawn(async move {
                    if number % 10 == 9 {
                        let waiting = std::pin::pin!(take_turn());
                        runtime::either(waiting, runtime::yield_now()).await;
                    } else {
                        take_turn().await;
                        done.borrow_mut().push(number);
                    }
                });
            }
            let mut turns = 0;
            while done.borrow().len() < COMPLETE {
                turns += 1;
                runtime::yield_now().await;
                assert!(done.borrow().len() <= (turns * PER_TURN) as usize);
            }
            turns
        });
        turns.expect("a loop")
    }

    const HANDSHAKES: u32 = 400;
    const COMPLETE: usize = 360;

    /// Others get their turn while many handshakes wait for theirs, and the first one to come is the first
    /// one to go.
    #[test]
    fn a_turn_of_the_loop_has_a_few_handshakes() {
        // The second loop of the thread finds nothing of the first one.
        for _ in 0..2 {
            let done = Rc::default();
            let turns = flood(&done);
            assert!(turns >= COMPLETE as u32 / PER_TURN, "{turns}");
            assert!(turns <= HANDSHAKES / PER_TURN + 2, "{turns}");
            assert!(done.borrow().is_sorted());
        }
    }

    #[test]
    fn a_long_line_is_a_crowd() {
        let crowded = runtime::run(async {
            let is_crowded_before = is_crowded();
            for _ in 0..CROWD + 10 {
                runtime::spawn(async {
                    take_turn().await;
                });
            }
            runtime::yield_now().await;
            let is_crowded_now = is_crowded();
            while is_crowded() {
                runtime::yield_now().await;
            }
            (is_crowded_before, is_crowded_now)
        });
        assert_eq!(crowded.expect("a loop"), (false, true));
        // The rest of the line has gone with the loop.
        assert!(GATE.with_borrow(|gate| gate.line.is_empty()));
    }
}
