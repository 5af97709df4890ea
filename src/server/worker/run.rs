//! Running a worker: its listeners, until it is told to drain, and its end.

use std::future::{pending, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::endpoint::ListeningSocket;
use super::listener::accept_all;
use super::{LAST_IDLE, Worker, WorkerSetup};
use crate::generation::Generation;
use crate::log::access::AccessBuffers;
use crate::log::diagnostic;
use crate::runtime::{self, Either, Elapsed, EventQueue, Receiver, Sender, Sleeper};

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
    let grace = serve(&mut commands, worker).await;
    let (name, open) = (worker.name, worker.counters.open.read());
    diagnostic::debug(format_args!(
        "{name} ends: {open} connections have {grace:?}"
    ));
    worker.begin_to_drain();
    let last_connection = |context: &mut Context<'_>| worker.poll_last_connection(context);
    let answer = |sent, reply| answer_probe(sent, reply, worker);
    if let Err(Elapsed) = drain(commands, grace, last_connection, answer).await {
        tell_what_is_cut(worker);
    }
}

/// Carries out commands until `poll_last_connection` says that no connection is left; `answer` answers probes.
///
/// # Errors
/// [`Elapsed`] if connections are left when `grace` is over, or the shorter time of a later command, or soon after
/// the supervisor is gone. No other command changes the time: followers come and go, and metrics are scraped.
async fn drain(
    commands: Receiver<Command>,
    grace: Duration,
    mut poll_last_connection: impl FnMut(&mut Context<'_>) -> Poll<()>,
    answer: impl Fn(Instant, Reply),
) -> Result<(), Elapsed> {
    let (clock, mut deadline) = (Sleeper::new(), runtime::deadline_after(grace));
    let mut commands = Some(commands);
    loop {
        let over = poll_fn(|context| match poll_last_connection(context) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => clock.poll(context, deadline).map(|()| Err(Elapsed)),
        });
        let next = async {
            match &mut commands {
                Some(commands) => commands.receive().await,
                None => pending().await,
            }
        };
        match runtime::either(over, next).await {
            Either::First(ended) => return ended,
            // A second signal; or only the worker of the control socket is left.
            Either::Second(Some(Command::Drain(less))) => {
                deadline = deadline.min(runtime::deadline_after(less));
            }
            Either::Second(Some(Command::Probe { sent, reply })) => answer(sent, reply),
            Either::Second(Some(_)) => {}
            Either::Second(None) => {
                commands = None;
                deadline = deadline.min(runtime::deadline_after(Duration::ZERO));
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ListenAddress;
    use crate::api::Handlers;
    use crate::config::{self, Surroundings};
    use crate::control::reach::Reach;
    use crate::generation::prepare::prepare;
    use crate::runtime::{Pools, Stream, channel, timeout};
    use crate::server::connection::Connection;
    use crate::test_support::TemporaryDirectory;
    use crate::test_support::slow_peer::{fill, unix_pair};
    use crate::transport::Transport;

    /// Drains with a connection that does not end, and returns whether that is over within a minute.
    async fn is_over(commands: Receiver<Command>, grace: Duration) -> bool {
        let draining = drain(commands, grace, |_| Poll::Pending, |_, _| {});
        match timeout(Duration::from_secs(60), draining).await {
            Ok(ended) => matches!(ended, Err(Elapsed)),
            Err(Elapsed) => false,
        }
    }

    /// Each command began the time anew: with a scrape every few seconds it was never over.
    #[test]
    fn the_grace_period_goes_on_while_commands_come() {
        let test = async {
            let (sender, commands) = channel();
            runtime::spawn(async move {
                while sender.is_open() {
                    sender.send(Command::LookAtTunnels);
                    runtime::sleep(Duration::from_millis(20)).await;
                }
            });
            assert!(is_over(commands, Duration::from_millis(300)).await);
        };
        runtime::run(test).expect("a loop");
    }

    #[test]
    fn a_second_signal_and_the_end_of_the_supervisor_end_the_grace_period() {
        let test = async {
            let hour = Duration::from_secs(3600);
            let (sender, commands) = channel();
            sender.send(Command::Drain(Duration::ZERO));
            assert!(is_over(commands, hour).await);
            let (sender, commands) = channel();
            drop(sender);
            assert!(is_over(commands, hour).await);
        };
        runtime::run(test).expect("a loop");
    }

    /// A generation whose route `/counted` has a rate, and a response that has to be waited for and says `name`.
    fn generation(name: &str) -> Arc<Generation> {
        let text = format!(
            "rates.five = {{ rate = '5/h', burst = 5 }}\n[[server]]\nlisten = '127.0.0.1:0'\n\
             routes.'/' = {{ respond = 'at once' }}\n\
             routes.'/counted' = {{ echo = true, rewrite = '/{name}', rate = 'five' }}\n"
        );
        let (handlers, directory) = (Handlers::new(), TemporaryDirectory::new("worker"));
        let (surroundings, file) = (Surroundings::of_process(&handlers), "config.toml");
        let checked = config::parse(text, &directory.path().join(file), surroundings);
        prepare(checked, &handlers, None)
            .expect("it is valid")
            .generation
    }

    /// A worker that serves with `generation`, and listens nowhere.
    fn worker(generation: Arc<Generation>) -> Rc<Worker> {
        let setup = WorkerSetup {
            index: None,
            generation,
            listeners: Vec::new(),
            pools: Pools::new(1, 1),
            reach: Reach::without_server(Arc::new(|_| {})),
            roster: Arc::default(),
            process: Arc::default(),
            counters: Arc::default(),
        };
        Rc::new(Worker::new(&setup, None))
    }

    /// The rate of the new generation was told of what that of the old one had counted, and the new handler got what
    /// the old one had begun.
    #[test]
    fn a_request_that_was_counted_keeps_its_generation_while_it_waits_behind_a_response() {
        let test = async {
            let (near, far) = unix_pair();
            fill(&near).await;
            let (old, new) = (generation("old"), generation("new"));
            let listener = listener();
            let worker = worker(Arc::clone(&old));
            let accepting = worker.adopt(old, vec![listener.clone()]);
            assert!(worker.admit(1));
            let endpoint = Rc::clone(accepting[0].endpoint_for(None));
            let get = |path| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
            let both = get("/") + &get("/counted");
            far.try_send(both.as_bytes(), false).expect("it is read");
            let connection =
                Connection::new(Transport::Plain(near), None, endpoint, Rc::clone(&worker));
            runtime::spawn(connection.serve());
            while worker.counters.requests() == 0 {
                runtime::yield_now().await;
            }
            worker.adopt(new, vec![listener]);
            let another = get("/counted");
            far.try_send(another.as_bytes(), false).expect("it is read");
            let mut received = Vec::new();
            while worker.counters.requests() < 3 {
                receive(&far, &mut received);
                runtime::yield_now().await;
            }
            receive(&far, &mut received);
            let received = String::from_utf8_lossy(&received).into_owned();
            let told = received.split("\"path\": \"/").skip(1);
            let told: Vec<&str> = told.filter_map(|told| told.get(..3)).collect();
            assert_eq!(told, ["old", "new"], "{received}");
        };
        runtime::run(test).expect("a loop");
    }

    /// A socket to listen at, from which nothing is accepted.
    fn listener() -> ListeningSocket {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        ListeningSocket {
            address: ListenAddress::Ip(([127, 0, 0, 1], 0).into()),
            ipv4: None,
            fd: Arc::new(socket.into()),
            is_recorded: true,
        }
    }

    /// Appends what has arrived.
    fn receive(far: &Stream, into: &mut Vec<u8>) {
        let mut block = vec![0; 64 * 1024];
        while let Ok(count) = far.try_receive(&mut block) {
            into.extend_from_slice(&block[..count]);
        }
    }
}
