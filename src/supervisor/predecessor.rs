//! What the two processes of an upgrade know of each other: a number in the environment, and a line.
//!
//! `LISTEN_FDS` says how many sockets there are. `LISTEN_PID` cannot be said: the number of a process
//! is known only once it is there, when its environment has been made. [`PREDECESSOR`] takes its place, and
//! names the parent, who is the old process.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// In the environment of the new process: the number of the old one.
pub(super) const PREDECESSOR: &str = "TIDEGATE_PREDECESSOR";

/// What the new process writes on the line when it serves.
pub(super) const READY: &[u8] = b"ready";

/// The line to the process whose place we take.
#[derive(Default)]
pub(super) struct Predecessor(Option<UnixStream>);

impl Predecessor {
    pub(super) fn new(line: Option<OwnedFd>) -> Self {
        Self(line.map(UnixStream::from))
    }

    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Tells it that we serve, and ends the line. If it has gone, nobody waits.
    pub(super) fn tell_ready(&mut self) {
        if let Some(mut line) = self.0.take() {
            let _ = line.write_all(READY);
        }
    }
}
