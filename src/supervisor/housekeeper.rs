//! The thread that looks after upstreams although no client asks: see `upstream::housekeeping`.
//!
//! There is one for the process, and only while an upstream needs it. A reload hands it the upstreams of
//! the new generation; it ends when this is dropped.

use std::sync::Arc;

use crate::generation::Generation;
use crate::log::diagnostic;
use crate::runtime::{self, EventQueue, Sender, catch_panic, channel, spawn_thread};
use crate::upstream::{Group, housekeeping};

/// The thread, if there is one.
#[derive(Default)]
pub(super) struct Housekeeper(Option<Sender<Vec<Arc<Group>>>>);

impl Housekeeper {
    /// Has it look after the upstreams of `generation`, and of no other.
    pub(super) fn adopt(&mut self, generation: &Generation) {
        let upstreams = generation.upstreams().iter();
        let needing: Vec<_> = upstreams
            .filter(|group| group.needs_housekeeping())
            .cloned()
            .collect();
        if needing.is_empty() {
            self.0 = None;
            return;
        }
        let running = self.0.take().filter(Sender::is_open);
        let sender = running.or_else(start);
        if let Some(sender) = &sender {
            sender.send(needing);
        }
        self.0 = sender;
    }
}

/// Starts the thread. Without it, servers are asked as they are known.
fn start() -> Option<Sender<Vec<Arc<Group>>>> {
    let (sender, groups) = channel();
    let started = EventQueue::new().and_then(|queue| {
        spawn_thread("tidegate-house", move || {
            let kept = catch_panic(|| runtime::run_on(queue, housekeeping::keep(groups)));
            match kept {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tell(&error),
                Err(panic) => tell(&panic),
            }
        })
    });
    match started {
        Ok(_) => Some(sender),
        Err(error) => {
            tell(&error);
            None
        }
    }
}

fn tell(why: &dyn std::fmt::Display) {
    diagnostic::error(format_args!(
        "nothing looks after upstreams, until a reload: {why}; names are not looked up again, and no server is asked whether it is well"
    ));
}
