//! Running a worker: its listeners, until it is told to drain, and its end.

use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::Duration;

use crate::config::ListenAddress;
use crate::generation::Generation;
use crate::handlers::Pools;
use crate::log::access::AccessBuffer;
use crate::log::diagnostic;
use crate::metrics::{Counters, ProcessCounters};
use crate::runtime::{self, Receiver};
use crate::server::worker::Worker;

/// Everything a worker is started with. A worker that takes another's place gets the same.
#[derive(Clone)]
pub(crate) struct WorkerSetup {
    pub(crate) index: usize,
    pub(crate) generation: Arc<Generation>,
    pub(crate) listeners: Vec<ListeningSocket>,
    pub(crate) pools: Pools,
    pub(crate) process: Arc<ProcessCounters>,
    /// A successor goes on counting.
    pub(crate) counters: Arc<Counters>,
}

/// A worker's own listening socket at an address.
#[derive(Clone)]
pub(crate) struct ListeningSocket {
    /// As configured: port 0 stays 0.
    pub(crate) address: ListenAddress,
    pub(crate) fd: Arc<OwnedFd>,
}

/// What the supervisor tells a worker.
pub(crate) enum Command {
    /// Take on another configuration, and exactly these sockets; `done` hears when it has.
    Adopt {
        generation: Arc<Generation>,
        listeners: Vec<ListeningSocket>,
        done: mpsc::Sender<usize>,
    },
    /// Serve the connections that are open to their own end, then end. There is no socket any more.
    Retire,
    /// Accept nothing more, let exchanges in flight finish within the time given, then end.
    Drain(Duration),
}

/// Runs a worker on this thread, until a command ends it.
///
/// # Errors
/// If the system gives no event queue.
pub(crate) fn run(
    setup: WorkerSetup,
    log: Option<AccessBuffer>,
    commands: Receiver<Command>,
) -> io::Result<()> {
    runtime::run(async move {
        let index = setup.index;
        let worker = Rc::new(Worker::new(&setup, log));
        worker.adopt(setup.generation, setup.listeners);
        obey(commands, index, &worker).await;
        worker.flush_log();
        let counters = &worker.counters;
        diagnostic::info(format_args!(
            "worker {index}: {} connections, {} requests",
            counters.accepted.read(),
            counters.requests.read()
        ));
    })
}

/// Carries out commands until the last of them.
async fn obey(mut commands: Receiver<Command>, index: usize, worker: &Rc<Worker>) {
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
                worker.adopt(generation, listeners);
                // The supervisor may have given up on us.
                let _ = done.send(index);
            }
            Some(Command::Retire) => {
                let generation = worker.current_generation();
                worker.adopt(Arc::clone(&generation.0), Vec::new());
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
