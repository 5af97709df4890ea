//! Channels by which other threads hand values to a task.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Sleeper, Tick};

/// A channel from any number of threads to one task. The channel is not bounded, because its senders
/// send little: the supervisor sends commands, and a job sends one result.
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
    /// The receiver has not been dropped.
    is_open: bool,
}

/// The sending end, of which there may be several, in any threads.
pub(crate) struct Sender<T>(Arc<Mutex<State<T>>>);

/// The receiving end, of one task.
pub(crate) struct Receiver<T> {
    shared: Arc<Mutex<State<T>>>,
    /// The receiving task's source, made with the first wait: a loop that ends finds the waiting task
    /// there, and drops it.
    place: Option<Sleeper>,
}

impl<T> Sender<T> {
    /// Sends `value` to the receiver, or drops it if the receiver is gone.
    pub(crate) fn send(&self, value: T) {
        let mut state = lock(&self.0);
        if !state.is_open {
            // Unlocked before the value is dropped, because it may hold a sender of this channel.
            drop(state);
            return;
        }
        state.queue.push_back(value);
        wake(state);
    }

    /// Whether the receiver is there.
    pub(crate) fn is_open(&self) -> bool {
        lock(&self.0).is_open
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

/// Drops the values in the queue, and has later ones dropped: a thread that waits for a reply to one of
/// them learns that no reply will come.
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
    /// Waits for the next value. Returns `None` when all senders are gone and the queue is empty.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub(crate) async fn receive(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    /// [`receive`](Self::receive), for callers that are `poll` functions.
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

/// Locks the state, also after a panic of another thread.
fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // Nothing that runs under the lock can panic half-way through a change.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unlocks the state, then wakes the receiver, because waking takes another lock.
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
    fn drops_values_without_a_receiver() {
        let (sender, receiver) = channel();
        let (reply, replies) = std::sync::mpsc::channel::<()>();
        sender.send(reply.clone());
        drop(receiver);
        sender.send(reply);
        let reply = replies.try_recv();
        assert_eq!(reply, Err(std::sync::mpsc::TryRecvError::Disconnected));
    }
}
