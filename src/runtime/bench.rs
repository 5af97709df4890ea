//! The parts of the loop that `crate::bench` shows to benches/micro.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::timer::{Tick, Wheel};

/// The timer wheel, with its time as the length since its beginning.
pub struct TimerWheel(Wheel);

impl TimerWheel {
    /// An empty wheel.
    #[expect(
        clippy::new_without_default,
        reason = "only benches/micro makes a wheel"
    )]
    pub fn new() -> Self {
        Self(Wheel::new())
    }

    /// Schedules `number` for `deadline`.
    pub fn arm(&mut self, number: usize, deadline: Duration) {
        self.0.arm(number, Tick::at(deadline));
    }

    /// Moves the wheel to `now`, and returns how many numbers it looked at. None is scheduled again.
    pub fn expire(&mut self, now: Duration) -> usize {
        let mut looked_at = 0;
        self.0.expire(Tick::at(now), |_| {
            looked_at += 1;
            None
        });
        looked_at
    }
}

/// Runs a loop in which two tasks wake each other in turn, `times` times together.
///
/// # Panics
/// If the system cannot make an event queue.
pub fn ping_pong(times: usize) {
    let wakers: Rc<[Cell<Option<Waker>>; 2]> = Rc::default();
    super::run(async move {
        super::spawn(take_turns(Rc::clone(&wakers), 1, times / 2));
        take_turns(wakers, 0, times / 2).await;
    })
    .expect("the system makes an event queue");
}

/// Wakes the other task and waits until it wakes this one, `times` times.
async fn take_turns(wakers: Rc<[Cell<Option<Waker>>; 2]>, own: usize, times: usize) {
    let mut left = times;
    poll_fn(|context| {
        if let Some(other) = wakers[1 - own].take() {
            other.wake();
        }
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        wakers[own].set(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
}
