//! Handshakes take turns: a flood of them must not keep the loop from its other connections.

use std::cell::Cell;
use std::time::Instant;

use crate::runtime;

/// Handshakes that a thread works at in one turn of its loop. Each takes a few hundred microseconds.
const PER_TURN: u32 = 4;

thread_local! {
    /// The last turn of the loop, by its beginning, and how many handshakes it had.
    static LAST: Cell<Option<(Instant, u32)>> = const { Cell::new(None) };
}

/// Waits until the loop has room for the work of a handshake in its turn.
pub(super) async fn take_turn() {
    while !has_room() {
        runtime::yield_now().await;
    }
}

/// Counts a handshake in this turn of the loop, if there is room for it.
fn has_room() -> bool {
    let turn = runtime::now();
    let before = match LAST.get() {
        Some((last, count)) if last == turn => count,
        _ => 0,
    };
    let has_room = before < PER_TURN;
    LAST.set(Some((turn, before + u32::from(has_room))));
    has_room
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// Others get their turn while many handshakes wait for theirs.
    #[test]
    fn a_turn_of_the_loop_has_a_few_handshakes() {
        const HANDSHAKES: u32 = 40;
        let turns_of_another = runtime::run(async {
            let done = Rc::new(Cell::new(0));
            for _ in 0..HANDSHAKES {
                let done = Rc::clone(&done);
                runtime::spawn(async move {
                    take_turn().await;
                    done.set(done.get() + 1);
                });
            }
            let mut turns = 0;
            while done.get() < HANDSHAKES {
                turns += 1;
                runtime::yield_now().await;
            }
            turns
        });
        assert!(turns_of_another.expect("a loop") >= HANDSHAKES / PER_TURN);
    }
}
