//! An application that runs: what is wanted of it, and the places of its instances.

use std::sync::Arc;

use super::instance::Instance;
use super::slot::{Slot, SlotState};
use crate::config::model::App;
use crate::upstream::Servers;

/// An application as a configuration wants it.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) app: App,
    /// Where its processes are listed for the workers.
    pub(super) servers: Arc<Servers>,
}

/// An application, and its instances.
pub(super) struct RunningApp {
    pub(super) wanted: Wanted,
    pub(super) slots: Vec<Slot>,
}

impl RunningApp {
    /// Takes out the places beyond those that are wanted: rather one without a process that is ready.
    pub(super) fn take_surplus(&mut self) -> Vec<Slot> {
        let wanted = self.wanted.app.instances;
        if self.slots.len() <= wanted {
            return Vec::new();
        }
        self.slots.sort_by_key(Slot::distance_from_ready);
        self.slots.split_off(wanted)
    }

    /// Tells the workers which of its instances are ready.
    pub(super) fn list(&self) {
        let up = self.slots.iter().filter_map(|slot| match &slot.state {
            SlotState::Up(instance) => Some(instance),
            SlotState::Pausing { .. } => None,
        });
        let ready = up.filter(|instance| instance.ready.is_some());
        self.wanted
            .servers
            .set_ready(ready.map(Instance::address).collect());
    }
}
