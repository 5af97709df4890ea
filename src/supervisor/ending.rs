//! How a server ends: it waits for its workers, which end with their last connections.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

use super::events::Event;
use super::workers::Workers;
use crate::log::access::AccessWriter;
use crate::log::diagnostic;

/// How long after the grace period the workers may take to end.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// Has the workers finish what is in flight, and waits for them: as long as `grace` and a margin, or
/// until a second signal.
pub(super) fn drain(workers: &mut Workers, events: &Receiver<Event>, grace: Duration) {
    workers.drain(grace);
    let deadline = Instant::now() + grace + STOP_MARGIN;
    let mut running = workers.count();
    while running > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        match events.recv_timeout(left) {
            Ok(Event::WorkerEnded(_)) => running -= 1,
            // Whoever asks now is told by the end of the connection.
            Ok(
                Event::Signal(SIGUSR1 | SIGUSR2 | SIGHUP) | Event::Control(_) | Event::FilesChanged,
            ) => {}
            Ok(Event::Signal(_)) => {
                diagnostic::warn(format_args!("a second signal: stopping at once"));
                return;
            }
            Err(_) => {
                diagnostic::error(format_args!("{running} workers did not stop in time"));
                return;
            }
        }
    }
}

/// Serves the connections there are to their end, however long that takes; returns whether a signal
/// to stop cut that short.
pub(super) fn retire(
    workers: &mut Workers,
    events: &Receiver<Event>,
    log: Option<&AccessWriter>,
) -> bool {
    workers.retire();
    while workers.count() > 0 {
        match events.recv().expect("the supervisor holds a sender itself") {
            Event::WorkerEnded(id) => {
                workers.ended(id, None);
            }
            Event::Signal(SIGTERM | SIGINT) => return true,
            Event::Signal(SIGUSR1) => log.into_iter().for_each(AccessWriter::reopen),
            // All else is the successor's business; a client of the control socket is told by the
            // end of its connection.
            Event::Signal(_) | Event::Control(_) | Event::FilesChanged => {}
        }
    }
    false
}
