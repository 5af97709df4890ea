//! [`Reach`]: what a worker's handlers reach of the server as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use super::Submit;
use super::live::Live;
use crate::log::feed::Feed;
use crate::metrics::exposition::Form;
use crate::runtime::Sender;

/// What a worker's handlers reach of the server as a whole.
#[derive(Clone)]
pub(crate) struct Reach {
    /// Asks the supervisor for what only the supervisor knows.
    pub(crate) submit: Submit,
    pub(crate) scrape: Scrape,
    pub(crate) live: Arc<Live>,
    pub(crate) probe: Probe,
    pub(crate) readiness: Arc<Readiness>,
    /// Records of exchanges, for those who follow.
    pub(crate) feed: Arc<Feed>,
    pub(crate) announce: Announce,
    pub(crate) has_route: HasRoute,
}

/// Returns all metrics, in that form. It waits for the event loops for a moment, so a loop that serves
/// clients has a thread of the pool call it.
pub(crate) type Scrape = Arc<dyn Fn(Form) -> String + Send + Sync>;

/// Asks every event loop to send how long it took to answer. Returns how many were asked.
pub(crate) type Probe = Arc<dyn Fn(&Sender<Duration>) -> usize + Send + Sync>;

/// Has every worker renew its list of followers. The sender is dropped everywhere once all have.
pub(crate) type Announce = Arc<dyn Fn(&Sender<()>) + Send + Sync>;

/// Whether a route of that key serves, or has served since the process began.
pub(crate) type HasRoute = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Whether clients may be sent to this server.
#[derive(Debug, Default)]
pub(crate) struct Readiness(AtomicU8);

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not everything serves yet.
    Starting = 0,
    Ready = 1,
    /// It will stop: `drain_delay` goes on, or exchanges under way are being finished.
    Stopping = 2,
}

impl Readiness {
    pub(crate) fn phase(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Stopping,
        }
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

/// How many octets stand for metrics that are asked for without a server: an assumption, since it is not known how many
/// there are.
const STAND_IN_LENGTH: usize = 64 * 1024;

impl Reach {
    /// The reach of handlers that are asked without a server, for `explain` and tests: `submit` replies.
    pub(crate) fn without_server(submit: Submit) -> Self {
        let readiness = Readiness::default();
        readiness.set(Phase::Ready);
        Self {
            submit,
            // Whether they are compressed depends on their length.
            scrape: Arc::new(|_| "\n".repeat(STAND_IN_LENGTH)),
            live: Live::without_server(),
            probe: Arc::new(|_| 0),
            readiness: Arc::new(readiness),
            feed: Arc::default(),
            announce: Arc::new(|_| ()),
            has_route: Arc::new(|_| false),
        }
    }
}
