//! What the supervisor waits for, and the thread that turns signals into events.
//!
//! The control socket, the watch over files and the threads of workers send the others.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::control::ControlRequest;

/// What the supervisor waits for.
pub(super) enum Event {
    Signal(i32),
    Control(ControlRequest),
    /// A worker's thread ended: it was told to, or it died.
    WorkerEnded(WorkerId),
    /// A file of the configuration was written, or another one came.
    FilesChanged,
}

/// Tells every worker there ever was from every other.
pub(super) type WorkerId = u64;

/// Has signals arrive at `sender` as events, from a thread of their own.
///
/// # Errors
/// If the system lets us have no handler, or no more threads.
pub(super) fn watch_signals(sender: Sender<Event>) -> io::Result<()> {
    // Who ignores SIGCHLD passes that on to the programs it starts, as this may be. The system would
    // then reap our scripts before we know how they ended, and give their numbers to others.
    signal_hook::flag::register(SIGCHLD, Arc::default())?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    let forward = move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("tidegate-signal".to_owned())
        .spawn(forward)?;
    Ok(())
}
