//! System calls that no library wraps: the only place for `unsafe`.
#![allow(unsafe_code, reason = "STYLE §5: here, and nowhere else")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Has a listening TCP socket hand out a connection when its first bytes are there, or when
/// `patience` is over (Linux, `TCP_DEFER_ACCEPT`; whole seconds): the read that follows the accept
/// then finds something.
///
/// # Errors
/// What `setsockopt` says.
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

/// Takes over the descriptors that whoever started this process left open for it: up to `count` from
/// [`FIRST_INHERITED`] on, ending before the first that is not open. They are closed on exec from now
/// on. To be called before anything else is opened; a second call gives nothing.
pub(crate) fn take_inherited(count: usize) -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let numbers = (FIRST_INHERITED..).take(count);
    numbers.map_while(take_one).collect()
}

fn take_one(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: `fcntl` with F_SETFD touches no memory of ours, and fails if nothing is open there.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the descriptor is open, for `fcntl` took it. Nobody else owns it: it was there before
    // this process opened anything, as the caller upholds, and `TAKEN` lets it be taken only once.
    (result == 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}
