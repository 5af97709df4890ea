//! What the supervisor waits for.
//!
//! A thread of its own turns signals into events ([`watch_signals`]); the control socket, the watch over
//! files and the workers send the other events themselves.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::control::ControlRequest;
use crate::log::diagnostic;
use crate::runtime::{is_first_process, spawn_thread, sys};

/// What the supervisor waits for.
pub(super) enum Event {
    Signal(i32),
    Control(ControlRequest),
    /// A worker's thread ended: the worker was retired or drained, or it died.
    WorkerEnded(WorkerId),
    /// A file of the configuration was written, or a new file belongs to it.
    FilesChanged,
    /// What became of applications.
    Apps(AppsNews),
    /// What this new process, which an upgrade has started, has said until it closed the line.
    Successor {
        process: u32,
        heard: io::Result<Vec<u8>>,
    },
}

/// What the thread that runs applications tells.
pub(super) enum AppsNews {
    /// What was staged under this number is ready, or why it is not.
    Staged {
        number: u64,
        outcome: Result<(), String>,
    },
    /// Everything has ended, the thread as well.
    Ended,
}

impl Event {
    /// Tells at level debug what has happened.
    pub(super) fn tell(&self) {
        match self {
            Self::Signal(signal) => diagnostic::debug(format_args!("got {}", name(*signal))),
            Self::Control(request) => diagnostic::debug(format_args!("asked: {}", request.verb)),
            Self::WorkerEnded(id) => {
                diagnostic::debug(format_args!("thread {id} of a worker ended"))
            }
            Self::FilesChanged => {
                diagnostic::debug(format_args!("the configuration's files changed"))
            }
            // The manager's thread tells itself what has become of processes, and an upgrade what of the new one.
            Self::Apps(_) | Self::Successor { .. } => {}
        }
    }
}

/// Identifies a worker; a number is never used again.
pub(super) type WorkerId = u64;

/// How the log names a signal.
pub(super) fn name(signal: i32) -> &'static str {
    signal_hook::low_level::signal_name(signal).unwrap_or("a signal")
}

/// Starts a thread that sends the signals of the process to `sender`.
///
/// A server that reloads takes SIGHUP also where the process was started to ignore it, as `nohup` does;
/// for others it is the end of their terminal.
///
/// # Errors
/// If a signal handler or the thread cannot be had.
pub(super) fn watch_signals(sender: Sender<Event>, reloads: bool) -> io::Result<()> {
    // A process that ignores SIGCHLD hands that on to the programs it starts, and we may be one. The
    // system would then reap our scripts before we know how they ended, and reuse their numbers.
    signal_hook::flag::register(SIGCHLD, Arc::default())?;
    // A log that reaches the limit of file sizes (`ulimit -f`) must not end the process: its write fails.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1, SIGUSR2])?;
    if reloads || !sys::is_ignored(SIGHUP) {
        signals.add_signal(SIGHUP)?;
    }
    if is_first_process() {
        signals.add_signal(SIGCHLD)?;
    }
    let forward = move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    spawn_thread("tidegate-signal", forward).map(drop)
}
