//! Descriptors that are no sockets and that the system can watch: a program's output, and the descriptor
//! that becomes readable when the program ends.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::net::Registration;
use super::reactor::{Direction, Elapsed};
use super::timer::Tick;

/// The reading end of a pipe, or a process's descriptor.
#[derive(Debug)]
pub(crate) struct PolledFd {
    fd: OwnedFd,
    source: Registration,
}

impl PolledFd {
    /// Takes over `fd`, which the system can watch and of which there is no other copy, and makes it
    /// non-blocking.
    ///
    /// # Errors
    /// If the system cannot make it non-blocking.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        let source = Registration::default();
        Ok(Self { fd, source })
    }

    /// Reads what has arrived into the spare capacity of `into`. Returns the number of octets; 0 is the
    /// end, when all writers have closed.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has arrived.
    pub(crate) fn try_read(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let read = || rustix::io::read(&self.fd, spare_capacity(into));
        Ok(rustix::io::retry_on_intr(read)?)
    }

    /// Waits until there may be something to read: octets of a pipe, or the end of a process.
    ///
    /// # Errors
    /// If the system will not watch the descriptor: do not wait for it again.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let ready = |context: &mut std::task::Context<'_>| {
            let fd = self.fd.as_fd();
            self.source
                .poll_ready(fd, context, Direction::Read, Tick::NEVER)
        };
        let ready = std::future::poll_fn(ready).await;
        ready.map_err(Elapsed::of_unwatched)
    }
}
