//! The thread that looks after what no client asks for: upstreams (`upstream::housekeeping`) and
//! certificates of ACME (`acme`).
//!
//! There is one for the process, and only while an upstream or a certificate needs it. A reload hands it
//! those of the new generation; it ends when this is dropped.

use std::sync::Arc;

use crate::acme;
use crate::generation::Generation;
use crate::log::diagnostic;
use crate::runtime::{self, EventQueue, Sender, catch_panic, channel, spawn_thread};
use crate::upstream::{Group, housekeeping};

/// The thread, if there is one.
#[derive(Default)]
pub(super) struct Housekeeper(State);

#[derive(Default)]
enum State {
    /// Nothing needs the thread.
    #[default]
    Unneeded,
    Running(Senders),
    /// The system gave no thread, and the log says why.
    Failed,
}

/// By which the thread is told what to look after.
struct Senders {
    groups: Sender<Vec<Arc<Group>>>,
    certificates: Sender<acme::Command>,
}

impl Housekeeper {
    /// Has it look after the upstreams and certificates of `generation`, and of no other.
    pub(super) fn adopt(&mut self, generation: &Generation) {
        let upstreams = generation.upstreams().iter();
        let needing: Vec<_> = upstreams
            .filter(|group| group.needs_housekeeping())
            .cloned()
            .collect();
        let plan = generation.acme().cloned();
        if needing.is_empty() && plan.is_none() {
            self.end();
            return;
        }
        let running = match std::mem::take(&mut self.0) {
            State::Running(senders) => Some(senders).filter(|senders| senders.groups.is_open()),
            State::Unneeded | State::Failed => None,
        };
        let Some(senders) = running.or_else(start) else {
            self.0 = State::Failed;
            return;
        };
        senders.groups.send(needing);
        let plan = plan.map(Box::new);
        senders.certificates.send(acme::Command::Follow(plan));
        self.0 = State::Running(senders);
    }

    /// Ends the thread, which answers the requests for another key before.
    fn end(&mut self) {
        if let State::Running(senders) = std::mem::take(&mut self.0) {
            senders.certificates.send(acme::Command::Follow(None));
        }
    }

    /// Has the account with the CA get a new key. `answer` gets the result.
    pub(super) fn change_account_key(&self, answer: acme::Answer) {
        match &self.0 {
            State::Running(senders) if senders.certificates.is_open() => {
                senders.certificates.send(acme::Command::ChangeKey(answer));
            }
            State::Running(_) | State::Failed => answer(acme::KeyOutcome::without_thread()),
            State::Unneeded => answer(acme::KeyOutcome::without_acme()),
        }
    }
}

/// Starts the thread. Without it, servers are asked as they are known, and certificates stay as they are.
fn start() -> Option<Senders> {
    let (sender, groups) = channel();
    let (certificates, commands) = channel();
    let started = EventQueue::new().and_then(|queue| {
        spawn_thread("tidegate-house", move || {
            let work = async move {
                let (running, mut has_ended) = channel::<()>();
                runtime::spawn(async move {
                    acme::keep(commands).await;
                    drop(running);
                });
                housekeeping::keep(groups).await;
                // The loop drops the tasks that are left: this one has to answer what it was asked.
                has_ended.receive().await;
            };
            let kept = catch_panic(|| runtime::run_on(queue, work));
            match kept {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tell(&error),
                Err(panic) => tell(&panic),
            }
        })
    });
    match started {
        Ok(_) => Some(Senders {
            groups: sender,
            certificates,
        }),
        Err(error) => {
            tell(&error);
            None
        }
    }
}

fn tell(why: &dyn std::fmt::Display) {
    diagnostic::error(format_args!(
        "nothing looks after upstreams and certificates, until a reload: {why}; names are not looked up again, no server is asked whether it is well, and no certificate is renewed"
    ));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::acme::KeyOutcome;
    use crate::config::model::Acme;
    use crate::test_support::TemporaryDirectory;

    /// Asks for another key. Returns where the outcome arrives.
    fn ask(housekeeper: &Housekeeper) -> mpsc::Receiver<KeyOutcome> {
        let (sender, outcome) = mpsc::channel();
        let answer = move |said| sender.send(said).expect("the test waits for it");
        housekeeper.change_account_key(Box::new(answer));
        outcome
    }

    #[test]
    fn says_why_no_key_is_changed() {
        let outcome = ask(&Housekeeper::default()).try_recv();
        assert_eq!(outcome, Ok(KeyOutcome::without_acme()));
        let outcome = ask(&Housekeeper(State::Failed)).try_recv();
        assert_eq!(outcome, Ok(KeyOutcome::without_thread()));
        // The thread has panicked.
        let senders = Senders {
            groups: channel().0,
            certificates: channel().0,
        };
        let outcome = ask(&Housekeeper(State::Running(senders))).try_recv();
        assert_eq!(outcome, Ok(KeyOutcome::without_thread()));
    }

    /// The loop dropped the request with the task, and `tidegate acme roll-key` was told that the server ends.
    #[test]
    fn the_thread_answers_before_it_ends() {
        let directory = TemporaryDirectory::new("housekeeper");
        let settings = Acme::at("https://localhost:1/dir", directory.path().to_owned());
        let senders = start().expect("a thread");
        let plan = acme::Plan::new(settings, Arc::default());
        let follow = acme::Command::Follow(Some(Box::new(plan)));
        senders.certificates.send(follow);
        let mut housekeeper = Housekeeper(State::Running(senders));
        let outcome = ask(&housekeeper);
        housekeeper.end();
        let outcome = outcome.recv().expect("an outcome");
        assert!(matches!(outcome, KeyOutcome::Failed(_)), "{outcome:?}");
    }
}
