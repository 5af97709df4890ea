//! Waiting for applications: a reload, a successor and `tidegate restart-app` go on when the processes that
//! they need are ready, and are refused if one of them is not.
//!
//! The supervisor's thread waits for that. Meanwhile it answers questions and confirmations, and replaces
//! workers; whatever would change the server waits its turn. The wait ends with a signal to stop, with the end
//! of `drain_delay`, and with the time to confirm a reload.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use super::apps::NO_THREAD;
use super::events::{AppsNews, Event};
use super::{Supervisor, SupervisorError, addresses};
use crate::config::model::Config;
use crate::control::{ControlReply, ControlRequest, ControlVerb};
use crate::generation::Generation;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::runtime;

/// Why nothing is waited for any more.
const STOPPED: &str = "the server was told to stop before they were ready";
const TRIAL_IS_OVER: &str =
    "they were not ready when the time was over to confirm the reload on trial, which comes first";

/// What became of an event that came while something else was waited for.
pub(super) enum Meanwhile {
    /// It was attended to.
    Done,
    /// It asks the server to stop, and is deferred until nothing is waited for any more. It comes before what waits
    /// already: a server that is to stop is not upgraded first.
    Stop,
    /// It is what was waited for, or has to wait.
    Left(Event),
}

impl Supervisor {
    /// Starts the applications. A server that replaces another one waits until they are ready: the other
    /// serves until then. A server that has just been started serves what does not need them.
    ///
    /// # Errors
    /// If one of them does not become ready, there is no thread to run them, or another program has begun to
    /// listen at a new address.
    pub(super) fn start_apps(&mut self) -> Result<(), SupervisorError> {
        if !self.predecessor.is_some() {
            let started = self.apps.run(&self.config, &self.generation);
            return started.map_err(SupervisorError::Threads);
        }
        let (config, generation) = (self.config.clone(), self.generation.clone());
        self.stage_apps(&config, &generation, None)
            .map_err(SupervisorError::Apps)?;
        addresses::listen(&mut self.sockets, &config)?;
        self.apps.switch();
        self.apps.settle();
        Ok(())
    }

    /// Starts what the applications of `config` need beyond what runs, and waits until it is ready. All
    /// processes of the application `restart` are started anew.
    ///
    /// # Errors
    /// Why it does not become ready; it has been told to end, and what ran goes on.
    pub(super) fn stage_apps(
        &mut self,
        config: &Config,
        generation: &Generation,
        restart: Option<String>,
    ) -> Result<(), String> {
        let staged = self.apps.stage(config, generation, restart);
        let Some(number) = staged.map_err(|error| error.to_string())? else {
            return Ok(());
        };
        let outcome = self.wait_for_apps(number);
        if outcome.is_err() {
            self.apps.abort();
        }
        outcome
    }

    /// Waits for the outcome of the staging of that number.
    fn wait_for_apps(&mut self, awaited: u64) -> Result<(), String> {
        loop {
            let event = match self.next_while_staging()? {
                Some(event) => event,
                None => continue,
            };
            match self.attend(event) {
                Meanwhile::Done => {}
                Meanwhile::Stop => return Err(STOPPED.to_owned()),
                Meanwhile::Left(Event::Apps(AppsNews::Staged { number, outcome })) => {
                    if number == awaited {
                        return outcome;
                    }
                }
                Meanwhile::Left(Event::Apps(AppsNews::Ended)) => {
                    return Err(NO_THREAD.to_owned());
                }
                Meanwhile::Left(event) => self.deferred.push_back(event),
            }
        }
    }

    /// Does what an event asks for that cannot wait until something else was waited for. A confirmation is carried
    /// out, too, which changes nothing that is waited for: the trial could end while it waited.
    pub(super) fn attend(&mut self, event: Event) -> Meanwhile {
        match event {
            Event::Signal(SIGCHLD) => runtime::reap_orphans(),
            Event::Signal(SIGUSR1) => self.reopen_logs(),
            Event::Signal(SIGTERM | SIGINT)
            | Event::Control(ControlRequest {
                verb: ControlVerb::Stop { .. },
                ..
            }) => {
                self.deferred.push_front(event);
                return Meanwhile::Stop;
            }
            // `tidegate serve` has nothing to read again: its terminal was closed.
            Event::Signal(SIGHUP) if self.file.is_none() => {
                self.deferred.push_front(event);
                return Meanwhile::Stop;
            }
            Event::WorkerEnded(id) => {
                if self.workers.ended(id) {
                    self.replace_worker();
                }
            }
            Event::Control(ControlRequest {
                verb:
                    verb @ (ControlVerb::Status
                    | ControlVerb::Counters
                    | ControlVerb::Explain(_)
                    | ControlVerb::Confirm),
                reply,
            }) => reply(self.carry_out(verb).0),
            event => return Meanwhile::Left(event),
        }
        Meanwhile::Done
    }

    /// Waits for the next event, or until the reason to go on waiting may be gone.
    ///
    /// # Errors
    /// Why nothing is waited for any more.
    fn next_while_staging(&self) -> Result<Option<Event>, String> {
        let now = Instant::now();
        let stop = self.leaving.as_ref().map(|leaving| leaving.deadline);
        let trial = self.trial.as_ref().map(|trial| trial.deadline);
        if stop.is_some_and(|deadline| deadline <= now) {
            return Err(STOPPED.to_owned());
        }
        if trial.is_some_and(|deadline| deadline <= now) {
            return Err(TRIAL_IS_OVER.to_owned());
        }
        let deadline = stop.into_iter().chain(trial).min();
        let wait = deadline.map_or(Duration::MAX, |deadline| deadline - now);
        match self.events.recv_timeout(wait) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => unreachable!("we hold a sender ourselves"),
        }
    }

    /// Has new processes of an application take the place of those that run.
    pub(super) fn restart_app(&mut self, name: &str) -> ControlReply {
        let mut apps = self.config.apps.iter();
        if !apps.any(|app| app.name() == name) {
            let names: Vec<&str> = self.config.apps.iter().map(|app| app.name()).collect();
            let there_is = match names.as_slice() {
                [] => "the configuration has none".to_owned(),
                names => format!("there is {}", names.join(", ")),
            };
            let text = format!("there is no app `{}`; {there_is}", name.escape_debug());
            return ControlReply::message(Status::NOT_FOUND, text);
        }
        let (config, generation) = (self.config.clone(), self.generation.clone());
        match self.stage_apps(&config, &generation, Some(name.to_owned())) {
            Ok(()) => {
                self.apps.switch();
                self.apps.settle();
                let text = format!(
                    "app {name}: new processes are asked; those of before end with their last request"
                );
                diagnostic::info(format_args!("{text}"));
                ControlReply::message(Status::OK, text)
            }
            Err(error) => {
                let text = format!("app {name} was not restarted, what ran goes on: {error}");
                diagnostic::error(format_args!("{text}"));
                ControlReply::message(Status::UNPROCESSABLE_CONTENT, text)
            }
        }
    }
}
