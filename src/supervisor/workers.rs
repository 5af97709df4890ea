//! The pool of workers: a job each, on a thread each; replaced when one dies.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender as EventSender;
use std::time::Duration;

use threadpool::ThreadPool;

use super::Event;
use crate::log::access::AccessWriter;
use crate::log::diagnostic;
use crate::runtime::{Sender, channel};
use crate::server::{self, Command, WorkerSetup};

pub(super) struct Workers {
    pool: ThreadPool,
    workers: Vec<Running>,
    events: EventSender<Event>,
}

/// A worker, as the supervisor sees it.
struct Running {
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
            events,
        };
        for setup in setups {
            let commands = workers.start_one(setup.clone(), log);
            workers.workers.push(Running { setup, commands });
        }
        workers
    }

    pub(super) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Starts a worker in the place of one that died, at the same sockets: what queues there waits.
    pub(super) fn replace(&mut self, index: usize, log: Option<&AccessWriter>) {
        let setup = self.workers[index].setup.clone();
        self.workers[index].commands = self.start_one(setup, log);
    }

    /// Tells every worker to drain; none will be replaced.
    pub(super) fn drain(&mut self, grace: Duration) {
        for worker in &mut self.workers {
            worker.setup.listeners.clear();
            worker.commands.send(Command::Drain(grace));
        }
    }

    fn start_one(&self, setup: WorkerSetup, log: Option<&AccessWriter>) -> Sender<Command> {
        let (sender, commands) = channel();
        let (events, buffer, index) = (
            self.events.clone(),
            log.map(AccessWriter::buffer),
            setup.index,
        );
        self.pool.execute(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| server::run(setup, buffer, commands)));
            let event = match ended {
                Ok(Ok(())) => Event::WorkerEnded,
                Ok(Err(error)) => {
                    diagnostic::error(format_args!("worker {index} has no event queue: {error}"));
                    Event::WorkerDied(index)
                }
                Err(_) => Event::WorkerDied(index),
            };
            // Nobody hears it only if the process is ending.
            let _ = events.send(event);
        });
        sender
    }
}
