//! Running a worker: its listeners, until it is told to drain, and its end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::generation::Generation;
use super::listener::accept_all;
use super::worker::{ProcessCounters, Worker};
use crate::config::LogFormat;
use crate::log::access::AccessBuffer;
use crate::log::diagnostic;
use crate::runtime::{self, BlockingPool, Listener, Receiver};

/// Everything a worker is started with. A worker that takes another's place gets the same.
#[derive(Clone)]
pub(crate) struct WorkerSetup {
    pub(crate) index: usize,
    pub(crate) generation: Arc<Generation>,
    pub(crate) listeners: Vec<ListeningSocket>,
    pub(crate) pool: Arc<BlockingPool>,
    pub(crate) log_format: LogFormat,
    pub(crate) process: Arc<ProcessCounters>,
}

/// A worker's own listening socket at an address.
#[derive(Clone)]
pub(crate) struct ListeningSocket {
    /// As configured: port 0 stays 0.
    pub(crate) address: SocketAddr,
    pub(crate) fd: Arc<OwnedFd>,
}

/// What the supervisor tells a worker.
pub(crate) enum Command {
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
        let worker = Rc::new(Worker::new(&setup, log));
        for socket in setup.listeners {
            let (listener, address) = (Listener::new(socket.fd), Rc::from(socket.address));
            runtime::spawn(accept_all(listener, address, Rc::clone(&worker)));
        }
        obey(commands, &worker).await;
        worker.flush_log();
        let (index, counters) = (setup.index, &worker.counters);
        diagnostic::info(format_args!(
            "worker {index}: {} connections, {} requests",
            counters.accepted.get(),
            counters.requests.get()
        ));
    })
}

/// Carries out commands until the last of them.
async fn obey(mut commands: Receiver<Command>, worker: &Worker) {
    // A supervisor that is gone has no more connections for us either.
    let grace = match commands.receive().await {
        Some(Command::Drain(grace)) => grace,
        None => Duration::ZERO,
    };
    worker.begin_to_drain();
    if runtime::timeout(grace, worker.last_connection_ended())
        .await
        .is_err()
    {
        let open = worker.counters.open.get();
        diagnostic::warn(format_args!(
            "{open} connections were cut when the grace period of {grace:?} was over"
        ));
    }
}
