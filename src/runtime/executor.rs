//! The executor: tasks that are ready to go on, in the order in which they became so.
//!
//! One per thread. A task never leaves the thread it was spawned on, so its future need not be
//! `Send`; its wakers may go anywhere, and a wake-up from another thread arrives through
//! [`Remote`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_task::Runnable;

/// Tasks run in one turn of the loop at most, so that tasks which keep waking each other cannot shut
/// out the sockets; far more than are ever ready at once.
const TASKS_PER_TURN: usize = 16 * 1024;

/// The run queue of a thread.
#[derive(Default)]
pub(super) struct Executor {
    ready: RefCell<VecDeque<Runnable>>,
}

impl Executor {
    pub(super) fn push(&self, task: Runnable) {
        self.ready.borrow_mut().push_back(task);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.ready.borrow().is_empty()
    }

    /// Runs tasks until none is ready, or so many have run that the sockets deserve a look.
    ///
    /// A task that is spawned or woken meanwhile runs in the same turn: a connection just accepted
    /// is read without another system call in between. One that yields does not; see
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
            // A statement of its own: what is dropped may wake others.
            let task = self.ready.borrow_mut().pop_front();
            if task.is_none() {
                return;
            }
        }
    }
}

/// The way in for other threads: a wake-up sent from one ends the wait of the loop.
pub(super) struct Remote {
    injected: Mutex<Vec<Runnable>>,
    waker: mio::Waker,
}

impl Remote {
    pub(super) fn new(waker: mio::Waker) -> Arc<Self> {
        Arc::new(Self {
            injected: Mutex::default(),
            waker,
        })
    }

    pub(super) fn inject(&self, task: Runnable) {
        self.lock().push(task);
        // It fails only if the eventfd is gone, and with it the loop that would run the task.
        let _ = self.waker.wake();
    }

    /// Moves what came from other threads into `executor`.
    pub(super) fn drain_into(&self, executor: &Executor) {
        for task in std::mem::take(&mut *self.lock()) {
            executor.push(task);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Runnable>> {
        // A panic cannot leave a Vec of runnables half pushed.
        self.injected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
