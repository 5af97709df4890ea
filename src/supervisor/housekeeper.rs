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
pub(super) struct Housekeeper(Option<Senders>);

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
            self.0 = None;
            return;
        }
        let running = self.0.take().filter(|senders| senders.groups.is_open());
        let senders = running.or_else(start);
        if let Some(senders) = &senders {
            senders.groups.send(needing);
            senders
                .certificates
                .send(acme::Command::Follow(plan.map(Box::new)));
        }
        self.0 = senders;
    }

    /// Has the account with the CA get a new key. `answer` gets the result.
    pub(super) fn change_account_key(&self, answer: acme::Answer) {
        match &self.0 {
            Some(senders) => senders.certificates.send(acme::Command::ChangeKey(answer)),
            None => answer(acme::KeyOutcome::without_acme()),
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
                runtime::spawn(acme::keep(commands));
                housekeeping::keep(groups).await;
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
