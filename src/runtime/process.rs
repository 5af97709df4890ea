//! Programs of somebody else's, each in a process group of its own, so that it can be ended with
//! whatever it has started.
//!
//! ```text
//! start → running ─→ ended, not yet reaped ─ drop ─→ the rest of its group is killed; reaped
//!            └ drop ─→ SIGTERM, then SIGKILL after GRACE ─→ reaped
//! ```
//!
//! The group's number is the first process's, and stays taken until that is reaped. So nothing is
//! sent to the group afterwards: it might be another's by then.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, pidfd_open,
    waitid, waitpgid,
};

use super::PolledFd;

/// How long a program that is told to end may tidy up. Nobody waits for it meanwhile; and it had its
/// time, or lost its client.
const GRACE: Duration = Duration::from_secs(1);

/// A program that runs, or has ended; with `H`, which is let go of when nothing is left of it.
///
/// # Cancellation
/// Dropped, it is ended, with all of its group that has not left it, and reaped. This takes no time of
/// who drops it.
pub(crate) struct Process<H: Send + 'static> {
    /// Until it is dropped.
    running: Option<Running<H>>,
}

struct Running<H> {
    /// The first process's number, and so the group's.
    group: Pid,
    _held: H,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Status(i32),
    Signal(i32),
}

impl<H: Send + 'static> Process<H> {
    /// Starts `command` in a group of its own; its output comes through the pipes.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start(
        command: &mut Command,
        held: H,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let group = Pid::from_child(&child);
        let process = Self {
            running: Some(Running { group, _held: held }),
        };
        let piped = "both are piped";
        Ok((process, output.expect(piped), errors.expect(piped)))
    }

    /// Something that is readable when the program has ended. For a task of the loop.
    ///
    /// # Errors
    /// Where the system cannot tell (Linux before 5.3).
    pub(crate) fn end(&self) -> io::Result<PolledFd> {
        PolledFd::new(descriptor(self.running().group)?)
    }

    /// How it ended, if it has. It is not reaped by being asked.
    pub(crate) fn exit(&self) -> Option<Exit> {
        exit(self.running().group)
    }

    fn running(&self) -> &Running<H> {
        self.running.as_ref().expect("it is there until the drop")
    }
}

/// A descriptor of its own: what is closed together with another copy would go on being watched.
fn descriptor(process: Pid) -> rustix::io::Result<OwnedFd> {
    pidfd_open(process, PidfdFlags::empty())
}

fn exit(process: Pid) -> Option<Exit> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(process), options).ok()??;
    let signal = status.terminating_signal().map(Exit::Signal);
    status.exit_status().map(Exit::Status).or(signal)
}

impl<H: Send + 'static> Drop for Process<H> {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else {
            return;
        };
        if exit(running.group).is_some() {
            running.signal(Signal::KILL);
            if running.is_reaped() {
                return;
            }
        } else {
            running.signal(Signal::TERM);
        }
        // Few end this way, and each for a short time.
        let ending = Ending::begin(running);
        let name = "tidegate-reap".to_owned();
        let _ = std::thread::Builder::new()
            .name(name)
            .spawn(move || ending.wait());
    }
}

impl<H> Running<H> {
    /// The group may be gone any moment, but its number is not another's as long as this lives.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// Reaps what has ended of the group: the program, and, where this process is the first of its
    /// container, others that the program left behind. Whether nothing is left to be reaped.
    fn is_reaped(&self) -> bool {
        loop {
            match waitpgid(self.group, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// Programs that are waited for by threads of their own.
static ENDING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until every program that was told to end has ended, or had the time to: before this process
/// ends, and with it the threads that would see to that.
pub(crate) fn wait_for_processes() {
    let (count, changed) = &ENDING;
    let count = count.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = changed.wait_timeout_while(count, 2 * GRACE, |count| *count > 0);
}

/// A program on its way to the thread that waits for its end. If there is no thread for it, it gets
/// no time to tidy up.
struct Ending<H>(Running<H>);

impl<H> Ending<H> {
    fn begin(running: Running<H>) -> Self {
        let (count, _) = &ENDING;
        *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(running)
    }

    fn wait(self) {
        let Ok(end) = descriptor(self.0.group) else {
            return;
        };
        let grace = Timespec::try_from(GRACE).ok();
        let wait = || poll(&mut [PollFd::new(&end, PollFlags::IN)], grace.as_ref());
        let _ = rustix::io::retry_on_intr(wait);
    }
}

impl<H> Drop for Ending<H> {
    fn drop(&mut self) {
        self.0.signal(Signal::KILL);
        while matches!(
            waitpgid(self.0.group, WaitOptions::empty()),
            Ok(Some(_)) | Err(Errno::INTR)
        ) {}
        let (count, changed) = &ENDING;
        *count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        changed.notify_all();
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "exit status {status}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
