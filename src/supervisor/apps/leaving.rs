//! An instance that has to go.
//!
//! ```text
//! its requests end, or `stop_timeout` is over ─→ SIGTERM ─ `stop_timeout` ─→ SIGKILL
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::instance::Instance;
use crate::config::model::App;
use crate::log::diagnostic;
use crate::upstream::Servers;

/// How often its requests are counted. A worker that has chosen the instance in the moment before it was
/// taken out has counted its request when they are counted for the first time.
const LOOK: Duration = Duration::from_millis(100);

/// An instance that is not asked any more.
pub(super) struct Leaving {
    pub(super) instance: Instance,
    /// The name of its application.
    pub(super) app: String,
    stop_timeout: Duration,
    state: State,
}

enum State {
    /// It has requests.
    Busy {
        servers: Arc<Servers>,
        next_look: Instant,
        until: Instant,
    },
    /// It was told to end.
    Told {
        until: Instant,
    },
    Killed,
}

impl Leaving {
    /// An instance that may finish its requests first.
    pub(super) fn after_requests(instance: Instance, app: &App, servers: &Arc<Servers>) -> Self {
        let now = Instant::now();
        Self {
            instance,
            app: app.name().to_owned(),
            stop_timeout: app.stop_timeout,
            state: State::Busy {
                servers: Arc::clone(servers),
                next_look: now + LOOK,
                until: now + app.stop_timeout.max(LOOK),
            },
        }
    }

    /// An instance without requests.
    pub(super) fn at_once(instance: Instance, app: &App) -> Self {
        instance.signal(Signal::TERM);
        Self {
            instance,
            app: app.name().to_owned(),
            stop_timeout: app.stop_timeout,
            state: State::Told {
                until: Instant::now() + app.stop_timeout,
            },
        }
    }

    /// Does what is due.
    pub(super) fn look(&mut self, now: Instant) {
        let (app, number) = (&self.app, self.instance.number());
        match &mut self.state {
            State::Busy {
                servers,
                next_look,
                until,
            } if *next_look <= now => {
                let requests = servers.in_flight(&self.instance.address());
                if requests > 0 && now < *until {
                    *next_look = (now + LOOK).min(*until);
                    return;
                }
                if requests > 0 {
                    diagnostic::warn(format_args!(
                        "app {app}: process {number} still has {requests} requests after {:?}, and is told to end",
                        self.stop_timeout
                    ));
                }
                self.instance.signal(Signal::TERM);
                self.state = State::Told {
                    until: now + self.stop_timeout,
                };
            }
            State::Told { until } if *until <= now => {
                diagnostic::warn(format_args!(
                    "app {app}: process {number} has not ended within {:?}, and is killed",
                    self.stop_timeout
                ));
                self.kill();
            }
            _ => {}
        }
    }

    pub(super) fn kill(&mut self) {
        self.instance.signal(Signal::KILL);
        self.state = State::Killed;
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Busy { next_look, .. } => Some(*next_look),
            State::Told { until } => Some(*until),
            State::Killed => None,
        }
    }
}
