//! Orphans: processes whose parent has ended. The system gives them to the first process, which has to
//! reap them, and in a container that may be this server. A script leaves one behind when it starts
//! something in a session of its own (`setsid`).
//!
//! The programs that this process has started, and what is in their groups, are no orphans:
//! [`Process`](super::Process) waits for those, and must find them unreaped.

use std::collections::HashSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

/// The groups of the programs that this process has started and not yet reaped. Kept only where this
/// is the first process.
static OWN: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

/// Whether the system gives orphans to this process.
pub(crate) fn is_first_process() -> bool {
    getpid().as_raw_nonzero().get() == 1
}

/// Starts `command`, whose process leads a group of its own, and takes note that it is no orphan.
///
/// # Errors
/// The system's error.
pub(super) fn spawn_own(command: &mut Command) -> io::Result<Child> {
    if !is_first_process() {
        return command.spawn();
    }
    // Held until the number is noted: the process may end before this function does.
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    let group = Pid::from_child(&child).as_raw_nonzero().get();
    own.get_or_insert_default().insert(group);
    Ok(child)
}

/// Takes note that nothing of `group` is left.
pub(super) fn disown(group: Pid) {
    if is_first_process() {
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        own.get_or_insert_default()
            .remove(&group.as_raw_nonzero().get());
    }
}

/// Reaps every orphan that has ended. To be called when a child has ended, by the thread that waits for
/// children which no [`Process`](super::Process) stands for.
pub(crate) fn reap() {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return;
    };
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    let own = own.get_or_insert_default();
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(process.path().join("stat"));
        let group = stat.ok().and_then(|stat| group_of_ended_child(&stat));
        if let (Some(group), Some(pid)) = (group, Pid::from_raw(number))
            && !own.contains(&group)
        {
            let _ = waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// The group of the process that a line of `/proc/PID/stat` tells of (`proc_pid_stat(5)`), if it has
/// ended and its parent is the first process.
fn group_of_ended_child(stat: &str) -> Option<i32> {
    // The name of the program stands in brackets, and may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    let (state, parent, group) = (words.next()?, words.next()?, words.next()?);
    (state == "Z" && parent == "1").then(|| group.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_children_that_have_ended_are_orphans_to_reap() {
        for (stat, expected) in [
            ("7 (sh) Z 1 6 6 0 -1 4228364", Some(6)),
            ("7 (a) Z 1 9) Z 1 6 6 0", Some(6)),
            ("7 (sh) S 1 6 6 0 -1", None),
            ("7 (sh) Z 12 6 6 0 -1", None),
            ("", None),
        ] {
            assert_eq!(group_of_ended_child(stat), expected, "{stat}");
        }
    }
}
