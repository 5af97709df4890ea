//! The blocking pool: threads for whatever may wait, behind a bounded queue.
//!
//! A cold disk, a script, other people's code: a loop must not wait for them. The pool is shared by
//! all workers and by every generation of the configuration.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use threadpool::ThreadPool;

use super::channel::channel;

/// Threads and the queue before them.
pub(crate) struct BlockingPool {
    // A Mutex, for the pool's sending half may not be shared between threads.
    pool: Mutex<ThreadPool>,
    /// Jobs begun or waiting.
    jobs: Arc<AtomicUsize>,
    /// The most that may be begun or waiting: every thread and every place in the queue.
    max_jobs: usize,
}

/// Why a job gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockingError {
    #[error("the queue of the blocking pool is full")]
    Saturated,
    #[error("a job on the blocking pool panicked")]
    Panicked,
}

impl BlockingPool {
    /// A pool of `threads` threads before which `queue` jobs may wait.
    pub(crate) fn new(threads: usize, queue: usize) -> Arc<Self> {
        let pool = threadpool::Builder::new()
            .num_threads(threads)
            .thread_name("tidegate-block".to_owned())
            .build();
        Arc::new(Self {
            pool: Mutex::new(pool),
            jobs: Arc::default(),
            max_jobs: threads + queue,
        })
    }

    /// Runs `job` on the pool and waits for its result.
    ///
    /// # Errors
    /// At once if the queue is full; later if the job panics.
    ///
    /// # Cancellation
    /// A job that has been queued runs, whether or not its result is waited for.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let place = Place::take(&self.jobs, self.max_jobs).ok_or(BlockingError::Saturated)?;
        let (sender, mut receiver) = channel();
        self.execute(move || {
            let result = catch_unwind(AssertUnwindSafe(job));
            // Before the result is sent, so that whoever has it finds the place free.
            drop(place);
            if let Ok(result) = result {
                sender.send(result);
            }
        });
        receiver.receive().await.ok_or(BlockingError::Panicked)
    }

    fn execute(&self, job: impl FnOnce() + Send + 'static) {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.execute(job);
    }
}

/// A job's place among those that may be begun or waiting.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(jobs: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        // Only a count: nothing else is published by it.
        let taken = jobs.fetch_add(1, Ordering::Relaxed) < max;
        let place = Self(Arc::clone(jobs));
        taken.then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
