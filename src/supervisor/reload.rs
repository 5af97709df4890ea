//! Reload: from a file to a generation that every worker has adopted, or a refusal that disturbs
//! nothing.
//!
//! Check, prepare, run the tests, bind, swap: whatever fails, fails before anything has changed.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::json;

use super::control_socket::{self, Alias, ControlError};
use super::notify::State;
use super::observed::Outcome;
use super::{
    Event, ListenError, Supervisor, addresses, announce, announce_end, open_acme, read_again, watch,
};
use crate::acme::StorageError;
use crate::config::model::{Config, LogLevel};
use crate::config::{self, Change, Checked, Inputs, Report, Strictness, Surroundings};
use crate::control::{ControlReply, Submit};
use crate::generation::prepare::{Prepared, prepare};
use crate::generation::{Generation, ReadAgain};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::server::{exposed_files, run_tests};

/// A reload that holds only if it is confirmed.
pub(super) struct Trial {
    /// What ran before. It runs again, as it is, unless the reload is confirmed.
    config: Config,
    generation: Arc<Generation>,
    pub(super) deadline: Instant,
    /// How long the next attempt waits if what ran before cannot run again at the deadline.
    retry_in: Duration,
}

/// What ran before may not run again for a moment, as an application whose program is being replaced.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What a reload changed.
pub(super) struct Applied {
    generation: u64,
    changes: Vec<Change>,
    warnings: Report,
    /// Warnings of files of the server itself that routes send.
    exposed: Vec<String>,
    /// What becomes of the trial, if one runs or ends.
    trial: OnTrial,
    /// The workers that have not adopted it yet.
    late: Vec<String>,
}

/// What a reload has to do with a trial.
enum OnTrial {
    /// No trial runs.
    None,
    /// The reload is on trial for so long.
    Begins(Duration),
    /// It was to be on trial, and has changed nothing that could be taken back.
    Needless,
    /// It has changed nothing, and the trial before it goes on.
    GoesOn,
    /// It is no trial, and ends the one before it.
    Ends,
}

/// Why a reload was refused; what ran goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("this server does not run from a configuration file")]
    NoFile,
    #[error("{0}")]
    Refused(Report),
    #[error("{0}")]
    Tests(String),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Acme(#[from] StorageError),
    #[error("cannot start the workers: {0}")]
    Threads(io::Error),
    #[error("{0}")]
    Apps(String),
}

/// Makes a function that hands requests to the supervisor that receives `events`.
pub(super) fn submit(events: &Sender<Event>) -> Submit {
    let events = events.clone();
    Arc::new(move |request| {
        // If the supervisor has ended, `reply` is dropped, which tells the task that waits for it.
        let _ = events.send(Event::Control(request));
    })
}

impl Supervisor {
    /// Reads the file again and has every worker adopt it.
    ///
    /// # Errors
    /// Why it was refused; then nothing has changed.
    pub(super) fn reload(
        &mut self,
        confirm_within: Option<Duration>,
    ) -> Result<Applied, ReloadError> {
        // The manager has been told that a server stops which waits for `drain_delay`.
        let is_told = self.leaving.is_none();
        if is_told {
            self.manager.tell(State::Reloading);
        }
        let outcome = self.read_and_apply(confirm_within);
        self.note(&outcome);
        if is_told {
            // Also after a refusal: the manager waits until the reload is over.
            self.manager.tell(State::Ready);
        }
        outcome
    }

    /// Has every worker adopt the configuration `text`, which is called `name` in diagnostics.
    ///
    /// # Errors
    /// Why it was refused; then nothing has changed.
    pub(super) fn replace(&mut self, text: String, name: &Path) -> Result<Applied, ReloadError> {
        let surroundings = Surroundings::of_process(&self.handlers);
        let checked = config::parse(text, name, surroundings);
        let outcome = self.adopt(checked, None);
        self.note(&outcome);
        outcome
    }

    /// Takes note of how a reload ended.
    fn note(&self, outcome: &Result<Applied, ReloadError>) {
        let (outcome, told) = match outcome {
            Ok(applied) => (Outcome::Applied, applied.describe()),
            Err(error) => (Outcome::Refused, error.to_string()),
        };
        self.observed.note_reload(outcome, self.number, &told);
    }

    fn read_and_apply(&mut self, confirm_within: Option<Duration>) -> Result<Applied, ReloadError> {
        let file = self.file.as_deref().ok_or(ReloadError::NoFile)?;
        let surroundings = Surroundings::of_process(&self.handlers);
        let checked = config::load(file, surroundings, Strictness::Lenient);
        self.adopt(checked, confirm_within)
    }

    /// Prepares `checked`, runs its tests, and has every worker adopt it.
    ///
    /// # Errors
    /// Why it was refused; then nothing has changed.
    fn adopt(
        &mut self,
        checked: Checked,
        confirm_within: Option<Duration>,
    ) -> Result<Applied, ReloadError> {
        // Before anything can be refused: a mistake may be mended in a file that is read for the first time.
        self.renew_watch(checked.inputs());
        for source in &checked.inputs().read {
            diagnostic::debug(format_args!("read {}", source.path.display()));
        }
        let prepared = prepare(checked, &self.handlers, Some(&self.generation));
        let Prepared { loaded, generation } = prepared.map_err(ReloadError::Refused)?;
        let failures = run_tests(&loaded.config, &generation);
        if !failures.is_empty() {
            return Err(ReloadError::Tests(failures.join("\n")));
        }
        let exposed = exposed_files(&loaded.config, &loaded.files, &generation);
        let previous = (self.config.clone(), Arc::clone(&self.generation));
        let mut changes = self.apply(loaded.config, generation)?;
        // Files that hold something else, as a renewed certificate, change nothing that is on trial.
        let has_changed = !changes.iter().all(Change::needs_restart);
        let may_go_back = has_changed
            || self
                .generation
                .read_again()
                .iter()
                .any(ReadAgain::is_of_generation);
        changes.extend(read_again::changes(&self.generation));
        let is_needless = self.trial.is_none() && !may_go_back;
        self.is_trial_needless = confirm_within.is_some() && is_needless;
        let trial = match confirm_within {
            // With a trial that runs, it says anew how long that one waits.
            Some(_) if is_needless => OnTrial::Needless,
            Some(time) => self.begin_trial(previous, time),
            None => self.go_on_without_trial(has_changed),
        };
        Ok(Applied {
            generation: self.number,
            changes,
            warnings: loaded.warnings,
            exposed,
            trial,
            late: self.workers.late(),
        })
    }

    /// Has `previous` run again when `time` is over, unless the reload is confirmed.
    fn begin_trial(&mut self, previous: (Config, Arc<Generation>), time: Duration) -> OnTrial {
        // A trial within a trial goes back to where the first one began.
        let first = self.trial.take();
        let first = first.map(|trial| (trial.config, trial.generation));
        let (config, generation) = first.unwrap_or(previous);
        let deadline = Instant::now() + time;
        self.trial = Some(Trial {
            config,
            generation,
            deadline,
            retry_in: FIRST_RETRY,
        });
        OnTrial::Begins(time)
    }

    /// Has a reload that is no trial end the one that runs, if the configuration `has_changed`: another
    /// program, as a hook of certbot, may reload at any time.
    fn go_on_without_trial(&mut self, has_changed: bool) -> OnTrial {
        match (&self.trial, has_changed) {
            (None, _) => OnTrial::None,
            (Some(_), false) => OnTrial::GoesOn,
            (Some(_), true) => {
                self.trial = None;
                OnTrial::Ends
            }
        }
    }

    /// Watches the files of `inputs` from now on: they may be others than before.
    fn renew_watch(&self, inputs: &Inputs) {
        let Some(watch) = &self.watch else { return };
        match watch::Files::of(inputs) {
            Ok(files) => watch.renew(files),
            Err(error) => diagnostic::warn(format_args!("watching the configuration: {error}")),
        }
    }

    /// Has every worker adopt `generation`, which was made from `config`. Returns what changed.
    fn apply(
        &mut self,
        mut config: Config,
        generation: Arc<Generation>,
    ) -> Result<Vec<Change>, ReloadError> {
        let changes = config::difference(&self.config, &config);
        // Settings that cannot change in place stay as they are; the difference names them.
        config.blocking = self.config.blocking;
        config.log.access = generation.log.access.clone();
        let further = self.workers.prepare(config.workers.get());
        let further = further.map_err(ReloadError::Threads)?;
        let mut sockets = addresses::bind(&self.sockets, &config)?;
        open_acme(&generation)?;
        self.stage_apps(&config, &generation, None)
            .map_err(ReloadError::Apps)?;
        // Not before the applications: a connection to a new socket would wait for them.
        addresses::listen(&mut sockets, &config).inspect_err(|_| self.apps.abort())?;
        // Nothing below can fail.
        sockets
            .bound()
            .filter(|bound| !self.sockets.bound().any(|known| known == *bound))
            .for_each(|bound| announce(bound, sockets.service(bound)));
        self.sockets
            .bound()
            .filter(|bound| !sockets.bound().any(|next| next == *bound))
            .for_each(|bound| announce_end(bound, self.sockets.service(bound)));
        diagnostic::configure(&config.log);
        let before = Arc::clone(&self.generation);
        before.release(&generation, &mut self.retired);
        generation.revive_routes();
        self.config = config;
        self.sockets = sockets;
        self.generation = generation;
        self.watch_departures();
        self.number += 1;
        self.since = self.since.of_generation();
        let since = self.since.generation_time();
        self.observed.adopt(self.number, since, &self.generation);
        let setups = self.setups();
        let tracing = self.generation.tracing.clone();
        // Before the workers, which may have spans for it at their first request.
        if tracing.is_some() {
            self.exporter.adopt(tracing.as_ref());
        }
        // Before the workers: at their first request the new instances must be there.
        self.apps.switch();
        let log = self.log.as_ref();
        self.workers.adopt(&self.generation, setups, further, log);
        // Behind the workers, which have no spans any more.
        if tracing.is_none() {
            self.exporter.adopt(None);
        }
        self.housekeeper.adopt(&self.generation);
        // Not before: until then a request may be for an application that is gone.
        self.apps.settle();
        // Not before: a client that asks again because of it must meet the new configuration.
        before.retire_routes(&self.generation);
        self.workers.roster().look_at_tunnels();
        Ok(changes)
    }

    /// Has tunnels learn it when a server of the current generation leaves its upstream: its name leads
    /// elsewhere, or it is a process of an application that another one replaces.
    pub(super) fn watch_departures(&self) {
        for group in self.generation.upstreams() {
            let roster = Arc::clone(self.workers.roster());
            let servers = group.known_servers();
            servers.tell_of_departures_by(move || roster.look_at_tunnels());
        }
    }

    /// Reloads, because of `cause`.
    pub(super) fn reload_and_report(&mut self, cause: &str) {
        // Also if the configuration is refused.
        self.renew_control();
        let outcome = self.reload(None);
        report(cause, &outcome);
    }

    /// Has commands find the server again if the file of its control socket was removed, or the link to it. The log
    /// tells of it, and why it cannot be done.
    pub(super) fn renew_control(&mut self) {
        if let Err(error) = self.try_to_renew_control() {
            let chain = diagnostic::chain(&error);
            diagnostic::warn(format_args!("commands do not find this server: {chain}"));
        }
    }

    fn try_to_renew_control(&mut self) -> Result<(), ControlError> {
        let (Some(file), Some(control)) = (&self.file, &self.control) else {
            return Ok(());
        };
        if !control.is_found() {
            let socket = control_socket::bind_again(control.path())?;
            diagnostic::info(format_args!(
                "the control socket {} was gone, and is there again",
                socket.path().display()
            ));
            self.workers
                .replace_control(control_socket::listeners(&socket));
            self.control = Some(socket);
        }
        if let Some(control) = &self.control {
            self.alias = Alias::try_to_make(file, control);
        }
        Ok(())
    }

    /// Ends a trial that was not confirmed in time: has every worker adopt what ran before. Where that
    /// cannot run again, the trial goes on until the next attempt.
    pub(super) fn end_trial(&mut self) {
        let Some(trial) = self.trial.take() else {
            return;
        };
        let again = (trial.config.clone(), Arc::clone(&trial.generation));
        let (outcome, level, told) = match self.apply(trial.config, trial.generation) {
            Ok(_) => {
                let told = "the reload was not confirmed in time: what ran before runs again";
                (Outcome::Applied, LogLevel::Warn, told.to_owned())
            }
            Err(error) => {
                let wait = trial.retry_in;
                let (config, generation) = again;
                self.trial = Some(Trial {
                    config,
                    generation,
                    deadline: Instant::now() + wait,
                    retry_in: (wait * 2).min(LAST_RETRY),
                });
                let told = format!(
                    "the reload was not confirmed in time, and what ran before cannot run again: {error}; \
                     it is tried again in {wait:?}; mend that, or keep the new configuration with `tidegate confirm`"
                );
                (Outcome::Refused, LogLevel::Error, told)
            }
        };
        self.observed.note_return(outcome, self.number, &told);
        diagnostic::report(level, &told);
    }

    /// Ends a trial that was confirmed: what was reloaded stays.
    pub(super) fn confirm(&mut self) -> ControlReply {
        let (status, text) = match self.trial.take() {
            Some(_) => (
                Status::OK,
                format!("confirmed: generation {} stays", self.number),
            ),
            // A script that confirms each of its reloads need not know.
            None if std::mem::take(&mut self.is_trial_needless) => (
                Status::OK,
                format!(
                    "nothing had to be confirmed: generation {} stays",
                    self.number
                ),
            ),
            None => (Status::CONFLICT, "nothing waits to be confirmed".to_owned()),
        };
        diagnostic::info(format_args!("`tidegate confirm`: {text}"));
        ControlReply::message(status, text)
    }
}

/// Writes the outcome of a reload, which `cause` asked for, to the log.
pub(super) fn report(cause: &str, outcome: &Result<Applied, ReloadError>) {
    match outcome {
        Ok(applied) => {
            let text = format!("{cause}: {}", applied.changes());
            diagnostic::report(LogLevel::Info, &text);
            for doubt in applied.doubts() {
                diagnostic::warn(format_args!("{cause}: {doubt}"));
            }
            // As `run` writes them when it starts.
            for (_, warning) in applied.warnings.messages() {
                diagnostic::report(LogLevel::Warn, &warning);
            }
        }
        Err(error) => {
            let text =
                format!("{cause}: reload refused, the configuration that ran goes on:\n{error}");
            diagnostic::report(LogLevel::Error, &text);
        }
    }
}

impl Applied {
    /// All that the operator is told who asked for the reload.
    fn describe(&self) -> String {
        let doubts = self.doubts().into_iter();
        let doubts: String = doubts.map(|doubt| format!("warning: {doubt}\n")).collect();
        format!("{}{doubts}{}", self.changes(), self.warnings)
    }

    /// What is another now.
    fn changes(&self) -> String {
        let mut text = format!("reloaded: generation {}\n", self.generation);
        if self.changes.is_empty() {
            text.push_str("  nothing changed\n");
        }
        for change in &self.changes {
            text.push_str(&format!("  {change}\n"));
        }
        match self.trial {
            OnTrial::None | OnTrial::Ends => {}
            OnTrial::Begins(time) => text.push_str(&format!(
                "it is taken back in {time:?} unless `tidegate confirm` comes first\n"
            )),
            OnTrial::Needless => text.push_str(
                "nothing has changed that could be taken back, so there is nothing to confirm\n",
            ),
            OnTrial::GoesOn => text.push_str(
                "the reload on trial is still taken back unless `tidegate confirm` comes first\n",
            ),
        }
        text
    }

    /// What may not be as the operator wants it, beside the warnings about the file.
    fn doubts(&self) -> Vec<String> {
        let late = self.late.iter().map(|worker| {
            format!("{worker} is busy and has not taken it on: until then it answers as before")
        });
        let ended = matches!(self.trial, OnTrial::Ends)
            .then(|| "this ends the reload on trial: nothing is taken back any more".to_owned());
        late.chain(ended)
            .chain(self.exposed.iter().cloned())
            .collect()
    }
}

fn change_to_json(change: &Change) -> serde_json::Value {
    json!({ "change": change.to_string(), "needs_restart": change.needs_restart() })
}

/// The reply to a reload at the control socket.
pub(super) fn reply(outcome: Result<Applied, ReloadError>) -> ControlReply {
    match outcome {
        Ok(applied) => ControlReply {
            status: Status::OK,
            text: applied.describe(),
            json: json!({
                "applied": true,
                "generation": applied.generation,
                "late": applied.late,
                "changes": applied.changes.iter().map(change_to_json).collect::<Vec<_>>(),
                "diagnostics": applied.warnings.to_json(),
            }),
        },
        Err(error) => ControlReply {
            status: Status::UNPROCESSABLE_CONTENT,
            text: format!(
                "{}\nnothing was changed: the configuration that ran goes on\n",
                error.to_string().trim_end()
            ),
            json: json!({
                "applied": false,
                "error": error.to_string(),
                "diagnostics": match &error {
                    ReloadError::Refused(report) => report.to_json(),
                    _ => json!([]),
                },
            }),
        },
    }
}
