//! How the two processes of an upgrade know each other: by a number in the environment, and a socket
//! between them, the line.
//!
//! `LISTEN_PID` cannot be set for the new process: its environment is made before it has a number.
//! [`PREDECESSOR`] is set instead, to the number of the old process, which is the new one's parent.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// In the environment of the new process: the number of the old one.
pub(super) const PREDECESSOR: &str = "TIDEGATE_PREDECESSOR";

/// What the new process writes on the line when it serves.
pub(super) const READY: &[u8] = b"ready";

/// The line to the process that we replace; `None` if we replace none.
#[derive(Default)]
pub(super) struct Predecessor(Option<UnixStream>);

impl Predecessor {
    pub(super) fn new(line: Option<OwnedFd>) -> Self {
        Self(line.map(UnixStream::from))
    }

    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Tells the old process that we serve, and closes the line. If the old process has ended, it does
    /// not wait for us, and that is no error.
    pub(super) fn tell_ready(&mut self) {
        if let Some(mut line) = self.0.take() {
            let _ = line.write_all(READY);
        }
    }
}
