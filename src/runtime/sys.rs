//! System calls that no library wraps: the only file with `unsafe`.
#![allow(
    unsafe_code,
    reason = "unsafe code is in this file alone, so that one file has to be reviewed for it"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;

/// Has a listening TCP socket hand out a connection when its first octets have arrived, or when
/// `patience` is over (Linux, `TCP_DEFER_ACCEPT`; whole seconds), so that the read that follows the
/// accept finds something.
///
/// # Errors
/// The error of `setsockopt`.
pub(crate) fn set_defer_accept(socket: BorrowedFd<'_>, patience: Duration) -> io::Result<()> {
    let seconds = libc::c_int::try_from(patience.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is borrowed, so it is open; the option's value is a C int, which
    // `seconds` is, and it is read, not kept, during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The first descriptor behind standard input, output and error (`sd_listen_fds(3)`).
const FIRST_INHERITED: RawFd = 3;

/// Takes over the descriptors that this process's parent left open for it: up to `count` from
/// [`FIRST_INHERITED`] on, ending before the first number that is not open. Marks them to be closed on
/// exec. To be called before this process opens anything else; a second call returns none.
pub(crate) fn take_inherited(count: usize) -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let numbers = (FIRST_INHERITED..).take(count);
    numbers.map_while(take_one).collect()
}

/// Takes over the descriptor `number`, if it is open.
fn take_one(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: `fcntl` with F_SETFD touches no memory of ours, and fails if nothing is open there.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the descriptor is open, for `fcntl` took it. Nothing else owns it: it was open
    // before this process opened anything, as the caller upholds, and `TAKEN` lets it be taken only once.
    (result == 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Starts `command` with copies of `descriptors` from [`FIRST_INHERITED`] on.
///
/// # Errors
/// The error of `fork`, `exec` or the copying.
pub(crate) fn spawn_with(
    mut command: Command,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<Child> {
    let count = RawFd::try_from(descriptors.len()).map_err(io::Error::other)?;
    let first_free = FIRST_INHERITED + count;
    // The child puts the copies at these numbers, so no descriptor that it still needs may be there.
    // The sources are copied to higher numbers, and placeholders keep the numbers from the descriptors
    // that `spawn` opens for itself.
    let sources: Vec<OwnedFd> = descriptors
        .iter()
        .map(|fd| fcntl_dupfd_cloexec(fd, first_free))
        .collect::<Result<_, _>>()?;
    let mut placeholders = Vec::new();
    for fd in descriptors.iter().cycle() {
        let placeholder = fcntl_dupfd_cloexec(fd, FIRST_INHERITED)?;
        if placeholder.as_raw_fd() >= first_free {
            break;
        }
        placeholders.push(placeholder);
    }
    let numbers: Vec<RawFd> = sources.iter().map(|fd| fd.as_raw_fd()).collect();
    let copy = move || {
        for (source, target) in numbers.iter().zip(FIRST_INHERITED..) {
            // SAFETY: `dup2` touches no memory of ours.
            if unsafe { libc::dup2(*source, target) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be called: `copy` calls
    // `dup2` and reads `errno`, and allocates nothing. The sources are open until `spawn` returns.
    unsafe { command.pre_exec(copy) };
    command.spawn()
}
