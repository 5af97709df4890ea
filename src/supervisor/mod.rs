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
//! One thread does all of this, in [`Supervisor::run`], one event after the other: a reload that is
//! asked for while another is carried out waits until that one has ended.

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
mod predecessor;
mod reload;
mod sockets;
mod staging;
mod status;
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
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2};

use crate::acme::{Storage, StorageError};
use crate::address::ListenAddress;
use crate::api::Handlers;
use crate::config::Inputs;
use crate::config::model::Config;
use crate::control::socket::apps_directory;
use crate::control::{ControlReply, ControlVerb, Submit};
use crate::generation::{Generation, Retired};
use crate::log::access::{AccessWriter, OpenLogError};
use crate::log::diagnostic;
use crate::metrics::tally::Tally;
use crate::metrics::{Counters, ProcessCounters};
use crate::runtime::{self, Panic, PoolState, Pools, catch_panic, sys};
use crate::server::{ListeningSocket, WorkerSetup};

use self::notify::{ServiceManager, State};
use addresses::{addresses, announce, announce_end, listening};
pub(crate) use addresses::{try_addresses, try_log};
use apps::Apps;
use certificates::Certificates;
use control_socket::ControlError;
use events::{Event, watch_signals};
use housekeeper::Housekeeper;
pub(crate) use inherited::Inherited;
use predecessor::Predecessor;
use reload::Trial;
pub(crate) use sockets::ListenError;
use sockets::Sockets;
use status::{Facts, Since};
use unix::UnixSocket;
use upgrade::{Program, UpgradeError};
use watch::FileWatch;
use workers::{Waiting, Workers};

/// If as many workers as this die within [`DEATHS_WINDOW`], the next would die as well: the process
/// stops.
const MAX_DEATHS: usize = 32;
const DEATHS_WINDOW: Duration = Duration::from_secs(10);

/// How often the supervisor looks whether what no generation keeps any more is still in use, and whether
/// there is a thread for a worker again.
const RETIREMENT: Duration = Duration::from_secs(1);

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
    /// The watch over the files, with `--watch`.
    watch: Option<FileWatch>,
    manager: ServiceManager,
    /// What an upgrade starts.
    program: Program,
    predecessor: Predecessor,
    /// What ran before, while the current generation is not confirmed.
    trial: Option<Trial>,
    /// What earlier generations kept and this one does not, until nothing uses it any more.
    retired: Retired,
    pools: Pools,
    workers: Workers,
    housekeeper: Housekeeper,
    certificates: Certificates,
    /// The threads of the first workers, and that of the control socket's, until [`run`](Self::run).
    waiting: Vec<Waiting>,
    waiting_control: Option<Waiting>,
    process: Arc<ProcessCounters>,
    tally: Tally,
    log: Option<AccessWriter>,
    apps: Apps,
    events: Receiver<Event>,
    /// Events that arrived while something else was waited for.
    deferred: VecDeque<Event>,
    sender: Sender<Event>,
}

impl Supervisor {
    /// Binds every address that no inherited socket is bound to, and opens the log. A program that
    /// runs from a file opens its control socket as well. No request is answered yet.
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
        diagnostic::set_level(config.log.level);
        diagnostic::start().map_err(SupervisorError::Threads)?;
        let (sender, events) = channel();
        let (is_program, mut inherited) = match role {
            Role::Program(inherited) => (true, inherited),
            Role::Part => (false, Inherited::default()),
        };
        if is_program {
            raise_descriptor_limit();
        }
        let predecessor = std::mem::take(&mut inherited.predecessor);
        generation.ticket_keys().adopt(predecessor.secrets());
        let file_of_program = file.as_deref().filter(|_| is_program);
        let bind = |file| control_socket::bind(file, predecessor.is_some());
        let control = file_of_program.map(bind).transpose()?;
        let adopted = Sockets::adopt(inherited, &addresses(&config))?;
        let sockets = listening(&adopted, &config)?;
        let log = AccessWriter::start(&config.log.access)?;
        open_acme(&generation)?;
        let mut manager = ServiceManager::default();
        if is_program {
            watch_signals(sender.clone(), file.is_some()).map_err(SupervisorError::Signals)?;
            manager = ServiceManager::from_environment();
        }
        let directory = apps_directory(file.as_deref());
        let apps = Apps::new(directory, predecessor.is_some(), sender.clone());
        let mut workers = Workers::new(sender.clone());
        let waiting = workers.prepare(config.workers.get());
        let waiting_control = control.as_ref().map(|_| workers.prepare_one()).transpose();
        Ok(Self {
            file,
            handlers,
            generation,
            number: 1,
            since: Since::now(),
            sockets,
            control,
            watch: None,
            manager,
            program: Program::ours(),
            predecessor,
            trial: None,
            retired: Retired::default(),
            pools: Pools::new(config.blocking.threads, config.blocking.queue),
            workers,
            housekeeper: Housekeeper::default(),
            certificates: Certificates::default(),
            waiting: waiting.map_err(SupervisorError::Threads)?,
            waiting_control: waiting_control.map_err(SupervisorError::Threads)?,
            process: Arc::default(),
            tally: Tally::default(),
            log,
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
        ending::stop_apps(&self.apps, &self.events);
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
        self.start_apps()?;
        self.control
            .as_ref()
            .map(control_socket::publish)
            .transpose()?;
        let setups = self.setups().into_iter();
        let waiting = std::mem::take(&mut self.waiting);
        self.workers.start(setups, waiting, self.log.as_ref());
        self.housekeeper.adopt(&self.generation);
        if let Some((setup, waiting)) = self.control_setup().zip(self.waiting_control.take()) {
            self.workers.start_control(setup, waiting);
        }
        for address in self.addresses() {
            announce(address, self.sockets.service(address));
        }
        self.manager.tell(State::Ready);
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
        self.tally.resize(workers);
        let setup = |index| WorkerSetup {
            index: Some(index),
            generation: Arc::clone(&self.generation),
            listeners: self.sockets.of_worker(index, workers),
            pools: self.pools.clone(),
            submit: self.submit(),
            roster: Arc::clone(self.workers.roster()),
            process: Arc::clone(&self.process),
            counters: self.tally.of_worker(index),
        };
        (0..workers).map(setup).collect()
    }

    /// What the worker of the control socket is started with, if there is a control socket: nothing in
    /// it is shared with the other workers, and it runs no code but ours.
    fn control_setup(&self) -> Option<WorkerSetup> {
        let control = self.control.as_ref()?;
        let address = ListenAddress::Unix(control.path().to_owned());
        Some(WorkerSetup {
            index: None,
            generation: Arc::new(Generation::of_control(address.clone())),
            listeners: vec![ListeningSocket {
                address,
                ipv4: None,
                fd: Arc::clone(&control.fd),
                is_recorded: false,
            }],
            pools: Pools::without_threads(),
            submit: self.submit(),
            // Too many commands take no client's place.
            roster: Arc::default(),
            process: Arc::default(),
            counters: Arc::default(),
        })
    }

    /// Takes one event after the other, until a signal or a command asks for the end; returns why.
    fn watch(&mut self) -> Result<End, SupervisorError> {
        let mut deaths = Deaths::default();
        loop {
            let event = self.next_event();
            if let Occasion::Event(event) = &event {
                event.tell();
            }
            // What an event runs may be code of others, such as a factory of handlers.
            match catch_panic(|| self.handle(event, &mut deaths)) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(end))) => return Ok(end),
                Ok(Err(error)) => return Err(error),
                Err(panic) => diagnostic::error(format_args!(
                    "what was asked for failed with a panic, and the server goes on: {panic}"
                )),
            }
        }
    }

    /// Does what an event asks for. Returns `Some` if the supervisor has to end.
    fn handle(
        &mut self,
        event: Occasion,
        deaths: &mut Deaths,
    ) -> Result<Option<End>, SupervisorError> {
        match event {
            Occasion::TrialIsOver => self.end_trial(),
            Occasion::CertificatesAreDue => {
                let is_watching = self.watch.is_some();
                self.certificates.look(&self.generation, is_watching);
            }
            Occasion::LookAgain => {
                // If there is still no thread, it is tried again a second later.
                let _ = self.workers.fill(self.log.as_ref());
            }
            Occasion::Event(Event::Signal(SIGCHLD)) => runtime::reap_orphans(),
            Occasion::Event(Event::Signal(SIGUSR1)) => {
                self.log.iter().for_each(AccessWriter::reopen);
            }
            // `tidegate serve` has nothing to read again: its terminal was closed.
            Occasion::Event(Event::Signal(SIGHUP)) if self.file.is_none() => {
                return Ok(Some(End::Stop(events::name(SIGHUP))));
            }
            Occasion::Event(Event::Signal(SIGHUP)) => self.reload_and_report("SIGHUP"),
            Occasion::Event(Event::FilesChanged) => self.reload_and_report("a file changed"),
            Occasion::Event(Event::Signal(SIGUSR2)) => {
                return Ok(self.upgrade_and_report().then_some(End::Replaced));
            }
            Occasion::Event(Event::Signal(signal)) => {
                return Ok(Some(End::Stop(events::name(signal))));
            }
            Occasion::Event(Event::Control(request)) => {
                let carried_out = catch_panic(|| self.carry_out(request.verb));
                let failed = |panic: Panic| (status::failed(&panic.to_string()), None);
                let (reply, end) = carried_out.unwrap_or_else(failed);
                (request.reply)(reply);
                return Ok(end);
            }
            // Of a staging that nothing waits for any more.
            Occasion::Event(Event::Apps(_)) => {}
            Occasion::Event(Event::WorkerEnded(id)) => {
                if self.workers.ended(id) {
                    deaths.note()?;
                    self.replace_worker();
                }
            }
        }
        Ok(None)
    }

    /// Starts a worker in the place of one that died.
    fn replace_worker(&mut self) {
        let lost = "a worker died, its connections are lost";
        match self.workers.fill(self.log.as_ref()) {
            Ok(()) => diagnostic::error(format_args!("{lost}; another has taken its place")),
            Err(error) => diagnostic::error(format_args!(
                "{lost}; another cannot take its place yet, which is tried every {RETIREMENT:?}: {error}"
            )),
        }
    }

    /// Does what a command asks for. Returns the reply, and `Some` if the supervisor has to end.
    fn carry_out(&mut self, verb: ControlVerb) -> (ControlReply, Option<End>) {
        match verb {
            ControlVerb::Status => (status::status(&self.facts()), None),
            ControlVerb::Counters => (status::counters(&self.facts()), None),
            ControlVerb::Explain(fields) => (status::explain(&self.generation, &fields), None),
            ControlVerb::Reload { confirm_within } => {
                let outcome = self.reload(confirm_within);
                // A program that has the server as a part gets the outcome, and says itself what it wants.
                if self.control.is_some() {
                    reload::report("`tidegate reload`", &outcome);
                }
                (reload::reply(outcome), None)
            }
            ControlVerb::Replace { text, name } => (reload::reply(self.replace(text, &name)), None),
            ControlVerb::Confirm => (self.confirm(), None),
            ControlVerb::Drain { server, drained } => {
                let upstreams = self.generation.upstreams();
                (upstreams::set_drained(upstreams, &server, drained), None)
            }
            ControlVerb::RestartApp { name } => (self.restart_app(&name), None),
            ControlVerb::Upgrade => {
                let outcome = self.upgrade();
                let end = outcome.is_ok().then_some(End::Replaced);
                (upgrade::reply(&outcome), end)
            }
            ControlVerb::Stop { grace } => {
                self.config.grace = grace.unwrap_or(self.config.grace);
                let end = End::Stop(self.command("`tidegate stop`"));
                (status::stopping(self.config.grace), Some(end))
            }
        }
    }

    /// How the log names a command: a server without a control socket gets it from its program.
    fn command(&self, command: &'static str) -> &'static str {
        if self.control.is_some() {
            command
        } else {
            "the program"
        }
    }

    /// Lets the workers finish the exchanges in flight, because of `cause`, and waits for that. A second
    /// signal ends the wait.
    fn drain(&mut self, cause: &str) {
        let grace = self.config.grace;
        self.manager.tell(State::Stopping);
        // Before the line: a command that is given because of it must not find the control socket.
        self.close_sockets();
        diagnostic::info(format_args!(
            "{cause}: stopping; exchanges in flight have {grace:?} to finish"
        ));
        self.generation.stop_routes();
        ending::drain(&mut self.workers, &self.events, grace);
    }

    /// Waits until the open connections have ended by themselves; a signal to stop drains them.
    fn retire(&mut self) {
        self.close_sockets();
        // The successor goes on with what was under way: it waits for the lock of the storage.
        self.housekeeper = Housekeeper::default();
        self.generation.stop_routes();
        if let Some(signal) = ending::retire(&mut self.workers, &self.events, self.log.as_ref()) {
            self.drain(events::name(signal));
        }
    }

    /// Drops every listening socket. The system closes a socket when its last holder drops it: once
    /// the workers have dropped theirs, the system refuses connections.
    fn close_sockets(&mut self) {
        self.sockets = Sockets::default();
        self.control = None;
    }

    /// Starts the program again in our place. Returns the number of the process that serves now.
    ///
    /// # Errors
    /// Why the new process does not serve; this one goes on.
    fn upgrade(&mut self) -> Result<u32, UpgradeError> {
        // It serves when its applications do.
        let apps = self.config.apps.iter().map(|app| app.ready_timeout);
        let patience = upgrade::PATIENCE.saturating_add(apps.max().unwrap_or_default());
        let sockets = self.sockets.descriptors();
        let secrets = self.generation.ticket_keys().to_octets();
        let successor = self.program.start_successor(&sockets, &secrets, patience)?;
        // The files of the sockets belong to the successor by now.
        self.sockets.leave_files();
        self.control.iter().for_each(UnixSocket::leave_file);
        self.manager.tell(State::ReplacedBy(successor));
        // From here on the successor notifies the service manager.
        self.manager = ServiceManager::default();
        diagnostic::info(format_args!("{}", upgrade::describe(successor)));
        Ok(successor)
    }

    /// [`upgrade`](Self::upgrade) by signal: an error goes to the log. Returns whether another process
    /// serves now.
    fn upgrade_and_report(&mut self) -> bool {
        let outcome = self.upgrade();
        if let Err(error) = &outcome {
            diagnostic::error(format_args!("{}", upgrade::refusal(error)));
        }
        outcome.is_ok()
    }

    /// What `status` tells about the server.
    fn facts(&mut self) -> Facts {
        let late = self.workers.late();
        let control = self.control.as_ref();
        Facts {
            uptime: self.since.uptime(),
            generation: self.number,
            since: self.since.generation(),
            waits_for_confirmation: self.trial.is_some(),
            file: self.file.as_ref().map(|file| file.display().to_string()),
            control: control.map(|control| control.path().display().to_string()),
            listeners: self.addresses().map(ToString::to_string).collect(),
            upstreams: upstreams::facts(self.generation.upstreams()),
            certificates: certificates::facts(&self.generation),
            issued: issued::facts(&self.generation),
            handshakes: self
                .tally
                .total(|counters| counters.handshakes.complete.read()),
            failed_handshakes: self
                .tally
                .total(|counters| counters.handshakes.failed.read()),
            workers: self.workers.count(),
            late,
            open: self.tally.total(|counters| counters.open.read()),
            accepted: self.tally.total(|counters| counters.accepted.read()),
            requests: self.tally.total(Counters::requests),
            open_streams: self.tally.total(|counters| counters.streams.open.read()),
            streams: self
                .tally
                .total(|counters| counters.streams.accepted.read()),
            blocking: self
                .generation
                .pool_states()
                .fold(self.pools.code.state(), PoolState::plus),
            apps: self.apps.facts(),
        }
    }

    /// Waits for the next event, or until something has to be looked at.
    fn next_event(&mut self) -> Occasion {
        loop {
            // Dropping other people's handlers may take long. This thread can wait for that, the loop
            // of a worker must not.
            self.retired.drop_unused();
            if let Some(event) = self.deferred.pop_front() {
                return Occasion::Event(event);
            }
            let is_over = |deadline| Instant::now() >= deadline;
            let certificates = self.certificates.wait(&self.generation, Instant::now());
            if certificates == Some(Duration::ZERO) {
                return Occasion::CertificatesAreDue;
            }
            let deadline = self.trial.as_ref().map(|trial| trial.deadline);
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let has_vacancy = self.workers.has_vacancy();
            let look_again = (!self.retired.is_empty() || has_vacancy).then_some(RETIREMENT);
            let waits = left.into_iter().chain(look_again).chain(certificates);
            let received = match waits.min() {
                None => self
                    .events
                    .recv()
                    .map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => self.events.recv_timeout(wait),
            };
            match received {
                Ok(event) => return Occasion::Event(event),
                Err(RecvTimeoutError::Timeout) if deadline.is_some_and(is_over) => {
                    return Occasion::TrialIsOver;
                }
                Err(RecvTimeoutError::Timeout) if has_vacancy => return Occasion::LookAgain,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("we hold a sender ourselves"),
            }
        }
    }
}

/// What the supervisor's thread wakes for.
enum Occasion {
    Event(Event),
    /// The time to confirm a reload is over.
    TrialIsOver,
    /// A worker died, and there was no thread for another.
    LookAgain,
    /// The files of certificates may have changed.
    CertificatesAreDue,
}

/// When workers died, within the last [`DEATHS_WINDOW`].
#[derive(Default)]
struct Deaths(Vec<Instant>);

impl Deaths {
    /// Counts one more death.
    ///
    /// # Errors
    /// If there were too many.
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
