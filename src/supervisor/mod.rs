//! The process: it binds the sockets, starts the workers, watches over them, changes their
//! configuration, and stops.
//!
//! ```text
//! signal ────────────┐
//! control socket ────┼─→ events ─→ reload: the same path for all ─→ workers adopt it
//! a file changed ────┤          ├→ replace the worker
//! a worker ended ────┘          ├→ drain all, and stop
//!                               └→ upgrade: another process serves, and this one ends
//! ```
//!
//! One thread does all of this, in [`Supervisor::run`], one event after the other ([`occasion`]): a reload
//! that is asked for while another is carried out waits until that one has ended.

mod account_key;
mod addresses;
mod apps;
pub(crate) mod certificates;
mod control_socket;
mod ending;
mod events;
mod housekeeper;
mod inherited;
mod issued;
mod listen_error;
mod listening;
mod notify;
mod observed;
mod occasion;
mod predecessor;
mod rates;
mod read_again;
mod reload;
mod sockets;
mod staging;
mod status;
mod succession;
mod unix;
mod upgrade;
mod upstreams;
mod watch;
mod worker_threads;
mod workers;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::acme::{Storage, StorageError};
use crate::address::ListenAddress;
use crate::api::Handlers;
use crate::config::Inputs;
use crate::config::model::Config;
use crate::control::Submit;
use crate::control::live::Live;
use crate::control::reach::{Phase, Reach};
use crate::control::socket::apps_directory;
use crate::generation::{Generation, Retired};
use crate::log::access::{AccessWriters, OpenLogError};
use crate::log::diagnostic;
use crate::log::feed::Feed;
use crate::metrics::ProcessCounters;
use crate::runtime::{self, Pools, sys};
use crate::server::WorkerSetup;
use crate::trace::Exporter;

use self::notify::{ServiceManager, State};
use addresses::{announce, announce_end};
pub(crate) use addresses::{try_addresses, try_log};
use apps::Apps;
use certificates::Certificates;
use control_socket::{Alias, ControlError};
use ending::Leaving;
use events::{Event, watch_signals};
use housekeeper::Housekeeper;
pub(crate) use inherited::Inherited;
use observed::Observed;
use occasion::{DEATHS_WINDOW, MAX_DEATHS};
use predecessor::Predecessor;
use reload::Trial;
pub(crate) use sockets::ListenError;
use sockets::Sockets;
use status::Since;
use unix::UnixSocket;
use upgrade::Program;
use watch::FileWatch;
use workers::{Waiting, Workers};

/// Why the server cannot start, or cannot go on. The operator can mend it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SupervisorError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Log(#[from] OpenLogError),
    #[error(transparent)]
    Acme(#[from] StorageError),
    #[error("cannot start its threads; fewer `workers` need fewer")]
    Threads(#[source] io::Error),
    #[error("cannot take note of signals")]
    Signals(#[source] io::Error),
    #[error("cannot watch the files of the configuration")]
    Watch(#[source] io::Error),
    #[error("the applications of the configuration do not run: {0}")]
    Apps(String),
    #[error("the workers keep dying: {MAX_DEATHS} within {DEATHS_WINDOW:?}")]
    WorkersKeepDying,
}

/// Why the supervisor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A signal or a command asked for it: this one, as the log names it.
    Stop(&'static str),
    /// Another process serves in our place.
    Replaced,
}

/// What a [`Supervisor`] is made of.
pub(crate) struct Setup {
    pub(crate) config: Config,
    /// What was prepared from `config`.
    pub(crate) generation: Arc<Generation>,
    /// The file that `config` was read from; a reload reads it again.
    pub(crate) file: Option<PathBuf>,
    pub(crate) handlers: Handlers,
    pub(crate) role: Role,
}

/// What the server is to its process.
pub(crate) enum Role {
    /// The process is a program that is this server: the server takes the signals, opens a control
    /// socket, notifies the service manager, and adopts what it inherited.
    Program(Inherited),
    /// The server is a part of another program, which tells it what to do: it touches nothing that
    /// belongs to the whole process.
    Part,
}

/// A server that listens.
pub(crate) struct Supervisor {
    /// The configuration file, if there is one.
    file: Option<PathBuf>,
    /// The handlers that the configuration may name.
    handlers: Handlers,
    config: Config,
    generation: Arc<Generation>,
    /// The number of that generation; the first has 1.
    number: u64,
    since: Since,
    sockets: Sockets,
    control: Option<UnixSocket>,
    /// The second path of the control socket, once it is published. It goes after the socket.
    alias: Option<Alias>,
    /// The watch over the files, with `--watch`.
    watch: Option<FileWatch>,
    manager: ServiceManager,
    /// What an upgrade starts.
    program: Program,
    /// The process that an upgrade has started and waits for.
    successor: Option<u32>,
    predecessor: Predecessor,
    /// What ran before, while the current generation is not confirmed.
    trial: Option<Trial>,
    /// The last reload was to be on trial, and changed nothing that could be taken back: to confirm it is no mistake.
    is_trial_needless: bool,
    /// The stop that waits for `drain_delay`, if one does.
    leaving: Option<Leaving>,
    /// Whether a second signal has cut the stop short.
    is_cut: bool,
    /// What earlier generations kept and this one does not, until nothing uses it any more.
    retired: Retired,
    pools: Pools,
    workers: Workers,
    housekeeper: Housekeeper,
    exporter: Exporter,
    certificates: Certificates,
    /// The threads of the first workers, and that of the control socket's, until [`run`](Self::run).
    waiting: Vec<Waiting>,
    waiting_control: Option<Waiting>,
    process: Arc<ProcessCounters>,
    observed: Arc<Observed>,
    /// What is shown to those who look at the server live.
    live: Arc<Live>,
    log: Option<AccessWriters>,
    feed: Arc<Feed>,
    apps: Apps,
    events: Receiver<Event>,
    /// Events that arrived while something else was waited for.
    deferred: VecDeque<Event>,
    sender: Sender<Event>,
}

impl Supervisor {
    /// Binds every address that no inherited socket is bound to, and opens the log. A program that
    /// runs from a file opens its control socket as well. No request is answered yet; connections wait,
    /// unless another server serves until this one does.
    ///
    /// # Errors
    /// The first reason why the server cannot start.
    pub(crate) fn new(setup: Setup) -> Result<Self, SupervisorError> {
        let Setup {
            config,
            generation,
            file,
            handlers,
            role,
        } = setup;
        diagnostic::configure(&config.log);
        diagnostic::start().map_err(SupervisorError::Threads)?;
        let (sender, events) = channel();
        let (is_program, mut inherited) = begin_role(role);
        let predecessor = std::mem::take(&mut inherited.predecessor);
        generation.ticket_keys().adopt(predecessor.secrets());
        let file_of_program = file.as_deref().filter(|_| is_program);
        let bind = |file| control_socket::bind(file, predecessor.is_some());
        let control = file_of_program.map(bind).transpose()?;
        let sockets = addresses::open(inherited, &config, predecessor.is_some())?;
        let log = AccessWriters::start(&config.log.access)?;
        open_acme(&generation)?;
        let manager = service_manager(is_program, &sender, file.is_some())?;
        let directory = apps_directory(file.as_deref());
        let apps = Apps::new(directory, predecessor.is_some(), sender.clone());
        let mut workers = Workers::new(sender.clone());
        let waiting = workers.prepare(config.workers.get());
        let pools = Pools::new(config.blocking.threads, config.blocking.queue);
        let lost = log.as_ref().map(AccessWriters::lost).unwrap_or_default();
        let feed = Arc::<Feed>::default();
        let (roster, of_apps) = (workers.roster(), apps.view());
        let observed = Observed::new(
            &generation,
            &pools,
            roster,
            lost,
            of_apps,
            Arc::clone(&feed),
        );
        let shown = Arc::clone(&observed);
        let live = Live::new(Box::new(move || shown.snapshot()));
        let waiting_control = control.as_ref().map(|_| workers.prepare_one()).transpose();
        Ok(Self {
            file,
            handlers,
            generation,
            number: 1,
            since: Since::now(),
            sockets,
            control,
            alias: None,
            watch: None,
            manager,
            program: Program::ours(),
            successor: None,
            predecessor,
            trial: None,
            is_trial_needless: false,
            leaving: None,
            is_cut: false,
            retired: Retired::default(),
            pools,
            workers,
            housekeeper: Housekeeper::default(),
            exporter: Exporter::default(),
            certificates: Certificates::default(),
            waiting: waiting.map_err(SupervisorError::Threads)?,
            waiting_control: waiting_control.map_err(SupervisorError::Threads)?,
            process: Arc::default(),
            observed,
            live,
            log,
            feed,
            apps,
            events,
            deferred: VecDeque::new(),
            sender,
            config,
        })
    }

    /// Returns a function by which other threads ask this supervisor for something.
    pub(crate) fn submit(&self) -> Submit {
        reload::submit(&self.sender)
    }

    /// What the handlers of workers reach of this server.
    fn reach(&self) -> Reach {
        let (observed, roster) = (
            Arc::clone(&self.observed),
            Arc::clone(self.workers.roster()),
        );
        let (series, followed) = (Arc::clone(&self.observed), Arc::clone(&roster));
        Reach {
            submit: self.submit(),
            scrape: Arc::new(move |form| observed.expose(form)),
            live: Arc::clone(&self.live),
            probe: Arc::new(move |reply| roster.probe(reply)),
            readiness: Arc::clone(&self.observed.readiness),
            feed: Arc::clone(&self.feed),
            announce: Arc::new(move |done| followed.look_at_feed(done)),
            has_route: Arc::new(move |key| series.has_route(key)),
        }
    }

    /// Watches the files of `inputs`: from now on, a change to one of them is a reload.
    ///
    /// # Errors
    /// If the system cannot watch files.
    pub(crate) fn watch_files(&mut self, inputs: &Inputs) -> Result<(), SupervisorError> {
        let files = watch::Files::of(inputs);
        let watch = files.and_then(|files| FileWatch::start(files, self.sender.clone()));
        self.watch = Some(watch.map_err(SupervisorError::Watch)?);
        Ok(())
    }

    /// The addresses that the server listens at, with the ports that the system chose for port 0.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.sockets.bound()
    }

    /// Serves until a signal or a command ends it. Returns when every exchange in flight has ended, or
    /// the grace period is over.
    ///
    /// # Errors
    /// If the workers keep dying, or the control socket cannot take the place of its predecessor's.
    pub(crate) fn run(mut self) -> Result<(), SupervisorError> {
        sys::block_broken_pipe();
        let served = self.serve();
        // No exchange is under way any more.
        std::mem::take(&mut self.exporter).finish();
        ending::stop_apps(&self.apps, &self.events, self.is_cut);
        runtime::wait_for_processes();
        if let Some(log) = self.log {
            log.finish();
        }
        served
    }

    /// Starts the applications and the workers, does what events ask for, and returns when the workers
    /// have ended.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn serve(&mut self) -> Result<(), SupervisorError> {
        self.watch_departures();
        self.start_apps()?;
        if let Some(control) = &self.control {
            control_socket::publish(control)?;
            self.alias = self
                .file
                .as_ref()
                .and_then(|file| Alias::try_to_make(file, control));
        }
        let setups = self.setups().into_iter();
        let waiting = std::mem::take(&mut self.waiting);
        self.exporter.adopt(self.generation.tracing.as_ref());
        self.workers.start(setups, waiting, self.log.as_ref());
        self.housekeeper.adopt(&self.generation);
        if let Some((setup, waiting)) = self.control_setup().zip(self.waiting_control.take()) {
            self.workers.start_control(setup, waiting);
        }
        for address in self.addresses() {
            announce(address, self.sockets.service(address));
        }
        self.observed.readiness.set(Phase::Ready);
        self.manager.tell(State::Ready);
        self.sockets.own_files();
        self.predecessor.tell_ready();
        let outcome = self.watch();
        match outcome {
            Ok(End::Stop(cause)) => self.drain(cause),
            Ok(End::Replaced) => self.retire(),
            Err(_) => {}
        }
        // The workers are gone, and have handed over their last lines. One that still runs finds no more
        // commands, and cuts what is under way.
        self.workers = Workers::new(self.sender.clone());
        outcome.map(drop)
    }

    /// What each worker of the current generation is started with.
    fn setups(&mut self) -> Vec<WorkerSetup> {
        let workers = self.config.workers.get();
        self.observed.tally().resize(workers);
        let setup = |index| WorkerSetup {
            index: Some(index),
            generation: Arc::clone(&self.generation),
            listeners: self.sockets.of_worker(index, workers),
            pools: self.pools.clone(),
            reach: self.reach(),
            roster: Arc::clone(self.workers.roster()),
            process: Arc::clone(&self.process),
            counters: self.observed.tally().of_worker(index),
        };
        (0..workers).map(setup).collect()
    }

    /// What the worker of the control socket is started with, if there is a control socket: nothing in
    /// it is shared with the other workers, and it runs no code but ours.
    fn control_setup(&self) -> Option<WorkerSetup> {
        let control = self.control.as_ref()?;
        let address = control_socket::address(control);
        Some(WorkerSetup {
            index: None,
            generation: Arc::new(Generation::of_control(address)),
            listeners: control_socket::listeners(control),
            pools: Pools::without_threads(),
            reach: self.reach(),
            // Too many commands take no client's place.
            roster: Arc::default(),
            process: Arc::default(),
            counters: Arc::default(),
        })
    }
}

/// Returns whether the server is a program of its own, and what that inherited. A program may open as many
/// files as the system lets it.
fn begin_role(role: Role) -> (bool, Inherited) {
    match role {
        Role::Program(inherited) => {
            raise_descriptor_limit();
            (true, inherited)
        }
        Role::Part => (false, Inherited::default()),
    }
}

/// Returns the service manager that a program notifies, and watches the signals that it may send.
///
/// # Errors
/// If signals cannot be watched.
fn service_manager(
    is_program: bool,
    sender: &Sender<Event>,
    reloads: bool,
) -> Result<ServiceManager, SupervisorError> {
    if !is_program {
        return Ok(ServiceManager::default());
    }
    watch_signals(sender.clone(), reloads).map_err(SupervisorError::Signals)?;
    Ok(ServiceManager::from_environment())
}

/// Waits for the `drop` of handlers that are not needed any more, but not for ever: the last thing that a
/// server does.
pub(crate) fn wait_for_ends(handlers: &Handlers) {
    let left = handlers.wait_for_ends();
    if left > 0 {
        diagnostic::warn(format_args!(
            "the `drop` of {left} handlers has not returned; the server ends without it"
        ));
    }
}

/// Looks whether the server could use the storage of ACME, if `generation` has certificates there. Changes nothing.
/// Returns an error message if it could not.
pub(crate) fn try_storage(generation: &Generation) -> Option<String> {
    let checked = Storage::check(&generation.acme()?.settings);
    checked.err().map(|error| error.to_string())
}

/// Looks whether the storage of ACME can be used, if `generation` has certificates there.
fn open_acme(generation: &Generation) -> Result<(), StorageError> {
    let plan = generation.acme();
    plan.map_or(Ok(()), |plan| Storage::open(&plan.settings).map(drop))
}

/// Raises the limit of open files, and so of connections, as far as the system lets us.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    runtime::remember_open_files(limit);
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
