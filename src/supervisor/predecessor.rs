//! How the two processes of an upgrade know each other: by a number in the environment, and a socket
//! between them, the line.
//!
//! `LISTEN_PID` cannot be set for the new process: its environment is made before it has a number.
//! [`PREDECESSOR`] is set instead, to the number of the old process, which is the new one's parent.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;

use rustix::process::{Pid, Signal, kill_process};

/// In the environment of the new process: the number of the old one.
pub(super) const PREDECESSOR: &str = "TIDEGATE_PREDECESSOR";

/// What the new process writes on the line when it serves.
pub(super) const READY: &[u8] = b"ready";

/// The process that we replace, if we replace one.
#[derive(Default)]
pub(super) struct Predecessor {
    /// The number of the old process, which serves on until its last connection has ended.
    process: Option<u32>,
    /// The line to it, until we serve.
    line: Option<UnixStream>,
    /// What it has sent to this process alone.
    secrets: Vec<u8>,
}

impl Predecessor {
    /// The old `process`, which is our parent, and the line to it.
    pub(super) fn new(process: u32, line: Option<OwnedFd>) -> Self {
        let mut line = line.map(UnixStream::from);
        let secrets = line.as_mut().map(read_at_once).unwrap_or_default();
        Self {
            process: Some(process),
            line,
            secrets,
        }
    }

    pub(super) fn is_some(&self) -> bool {
        self.line.is_some()
    }

    /// What the old process has sent to this process alone: the keys of session tickets.
    pub(super) fn secrets(&self) -> &[u8] {
        &self.secrets
    }

    /// Has the old process open its access logs again, as this one does, if it has not ended.
    ///
    /// A service manager sends the signal for that to the main process alone, and the old one would write to the
    /// renamed file until its last connection ends. While it is there, it is our parent: another process that has its
    /// number by now is not.
    pub(super) fn reopen_logs(&self) {
        let parent = parent_id();
        let process = self.process.filter(|process| *process == parent);
        let process = process.and_then(|process| Pid::from_raw(process.try_into().ok()?));
        if let Some(process) = process {
            // Fails if it has just ended.
            let _ = kill_process(process, Signal::USR1);
        }
    }

    /// Tells the old process that we serve, and closes the line. If the old process has ended, it does
    /// not wait for us, and that is no error.
    pub(super) fn tell_ready(&mut self) {
        if let Some(mut line) = self.line.take() {
            let _ = line.write_all(READY);
        }
    }
}

/// Reads what is there on the line. An old process of an earlier version has written nothing.
fn read_at_once(line: &mut UnixStream) -> Vec<u8> {
    let mut secrets = Vec::new();
    let mut block = [0; 1024];
    if line.set_nonblocking(true).is_ok() {
        while let Ok(count @ 1..) = line.read(&mut block) {
            secrets.extend_from_slice(&block[..count]);
        }
        // Fails for no socket that took the opposite.
        let _ = line.set_nonblocking(false);
    }
    secrets
}
