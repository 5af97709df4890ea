//! Responses that are decided later, by any thread, while no thread waits.
//!
//! ```text
//! Response::later ─┬─ Reply     kept by the program ─── send ──→ Slot: the answer
//!                  └─ Response  returned to the server ─ map ──→ Slot: changes ─→ Later, awaited
//! ```

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::Error;
use super::response::Response;
use crate::runtime::{Receiver, Sender, channel};

/// Decides a response that was returned undecided: the other half of [`Response::later`].
///
/// It may be sent to any thread and kept for as long as the route's `timeout` allows. Dropped without
/// [`send`](Self::send) or [`fail`](Self::fail), it has the client answered 500, with a line in the log.
pub struct Reply {
    slot: Arc<Slot>,
    /// Dropping it wakes the server.
    bell: Sender<()>,
}

impl Reply {
    /// Decides the response. Returns whether the client still waited for it; if not, it is dropped.
    ///
    /// It may itself be one that is decided later. Its content, if that is a reader or a writer, is made
    /// on a thread of the blocking pool, as ever.
    pub fn send(self, response: Response) -> bool {
        self.decide(Ok(response))
    }

    /// Says that there is no response, and why; see [`Error`] for what the client gets. Returns whether
    /// the client still waited.
    pub fn fail(self, error: impl Into<Error>) -> bool {
        self.decide(Err(error.into()))
    }

    fn decide(self, answer: Result<Response, Error>) -> bool {
        let is_awaited = !self.client_has_gone();
        self.slot.decide(answer);
        is_awaited
    }

    /// Whether the response has become pointless: the client has gone, or was answered otherwise
    /// because the time was up. [`Ending::then`](super::Ending::then) tells it without being asked.
    pub fn client_has_gone(&self) -> bool {
        !self.bell.is_open()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.slot.lock().is_over = true;
        self.slot.changed.notify_all();
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

/// A change to a response, made when it is decided.
type Change = Box<dyn FnOnce(Response) -> Response + Send>;

/// Why there is no response.
pub(crate) const UNDECIDED: &str = "its reply was dropped, so that the response was never decided";

/// What both halves share.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Wakes a thread that waits for the answer: a test.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    answer: Option<Result<Response, Error>>,
    /// In the order in which they are to be made.
    changes: Vec<Change>,
    /// The reply is gone: the answer is there, or will never be.
    is_over: bool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under the lock, and every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts `answer` in its place, with the changes made on this thread.
    fn decide(&self, mut answer: Result<Response, Error>) {
        loop {
            let mut state = self.lock();
            let changes = std::mem::take(&mut state.changes);
            if changes.is_empty() {
                state.answer = Some(answer);
                return;
            }
            drop(state);
            answer = answer.map(|response| changed(response, changes));
        }
    }
}

fn changed(response: Response, changes: Vec<Change>) -> Response {
    let make = |response, change: Change| change(response);
    changes.into_iter().fold(response, make)
}

/// A response that is not decided yet: what the server waits for.
pub(crate) struct Later {
    slot: Arc<Slot>,
    bell: Receiver<()>,
    fallback: Option<Fallback>,
}

/// The response that is sent in the place of one that is decided too late.
pub(crate) struct Fallback {
    pub(crate) after: Duration,
    response: Box<Response>,
    changes: Vec<Change>,
}

impl Later {
    pub(super) fn new() -> (Reply, Self) {
        let (sender, bell) = channel();
        let slot = Arc::<Slot>::default();
        let reply = Reply {
            slot: Arc::clone(&slot),
            bell: sender,
        };
        let fallback = None;
        let later = Self {
            slot,
            bell,
            fallback,
        };
        (reply, later)
    }

    /// Has `change` made when the response is decided: now, if it has been.
    pub(super) fn change(&mut self, change: impl FnOnce(Response) -> Response + Send + 'static) {
        let mut state = self.slot.lock();
        match state.answer.take() {
            None => state.changes.push(Box::new(change)),
            Some(answer) => {
                drop(state);
                self.slot.decide(answer.map(change));
            }
        }
    }

    pub(super) fn set_fallback(&mut self, after: Duration, response: Response) {
        self.fallback = Some(Fallback {
            after,
            response: Box::new(response),
            changes: Vec::new(),
        });
    }

    /// How long to wait before the fallback is sent, if there is one.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.fallback.as_ref().map(|fallback| fallback.after)
    }

    /// Waits until it is decided. `None` if its [`Reply`] was dropped without an answer.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub(crate) async fn decided(&mut self) -> Option<Result<Response, Error>> {
        // Nothing is ever sent: the bell is dropped when the answer is there, or will never be.
        self.bell.receive().await;
        self.slot.lock().answer.take()
    }

    /// [`decided`](Self::decided), on a thread that may wait.
    pub(super) fn wait(self) -> Option<Result<Response, Error>> {
        let mut state = self.slot.lock();
        while !state.is_over {
            let waited = self.slot.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
        state.answer.take()
    }

    /// The response to send in its place, if there is one, and whether changes by code of the program
    /// are still to be made to it. A decision that comes now is dropped.
    pub(crate) fn into_fallback(self) -> Option<Fallback> {
        let changes = std::mem::take(&mut self.slot.lock().changes);
        let fallback = self.fallback?;
        Some(Fallback {
            changes,
            ..fallback
        })
    }
}

impl Fallback {
    /// Whether code of the program must run to make the response.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The response, with the changes made on this thread.
    pub(crate) fn into_response(self) -> Response {
        changed(*self.response, self.changes)
    }
}
