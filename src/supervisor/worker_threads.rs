//! The threads that workers run on: a pool of `threadpool`, which grows by one thread for each worker
//! that finds none free.
//!
//! A worker keeps its thread until it ends; the thread then waits in the pool for the next worker. The
//! package panics where the system has no thread for it. So a thread is asked for beforehand, and the
//! panic is caught all the same: the system may have given its last thread to another process
//! meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use threadpool::{Builder, ThreadPool};

use crate::runtime::{catch_panic, spawn_thread, sys};

const NAME: &str = "tidegate-worker";

/// The threads of a server's workers. When it is dropped, each thread ends with its worker.
#[derive(Default)]
pub(super) struct WorkerThreads {
    /// `None` before the first worker.
    pool: Option<ThreadPool>,
    /// How many threads run a worker, or are about to.
    taken: Arc<AtomicUsize>,
}

impl WorkerThreads {
    /// Has a thread run `work`. A write to a connection whose peer has gone does not end the process
    /// there, whatever the program around this server has made of SIGPIPE.
    ///
    /// # Errors
    /// A sentence for the operator, if the system has no more threads; then `work` never runs.
    pub(super) fn execute(&mut self, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let taken = Taken::new(&self.taken);
        let pool = self.with_room_for(self.taken.load(Ordering::Acquire))?;
        pool.execute(move || {
            let _taken = taken;
            sys::block_broken_pipe();
            work();
        });
        Ok(())
    }

    /// The pool, with at least `count` threads.
    fn with_room_for(&mut self, count: usize) -> io::Result<&ThreadPool> {
        let before = self.pool.as_ref().map_or(0, ThreadPool::max_count);
        if count > before {
            // Ends at once; its place is the next thread's.
            let _ = spawn_thread(NAME, || ())?.join();
            if let Err(panic) = catch_panic(|| self.grow(count)) {
                self.pool
                    .iter_mut()
                    .for_each(|pool| pool.set_num_threads(before));
                let sentence = format!("the system has no more threads: {panic}");
                return Err(io::Error::other(sentence));
            }
        }
        Ok(self.pool.as_ref().expect("a count is one at least"))
    }

    /// Makes it `count` threads.
    ///
    /// # Panics
    /// If the system has no more of them.
    fn grow(&mut self, count: usize) {
        match &mut self.pool {
            Some(pool) => pool.set_num_threads(count),
            none => {
                let name = NAME.to_owned();
                *none = Some(Builder::new().num_threads(count).thread_name(name).build());
            }
        }
    }
}

/// One of the threads that are taken; dropped when it is free again.
struct Taken(Arc<AtomicUsize>);

impl Taken {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_worker_gets_a_free_thread_or_a_further_one() {
        let mut threads = WorkerThreads::default();
        let (go, gate) = mpsc::channel::<()>();
        let (says, said) = mpsc::channel();
        let run = |threads: &mut WorkerThreads, waits: Option<mpsc::Receiver<()>>| {
            let says = says.clone();
            let work = move || {
                says.send(()).expect("the test listens");
                waits.map(|gate| gate.recv());
            };
            threads.execute(work).expect("there are threads");
            said.recv().expect("it runs beside those before");
        };
        run(&mut threads, Some(gate));
        run(&mut threads, None);
        while threads.taken.load(Ordering::Acquire) > 1 {
            std::thread::yield_now();
        }
        run(&mut threads, None);
        let pool = threads.pool.as_ref().expect("it was made");
        assert_eq!(pool.max_count(), 2, "the second thread was free again");
        drop(go);
        pool.join();
    }
}
