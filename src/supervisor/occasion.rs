//! What wakes the supervisor's thread, and what the thread does then: one occasion after the other.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGUSR1, SIGUSR2};

use super::events::{self, Event};
use super::{End, Supervisor, SupervisorError, account_key, reload, status, upgrade, upstreams};
use crate::control::{ControlReply, ControlRequest, ControlVerb};
use crate::log::diagnostic;
use crate::runtime::{self, Panic, catch_panic};

/// If as many workers as this die within [`DEATHS_WINDOW`], the next would die as well: the process
/// stops.
pub(super) const MAX_DEATHS: usize = 32;
pub(super) const DEATHS_WINDOW: Duration = Duration::from_secs(10);

/// How often the supervisor looks whether what no generation keeps any more is still in use, and whether
/// there is a thread for a worker again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What the supervisor's thread wakes for.
enum Occasion {
    Event(Event),
    /// The time to confirm a reload is over.
    TrialIsOver,
    /// A worker died, and there was no thread for another.
    LookAgain,
    /// The files of certificates may have changed.
    CertificatesAreDue,
    /// The server was told to stop, for this cause, and `drain_delay` is over.
    DelayIsOver(&'static str),
}

impl Supervisor {
    /// Takes one event after the other, until a signal or a command asks for the end; returns why.
    pub(super) fn watch(&mut self) -> Result<End, SupervisorError> {
        let mut deaths = Deaths::default();
        loop {
            let event = self.next_event();
            if let Occasion::Event(event) = &event {
                event.tell();
            }
            // What an event runs may be code of others, such as a factory of handlers.
            match catch_panic(|| self.handle(event, &mut deaths)) {
                Ok(Ok(None)) => {}
                Ok(Ok(Some(end))) if self.is_delayed(end) => {}
                Ok(Ok(Some(end))) => return Ok(end),
                Ok(Err(error)) => return Err(error),
                Err(panic) => diagnostic::error(format_args!(
                    "what was asked for failed with a panic, and the server goes on: {panic}"
                )),
            }
        }
    }

    /// Waits for the next event, or until something has to be looked at.
    fn next_event(&mut self) -> Occasion {
        loop {
            // Dropping other people's handlers may take long. This thread can wait for that, the loop
            // of a worker must not.
            self.retired.drop_unused();
            let is_over = |deadline| Instant::now() >= deadline;
            if let Some(leaving) = &self.leaving
                && is_over(leaving.deadline)
            {
                return Occasion::DelayIsOver(leaving.cause);
            }
            let deadline = self.trial.as_ref().map(|trial| trial.deadline);
            if deadline.is_some_and(is_over) {
                return Occasion::TrialIsOver;
            }
            if let Some(event) = self.deferred.pop_front() {
                return Occasion::Event(event);
            }
            let certificates = self.certificates.wait(&self.generation, Instant::now());
            if certificates == Some(Duration::ZERO) {
                return Occasion::CertificatesAreDue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let has_vacancy = self.workers.has_vacancy();
            let look_again = (!self.retired.is_empty() || has_vacancy).then_some(LOOK_AGAIN);
            let delay = self.leaving.as_ref().map(|leaving| leaving.deadline);
            let delay = delay.map(|delay| delay.saturating_duration_since(Instant::now()));
            let waits = left.into_iter().chain(look_again);
            let waits = waits.chain(certificates).chain(delay);
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

    /// Does what an event asks for. Returns `Some` if the supervisor has to end.
    fn handle(
        &mut self,
        event: Occasion,
        deaths: &mut Deaths,
    ) -> Result<Option<End>, SupervisorError> {
        match event {
            Occasion::TrialIsOver => self.end_trial(),
            Occasion::DelayIsOver(cause) => return Ok(Some(End::Stop(cause))),
            Occasion::CertificatesAreDue => {
                let is_watching = self.watch.is_some();
                self.certificates.look(&self.generation, is_watching);
            }
            Occasion::LookAgain => {
                // If there is still no thread, it is tried again a second later.
                let _ = self.workers.fill(self.log.as_ref());
            }
            Occasion::Event(Event::Signal(SIGCHLD)) => runtime::reap_orphans(),
            Occasion::Event(Event::Signal(SIGUSR1)) => self.reopen_logs(),
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
            // The thread of certificates asks the CA, and replies.
            Occasion::Event(Event::Control(ControlRequest {
                verb: ControlVerb::RollAccountKey,
                reply,
            })) => self
                .housekeeper
                .change_account_key(account_key::answer(reply)),
            Occasion::Event(Event::Control(request)) => {
                let carried_out = catch_panic(|| self.carry_out(request.verb));
                let failed = |panic: Panic| (status::failed(&panic.to_string()), None);
                let (reply, end) = carried_out.unwrap_or_else(failed);
                (request.reply)(reply);
                return Ok(end);
            }
            // Of a staging or an upgrade that nothing waits for any more.
            Occasion::Event(Event::Apps(_) | Event::Successor { .. }) => {}
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
    pub(super) fn replace_worker(&mut self) {
        let lost = "a worker died, its connections are lost";
        match self.workers.fill(self.log.as_ref()) {
            Ok(()) => diagnostic::error(format_args!("{lost}; another has taken its place")),
            Err(error) => diagnostic::error(format_args!(
                "{lost}; another cannot take its place yet, which is tried every {LOOK_AGAIN:?}: {error}"
            )),
        }
    }

    /// Does what a command asks for. Returns the reply, and `Some` if the supervisor has to end.
    pub(super) fn carry_out(&mut self, verb: ControlVerb) -> (ControlReply, Option<End>) {
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
            ControlVerb::RollAccountKey => unreachable!("the thread of certificates replies"),
            ControlVerb::Upgrade => {
                let outcome = self.upgrade();
                let end = outcome.is_ok().then_some(End::Replaced);
                (upgrade::reply(&outcome), end)
            }
            ControlVerb::Stop { grace } => {
                self.config.grace = grace.unwrap_or(self.config.grace);
                let end = End::Stop(self.command("`tidegate stop`"));
                let (grace, delay) = (self.config.grace, self.config.drain_delay);
                let delay = Some(delay).filter(|_| self.leaving.is_none());
                (
                    status::stopping(grace, delay.unwrap_or_default()),
                    Some(end),
                )
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
