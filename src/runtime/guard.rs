//! A small process beside this one that kills groups of processes if this one is killed.
//!
//! The system can kill a program together with its parent (`PR_SET_PDEATHSIG`), but not what the program
//! has started. The guard is a shell that reads which groups there are, from a pipe whose other end this
//! process alone has. When that end closes, this process has ended, however that happened, and the guard
//! kills the groups that are left.
//!
//! ```text
//! this process ── "+ 4711\n" "- 4711\n" … ──→ guard     the pipe closes ─→ SIGKILL to what is left
//! ```

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::Pid;

use super::{orphans, sys};

/// What the shell does. It has a group of its own and ignores what ends others: it must outlive this
/// process.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
groups=
while read -r sign group; do
    kept=
    for other in $groups; do
        [ "$other" = "$group" ] || kept="$kept $other"
    done
    groups=$kept
    [ "$sign" = + ] && groups="$groups $group"
done
for group in $groups; do
    kill -s KILL -- "-$group"
done
"#;

/// The guard of some groups. Dropping it ends it, and kills the groups that it still has.
#[derive(Default)]
pub(crate) struct Guard {
    groups: Vec<Pid>,
    running: Option<Running>,
}

struct Running {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Guard {
    /// Has the guard kill the group when this process ends. Starts the guard if there is none.
    ///
    /// # Errors
    /// If the system cannot start a shell.
    pub(crate) fn watch(&mut self, group: Pid) -> io::Result<()> {
        self.groups.push(group);
        self.tell('+', group)
    }

    /// Has the guard leave the group alone. To be called before its first process is reaped, because its
    /// number may be that of another group afterwards.
    pub(crate) fn forget(&mut self, group: Pid) {
        self.groups.retain(|other| *other != group);
        if self.running.is_some() {
            // A guard that has ended itself knows no groups.
            let _ = self.tell('-', group);
        }
    }

    /// Tells the guard about `group`. One that was killed is replaced.
    fn tell(&mut self, sign: char, group: Pid) -> io::Result<()> {
        if let Some(running) = &mut self.running
            && running.tell(sign, group).is_ok()
        {
            return Ok(());
        }
        self.running = None;
        let mut running = Running::start()?;
        for group in &self.groups {
            running.tell('+', *group)?;
        }
        self.running = Some(running);
        Ok(())
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "tidegate-guard"])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        sys::start_clean(&mut command, None);
        let mut child = orphans::spawn_own(&mut command)?;
        let orders = child.stdin.take();
        Ok(Self { child, orders })
    }

    fn tell(&mut self, sign: char, group: Pid) -> io::Result<()> {
        let order = format!("{sign} {}\n", group.as_raw_nonzero());
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        orders.write_all(order.as_bytes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
        orphans::disown(Pid::from_child(&self.child));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process in a group of its own, and another one in that group.
    fn group() -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]).process_group(0);
        command.spawn().expect("there is a shell")
    }

    #[test]
    fn a_group_is_killed_with_its_guard_unless_it_is_forgotten() {
        use std::os::unix::process::ExitStatusExt as _;
        let (mut watched, mut forgotten) = (group(), group());
        let mut guard = Guard::default();
        for child in [&watched, &forgotten] {
            let group = Pid::from_child(child);
            guard.watch(group).expect("there is a shell");
        }
        guard.forget(Pid::from_child(&forgotten));
        drop(guard);
        let status = watched.wait().expect("it is our own child");
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert!(matches!(forgotten.try_wait(), Ok(None)), "it goes on");
        let group = Pid::from_child(&forgotten);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        forgotten.wait().expect("it is our own child");
    }
}
