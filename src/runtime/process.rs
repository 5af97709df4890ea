//! Other people's programs, each in a process group of its own, so that the server can end a program
//! together with the processes that it has started.
//!
//! ```text
//! start → running ─→ ended, not yet reaped ─ drop ─→ SIGKILL to the rest of its group ─→ reaped
//!            └ drop ─→ SIGTERM, then SIGKILL after GRACE ─→ reaped
//! ```
//!
//! The group's number is that of its first process, and no other group can have it until that process
//! is reaped. So the server sends no signal to the group afterwards: it might be another group by then.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group,
    pidfd_open, waitid, waitpgid,
};

use super::{PolledFd, orphans, sys};

/// The time that a program has between SIGTERM and SIGKILL. It is short: the program had its time
/// before, or its client has gone. No client waits for it.
const GRACE: Duration = Duration::from_secs(1);

/// The limit of open files that this process was started with, if it has raised its own since. Programs
/// get it: some of them close as many descriptors as they may have, or break beyond 1024 (`select(2)`).
static OPEN_FILES: OnceLock<Rlimit> = OnceLock::new();

/// Remembers the limit of open files that this process was started with, for the programs it starts.
pub(crate) fn remember_open_files(limit: Rlimit) {
    let _ = OPEN_FILES.set(limit);
}

/// The limit of open files that this process was started with, if it has raised its own since.
pub(crate) fn open_files_before() -> Option<Rlimit> {
    OPEN_FILES.get().copied()
}

/// A program that runs or has ended, and a value `H` that is dropped when the program's group is gone.
///
/// # Cancellation
/// Dropping it ends the program and the processes that are still in its group, and reaps them. The drop
/// itself does not wait for that.
pub(crate) struct Process<H: Send + 'static> {
    /// Present until the drop.
    running: Option<Running<H>>,
}

/// A program that is not reaped yet.
struct Running<H> {
    /// The number of the first process, which is also the group's.
    group: Pid,
    _held: H,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited with this status.
    Status(i32),
    /// This signal ended it.
    Signal(i32),
}

impl<H: Send + 'static> Process<H> {
    /// Starts `command`, whose program is a path, in a group of its own, with the variables that are set
    /// for it and no others. Returns the pipes of its standard output and error.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn start(
        command: &mut Command,
        held: H,
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        sys::start_clean(command, OPEN_FILES.get().copied());
        let (process, mut child) = Self::spawn(command, held)?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let piped = "both are piped";
        Ok((process, output.expect(piped), errors.expect(piped)))
    }

    /// As [`start`](Self::start), for a program that runs as long as this process needs it: as `user`, if
    /// that is another, and killed when the calling thread ends. Returns the pipe of both its outputs.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn start_service(
        command: &mut Command,
        user: Option<sys::Identity>,
        held: H,
    ) -> io::Result<(Self, io::PipeReader)> {
        let (output, input) = io::pipe()?;
        command
            .stdin(Stdio::null())
            .stdout(input.try_clone()?)
            .stderr(input);
        sys::start_clean(command, OPEN_FILES.get().copied());
        if let Some(user) = user {
            sys::become_user(command, user);
        }
        sys::end_with_parent(command);
        let (process, _) = Self::spawn(command, held)?;
        // The command has the other end of the pipe, which is to be the program's alone.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok((process, output))
    }

    /// Starts `command` in a group of its own. Whatever else it is to do before must be there.
    fn spawn(command: &mut Command, held: H) -> io::Result<(Self, Child)> {
        command.process_group(0);
        sys::start_exactly(command)?;
        let child = orphans::spawn_own(command)?;
        let group = Pid::from_child(&child);
        let process = Self {
            running: Some(Running { group, _held: held }),
        };
        Ok((process, child))
    }

    /// The number of the program, and of its group.
    pub(crate) fn id(&self) -> Pid {
        self.running().group
    }

    /// Sends `signal` to the group.
    pub(crate) fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    /// Returns a descriptor that is readable when the program has ended, for a thread.
    ///
    /// # Errors
    /// Where the system has no such descriptors (Linux before 5.3).
    pub(crate) fn end_for_thread(&self) -> io::Result<OwnedFd> {
        Ok(descriptor(self.running().group)?)
    }

    /// Returns a descriptor that is readable when the program has ended, for a task of the loop.
    ///
    /// # Errors
    /// Where the system has no such descriptors (Linux before 5.3).
    pub(crate) fn end(&self) -> io::Result<PolledFd> {
        PolledFd::new(descriptor(self.running().group)?)
    }

    /// How the program ended, if it has ended. Does not reap it.
    pub(crate) fn exit(&self) -> Option<Exit> {
        exit(self.running().group)
    }

    fn running(&self) -> &Running<H> {
        self.running.as_ref().expect("it is present until the drop")
    }
}

/// Opens a new descriptor of `process`. A copy of another one would not do: the system goes on watching
/// a descriptor until its last copy is closed.
fn descriptor(process: Pid) -> rustix::io::Result<OwnedFd> {
    pidfd_open(process, PidfdFlags::empty())
}

/// How `process` ended, if it has ended. Does not reap it.
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
        // A thread for each: few programs end this way, and each takes a short time.
        let ending = Ending::begin(running);
        let _ = super::spawn_thread("tidegate-reap", move || ending.wait());
    }
}

impl<H> Running<H> {
    /// Sends `signal` to the group. The group may be gone, but as long as this value lives no other group
    /// has its number.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.group, signal);
    }

    /// Reaps the processes of the group that have ended: the program, and, where this process is the
    /// first of its container, others that the program left behind. Returns whether none is left to reap.
    fn is_reaped(&self) -> bool {
        loop {
            match waitpgid(self.group, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => {
                    orphans::disown(self.group);
                    return true;
                }
            }
        }
    }
}

/// The number of programs that threads of their own wait for, and the condition variable of its changes.
static ENDING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Waits until every program that the server told to end has ended, or has had the time for it. To be
/// called before this process ends, because the threads that would kill and reap them end with it.
pub(crate) fn wait_for_processes() {
    let (count, changed) = &ENDING;
    let count = count.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = changed.wait_timeout_while(count, 2 * GRACE, |count| *count > 0);
}

/// A program that was told to end, and moves to the thread that waits for its end. If that thread cannot
/// be made, dropping this kills the program at once.
struct Ending<H>(Running<H>);

impl<H> Ending<H> {
    /// Counts the program as ending.
    fn begin(running: Running<H>) -> Self {
        let (count, _) = &ENDING;
        *count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(running)
    }

    /// Waits for the program's end, but no longer than [`GRACE`]; then the drop kills what is left.
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
        orphans::disown(self.0.group);
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::runtime::spawn_thread;

    /// What `grep` finds of its own blocked signals, of a process that `start` starts on a thread that
    /// blocks SIGPIPE.
    fn blocked_signals<R: Read + 'static>(
        start: fn(&mut Command) -> (Option<Process<()>>, R),
    ) -> String {
        let (sender, found) = std::sync::mpsc::channel();
        let thread = spawn_thread("test", move || {
            // A shell would not do: dash unblocks all signals when it starts.
            let mut command = Command::new("/bin/grep");
            command.args(["SigBlk", "/proc/self/status"]);
            let (process, mut output) = start(&mut command);
            let mut found = String::new();
            output.read_to_string(&mut found).expect("it is text");
            drop(process);
            sender.send(found).expect("the test waits");
        });
        let found = found.recv().expect("it sends");
        thread.expect("started").join().expect("it did not panic");
        found
    }

    #[test]
    fn a_program_starts_with_no_signal_blocked() {
        let script = blocked_signals(|command| {
            let (process, output, _) = Process::start(command, ()).expect("there is grep");
            (Some(process), output)
        });
        let service = blocked_signals(|command| {
            let started = Process::start_service(command, None, ());
            let (process, output) = started.expect("there is grep");
            (Some(process), output)
        });
        let successor = blocked_signals(|command| {
            let name = command.get_program().to_owned();
            let mut other = Command::new(&name);
            other.args(command.get_args()).stdout(Stdio::piped());
            let mut child = sys::spawn_with(&name, other, &[], None).expect("there is grep");
            let output = child.stdout.take().expect("it is piped");
            child.wait().expect("it is our own child");
            (None, output)
        });
        let none = "SigBlk:\t0000000000000000\n";
        assert_eq!([script, service, successor], [none; 3]);
    }
}
