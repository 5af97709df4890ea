//! The blocking pool: threads for work that may wait, behind a bounded queue.
//!
//! A loop must not wait for a cold disk, a script or other people's code. All workers share a pool, and
//! so does every generation of the configuration. A loop that has nothing else to do uses a pool without
//! threads: its jobs run where they are begun.
//!
//! ```text
//! begin → queued ─→ running ─→ done
//!            │          └ Job dropped ─→ lost ─→ done     the pool lacks its thread until it returns
//!            └ Job dropped ─→ taken out of the queue, never run
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::channel::channel;
use super::panics::catch_panic;
use super::permits::{Permit, Permits};
use super::threads::spawn_thread;

/// How long a thread waits for a job before it ends. Long enough for a busy pool to keep its threads,
/// and short enough for the memory of threads that a burst needed to come back.
const IDLE: Duration = Duration::from_secs(10);

/// Threads, and the queue of jobs that wait for one.
///
/// Threads are started when jobs need them: a pool that is made and not used has none, so making one
/// cannot fail, and a system that lacks threads costs jobs and not the process.
pub(crate) struct BlockingPool {
    /// How many threads there are at most. With 0, jobs run on the thread that begins them.
    threads: usize,
    queue: Arc<Queue>,
    /// One for each job that is running or queued: as many as there are threads and places in the
    /// queue.
    jobs: Arc<Permits>,
    counts: Arc<Counts>,
}

/// The jobs that wait for a thread, and the threads that wait for a job.
///
/// It is our own, because the queues of the thread pools that were looked at let no job be taken out:
/// the jobs of clients that have gone would keep their places, and what they hold.
#[derive(Default)]
struct Queue {
    state: Mutex<Queued>,
    /// Wakes a thread for a job that came, and all threads when the pool is gone.
    changed: Condvar,
}

#[derive(Default)]
struct Queued {
    /// By the order in which they came.
    waiting: BTreeMap<u64, Work>,
    /// The number of the next job.
    next: u64,
    threads: usize,
    /// How many of the threads wait for a job.
    idle: usize,
    /// The pool is gone: threads end when no job is left.
    is_closed: bool,
}

type Work = Box<dyn FnOnce() + Send>;

impl Queue {
    /// Locks the state, also after a panic of another thread.
    fn lock(&self) -> MutexGuard<'_, Queued> {
        // No code of others runs under the lock, and every change is a single step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a job, and has an idle thread run it, or a new one while there are fewer than
    /// `max_threads`. Returns the number of the job.
    ///
    /// # Errors
    /// [`BlockingError::NoThread`] if there is no thread at all, and the system gives none.
    fn append(self: &Arc<Self>, work: Work, max_threads: usize) -> Result<u64, BlockingError> {
        let mut queued = self.lock();
        let number = queued.next;
        queued.next += 1;
        queued.waiting.insert(number, work);
        if queued.waiting.len() > queued.idle && queued.threads < max_threads {
            if self.start_thread().is_ok() {
                queued.threads += 1;
            } else if queued.threads == 0 {
                let work = queued.waiting.remove(&number);
                drop(queued);
                drop(work);
                return Err(BlockingError::NoThread);
            }
        }
        drop(queued);
        self.changed.notify_one();
        Ok(number)
    }

    fn start_thread(self: &Arc<Self>) -> std::io::Result<()> {
        let queue = Arc::clone(self);
        spawn_thread("tidegate-block", move || queue.run()).map(drop)
    }

    /// Runs one job after the other, until none has come for a while, or the pool is gone.
    fn run(&self) {
        let mut queued = self.lock();
        loop {
            while let Some((_, work)) = queued.waiting.pop_first() {
                drop(queued);
                let _ = catch_panic(work);
                queued = self.lock();
            }
            if queued.is_closed {
                break;
            }
            queued.idle += 1;
            let waited = self.changed.wait_timeout(queued, IDLE);
            let (woken, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
            queued = woken;
            queued.idle -= 1;
            if outcome.timed_out() && queued.waiting.is_empty() {
                break;
            }
        }
        queued.threads -= 1;
    }

    /// Takes a job out that no thread has taken yet, and drops it.
    fn remove(&self, number: u64) {
        let work = self.lock().waiting.remove(&number);
        // Unlocked before the job is dropped, with what it holds.
        drop(work);
    }
}

/// The threads end when the jobs that they have been given are done.
impl Drop for BlockingPool {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
    }
}

/// Plain counts. No other memory is published by changing them, so relaxed ordering is enough.
#[derive(Default)]
struct Counts {
    running: AtomicUsize,
    /// Jobs that run although their caller has dropped the [`Job`].
    lost: AtomicUsize,
    /// Jobs that found the queue full, since the start.
    refused: AtomicUsize,
}

/// The counts of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolState {
    pub(crate) threads: usize,
    pub(crate) running: usize,
    /// Those of the running jobs whose caller no longer waits.
    pub(crate) lost: usize,
    pub(crate) queued: usize,
    /// Jobs that found the queue full, since the start.
    pub(crate) refused: usize,
}

impl PoolState {
    /// The counts of both pools together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            threads: self.threads + other.threads,
            running: self.running + other.running,
            lost: self.lost + other.lost,
            queued: self.queued + other.queued,
            refused: self.refused + other.refused,
        }
    }
}

/// The reason why a job gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlockingError {
    #[error("the queue of the blocking pool is full")]
    Saturated,
    #[error("the blocking pool has no thread, and the system gives it none")]
    NoThread,
    #[error("a job on the blocking pool panicked: {0}")]
    Panicked(String),
}

impl BlockingPool {
    /// A pool of at most `threads` threads, for which at most `queue` jobs may wait.
    pub(crate) fn new(threads: usize, queue: usize) -> Arc<Self> {
        Arc::new(Self::with_threads(threads, queue))
    }

    /// [`new`](Self::new), for an owner that shares it otherwise.
    pub(crate) fn with_threads(threads: usize, queue: usize) -> Self {
        Self::of(threads, Permits::new(threads + queue))
    }

    /// A pool without threads: a job runs at once, on the thread that begins it.
    pub(crate) fn without_threads() -> Arc<Self> {
        Arc::new(Self::of(0, Permits::unlimited()))
    }

    fn of(threads: usize, jobs: Permits) -> Self {
        Self {
            threads,
            queue: Arc::default(),
            jobs: Arc::new(jobs),
            counts: Arc::default(),
        }
    }

    /// Has a thread run `work` as soon as one is free, unless the caller has dropped the [`Job`] by then.
    /// A panic of `work` is caught; the caller learns of it from what the panic drops, such as a sender.
    ///
    /// # Errors
    /// If the queue is full, or the system gives the pool no thread.
    pub(crate) fn begin(&self, work: impl FnOnce() + Send + 'static) -> Result<Job, BlockingError> {
        self.execute(|_ticket| {
            let _ = catch_panic(work);
        })
    }

    /// Runs `job` on the pool, waits for its result and returns it.
    ///
    /// # Errors
    /// At once if the queue is full or the system gives the pool no thread; later if the job panics.
    ///
    /// # Cancellation
    /// A job that has begun runs to its end; a job that is still queued never runs.
    pub(crate) async fn run<T, F>(&self, job: F) -> Result<T, BlockingError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, mut receiver) = channel();
        let job = self.execute(move |ticket| {
            let result = catch_panic(job);
            // Given back before the result is sent, so that the caller with the result finds it free.
            drop(ticket);
            sender.send(result.map_err(|panic| panic.to_string()));
        })?;
        let received = receiver.receive().await;
        job.detach();
        match received {
            Some(result) => result.map_err(BlockingError::Panicked),
            None => Err(BlockingError::Panicked(String::new())),
        }
    }

    /// Queues `work`, which gets the job's ticket.
    fn execute(&self, work: impl FnOnce(Ticket) + Send + 'static) -> Result<Job, BlockingError> {
        let Some(permit) = self.jobs.take() else {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(BlockingError::Saturated);
        };
        let ticket = Ticket::new(permit, &self.counts);
        let state = Arc::clone(&ticket.phase.0);
        let work = move || {
            if ticket.begin() {
                work(ticket);
            }
        };
        let queue = Arc::clone(&self.queue);
        let number = if self.threads == 0 {
            work();
            0
        } else {
            queue.append(Box::new(work), self.threads)?
        };
        Ok(Job(Some(JobPlace {
            state,
            queue,
            number,
        })))
    }

    /// The pool's counts now.
    pub(crate) fn state(&self) -> PoolState {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let (jobs, running) = (self.jobs.taken(), read(&self.counts.running));
        PoolState {
            threads: self.threads,
            running,
            lost: read(&self.counts.lost),
            queued: jobs.saturating_sub(running),
            refused: read(&self.counts.refused),
        }
    }
}

/// A job that a caller began. Dropping it says that the caller no longer waits: a job that is still
/// queued leaves the queue at once.
pub(crate) struct Job(Option<JobPlace>);

/// A job's state, and where it waits for a thread.
struct JobPlace {
    state: Arc<JobState>,
    queue: Arc<Queue>,
    number: u64,
}

impl Job {
    /// Whether it waits for a thread.
    pub(crate) fn is_queued(&self) -> bool {
        self.is_in(QUEUED)
    }

    /// Whether a thread runs it.
    pub(crate) fn is_running(&self) -> bool {
        self.is_in(RUNNING)
    }

    fn is_in(&self, phase: u8) -> bool {
        let place = self.0.as_ref();
        place.is_some_and(|place| place.state.phase.load(Ordering::Relaxed) == phase)
    }

    /// Lets the job run to its end without counting it as lost: the caller has got what it waited for,
    /// and the end is near.
    pub(crate) fn detach(mut self) {
        self.0 = None;
    }
}

/// The state of a job, shared by the thread that runs it and the caller that waits for it.
struct JobState {
    /// One of the four phases below.
    phase: AtomicU8,
    counts: Arc<Counts>,
}

/// The job waits for a thread.
const QUEUED: u8 = 0;
/// A thread runs the job, and the caller waits for it.
const RUNNING: u8 = 1;
/// A thread runs the job, and the caller no longer waits.
const LOST: u8 = 2;
/// The job has run, or never will.
const DONE: u8 = 3;

impl JobState {
    /// Changes the phase from `from` to `to`. Returns whether it was `from`.
    fn step(&self, from: u8, to: u8) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.phase
            .compare_exchange(from, to, success, failure)
            .is_ok()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let Some(place) = &self.0 else { return };
        let state = &place.state;
        if state.step(QUEUED, DONE) {
            place.queue.remove(place.number);
            return;
        }
        // Counted before the step, because the thread subtracts it as soon as it sees the new phase.
        let lost = &state.counts.lost;
        lost.fetch_add(1, Ordering::Relaxed);
        if !state.step(RUNNING, LOST) {
            lost.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// What a job holds as long as it runs or is queued. It moves with the job. Its fields are dropped in
/// this order: the permit first, so that it is free when the job counts as done.
struct Ticket {
    _permit: Permit,
    phase: Phase,
}

/// A job's state, which is done when this is dropped.
struct Phase(Arc<JobState>);

impl Ticket {
    fn new(permit: Permit, counts: &Arc<Counts>) -> Self {
        let state = JobState {
            phase: AtomicU8::new(QUEUED),
            counts: Arc::clone(counts),
        };
        Self {
            _permit: permit,
            phase: Phase(Arc::new(state)),
        }
    }

    /// Begins to run the job. Returns false if the caller has dropped the [`Job`], and it must not run.
    fn begin(&self) -> bool {
        let state = &self.phase.0;
        let is_wanted = state.step(QUEUED, RUNNING);
        if is_wanted {
            state.counts.running.fetch_add(1, Ordering::Relaxed);
        }
        is_wanted
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        let counts = &self.0.counts;
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
    use std::sync::mpsc;
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

    /// The queue filled up with the jobs of clients that had gone, and living clients were refused.
    #[test]
    fn a_job_that_is_not_waited_for_leaves_its_place_and_what_it_holds() {
        let pool = BlockingPool::new(1, 1);
        let (go, gate) = mpsc::channel::<()>();
        let (begins, begun) = mpsc::channel();
        let busy = pool.begin(move || {
            begins.send(()).expect("the test listens");
            let _ = gate.recv();
        });
        begun.recv().expect("the only thread is busy");
        let held = Arc::new(());
        for _ in 0..100 {
            let holds = Arc::clone(&held);
            let job = pool.begin(move || drop(holds)).expect("the place is free");
            assert!(pool.begin(|| {}).is_err(), "the place is taken");
            drop(job);
            assert_eq!((Arc::strong_count(&held), pool.state().queued), (1, 0));
        }
        let (ends, ended) = mpsc::channel();
        let job = pool.begin(move || ends.send(()).expect("the test listens"));
        go.send(()).expect("it waits");
        ended.recv().expect("the pool goes on");
        drop((job, busy));
    }

    #[test]
    fn threads_are_started_for_jobs_and_end_with_the_pool() {
        let pool = BlockingPool::new(2, 0);
        let started = |pool: &BlockingPool| pool.queue.lock().threads;
        assert_eq!(started(&pool), 0, "nothing is to be done");
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let jobs = [1, 2].map(|count| {
            let gate = Arc::clone(&gate);
            let job = pool.begin(move || {
                let gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = gate.recv();
            });
            assert_eq!(started(&pool), count);
            job.expect("a thread is free")
        });
        assert!(pool.begin(|| {}).is_err(), "no thread is left");
        let queue = Arc::downgrade(&pool.queue);
        drop((jobs, pool, go));
        while queue.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
