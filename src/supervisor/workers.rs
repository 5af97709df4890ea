//! The pool of workers: a job each, on a thread each; replaced when one dies.

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

/// How long workers may take to acknowledge a new configuration. They do so between two tasks; one
/// that takes this long has died, and its successor gets the new one.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Workers {
    pool: ThreadPool,
    workers: Vec<Running>,
    /// Workers that are no longer wanted and live until their last connection ends.
    retired: Vec<Running>,
    next_id: WorkerId,
    events: EventSender<Event>,
}

/// A worker, as the supervisor sees it.
struct Running {
    id: WorkerId,
    /// What its successor would be started with.
    setup: WorkerSetup,
    commands: Sender<Command>,
}

impl Workers {
    /// Starts a worker for each setup; it reports its end to `events`.
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

    /// Workers that have not been told to end, or have not yet.
    pub(super) fn count(&self) -> usize {
        self.workers.len() + self.retired.len()
    }

    /// Takes note that a worker's thread ended. One that was wanted is replaced, at the same sockets:
    /// what queues there waits. Whether it was.
    pub(super) fn ended(&mut self, id: WorkerId, log: Option<&AccessWriter>) -> bool {
        self.retired.retain(|worker| worker.id != id);
        let Some(place) = self.workers.iter().position(|worker| worker.id == id) else {
            return false;
        };
        let setup = self.workers[place].setup.clone();
        self.workers[place] = self.start_one(setup, log);
        true
    }

    /// Has every worker take on its new setup, starts those that are new and retires those that are
    /// too many; these take on `generation` as well, for the connections they still have. Returns
    /// when all have acknowledged.
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

    /// Tells every worker to accept nothing more and to serve the connections it has to their end;
    /// none will be replaced.
    pub(super) fn retire(&mut self) {
        for worker in self.workers.drain(..) {
            worker.commands.send(Command::Retire);
            self.retired.push(worker);
        }
    }

    /// Tells every worker to drain; none will be replaced.
    pub(super) fn drain(&mut self, grace: Duration) {
        for worker in self.workers.iter_mut().chain(&mut self.retired) {
            worker.setup.listeners.clear();
            worker.commands.send(Command::Drain(grace));
        }
    }

    fn add(&mut self, setup: WorkerSetup, log: Option<&AccessWriter>) {
        let worker = self.start_one(setup, log);
        self.workers.push(worker);
    }

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
            // Nobody hears it only if the process is ending.
            let _ = events.send(Event::WorkerEnded(id));
        });
        running
    }
}

/// Waits for so many acknowledgements, or until no more can come.
fn await_all(acknowledged: &mpsc::Receiver<usize>, count: usize) {
    let deadline = Instant::now() + ADOPT_TIMEOUT;
    for _ in 0..count {
        let left = deadline.saturating_duration_since(Instant::now());
        if acknowledged.recv_timeout(left).is_err() {
            return;
        }
    }
}
