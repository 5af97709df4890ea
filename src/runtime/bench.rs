//! What `crate::bench` shows of the loop.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::timer::{Tick, Wheel};

/// The timer wheel, with its time as a length since it began.
pub struct TimerWheel(Wheel);

impl TimerWheel {
    /// An empty one.
    #[expect(clippy::new_without_default, reason = "only benches/micro makes one")]
    pub fn new() -> Self {
        Self(Wheel::new())
    }

    /// Sees to it that `number` is looked at when `deadline` has come.
    pub fn arm(&mut self, number: usize, deadline: Duration) {
        self.0.arm(number, Tick::at(deadline));
    }

    /// Lets time go on to `now`; how many were looked at. Nobody is to be asked again.
    pub fn expire(&mut self, now: Duration) -> usize {
        let mut looked_at = 0;
        self.0.expire(Tick::at(now), |_| {
            looked_at += 1;
            None
        });
        looked_at
    }
}

/// Runs a loop in which two tasks wake each other in turn, so many times together.
///
/// # Panics
/// If the system gives no event queue.
pub fn ping_pong(times: usize) {
    let wakers: Rc<[Cell<Option<Waker>>; 2]> = Rc::default();
    super::run(async move {
        super::spawn(take_turns(Rc::clone(&wakers), 1, times / 2));
        take_turns(wakers, 0, times / 2).await;
    })
    .expect("the system gives an event queue");
}

/// Wakes the other side and waits to be woken by it, so many times.
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
