//! A way for other threads to hand values to a task.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Sleeper, Tick};

/// A channel from any number of threads to one task. It is not bounded: senders are few and
/// answer for themselves (the supervisor's commands; one result for each job begun).
pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(State {
        queue: VecDeque::new(),
        senders: 1,
        receiver: None,
        is_open: true,
    }));
    let receiver = Receiver {
        shared: Arc::clone(&shared),
        place: None,
    };
    (Sender(shared), receiver)
}

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    receiver: Option<Waker>,
    /// The receiver is there.
    is_open: bool,
}

pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

pub(crate) struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    /// The receiving task's place among those that wait: a loop that ends finds it there. Taken
    /// with the first wait.
    place: Option<Sleeper>,
}

impl<T> Sender<T> {
    /// Hands `value` over; it is dropped if the receiver is gone.
    pub(crate) fn send(&self, value: T) {
        let mut state = lock(&self.0);
        if !state.is_open {
            // Before the value goes: it may hold a sender of this very channel.
            drop(state);
            return;
        }
        state.queue.push_back(value);
        wake(state);
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.0).senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.senders -= 1;
        if state.senders == 0 {
            wake(state);
        }
    }
}

/// What nobody will receive is dropped, now and from here on: whoever waits for an answer to it hears
/// that there will be none.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        state.is_open = false;
        let unread = std::mem::take(&mut state.queue);
        drop(state);
        drop(unread);
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` when all senders are gone and nothing is left.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    /// [`receive`](Self::receive), by hand.
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.shared);
        if let Some(value) = state.queue.pop_front() {
            return Poll::Ready(Some(value));
        }
        if state.senders == 0 {
            return Poll::Ready(None);
        }
        state.receiver = Some(context.waker().clone());
        drop(state);
        let place = self.place.get_or_insert_with(Sleeper::new);
        place.poll(context, Tick::NEVER).map(|()| None)
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // No step under the lock leaves the state half changed.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the receiver when the lock has been let go: waking takes another.
fn wake<T>(mut state: MutexGuard<'_, State<T>>) {
    let receiver = state.receiver.take();
    drop(state);
    if let Some(waker) = receiver {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_will_receive_is_dropped() {
        let (sender, receiver) = channel();
        let (reply, replies) = std::sync::mpsc::channel::<()>();
        sender.send(reply.clone());
        drop(receiver);
        sender.send(reply);
        let heard = replies.try_recv();
        assert_eq!(heard, Err(std::sync::mpsc::TryRecvError::Disconnected));
    }
}
