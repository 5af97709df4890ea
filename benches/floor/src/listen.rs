//! The listening socket.
#![allow(unsafe_code, reason = "TCP_DEFER_ACCEPT has no safe wrapper")]

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::io::{self, Errno};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen as listen_on, sockopt};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// Seconds a connection may be silent before it is handed out all the same.
static DEFER_ACCEPT: libc::c_int = 1;

/// Listens at an address. What is set here is inherited by what is accepted: no call for each.
pub(crate) fn listen(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    set_defer_accept(&socket)?;
    bind(&socket, &address)?;
    listen_on(&socket, BACKLOG)?;
    Ok(socket)
}

fn set_defer_accept(socket: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed, so it is open; the option's value is a C int, which
    // DEFER_ACCEPT is; it is read and not kept.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const DEFER_ACCEPT).cast(),
            size_of_val(&DEFER_ACCEPT) as libc::socklen_t,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}
