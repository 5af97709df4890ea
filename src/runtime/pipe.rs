//! Octets between a thread that may wait and a task that must not, with back pressure either way.
//!
//! ```text
//! thread ─ PipeWriter (io::Write) ─→ ┌────────┐ ─→ TaskReader::read().await ─ task
//! thread ─ PipeReader (io::Read)  ←─ └────────┘ ←─ TaskWriter::write().await ─ task
//! ```
//!
//! A pipe holds [`CAPACITY`] octets, give or take one block: who writes faster than the other reads is
//! made to wait. Either end hears when the other is gone.

use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Sleeper, Tick};

/// Octets on their way at once.
const CAPACITY: usize = 256 * 1024;

/// How the writing end ended.
#[derive(Debug)]
enum End<E> {
    /// All has been written.
    Complete,
    /// More should have come.
    Broken(E),
    /// The reason has been told.
    Told,
}

struct State<E> {
    octets: Vec<u8>,
    end: Option<End<E>>,
    /// A task has begun to read.
    is_wanted: bool,
    /// Nobody reads any more.
    is_abandoned: bool,
    /// The task that waits, at whichever end it is.
    task: Option<Waker>,
}

struct Shared<E> {
    state: Mutex<State<E>>,
    /// The thread that waits, at whichever end it is.
    thread: Condvar,
}

impl<E> Shared<E> {
    fn new() -> Arc<Self> {
        let state = State {
            octets: Vec::new(),
            end: None,
            is_wanted: false,
            is_abandoned: false,
            task: None,
        };
        Arc::new(Self {
            state: Mutex::new(state),
            thread: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // What a panic could leave half done is not here: every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State<E>>) -> MutexGuard<'s, State<E>> {
        let waited = self.thread.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the state, and wakes the other end, whichever it is.
    fn notify(&self, mut state: MutexGuard<'_, State<E>>) {
        let task = state.task.take();
        drop(state);
        self.thread.notify_one();
        if let Some(task) = task {
            task.wake();
        }
    }

    fn end(&self, end: End<E>) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        self.notify(state);
    }

    fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        state.octets = Vec::new();
        self.notify(state);
    }
}

/// A pipe from a thread to a task; `E` is what the thread may say of a premature end.
pub(crate) fn pipe_to_task<E>() -> (PipeWriter<E>, TaskReader<E>) {
    let shared = Shared::new();
    let reader = TaskReader {
        shared: Arc::clone(&shared),
        place: SourcePlace::default(),
    };
    (PipeWriter { shared }, reader)
}

/// A pipe from a task to a thread; `E` is what the task may say of a premature end.
pub(crate) fn pipe_to_thread<E>() -> (TaskWriter<E>, PipeReader<E>) {
    let shared = Shared::new();
    let writer = TaskWriter {
        shared: Arc::clone(&shared),
        place: SourcePlace::default(),
    };
    let reader = PipeReader {
        shared,
        block: Vec::new(),
        used: 0,
    };
    (writer, reader)
}

/// The writing end of a thread. Dropped without a word, it says that all has been written; by a panic,
/// that more should have come.
pub(crate) struct PipeWriter<E> {
    shared: Arc<Shared<E>>,
}

impl<E> PipeWriter<E> {
    /// Writes as much as there is room for now; 0 if there is none.
    ///
    /// # Errors
    /// `BrokenPipe` if nobody reads any more.
    pub(crate) fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        let state = self.shared.lock();
        self.write_into(state, octets)
    }

    fn write_into(&self, mut state: MutexGuard<'_, State<E>>, octets: &[u8]) -> io::Result<usize> {
        if state.is_abandoned {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = CAPACITY.saturating_sub(state.octets.len());
        let count = octets.len().min(room);
        state.octets.extend_from_slice(&octets[..count]);
        self.shared.notify(state);
        Ok(count)
    }

    /// Waits until somebody reads; `false` if nobody will.
    pub(crate) fn is_wanted(&self) -> bool {
        let mut state = self.shared.lock();
        while !state.is_wanted && !state.is_abandoned {
            state = self.shared.wait(state);
        }
        !state.is_abandoned
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.shared.lock().is_abandoned
    }

    /// Says that more should have come, and why it does not.
    pub(crate) fn break_off(self, why: E) {
        self.shared.end(End::Broken(why));
    }
}

impl<E> io::Write for PipeWriter<E> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.lock();
        while state.octets.len() >= CAPACITY && !state.is_abandoned {
            state = self.shared.wait(state);
        }
        self.write_into(state, octets)
    }

    /// There is nothing to do: what is written is on its way.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<E> Drop for PipeWriter<E> {
    fn drop(&mut self) {
        let is_whole = !std::thread::panicking();
        self.shared
            .end(if is_whole { End::Complete } else { End::Told });
    }
}

/// The reading end of a task.
pub(crate) struct TaskReader<E> {
    shared: Arc<Shared<E>>,
    place: SourcePlace,
}

/// How a pipe ended before it was complete.
#[derive(Debug)]
pub(crate) enum Broken<E> {
    /// For this reason.
    Because(E),
    /// Without a word, by a panic.
    Silently,
}

impl<E> TaskReader<E> {
    /// Waits for octets, and appends them to `into`; `false` at their end.
    ///
    /// # Errors
    /// If more should have come.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub(crate) async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, Broken<E>> {
        poll_fn(|context| self.poll_read(context, into)).await
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<Result<bool, Broken<E>>> {
        let mut state = self.shared.lock();
        if !std::mem::replace(&mut state.is_wanted, true) {
            self.shared.thread.notify_one();
        }
        if !state.octets.is_empty() {
            match into.is_empty() {
                true => std::mem::swap(into, &mut state.octets),
                false => into.append(&mut state.octets),
            }
            self.shared.notify(state);
            return Poll::Ready(Ok(true));
        }
        match state.end.take() {
            None => {}
            Some(End::Complete) => {
                state.end = Some(End::Complete);
                return Poll::Ready(Ok(false));
            }
            Some(End::Broken(why)) => {
                state.end = Some(End::Told);
                return Poll::Ready(Err(Broken::Because(why)));
            }
            Some(End::Told) => {
                state.end = Some(End::Told);
                return Poll::Ready(Err(Broken::Silently));
            }
        }
        self.place.wait(context, state).map(|()| Ok(false))
    }
}

impl<E> Drop for TaskReader<E> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

/// The writing end of a task. Dropped without [`finish`](Self::finish), it says that more should have
/// come.
pub(crate) struct TaskWriter<E> {
    shared: Arc<Shared<E>>,
    place: SourcePlace,
}

/// Nobody reads any more.
#[derive(Debug)]
pub(crate) struct Abandoned;

impl<E> TaskWriter<E> {
    /// Waits until there is room, and writes all of `block`, which is empty afterwards.
    ///
    /// # Errors
    /// If nobody reads any more.
    pub(crate) async fn write(&mut self, block: &mut Vec<u8>) -> Result<(), Abandoned> {
        poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.is_abandoned {
                return Poll::Ready(Err(Abandoned));
            }
            if state.octets.len() < CAPACITY {
                match state.octets.is_empty() {
                    true => state.octets = take(block),
                    false => state.octets.append(block),
                }
                self.shared.notify(state);
                return Poll::Ready(Ok(()));
            }
            self.place.wait(context, state).map(Ok)
        })
        .await
    }

    /// Says that all has been written.
    pub(crate) fn finish(self) {
        self.shared.end(End::Complete);
    }

    /// Says that more should have come, and why it does not.
    pub(crate) fn break_off(self, why: E) {
        self.shared.end(End::Broken(why));
    }
}

impl<E> Drop for TaskWriter<E> {
    fn drop(&mut self) {
        self.shared.end(End::Told);
    }
}

/// The reading end of a thread.
pub(crate) struct PipeReader<E> {
    shared: Arc<Shared<E>>,
    /// What was taken off the pipe last, and how much of it has been read.
    block: Vec<u8>,
    used: usize,
}

impl<E> PipeReader<E> {
    /// Waits for the next block, in the place of the one that has been read; `false` at the end.
    fn refill(&mut self) -> Result<bool, Broken<E>> {
        let mut state = self.shared.lock();
        loop {
            if !state.octets.is_empty() {
                self.block.clear();
                self.used = 0;
                std::mem::swap(&mut self.block, &mut state.octets);
                self.shared.notify(state);
                return Ok(true);
            }
            match &mut state.end {
                None => state = self.shared.wait(state),
                Some(End::Complete) => return Ok(false),
                Some(end) => {
                    return match std::mem::replace(end, End::Told) {
                        End::Broken(why) => Err(Broken::Because(why)),
                        End::Complete | End::Told => Err(Broken::Silently),
                    };
                }
            }
        }
    }

    /// Reads into `octets`; 0 at the end.
    ///
    /// # Errors
    /// If more should have come.
    pub(crate) fn read(&mut self, octets: &mut [u8]) -> Result<usize, Broken<E>> {
        if octets.is_empty() || self.used == self.block.len() && !self.refill()? {
            return Ok(0);
        }
        let rest = &self.block[self.used..];
        let count = rest.len().min(octets.len());
        octets[..count].copy_from_slice(&rest[..count]);
        self.used += count;
        Ok(count)
    }
}

impl<E> std::fmt::Debug for PipeReader<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeReader").finish_non_exhaustive()
    }
}

impl<E> Drop for PipeReader<E> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

/// The waiting task's place in its loop, taken with the first wait; see [`Sleeper`].
#[derive(Default)]
struct SourcePlace(Option<Sleeper>);

impl SourcePlace {
    /// Has the other end wake this task when it has done something.
    fn wait<E>(
        &mut self,
        context: &mut Context<'_>,
        mut state: MutexGuard<'_, State<E>>,
    ) -> Poll<()> {
        state.task = Some(context.waker().clone());
        drop(state);
        let place = self.0.get_or_insert_with(Sleeper::new);
        place.poll(context, Tick::NEVER)
    }
}
