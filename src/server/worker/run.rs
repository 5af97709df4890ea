//! Running a worker: its listeners, until it is told to drain, and its end.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::endpoint::ListeningSocket;
use super::listener::accept_all;
use super::{LAST_IDLE, Worker, WorkerSetup};
use crate::generation::Generation;
use crate::log::access::AccessBuffers;
use crate::log::diagnostic;
use crate::runtime::{self, Either, Elapsed, EventQueue, Receiver, Sender};

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
    /// The same, but another process serves: connections end with their next response, or soon.
    Leave,
    /// Accept nothing more, let exchanges in flight finish within the time given, then end.
    Drain(Duration),
    /// Reply `place`, and since when the connection is idle that is so longest.
    OldestIdle {
        place: usize,
        reply: Sender<(usize, Option<Instant>)>,
    },
    /// Close that connection, and reply whether there was one.
    GiveUpIdle { reply: Sender<bool> },
    /// Renew the list of those who follow the server's exchanges; `done` is dropped when it has.
    LookAtFeed { done: Sender<()> },
    /// Have tunnels look whether their routes and servers are still there.
    LookAtTunnels,
    /// Reply how long it took until this was carried out.
    Probe { sent: Instant, reply: Reply },
}

/// Takes how long a loop took.
type Reply = Box<dyn FnOnce(Duration) + Send>;

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
    log: Option<AccessBuffers>,
    commands: Receiver<Command>,
) -> io::Result<()> {
    let (index, counters) = (setup.index, Arc::clone(&setup.counters));
    let served = runtime::run_on(queue, async move {
        let worker = Rc::new(Worker::new(&setup, log));
        diagnostic::debug(format_args!("{} has begun", worker.name));
        let weak = Rc::downgrade(&worker);
        runtime::on_shortage(move || {
            let worker = weak.upgrade();
            worker.is_some_and(|worker| worker.local.release_descriptors())
        });
        // The turn in which the worker was made took long. Connections begin in the next one, because exchanges
        // take the moment at which their turn began for the present.
        runtime::yield_now().await;
        adopt(&worker, setup.generation, setup.listeners);
        run_commands(commands, &worker).await;
        worker.count_what_is_held();
    });
    counters.hold_nothing();
    served?;
    // The loop is gone, and with it the exchanges that were cut: they count, and have their lines.
    if let Some(index) = index {
        diagnostic::info(format_args!(
            "worker {index}: {} connections, {} requests",
            counters.accepted.read(),
            counters.requests()
        ));
    }
    Ok(())
}

/// Carries out commands until the last of them.
async fn run_commands(mut commands: Receiver<Command>, worker: &Rc<Worker>) {
    let mut grace = serve(&mut commands, worker).await;
    let (name, open) = (worker.name, worker.counters.open.read());
    diagnostic::debug(format_args!(
        "{name} ends: {open} connections have {grace:?}"
    ));
    worker.begin_to_drain();
    loop {
        let ended = poll_fn(|context| worker.poll_last_connection(context));
        let next = runtime::either(ended, commands.receive());
        match runtime::timeout(grace, next).await {
            Ok(Either::First(())) => return,
            // Less time than before: a second signal.
            Ok(Either::Second(Some(Command::Drain(less)))) => grace = less,
            Ok(Either::Second(Some(Command::Probe { sent, reply }))) => {
                answer_probe(sent, reply, worker);
            }
            Ok(Either::Second(Some(_))) => {}
            // A supervisor that is gone waits no longer.
            Ok(Either::Second(None)) => grace = Duration::ZERO,
            Err(Elapsed) => break,
        }
    }
    tell_what_is_cut(worker);
}

/// Tells of the connections that are left when the grace period is over.
fn tell_what_is_cut(worker: &Worker) {
    let open = worker.counters.open.read();
    let (connections, were) = if open == 1 {
        ("connection", "was")
    } else {
        ("connections", "were")
    };
    if open == 0 {
        return;
    }
    if worker.name.is_of_control() {
        // No exchange of a client was cut, and `grace` has no part in it.
        diagnostic::info(format_args!(
            "{open} {connections} at the control socket {were} cut: the client (`tidegate log -f`, `tidegate top` or \
             the live page) had not read everything"
        ));
    } else {
        diagnostic::warn(format_args!(
            "{open} {connections} {were} cut when the grace period was over"
        ));
    }
}

/// Carries out commands until the worker is to drain. Returns the time that it has for that.
async fn serve(commands: &mut Receiver<Command>, worker: &Rc<Worker>) -> Duration {
    let mut is_retired = false;
    loop {
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
                diagnostic::debug(format_args!("{} has the new configuration", worker.name));
            }
            Some(Command::Retire) => {
                retire(worker);
                is_retired = true;
            }
            Some(Command::Leave) => {
                retire(worker);
                worker.begin_to_leave(LAST_IDLE);
                is_retired = true;
            }
            Some(Command::Drain(grace)) => return grace,
            Some(Command::OldestIdle { place, reply }) => {
                reply.send((place, runtime::oldest_idle()));
            }
            Some(Command::LookAtFeed { done }) => {
                worker.look_who_wants_records();
                drop(done);
            }
            Some(Command::LookAtTunnels) => worker.wake_tunnels(),
            Some(Command::GiveUpIdle { reply }) => reply.send(runtime::give_up_oldest_idle()),
            Some(Command::Probe { sent, reply }) => answer_probe(sent, reply, worker),
            // A supervisor that is gone has no more connections for us either.
            None => return Duration::ZERO,
        }
    }
}

/// Answers how long the loop took, once the counters say what the worker holds: a scrape reads them then.
fn answer_probe(sent: Instant, reply: Reply, worker: &Worker) {
    let delay = sent.elapsed();
    worker.count_what_is_held();
    reply(delay);
}

/// Has the worker accept nothing more.
fn retire(worker: &Rc<Worker>) {
    let generation = worker.current_generation();
    adopt(worker, Arc::clone(&generation.0), Vec::new());
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
