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
