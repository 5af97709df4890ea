//! The process: it binds the sockets, starts the workers, watches over them, and stops.
//!
//! ```text
//! sockets ─→ workers ─→ events: a signal, a worker that ended ─→ replace it, or drain all and stop
//! ```

mod sockets;
mod workers;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::config::{Config, ListenAddress};
use crate::log::access::{AccessWriter, OpenLogError};
use crate::log::diagnostic;
use crate::runtime::BlockingPool;
use crate::server::{Generation, ProcessCounters, WorkerSetup};

pub(crate) use sockets::ListenError;
use sockets::Sockets;
use workers::{WorkerId, Workers};

/// A worker that dies as often as this within [`DEATHS_WINDOW`] would die again: the process stops.
const MAX_DEATHS: usize = 32;
const DEATHS_WINDOW: Duration = Duration::from_secs(10);

/// How long after the grace period the workers may take to end.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// Why the server cannot start, or go on. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupervisorError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Log(#[from] OpenLogError),
    #[error("cannot take note of signals")]
    Signals(#[source] io::Error),
    #[error("the workers keep dying: {MAX_DEATHS} within {DEATHS_WINDOW:?}")]
    WorkersKeepDying,
}

/// What the supervisor waits for.
enum Event {
    Signal(i32),
    /// A worker's thread ended: it was told to, or it died.
    WorkerEnded(WorkerId),
}

/// A server that listens.
pub(crate) struct Supervisor {
    config: Config,
    sockets: Sockets,
    events: Receiver<Event>,
    sender: Sender<Event>,
    log: Option<AccessWriter>,
}

impl Supervisor {
    /// Binds every address of `config` and opens its log. Nothing is answered yet.
    ///
    /// # Errors
    /// What keeps the server from starting.
    pub(crate) fn new(config: Config) -> Result<Self, SupervisorError> {
        diagnostic::set_level(config.log.level);
        raise_descriptor_limit();
        let addresses: BTreeSet<SocketAddr> = config
            .servers
            .iter()
            .flat_map(|server| &server.listen)
            .filter_map(ListenAddress::ip)
            .collect();
        let addresses: Vec<SocketAddr> = addresses.into_iter().collect();
        let sockets = Sockets::default().extended(&addresses, config.workers.get())?;
        let log = AccessWriter::start(&config.log.access)?;
        let (sender, events) = channel();
        watch_signals(sender.clone()).map_err(SupervisorError::Signals)?;
        Ok(Self {
            config,
            sockets,
            events,
            sender,
            log,
        })
    }

    /// The addresses that are listened at, with the ports the system chose for port 0.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.sockets.bound()
    }

    /// Serves until a signal ends it; returns when every exchange in flight has ended, or the grace
    /// period has.
    ///
    /// # Errors
    /// If the workers cannot be kept alive.
    pub(crate) fn run(mut self) -> Result<(), SupervisorError> {
        let mut workers = self.start_workers();
        for address in self.addresses() {
            diagnostic::info(format_args!("listening at http://{address}"));
        }
        let outcome = self.watch(&mut workers);
        if outcome.is_ok() {
            self.drain(&mut workers);
        }
        // The workers are gone, and have handed over their last lines.
        drop(workers);
        if let Some(log) = self.log {
            log.finish();
        }
        outcome
    }

    fn start_workers(&self) -> Workers {
        let blocking = self.config.blocking;
        let generation = Arc::new(Generation::new(&self.config));
        let pool = BlockingPool::new(blocking.threads, blocking.queue);
        let process = Arc::new(ProcessCounters::default());
        let setup = |index| WorkerSetup {
            index,
            generation: Arc::clone(&generation),
            listeners: self.sockets.of_worker(index, self.config.workers.get()),
            pool: Arc::clone(&pool),
            log_format: self.config.log.format,
            process: Arc::clone(&process),
        };
        let setups = (0..self.config.workers.get()).map(setup).collect();
        Workers::start(setups, self.sender.clone(), self.log.as_ref())
    }

    /// Until a signal asks for the end: replaces workers that died, and opens the log again.
    fn watch(&self, workers: &mut Workers) -> Result<(), SupervisorError> {
        let mut deaths = Deaths::default();
        loop {
            match self.next_event() {
                Event::Signal(SIGUSR1) => self.log.iter().for_each(AccessWriter::reopen),
                Event::Signal(_) => return Ok(()),
                Event::WorkerEnded(id) => {
                    if workers.ended(id, self.log.as_ref()) {
                        deaths.note()?;
                        diagnostic::error(format_args!(
                            "a worker died; another has taken its place, its connections are lost"
                        ));
                    }
                }
            }
        }
    }

    /// Has the workers finish what is in flight. A second signal ends it at once.
    fn drain(&mut self, workers: &mut Workers) {
        let grace = self.config.grace;
        diagnostic::info(format_args!(
            "stopping; exchanges in flight have {grace:?} to finish"
        ));
        // The last to hold a socket closes it: once the workers let go, connecting is refused.
        self.sockets = Sockets::default();
        workers.drain(grace);
        let deadline = Instant::now() + grace + STOP_MARGIN;
        let mut running = workers.count();
        while running > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(Event::WorkerEnded(_)) => running -= 1,
                Ok(Event::Signal(SIGUSR1)) => {}
                Ok(Event::Signal(_)) => {
                    diagnostic::warn(format_args!("a second signal: stopping at once"));
                    return;
                }
                Err(_) => {
                    diagnostic::error(format_args!("{running} workers did not stop in time"));
                    return;
                }
            }
        }
    }

    fn next_event(&self) -> Event {
        self.events.recv().expect("we hold a sender ourselves")
    }
}

/// When workers died lately.
#[derive(Default)]
struct Deaths(Vec<Instant>);

impl Deaths {
    /// Counts one more.
    fn note(&mut self) -> Result<(), SupervisorError> {
        let now = Instant::now();
        self.0
            .retain(|died| now.duration_since(*died) < DEATHS_WINDOW);
        self.0.push(now);
        match self.0.len() {
            MAX_DEATHS.. => Err(SupervisorError::WorkersKeepDying),
            _ => Ok(()),
        }
    }
}

/// Signals arrive as events, on a thread of their own.
fn watch_signals(sender: Sender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    let forward = move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("tidegate-signal".to_owned())
        .spawn(forward)?;
    Ok(())
}

/// As many connections as the system lets us have.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        diagnostic::warn(format_args!(
            "cannot raise the limit of open files to {:?}: {error}",
            limit.maximum
        ));
    }
}
