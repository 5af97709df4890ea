//! The executor: the tasks that are ready to run, in the order in which they became ready.
//!
//! Each thread has one. A task never leaves the thread that spawned it, so its future need not be
//! `Send`. Its wakers may be sent to other threads, and a wake-up from another thread arrives through
//! [`Remote`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_task::Runnable;

/// The most tasks that run in one turn of the loop, so that tasks which keep waking each other cannot
/// keep the loop from its sockets. Far more than are ever ready at once.
const TASKS_PER_TURN: usize = 16 * 1024;

/// The run queue of a thread.
#[derive(Default)]
pub(super) struct Executor {
    ready: RefCell<VecDeque<Runnable>>,
}

impl Executor {
    /// Adds a task that is ready.
    pub(super) fn push(&self, task: Runnable) {
        self.ready.borrow_mut().push_back(task);
    }

    /// Whether no task is ready.
    pub(super) fn is_idle(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// Runs tasks until none is ready, or [`TASKS_PER_TURN`] have run.
    ///
    /// A task that is spawned or woken meanwhile runs in the same turn: a connection just accepted
    /// is read without another system call in between. A task that yields runs in the next turn; see
    /// [`super::yield_now`].
    pub(super) fn run_ready(&self) {
        for _ in 0..TASKS_PER_TURN {
            let task = self.ready.borrow_mut().pop_front();
            let Some(task) = task else { return };
            task.run();
        }
    }

    /// Drops the tasks that are ready, and with them their futures.
    pub(super) fn drop_ready(&self) {
        loop {
            // A statement of its own ends the borrow: dropping a task may wake other tasks.
            let task = self.ready.borrow_mut().pop_front();
            if task.is_none() {
                return;
            }
        }
    }
}

/// Takes wake-ups from other threads. Each ends the loop's wait for events.
pub(super) struct Remote {
    injected: Mutex<Vec<Runnable>>,
    waker: mio::Waker,
}

impl Remote {
    /// With `waker`, which ends the loop's wait.
    pub(super) fn new(waker: mio::Waker) -> Arc<Self> {
        Arc::new(Self {
            injected: Mutex::default(),
            waker,
        })
    }

    /// Hands a woken task to the loop, from any thread.
    pub(super) fn inject(&self, task: Runnable) {
        self.lock().push(task);
        // Fails only if the eventfd is gone; then the loop that would run the task is gone, too.
        let _ = self.waker.wake();
    }

    /// Moves the tasks that other threads woke into `executor`.
    pub(super) fn drain_into(&self, executor: &Executor) {
        for task in std::mem::take(&mut *self.lock()) {
            executor.push(task);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Runnable>> {
        // A panic cannot leave the vector half changed.
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
