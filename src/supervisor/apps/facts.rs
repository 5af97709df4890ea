//! What `tidegate status` tells about applications.

use std::time::Instant;

use serde_json::{Value, json};

use super::instance::Instance;
use super::running::RunningApp;
use super::slot::{Slot, SlotState};

/// An application at one moment.
pub(crate) struct AppFacts {
    name: String,
    restarts: u32,
    instances: Vec<InstanceFacts>,
}

struct InstanceFacts {
    process: Option<i32>,
    address: Option<String>,
    state: State,
    /// Processes in this place that have crashed in a row.
    crashes: u32,
    /// How long its process has been running, in seconds.
    uptime: Option<u64>,
}

#[derive(Clone, Copy)]
enum State {
    Starting,
    Ready,
    /// The next process is started in so many seconds.
    Pausing(u64),
    /// It is to take over.
    Staged,
    /// It is not asked any more.
    Leaving,
}

impl AppFacts {
    pub(super) fn of(app: &RunningApp) -> Self {
        Self {
            name: app.wanted.app.name().to_owned(),
            restarts: app.slots.iter().map(|slot| slot.restarts).sum(),
            instances: app.slots.iter().map(InstanceFacts::of_slot).collect(),
        }
    }

    /// The application of that name, which is added if it is not there.
    pub(super) fn find<'f>(facts: &'f mut Vec<Self>, name: &str) -> &'f mut Self {
        let at = facts.iter().position(|app| app.name == name);
        let at = at.unwrap_or_else(|| {
            facts.push(Self {
                name: name.to_owned(),
                restarts: 0,
                instances: Vec::new(),
            });
            facts.len() - 1
        });
        &mut facts[at]
    }

    pub(super) fn add_staged(&mut self, instance: &Instance) {
        self.instances
            .push(InstanceFacts::of(instance, State::Staged));
    }

    pub(super) fn add_leaving(&mut self, instance: &Instance) {
        self.instances
            .push(InstanceFacts::of(instance, State::Leaving));
    }

    /// Its line, with its end.
    pub(crate) fn to_line(&self) -> String {
        let instances = self.instances.iter().map(InstanceFacts::to_text);
        let instances = instances.collect::<Vec<_>>().join("; ");
        let title = format!("app {}", self.name);
        format!("{title:<12} {instances}; {} restarts\n", self.restarts)
    }

    pub(crate) fn to_json(&self) -> Value {
        let instances = self.instances.iter().map(InstanceFacts::to_json);
        json!({
            "name": self.name,
            "restarts": self.restarts,
            "instances": instances.collect::<Vec<_>>(),
        })
    }
}

impl InstanceFacts {
    fn of(instance: &Instance, state: State) -> Self {
        Self {
            process: Some(instance.number()),
            address: Some(instance.address().to_string()),
            state,
            crashes: 0,
            uptime: Some(instance.started.elapsed().as_secs()),
        }
    }

    fn of_slot(slot: &Slot) -> Self {
        let crashes = slot.crashes;
        match &slot.state {
            SlotState::Up(instance) => {
                let state = match instance.ready {
                    Some(_) => State::Ready,
                    None => State::Starting,
                };
                Self {
                    crashes,
                    ..Self::of(instance, state)
                }
            }
            SlotState::Pausing { until } => {
                let left = until.saturating_duration_since(Instant::now());
                Self {
                    process: None,
                    address: None,
                    state: State::Pausing(left.as_secs_f32().ceil() as u64),
                    crashes,
                    uptime: None,
                }
            }
        }
    }

    fn to_text(&self) -> String {
        let state = match self.state {
            State::Pausing(left) => format!("restarting in {left}s"),
            state => state.word().to_owned(),
        };
        let process = self.process.map(|process| format!("process {process} "));
        let uptime = self.uptime.map(|uptime| format!(" for {uptime}s"));
        let crashes = match self.crashes {
            0 => String::new(),
            crashes => format!(" (crashed {crashes} times in a row)"),
        };
        [
            process.unwrap_or_default(),
            state,
            uptime.unwrap_or_default(),
            crashes,
        ]
        .concat()
    }

    fn to_json(&self) -> Value {
        let left = match self.state {
            State::Pausing(left) => Some(left),
            _ => None,
        };
        json!({
            "process": self.process,
            "address": self.address,
            "state": self.state.word(),
            "restarts_in_seconds": left,
            "crashes": self.crashes,
            "uptime_seconds": self.uptime,
        })
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Pausing(_) => "restarting",
            Self::Staged => "taking over",
            Self::Leaving => "leaving",
        }
    }
}
