//! Pipes that carry octets between a thread, which may wait, and a task, which must not, with back
//! pressure in both directions.
//!
//! ```text
//! thread ─ PipeWriter (io::Write) ─→ ┌────────┐ ─→ TaskReader::read().await ─ task
//! thread ─ PipeReader (io::Read)  ←─ └────────┘ ←─ TaskWriter::write().await ─ task
//! ```
//!
//! A pipe holds [`CAPACITY`] octets, and up to one block more: a writer that is faster than the reader
//! has to wait. Each end learns when the other one is gone.

use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Sleeper, Tick};

/// Octets that a pipe holds before its writer has to wait.
const CAPACITY: usize = 256 * 1024;

/// How the writer ended the content.
#[derive(Debug)]
enum End<E> {
    /// The content is complete.
    Complete,
    /// The content is incomplete, for this reason.
    Broken(E),
    /// The reader has got the reason, or there is none.
    Reported,
}

/// What both ends share.
struct State<E> {
    /// Written, and not read yet.
    octets: Vec<u8>,
    /// Set when the writer has ended.
    end: Option<End<E>>,
    /// A task has begun to read.
    is_wanted: bool,
    /// The reader is gone.
    is_abandoned: bool,
    /// The waker of the pipe's task, if it waits. The task is the reader or the writer.
    task: Option<Waker>,
}

/// The state, and how the pipe's thread waits for it to change.
struct Shared<E> {
    state: Mutex<State<E>>,
    /// Wakes the pipe's thread, which is the writer or the reader.
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

    /// Locks the state, also after a panic of another thread.
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        // A panic can leave nothing half changed, because every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the thread wait until the task has changed something.
    fn wait<'s>(&self, state: MutexGuard<'s, State<E>>) -> MutexGuard<'s, State<E>> {
        let waited = self.thread.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Unlocks the state, then wakes the other end.
    fn notify(&self, mut state: MutexGuard<'_, State<E>>) {
        let task = state.task.take();
        drop(state);
        self.thread.notify_one();
        if let Some(task) = task {
            task.wake();
        }
    }

    /// Ends the content, if nothing has ended it before.
    fn end(&self, end: End<E>) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        self.notify(state);
    }

    /// Appends what the reader has not read to `into`, for a reader that does not wait on this lock.
    /// Returns false at the end of the content, or the state if there is nothing yet.
    fn take(
        &self,
        into: &mut Vec<u8>,
    ) -> Result<Result<bool, Broken<E>>, MutexGuard<'_, State<E>>> {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_wanted, true) {
            self.thread.notify_one();
        }
        if !state.octets.is_empty() {
            if into.is_empty() {
                std::mem::swap(into, &mut state.octets);
            } else {
                into.append(&mut state.octets);
            }
            self.notify(state);
            return Ok(Ok(true));
        }
        match state.end.take() {
            None => Err(state),
            Some(End::Complete) => {
                state.end = Some(End::Complete);
                Ok(Ok(false))
            }
            Some(End::Broken(why)) => {
                state.end = Some(End::Reported);
                Ok(Err(Broken::Because(why)))
            }
            Some(End::Reported) => {
                state.end = Some(End::Reported);
                Ok(Err(Broken::Silently))
            }
        }
    }

    /// Says that the reader is gone, and drops what it has not read.
    fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        state.octets = Vec::new();
        self.notify(state);
    }
}

/// A pipe from a thread to a task. `E` is the reason that the thread may give for incomplete content.
pub(crate) fn pipe_to_task<E>() -> (PipeWriter<E>, TaskReader<E>) {
    let shared = Shared::new();
    let reader = TaskReader {
        shared: Arc::clone(&shared),
        place: SourcePlace::default(),
    };
    (PipeWriter { shared }, reader)
}

/// A pipe from a task to a thread. `E` is the reason that the task may give for incomplete content.
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

/// The writing end for a thread. Dropping it says that the content is complete; dropping it while the
/// thread panics says that the content is incomplete.
pub(crate) struct PipeWriter<E> {
    shared: Arc<Shared<E>>,
}

impl<E> PipeWriter<E> {
    /// Writes as much of `octets` as there is room for now, and returns how much that was.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone.
    pub(crate) fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        let state = self.shared.lock();
        self.write_into(state, octets)
    }

    /// Writes all of `block` if the reader has taken all that was written before, and otherwise nothing.
    /// Returns whether it was written.
    ///
    /// For a writer whose newest block is worth more than those before it: a slow reader misses blocks,
    /// and gets none in part. The pipe holds one block at most, however large that is.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone.
    pub(crate) fn offer(&self, block: &[u8]) -> io::Result<bool> {
        let mut state = self.shared.lock();
        if state.is_abandoned {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !state.octets.is_empty() {
            return Ok(false);
        }
        state.octets.extend_from_slice(block);
        self.shared.notify(state);
        Ok(true)
    }

    /// Appends as much of `octets` to `state` as there is room for, and wakes the reader.
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

    /// Waits until the reader has begun to read. Returns false if the reader is gone.
    pub(crate) fn is_wanted(&self) -> bool {
        let mut state = self.shared.lock();
        while !state.is_wanted && !state.is_abandoned {
            state = self.shared.wait(state);
        }
        !state.is_abandoned
    }

    /// Whether the reader is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.shared.lock().is_abandoned
    }

    /// Says that the content is incomplete, and why.
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

    /// Does nothing: the reader gets every octet without it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<E> Drop for PipeWriter<E> {
    fn drop(&mut self) {
        let is_whole = !std::thread::panicking();
        self.shared.end(if is_whole {
            End::Complete
        } else {
            End::Reported
        });
    }
}

/// The reading end for a task.
pub(crate) struct TaskReader<E> {
    shared: Arc<Shared<E>>,
    place: SourcePlace,
}

/// How the writer ended content that is incomplete.
#[derive(Debug)]
pub(crate) enum Broken<E> {
    /// The writer gave this reason.
    Because(E),
    /// The writer gave no reason: it panicked, or was dropped.
    Silently,
}

impl<E> TaskReader<E> {
    /// Waits for octets, and appends them to `into`. Returns false at the end of the content.
    ///
    /// # Errors
    /// If the content is incomplete.
    ///
    /// # Cancellation
    /// Dropping the future loses nothing.
    pub(crate) async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, Broken<E>> {
        poll_fn(|context| self.poll_read(context, into)).await
    }

    /// [`read`](Self::read), by a thread in the place of a task. The condition is enough for both
    /// threads: the writer waits for room or for a reader, and the reader for octets.
    ///
    /// # Errors
    /// If the content is incomplete.
    pub(crate) fn read_on_thread(&mut self, into: &mut Vec<u8>) -> Result<bool, Broken<E>> {
        loop {
            match self.shared.take(into) {
                Ok(outcome) => return outcome,
                Err(state) => drop(self.shared.wait(state)),
            }
        }
    }

    /// [`read`](Self::read), as a `poll` function.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<Result<bool, Broken<E>>> {
        let Self { shared, place } = self;
        match shared.take(into) {
            Ok(outcome) => Poll::Ready(outcome),
            Err(state) => place.wait(context, state).map(|()| Ok(false)),
        }
    }
}

impl<E> Drop for TaskReader<E> {
    fn drop(&mut self) {
        self.shared.abandon();
    }
}

/// The writing end for a task. Dropping it without [`finish`](Self::finish) says that the content is
/// incomplete.
pub(crate) struct TaskWriter<E> {
    shared: Arc<Shared<E>>,
    place: SourcePlace,
}

/// The reader is gone.
#[derive(Debug)]
pub(crate) struct Abandoned;

impl<E> TaskWriter<E> {
    /// Waits until there is room, and moves all octets out of `block`.
    ///
    /// # Errors
    /// If the reader is gone.
    pub(crate) async fn write(&mut self, block: &mut Vec<u8>) -> Result<(), Abandoned> {
        poll_fn(|context| {
            let mut state = self.shared.lock();
            if state.is_abandoned {
                return Poll::Ready(Err(Abandoned));
            }
            if state.octets.len() < CAPACITY {
                if state.octets.is_empty() {
                    state.octets = take(block);
                } else {
                    state.octets.append(block);
                }
                self.shared.notify(state);
                return Poll::Ready(Ok(()));
            }
            self.place.wait(context, state).map(Ok)
        })
        .await
    }

    /// Says that the content is complete.
    pub(crate) fn finish(self) {
        self.shared.end(End::Complete);
    }

    /// Says that the content is incomplete, and why.
    pub(crate) fn break_off(self, why: E) {
        self.shared.end(End::Broken(why));
    }
}

impl<E> Drop for TaskWriter<E> {
    fn drop(&mut self) {
        self.shared.end(End::Reported);
    }
}

/// The reading end for a thread.
pub(crate) struct PipeReader<E> {
    shared: Arc<Shared<E>>,
    /// The block that was taken from the pipe last.
    block: Vec<u8>,
    /// How much of `block` has been read.
    used: usize,
}

impl<E> PipeReader<E> {
    /// Waits for the next block and puts it into `block`, which has been read. Returns false at the end.
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
                    return match std::mem::replace(end, End::Reported) {
                        End::Broken(why) => Err(Broken::Because(why)),
                        End::Complete | End::Reported => Err(Broken::Silently),
                    };
                }
            }
        }
    }

    /// Waits for octets, and reads into `octets`. Returns the number of octets; 0 at the end.
    ///
    /// # Errors
    /// If the content is incomplete.
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

/// The source of the pipe's task in its loop, made with the first wait; see [`Sleeper`].
#[derive(Default)]
struct SourcePlace(Option<Sleeper>);

impl SourcePlace {
    /// Waits until the other end has changed something, and unlocks `state`.
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
