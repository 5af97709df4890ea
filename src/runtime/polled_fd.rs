//! Descriptors that are no sockets and of which something can be heard: a program's output, and word
//! of its end.

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
    /// Takes over a descriptor that can be waited for, and that nobody else has a copy of.
    ///
    /// # Errors
    /// If the system cannot have it not block.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        let source = Registration::default();
        Ok(Self { fd, source })
    }

    /// Reads what is there into the room that `into` has left; 0 is the end, when all writers are gone.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there.
    pub(crate) fn try_read(&self, into: &mut Vec<u8>) -> io::Result<usize> {
        let read = || rustix::io::read(&self.fd, spare_capacity(into));
        Ok(rustix::io::retry_on_intr(read)?)
    }

    /// Waits until there may be something to be read, or until what the descriptor stands for has
    /// happened.
    ///
    /// # Errors
    /// [`Elapsed`] if the system will not watch it.
    pub(crate) async fn readable(&self) -> Result<(), Elapsed> {
        let ready = |context: &mut std::task::Context<'_>| {
            let fd = self.fd.as_fd();
            self.source
                .poll_ready(fd, context, Direction::Read, Tick::NEVER)
        };
        std::future::poll_fn(ready).await
    }
}
