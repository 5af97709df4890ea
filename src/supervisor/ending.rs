//! The end of a server: it waits for its workers, each of which ends with its last connection.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::apps::Apps;
use super::events::{self, AppsNews, Event};
use super::housekeeper::Housekeeper;
use super::notify::State;
use super::predecessor::Predecessor;
use super::sockets::Sockets;
use super::workers::Workers;
use super::{End, Supervisor};
use crate::control::reach::Phase;
use crate::log::access::AccessWriters;
use crate::log::diagnostic;
use crate::log::feed::Feed;
use crate::runtime;

/// How long after the grace period the workers may take to end.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// How long they may take after a second signal.
const CUT_MARGIN: Duration = Duration::from_millis(500);

/// A stop that waits until `drain_delay` is over.
pub(super) struct Leaving {
    pub(super) cause: &'static str,
    pub(super) deadline: Instant,
}

impl Supervisor {
    /// Whether the server goes on as before for the time of `drain_delay`, because it is told to stop for the
    /// first time. `ready` tells balancers meanwhile.
    pub(super) fn is_delayed(&mut self, end: End) -> bool {
        let delay = self.config.drain_delay;
        let (End::Stop(cause), None, false) = (end, &self.leaving, delay.is_zero()) else {
            return false;
        };
        let Some(deadline) = Instant::now().checked_add(delay) else {
            return false;
        };
        self.observed.readiness.set(Phase::Stopping);
        self.manager.tell(State::Stopping);
        diagnostic::info(format_args!(
            "{cause}: stopping in {delay:?}; until then clients are served, and `ready` says 503"
        ));
        self.leaving = Some(Leaving { cause, deadline });
        true
    }

    /// Lets the workers finish the exchanges in flight, because of `cause`, and waits for that. A second
    /// signal ends the wait.
    pub(super) fn drain(&mut self, cause: &str) {
        let grace = self.config.grace;
        self.observed.readiness.set(Phase::Stopping);
        self.manager.tell(State::Stopping);
        self.live.end();
        // Before the line: a command that is given because of it must not find the control socket.
        self.close_sockets();
        diagnostic::info(format_args!(
            "{cause}: stopping; exchanges in flight have {grace:?} to finish"
        ));
        self.generation.stop_routes();
        let (log, predecessor) = (self.log.as_ref(), &self.predecessor);
        let reopen = || reopen_logs(log, predecessor);
        self.is_cut = drain_workers(&mut self.workers, &self.events, &self.feed, grace, reopen);
    }

    /// Waits until the open connections have ended by themselves; a signal to stop drains them.
    pub(super) fn retire(&mut self) {
        // Those who look connect again, and see the successor.
        self.live.end();
        self.close_sockets();
        // Those who follow go on with the successor.
        self.feed.close();
        // Releases the lock of each certificate: the successor takes them, and resumes the orders under way.
        self.housekeeper = Housekeeper::default();
        self.generation.stop_routes();
        if let Some(signal) = self.await_connections() {
            self.drain(events::name(signal));
        }
    }

    /// Tells the workers to accept nothing more, and waits until their open connections have ended,
    /// however long that takes. Returns the signal to stop, if one arrived first.
    fn await_connections(&mut self) -> Option<i32> {
        self.workers.leave();
        while self.workers.threads() > 0 {
            let event = self.events.recv();
            match event.expect("the supervisor holds a sender itself") {
                Event::WorkerEnded(id) => {
                    self.workers.ended(id);
                }
                Event::Signal(signal @ (SIGTERM | SIGINT)) => return Some(signal),
                Event::Signal(SIGUSR1) => self.reopen_logs(),
                // The successor reloads and watches. A command that still reaches this process is not
                // carried out: `control::ask` answers 503, and the client asks again.
                Event::Signal(_)
                | Event::Control(_)
                | Event::FilesChanged
                | Event::Apps(_)
                | Event::Successor { .. } => {}
            }
        }
        None
    }

    /// Opens the access logs again, and has the process do so that this one replaces: the file was renamed.
    pub(super) fn reopen_logs(&self) {
        reopen_logs(self.log.as_ref(), &self.predecessor);
    }

    /// Drops every listening socket. The system closes a socket when its last holder drops it: once
    /// the workers have dropped theirs, the system refuses connections.
    ///
    /// A command that still waits its turn is dropped with its reply: `control::ask` answers 503, and the client asks
    /// again. No signal to stop is among what waits, because a stop comes first.
    fn close_sockets(&mut self) {
        self.sockets = Sockets::default();
        self.control = None;
        self.deferred.clear();
    }
}

/// Opens the access logs again, and has `predecessor` do so, where there is one.
fn reopen_logs(log: Option<&AccessWriters>, predecessor: &Predecessor) {
    log.into_iter().for_each(AccessWriters::reopen);
    predecessor.reopen_logs();
}

/// Tells the workers to finish the exchanges in flight within `grace`, and waits until all workers
/// have ended, `grace` and a margin are over, or a second signal arrives. Returns whether one did.
/// Calls `reopen_logs` when the signal for that arrives: `grace` may be longer than a log waits for its rotation.
fn drain_workers(
    workers: &mut Workers,
    events: &Receiver<Event>,
    feed: &Feed,
    grace: Duration,
    reopen_logs: impl Fn(),
) -> bool {
    workers.drain(grace);
    // `None` lies beyond what the clock can tell, and never comes.
    let mut deadline = Instant::now().checked_add(grace.saturating_add(STOP_MARGIN));
    let (mut is_cut, mut is_last_told) = (false, false);
    let mut running = workers.threads();
    while running > 0 {
        // The last one is that of the control socket, as long as a client follows: no exchange will end.
        if running == 1 && !is_last_told {
            feed.close();
            workers.drain_last();
            is_last_told = true;
        }
        let left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        match events.recv_timeout(left) {
            Ok(Event::WorkerEnded(_)) => running -= 1,
            Ok(Event::Signal(SIGUSR1)) => reopen_logs(),
            // A command that is sent now is not carried out: `control::ask` answers 503.
            Ok(
                Event::Signal(SIGUSR2 | SIGHUP)
                | Event::Control(_)
                | Event::FilesChanged
                | Event::Apps(_)
                | Event::Successor { .. },
            ) => {}
            // Where this is the first process of a container: what a script has left behind has ended.
            Ok(Event::Signal(SIGCHLD)) => runtime::reap_orphans(),
            Ok(Event::Signal(_)) if is_cut => return true,
            Ok(Event::Signal(_)) => {
                diagnostic::warn(format_args!("a second signal: stopping at once"));
                // What is cut is counted and recorded; a worker that is blocked has no more time.
                workers.drain(Duration::ZERO);
                deadline = Some(Instant::now() + CUT_MARGIN);
                is_cut = true;
            }
            Err(_) => {
                diagnostic::error(format_args!("{running} workers did not stop in time"));
                return is_cut;
            }
        }
    }
    is_cut
}

/// Has all applications end, and waits for that. A signal to stop has them killed; so has one that came
/// before and is why the stop `is_cut`.
pub(super) fn stop_apps(apps: &Apps, events: &Receiver<Event>, is_cut: bool) {
    if !apps.stop() {
        return;
    }
    if is_cut {
        apps.kill();
    }
    loop {
        match events.recv() {
            Ok(Event::Apps(AppsNews::Ended)) | Err(_) => return,
            Ok(Event::Signal(SIGTERM | SIGINT)) => apps.kill(),
            Ok(Event::Signal(SIGCHLD)) => runtime::reap_orphans(),
            Ok(_) => {}
        }
    }
}
