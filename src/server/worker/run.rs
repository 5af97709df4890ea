//! Running a worker: its listeners, until it is told to drain, and its end.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use super::endpoint::ListeningSocket;
use super::listener::accept_all;
use super::{Worker, WorkerSetup};
use crate::generation::Generation;
use crate::log::access::AccessBuffer;
use crate::log::diagnostic;
use crate::runtime::{self, EventQueue, Receiver};

/// What the supervisor tells a worker.
pub(crate) enum Command {
    /// Take on another configuration, and exactly these sockets; `done` is dropped when it has.
    Adopt {
        generation: Arc<Generation>,
        listeners: Vec<ListeningSocket>,
        done: Acknowledgement,
    },
    /// Serve the connections that are open to their own end, then end. There is no socket any more.
    Retire,
    /// Accept nothing more, let exchanges in flight finish within the time given, then end.
    Drain(Duration),
}

/// Tells the supervisor, when it is dropped, that the worker with that number has adopted a generation.
/// A worker that dies drops it as well: the one in its place starts with the generation.
pub(crate) struct Acknowledgement {
    worker: u64,
    to: mpsc::Sender<u64>,
}

impl Acknowledgement {
    pub(crate) fn new(worker: u64, to: mpsc::Sender<u64>) -> Self {
        Self { worker, to }
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        // The supervisor may have given up on us.
        let _ = self.to.send(self.worker);
    }
}

/// Runs a worker on this thread with the events of `queue`, until a command ends it.
///
/// # Errors
/// If the system cannot wait for events.
pub(crate) fn run(
    queue: EventQueue,
    setup: WorkerSetup,
    log: Option<AccessBuffer>,
    commands: Receiver<Command>,
) -> io::Result<()> {
    runtime::run_on(queue, async move {
        let index = setup.index;
        let worker = Rc::new(Worker::new(&setup, log));
        adopt(&worker, setup.generation, setup.listeners);
        run_commands(commands, &worker).await;
        worker.flush_log();
        let Some(index) = index else { return };
        let counters = &worker.counters;
        diagnostic::info(format_args!(
            "worker {index}: {} connections, {} requests",
            counters.accepted.read(),
            counters.requests()
        ));
    })
}

/// Carries out commands until the last of them.
async fn run_commands(mut commands: Receiver<Command>, worker: &Rc<Worker>) {
    let mut is_retired = false;
    let grace = loop {
        let next = poll_fn(|context| {
            if is_retired && worker.poll_last_connection(context).is_ready() {
                return Poll::Ready(None);
            }
            commands.poll_receive(context)
        });
        match next.await {
            Some(Command::Adopt {
                generation,
                listeners,
                done,
            }) => {
                adopt(worker, generation, listeners);
                drop(done);
            }
            Some(Command::Retire) => {
                let generation = worker.current_generation();
                adopt(worker, Arc::clone(&generation.0), Vec::new());
                is_retired = true;
            }
            Some(Command::Drain(grace)) => break grace,
            // A supervisor that is gone has no more connections for us either.
            None => break Duration::ZERO,
        }
    };
    worker.begin_to_drain();
    let ended = poll_fn(|context| worker.poll_last_connection(context));
    if runtime::timeout(grace, ended).await.is_err() {
        let open = worker.counters.open.read();
        diagnostic::warn(format_args!(
            "{open} connections were cut when the grace period of {grace:?} was over"
        ));
    }
}

/// Has the worker take on another configuration and exactly these sockets, and starts a task for each
/// socket that is new.
fn adopt(worker: &Rc<Worker>, generation: Arc<Generation>, sockets: Vec<ListeningSocket>) {
    for accepting in worker.adopt(generation, sockets) {
        let worker = Rc::clone(worker);
        runtime::spawn(async move {
            accept_all(accepting, Rc::clone(&worker)).await;
            worker.stop_accepting();
        });
    }
}
