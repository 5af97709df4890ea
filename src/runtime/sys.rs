//! System calls that no library wraps: the only place for `unsafe`.
#![allow(unsafe_code, reason = "STYLE §5: here, and nowhere else")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
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
