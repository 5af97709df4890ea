//! The blocking pool: threads for whatever may wait, behind a bounded queue.
//!
//! A cold disk, a script, other people's code: a loop must not wait for them. A pool is shared by
//! all workers and by every generation of the configuration. Where nothing else is on the loop, a
//! pool without threads does: jobs run where they are begun.
//!
//! ```text
//! begin → queued ─→ running ─→ done
//!            │          └ Job dropped ─→ lost ─→ done     its thread is missing until it returns
//!            └ Job dropped ─→ never run
//! ```

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use threadpool::ThreadPool;

use super::channel::channel;

/// Threads and the queue before them.
pub(crate) struct BlockingPool {
    /// `None`: jobs run on the thread that begins them. A Mutex, for the pool's sending half may not
    /// be shared between threads.
    pool: Option<Mutex<ThreadPool>>,
    threads: usize,
    /// The most that may be begun or waiting: every thread and every place in the queue.
    max_jobs: usize,
    counts: Arc<Counts>,
}

/// Only counts: nothing else is published by them.
#[derive(Default)]
struct Counts {
    /// Jobs running or queued.
    jobs: AtomicUsize,
    running: AtomicUsize,
    /// Running, but nobody waits for them any more.
    lost: AtomicUsize,
    refused: AtomicUsize,
}

/// What a pool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolState {
    pub(crate) threads: usize,
    pub(crate) running: usize,
    /// Of those running: nobody waits for them any more.
    pub(crate) lost: usize,
    pub(crate) queued: usize,
    /// Jobs that found the queue full, ever.
    pub(crate) refused: usize,
}

/// Why a job gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockingError {
    #[error("the queue of the blocking pool is full")]
    Saturated,
    #[error("a job on the blocking pool panicked: {0}")]
    Panicked(String),
}

impl BlockingPool {
    /// A pool of `threads` threads before which `queue` jobs may wait.
    pub(crate) fn new(threads: usize, queue: usize) -> Arc<Self> {
        let pool = threadpool::Builder::new()
            .num_threads(threads)
            .thread_name("tidegate-block".to_owned())
            .build();
        Arc::new(Self {
            pool: Some(Mutex::new(pool)),
            threads,
            max_jobs: threads + queue,
            counts: Arc::default(),
        })
    }

    /// A pool of no threads: a job runs at once, on the thread that begins it.
    pub(crate) fn without_threads() -> Arc<Self> {
        Arc::new(Self {
            pool: None,
            threads: 0,
            max_jobs: usize::MAX,
            counts: Arc::default(),
        })
    }

    /// Has `work` run as soon as a thread is free, as long as the [`Job`] is kept. A panic in it ends
    /// it, and is told by what it drops.
    ///
    /// # Errors
    /// [`BlockingError::Saturated`] if the queue is full.
    pub(crate) fn begin(&self, work: impl FnOnce() + Send + 'static) -> Result<Job, BlockingError> {
        self.execute(|_permit| {
            let _ = catch_unwind(AssertUnwindSafe(work));
        })
    }

    /// Runs `job` on the pool and waits for its result.
    ///
    /// # Errors
    /// At once if the queue is full; later if the job panics.
    ///
    /// # Cancellation
    /// A job that has begun is run to its end; one that is still queued is not.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, mut receiver) = channel();
        let _job = self.execute(move |permit| {
            let result = catch_unwind(AssertUnwindSafe(job));
            // Before the result is sent, so that whoever has it finds the place free.
            drop(permit);
            sender.send(result.map_err(|panic| panic_message(&*panic)));
        })?;
        match receiver.receive().await {
            Some(result) => result.map_err(BlockingError::Panicked),
            None => Err(BlockingError::Panicked(String::new())),
        }
    }

    fn execute(&self, work: impl FnOnce(Permit) + Send + 'static) -> Result<Job, BlockingError> {
        let permit = Permit::take(&self.counts, self.max_jobs)?;
        let job = Job(Some(Arc::clone(&permit.0)));
        let work = move || {
            if permit.begin() {
                work(permit);
            }
        };
        match &self.pool {
            Some(pool) => {
                let pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
                pool.execute(work);
            }
            None => work(),
        }
        Ok(job)
    }

    pub(crate) fn state(&self) -> PoolState {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let (jobs, running) = (read(&self.counts.jobs), read(&self.counts.running));
        PoolState {
            threads: self.threads,
            running,
            lost: read(&self.counts.lost),
            queued: jobs.saturating_sub(running),
            refused: read(&self.counts.refused),
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it did not say why".to_owned())
}

/// A job that was begun. Dropped, it says that nobody waits for it any more.
pub(crate) struct Job(Option<Arc<JobState>>);

impl Job {
    /// Whether a thread has begun to run it.
    pub(crate) fn has_begun(&self) -> bool {
        let state = self.0.as_ref();
        state.is_some_and(|state| state.phase.load(Ordering::Relaxed) != QUEUED)
    }

    /// Lets it run to its end, which is near: what was waited for has come.
    pub(crate) fn detach(mut self) {
        self.0 = None;
    }
}

/// Where a job is, for the thread that runs it and for whoever waits for it.
struct JobState {
    /// One of the four below.
    phase: AtomicU8,
    counts: Arc<Counts>,
}

const QUEUED: u8 = 0;
const RUNNING: u8 = 1;
/// Running, and nobody waits for it.
const LOST: u8 = 2;
/// It has been run, or will not be.
const DONE: u8 = 3;

impl JobState {
    /// Goes from one phase to another, if it is in that phase.
    fn step(&self, from: u8, to: u8) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.phase
            .compare_exchange(from, to, success, failure)
            .is_ok()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let Some(state) = &self.0 else { return };
        if state.step(QUEUED, DONE) {
            return;
        }
        // Before the step: the thread takes it back as soon as it sees that.
        let lost = &state.counts.lost;
        lost.fetch_add(1, Ordering::Relaxed);
        if !state.step(RUNNING, LOST) {
            lost.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A job's place among those that may be begun or waiting; it goes where the job goes.
struct Permit(Arc<JobState>);

impl Permit {
    fn take(counts: &Arc<Counts>, max: usize) -> Result<Self, BlockingError> {
        let is_free = counts.jobs.fetch_add(1, Ordering::Relaxed) < max;
        let permit = Self(Arc::new(JobState {
            phase: AtomicU8::new(QUEUED),
            counts: Arc::clone(counts),
        }));
        if is_free {
            return Ok(permit);
        }
        counts.refused.fetch_add(1, Ordering::Relaxed);
        Err(BlockingError::Saturated)
    }

    /// Whether the job is to be run: somebody still waits for it.
    fn begin(&self) -> bool {
        let is_wanted = self.0.step(QUEUED, RUNNING);
        if is_wanted {
            self.0.counts.running.fetch_add(1, Ordering::Relaxed);
        }
        is_wanted
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let counts = &self.0.counts;
        counts.jobs.fetch_sub(1, Ordering::Relaxed);
        match self.0.phase.swap(DONE, Ordering::AcqRel) {
            RUNNING => counts.running.fetch_sub(1, Ordering::Relaxed),
            LOST => {
                counts.lost.fetch_sub(1, Ordering::Relaxed);
                counts.running.fetch_sub(1, Ordering::Relaxed)
            }
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::runtime;

    #[test]
    fn without_threads_a_job_runs_where_it_is_begun() {
        let pool = BlockingPool::without_threads();
        let here = thread::current().id();
        let outcome = runtime::run(async move {
            let ran_at = pool.run(|| thread::current().id()).await;
            let panicked = pool.run(|| std::panic::resume_unwind(Box::new("oh"))).await;
            let (sender, mut receiver) = channel();
            let job = pool.begin(move || sender.send(thread::current().id()));
            let begun_at = receiver.receive().await;
            drop(job);
            (ran_at, panicked, begun_at, pool.state())
        });
        let (ran_at, panicked, begun_at, state) = outcome.expect("an event queue");
        assert_eq!((ran_at, begun_at), (Ok(here), Some(here)));
        let panicked: Result<(), _> = panicked;
        assert_eq!(panicked, Err(BlockingError::Panicked("oh".to_owned())));
        assert_eq!(
            (state.threads, state.running, state.queued, state.lost),
            (0, 0, 0, 0)
        );
    }
}
