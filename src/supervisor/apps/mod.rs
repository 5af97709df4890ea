//! Applications that this server runs: `[apps.NAME]`.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | when processes are started, asked, replaced and ended | [`manager`] |
//! | an application that runs | [`running`] |
//! | the place of one process, and the pauses between crashes | [`slot`] |
//! | a process that has to go | [`leaving`] |
//! | a process: its program, user and variables | [`start`], [`instance`] |
//! | its socket or port | [`own`] |
//! | whether it is ready | [`ready`] |
//! | what it writes | [`output`] |
//! | what `tidegate status` tells | [`facts`] |
//!
//! The supervisor tells the manager's thread what to run ([`Apps`]). Workers meet the processes as servers
//! of the application's upstream ([`Servers::set_ready`](crate::upstream::Servers::set_ready)).

mod facts;
mod instance;
mod leaving;
mod manager;
mod output;
mod own;
mod ready;
mod running;
mod slot;
mod start;

use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(super) use facts::AppFacts;

use super::events::{AppsNews, Event};
use crate::config::model::Config;
use crate::generation::Generation;
use crate::log::diagnostic;
use crate::runtime::{catch_panic, spawn_thread};
use manager::{Manager, Message};
use own::SocketDirectory;
use running::Wanted;

/// Why applications are not started any more.
pub(super) const NO_THREAD: &str =
    "the thread that runs applications has ended, as the log says; restart the server";

/// The applications, as the supervisor sees them. There is a thread only if there are some.
pub(super) struct Apps {
    /// The directory for their sockets.
    directory: PathBuf,
    manager: Arc<OnceLock<Sender<Message>>>,
    /// The number of the last staging.
    number: u64,
    events: Sender<Event>,
}

/// The applications, as any thread may look at them.
#[derive(Clone)]
pub(super) struct AppsView(Arc<OnceLock<Sender<Message>>>);

impl AppsView {
    /// Describes the applications, if their thread does so within `patience`.
    pub(super) fn facts(&self, patience: Duration) -> Option<Vec<AppFacts>> {
        let Some(manager) = self.0.get() else {
            return Some(Vec::new());
        };
        let (reply, facts) = channel();
        manager.send(Message::Describe(reply)).ok()?;
        facts.recv_timeout(patience).ok()
    }
}

impl Apps {
    /// Their sockets will be in `directory`, which no other server uses, unless it `is_shared` with the
    /// one that this one replaces. What a dead server has left there is removed.
    pub(super) fn new(directory: PathBuf, is_shared: bool, events: Sender<Event>) -> Self {
        if !is_shared {
            let _ = std::fs::remove_dir_all(&directory);
        }
        Self {
            directory,
            manager: Arc::default(),
            number: 0,
            events,
        }
    }

    /// Starts the applications of `config`. They are asked as soon as they are ready.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub(super) fn run(&mut self, config: &Config, generation: &Generation) -> std::io::Result<()> {
        let wanted = wanted(config, generation);
        if !wanted.is_empty() {
            self.start()?;
            self.tell(Message::Run(wanted));
        }
        Ok(())
    }

    /// Starts what the applications of `config` need beyond what runs, and all processes anew of the
    /// application `restart`. Returns the number under which the outcome will be told; `None` if there is
    /// nothing to wait for.
    ///
    /// # Errors
    /// If the system has no thread for it, or the thread has ended by a panic: nothing would be told then.
    pub(super) fn stage(
        &mut self,
        config: &Config,
        generation: &Generation,
        restart: Option<String>,
    ) -> std::io::Result<Option<u64>> {
        let wanted = wanted(config, generation);
        let is_needless = wanted.is_empty();
        if self.manager.get().is_none() && is_needless {
            return Ok(None);
        }
        self.start()?;
        self.number += 1;
        let number = self.number;
        let stage = Message::Stage {
            wanted,
            restart,
            number,
        };
        if self.tell(stage) {
            return Ok(Some(number));
        }
        // All processes have ended with the thread, so there is none to end.
        if is_needless {
            return Ok(None);
        }
        Err(std::io::Error::other(NO_THREAD))
    }

    /// Lets what was staged be asked. When this returns, what it replaces is not chosen any more.
    pub(super) fn switch(&self) {
        let (done, is_done) = channel();
        self.tell(Message::Switch(done));
        let _ = is_done.recv();
    }

    /// Ends what is not wanted any more, when its requests have ended.
    pub(super) fn settle(&self) {
        self.tell(Message::Settle);
    }

    /// Ends what was staged.
    pub(super) fn abort(&self) {
        self.tell(Message::Abort);
    }

    /// By which any thread may look at them.
    pub(super) fn view(&self) -> AppsView {
        AppsView(Arc::clone(&self.manager))
    }

    pub(super) fn facts(&self) -> Vec<AppFacts> {
        let (reply, facts) = channel();
        self.tell(Message::Describe(reply));
        facts.recv().unwrap_or_default()
    }

    /// Tells all processes to end. Returns whether [`AppsNews::Ended`] will tell that they have.
    pub(super) fn stop(&self) -> bool {
        self.tell(Message::Stop)
    }

    /// Kills the processes that have not ended.
    pub(super) fn kill(&self) {
        self.tell(Message::Kill);
    }

    /// Sends `message` to the thread. Returns whether it is there: it is not where there were no applications, and
    /// after a panic, which was reported. A thread that got a message tells [`AppsNews::Ended`] when it ends.
    fn tell(&self, message: Message) -> bool {
        let manager = self.manager.get();
        manager.is_some_and(|manager| manager.send(message).is_ok())
    }

    fn start(&mut self) -> std::io::Result<()> {
        if self.manager.get().is_some() {
            return Ok(());
        }
        let (sender, messages) = channel();
        let sockets = SocketDirectory::new(self.directory.clone());
        let manager = Manager::new(sockets, sender.clone(), self.events.clone());
        let events = self.events.clone();
        spawn_thread("tidegate-apps", move || {
            if let Err(panic) = catch_panic(|| manager.run(&messages)) {
                diagnostic::error(format_args!(
                    "the thread that runs applications has ended, and so have they: {panic}"
                ));
            }
            drop(messages);
            // The supervisor is gone only while the process ends.
            let _ = events.send(Event::Apps(AppsNews::Ended));
        })?;
        // Only the supervisor's thread starts it.
        let _ = self.manager.set(sender);
        Ok(())
    }
}

/// The applications of `config`, each with its upstream in `generation`.
fn wanted(config: &Config, generation: &Generation) -> Vec<Wanted> {
    let group = |name: &str| {
        let mut groups = generation.upstreams().iter();
        groups.find(|group| group.options().name == name)
    };
    let wanted = |app: &crate::config::model::App| {
        let servers = Arc::clone(group(app.name())?.known_servers());
        Some(Wanted {
            app: app.clone(),
            servers,
        })
    };
    config.apps.iter().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Handlers;
    use crate::config::{self, Surroundings};
    use crate::generation::prepare::prepare;
    use crate::test_support::TemporaryDirectory;

    /// A reload waited for the outcome of its staging, and a stop for the end of the thread, for ever.
    #[test]
    fn a_thread_that_has_ended_by_a_panic_is_not_waited_for() {
        let directory = TemporaryDirectory::new("apps");
        let (manager, messages) = channel();
        drop(messages);
        let mut apps = Apps {
            directory: directory.path().to_owned(),
            manager: Arc::new(OnceLock::from(manager)),
            number: 0,
            events: channel().0,
        };
        let app = "[apps.app]\ncommand = ['sleep', '${PORT}']\n";
        for (app, route, is_refused) in [(app, "proxy = 'app'", true), ("", "echo = true", false)] {
            let handlers = Handlers::new();
            let text =
                format!("[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ {route} }}\n{app}");
            let surroundings = Surroundings::of_process(&handlers);
            let checked = config::parse(text, &directory.path().join("config.toml"), surroundings);
            let prepared = prepare(checked, &handlers, None).expect("it is valid");
            let staged = apps.stage(&prepared.loaded.config, &prepared.generation, None);
            assert_eq!(staged.is_err(), is_refused, "{staged:?}");
            assert!(!matches!(staged, Ok(Some(_))), "{staged:?}");
        }
        assert!(!apps.stop());
    }
}
