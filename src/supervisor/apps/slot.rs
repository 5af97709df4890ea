//! The place of one instance: a process runs there, or the next one is waited for.
//!
//! ```text
//! Up ─ it ends, is late, or cannot be started ─→ Pausing ─ the pause is over ─→ Up
//! ```
//!
//! The pause doubles with each crash that follows another: an application that cannot run takes neither
//! the processor nor the log.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::instance::{Instance, InstanceId, Launcher};
use super::start::StartError;
use crate::config::model::App;
use crate::log::diagnostic;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A process that was ready for so long has run well: its end follows no crash before it.
const RUNS_WELL: Duration = Duration::from_secs(60);

/// The place of an instance.
pub(super) struct Slot {
    pub(super) state: SlotState,
    /// How many processes have crashed in a row.
    pub(super) crashes: u32,
    /// How many processes have been started again.
    pub(super) restarts: u32,
}

pub(super) enum SlotState {
    Up(Instance),
    Pausing { until: Instant },
}

impl Slot {
    /// The place of an instance that runs.
    pub(super) fn of(instance: Instance) -> Self {
        Self {
            state: SlotState::Up(instance),
            crashes: 0,
            restarts: 0,
        }
    }

    /// The place of an instance whose process has ended before it was asked: another is started after a
    /// pause.
    pub(super) fn after_crash() -> Self {
        let mut slot = Self {
            state: SlotState::Pausing {
                until: Instant::now(),
            },
            crashes: 0,
            restarts: 0,
        };
        slot.pause(Duration::ZERO);
        slot
    }

    /// Starts an instance in a place of its own. If that fails, it is tried again after a pause.
    pub(super) fn start(app: &App, launcher: &mut Launcher) -> Self {
        let mut slot = Self {
            state: SlotState::Pausing {
                until: Instant::now(),
            },
            crashes: 0,
            restarts: 0,
        };
        slot.start_again(app, launcher);
        slot
    }

    fn start_again(&mut self, app: &App, launcher: &mut Launcher) {
        match launcher.launch(app) {
            Ok(instance) => {
                diagnostic::debug(format_args!(
                    "app {}: process {} was started",
                    app.name(),
                    instance.number()
                ));
                self.state = SlotState::Up(instance);
            }
            Err(error) => {
                let pause = self.pause(Duration::ZERO);
                tell_of_start_error(app, &error, pause);
            }
        }
    }

    /// Whether that instance runs there.
    pub(super) fn has(&self, id: InstanceId) -> bool {
        matches!(&self.state, SlotState::Up(instance) if instance.id == id)
    }

    pub(super) fn instance_of(&mut self, id: InstanceId) -> Option<&mut Instance> {
        match &mut self.state {
            SlotState::Up(instance) if instance.id == id => Some(instance),
            _ => None,
        }
    }

    /// How far it is from a process that is ready: such a process, one that starts, none.
    pub(super) fn distance_from_ready(&self) -> u8 {
        match &self.state {
            SlotState::Up(instance) if instance.ready.is_some() => 0,
            SlotState::Up(_) => 1,
            SlotState::Pausing { .. } => 2,
        }
    }

    pub(super) fn into_instance(self) -> Option<Instance> {
        match self.state {
            SlotState::Up(instance) => Some(instance),
            SlotState::Pausing { .. } => None,
        }
    }

    /// Takes note that its process has ended, and returns what is left of it.
    pub(super) fn note_end(&mut self, app: &App) -> Option<Instance> {
        let SlotState::Up(instance) = &self.state else {
            return None;
        };
        let (number, exit, age) = (
            instance.number(),
            instance.exit(),
            instance.started.elapsed(),
        );
        let how = exit.map_or(String::new(), |exit| format!(" ({exit})"));
        let (ended, pause) = self.vacate(instance.ready_for());
        let crashes = self.crashes;
        let in_a_row = if crashes > 1 {
            format!(", after {crashes} crashes in a row")
        } else {
            String::new()
        };
        diagnostic::error(format_args!(
            "app {}: process {number} ended{how} after {:.1}s; another is started in {pause:?}{in_a_row}",
            app.name(),
            age.as_secs_f32()
        ));
        ended
    }

    /// Starts the next process if the pause is over. Returns one that is not ready in time, and was told
    /// to end.
    pub(super) fn look(
        &mut self,
        app: &App,
        launcher: &mut Launcher,
        now: Instant,
    ) -> Option<Instance> {
        match &self.state {
            SlotState::Pausing { until } if *until <= now => {
                self.restarts += 1;
                self.start_again(app, launcher);
                None
            }
            SlotState::Up(instance) if instance.ready.is_none() && instance.ready_by <= now => {
                let number = instance.number();
                instance.signal(Signal::TERM);
                let (late, pause) = self.vacate(Duration::ZERO);
                diagnostic::error(format_args!(
                    "app {}: process {number} was not ready within {:?}, and is ended; another is started \
                     in {pause:?}",
                    app.name(),
                    app.ready_timeout
                ));
                late
            }
            _ => None,
        }
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            SlotState::Pausing { until } => Some(*until),
            SlotState::Up(instance) if instance.ready.is_none() => Some(instance.ready_by),
            SlotState::Up(_) => None,
        }
    }

    /// Begins a pause, after a process that was ready for `ready_for`. Returns that, and how long it is.
    fn vacate(&mut self, ready_for: Duration) -> (Option<Instance>, Duration) {
        let until = Instant::now();
        let state = std::mem::replace(&mut self.state, SlotState::Pausing { until });
        let pause = self.pause(ready_for);
        match state {
            SlotState::Up(instance) => (Some(instance), pause),
            SlotState::Pausing { .. } => (None, pause),
        }
    }

    fn pause(&mut self, ready_for: Duration) -> Duration {
        self.crashes = crashes_after(self.crashes, ready_for);
        let pause = pause_after(self.crashes);
        let until = Instant::now() + pause;
        self.state = SlotState::Pausing { until };
        pause
    }
}

/// How many crashes have followed one another after one more, of a process that was ready for so long.
fn crashes_after(crashes: u32, ready_for: Duration) -> u32 {
    if ready_for >= RUNS_WELL {
        1
    } else {
        crashes.saturating_add(1)
    }
}

fn pause_after(crashes: u32) -> Duration {
    let doubled = 1u32.checked_shl(crashes.saturating_sub(1));
    let pause = FIRST_PAUSE.saturating_mul(doubled.unwrap_or(u32::MAX));
    pause.min(LONGEST_PAUSE)
}

fn tell_of_start_error(app: &App, error: &StartError, pause: Duration) {
    diagnostic::error(format_args!(
        "app {}: {}; it is tried again in {pause:?}",
        app.name(),
        diagnostic::chain(error)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_until_a_process_runs_well() {
        let mut crashes = 0;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            crashes = crashes_after(crashes, Duration::from_secs(59));
            assert_eq!(pause_after(crashes), Duration::from_secs(expected));
        }
        crashes = crashes_after(crashes, RUNS_WELL);
        assert_eq!(pause_after(crashes), FIRST_PAUSE);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }
}
