//! The pool of workers: one thread for each. A worker that dies is replaced.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender as EventSender};
use std::time::{Duration, Instant};

use threadpool::ThreadPool;

use super::events::{Event, WorkerId};
use crate::generation::Generation;
use crate::log::access::AccessWriter;
use crate::log::diagnostic;
use crate::runtime::{Sender, catch_panic, channel};
use crate::server::{self, Command, WorkerSetup};

/// How long workers may take to acknowledge a new generation. A worker does so between two tasks; one
/// that has not done so by then has died, and the worker that replaces it starts with the new one.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(5);

/// The workers of a server.
pub(super) struct Workers {
    pool: ThreadPool,
    workers: Vec<Running>,
    /// Workers that accept nothing more, and end with their last connection.
    retired: Vec<Running>,
    next_id: WorkerId,
    events: EventSender<Event>,
}

/// A worker, as the supervisor sees it.
struct Running {
    id: WorkerId,
    /// What a worker that replaces it is started with.
    setup: WorkerSetup,
    commands: Sender<Command>,
}

impl Workers {
    /// Starts a worker for each setup. The end of its thread is sent to `events`.
    pub(super) fn start(
        setups: Vec<WorkerSetup>,
        events: EventSender<Event>,
        log: Option<&AccessWriter>,
    ) -> Self {
        let pool = threadpool::Builder::new()
            .num_threads(setups.len())
            .thread_name("tidegate-worker".to_owned())
            .build();
        let mut workers = Self {
            pool,
            workers: Vec::new(),
            retired: Vec::new(),
            next_id: 0,
            events,
        };
        setups.into_iter().for_each(|setup| workers.add(setup, log));
        workers
    }

    /// How many workers run, retired ones included.
    pub(super) fn count(&self) -> usize {
        self.workers.len() + self.retired.len()
    }

    /// Takes note that a worker's thread has ended. A worker that was not retired is replaced: the new
    /// one accepts from the same sockets, where connections have queued. Returns whether it was.
    pub(super) fn ended(&mut self, id: WorkerId, log: Option<&AccessWriter>) -> bool {
        self.retired.retain(|worker| worker.id != id);
        let Some(place) = self.workers.iter().position(|worker| worker.id == id) else {
            return false;
        };
        let setup = self.workers[place].setup.clone();
        self.workers[place] = self.start_one(setup, log);
        true
    }

    /// Tells every worker to adopt its new setup, starts workers for further setups, and retires
    /// surplus workers, which adopt `generation` as well, for the connections that they still have.
    /// Returns when all have acknowledged, or after [`ADOPT_TIMEOUT`].
    pub(super) fn adopt(
        &mut self,
        generation: &Arc<Generation>,
        setups: Vec<WorkerSetup>,
        log: Option<&AccessWriter>,
    ) {
        let surplus = setups.len().min(self.workers.len());
        let surplus: Vec<Running> = self.workers.drain(surplus..).collect();
        self.pool
            .set_num_threads(setups.len() + self.retired.len() + surplus.len());
        let (done, acknowledged) = mpsc::channel();
        let adopt = |worker: &Running, listeners| {
            worker.commands.send(Command::Adopt {
                generation: Arc::clone(generation),
                listeners,
                done: done.clone(),
            });
        };
        for worker in self.retired.iter().chain(&surplus) {
            adopt(worker, Vec::new());
        }
        for worker in surplus {
            worker.commands.send(Command::Retire);
            self.retired.push(worker);
        }
        let adopting = self.workers.len() + self.retired.len();
        let mut setups = setups.into_iter();
        for (worker, setup) in self.workers.iter_mut().zip(&mut setups) {
            worker.setup = setup;
            adopt(worker, worker.setup.listeners.clone());
        }
        drop(done);
        setups.for_each(|setup| self.add(setup, log));
        await_all(&acknowledged, adopting);
    }

    /// Tells every worker to accept nothing more, and to end with its last connection. None will be
    /// replaced.
    pub(super) fn retire(&mut self) {
        for worker in self.workers.drain(..) {
            worker.commands.send(Command::Retire);
            self.retired.push(worker);
        }
    }

    /// Tells every worker to finish its exchanges within `grace`, and to end. A worker that dies
    /// meanwhile is not replaced.
    pub(super) fn drain(&mut self, grace: Duration) {
        for worker in self.workers.iter_mut().chain(&mut self.retired) {
            worker.setup.listeners.clear();
            worker.commands.send(Command::Drain(grace));
        }
    }

    /// Starts a worker beside those there are.
    fn add(&mut self, setup: WorkerSetup, log: Option<&AccessWriter>) {
        let worker = self.start_one(setup, log);
        self.workers.push(worker);
    }

    /// Starts a worker's thread.
    fn start_one(&mut self, setup: WorkerSetup, log: Option<&AccessWriter>) -> Running {
        let id = self.next_id;
        self.next_id += 1;
        let (sender, commands) = channel();
        let (events, buffer) = (self.events.clone(), log.map(AccessWriter::buffer));
        let running = Running {
            id,
            setup: setup.clone(),
            commands: sender,
        };
        self.pool.execute(move || {
            let outcome = catch_panic(|| server::run(setup, buffer, commands));
            if let Ok(Err(error)) = outcome {
                diagnostic::error(format_args!("a worker got no event queue: {error}"));
            }
            // The supervisor is gone only while the process ends.
            let _ = events.send(Event::WorkerEnded(id));
        });
        running
    }
}

/// Waits for so many acknowledgements, until [`ADOPT_TIMEOUT`] is over or no worker is left to send one.
fn await_all(acknowledged: &mpsc::Receiver<usize>, count: usize) {
    let deadline = Instant::now() + ADOPT_TIMEOUT;
    for _ in 0..count {
        let left = deadline.saturating_duration_since(Instant::now());
        if acknowledged.recv_timeout(left).is_err() {
            return;
        }
    }
}
