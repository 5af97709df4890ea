//! The loop of every mode: it accepts, waits for readiness, and says which socket is ready.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{self, Errno};
use rustix::net::{SocketFlags, accept_with};

use crate::listen;

/// Events taken from the kernel in one call.
const EVENTS: usize = 512;

/// What a mode does with the sockets of its loop.
pub(crate) trait Mode {
    /// Serves a client that has just connected, and adds to `epoll` what it will wait for.
    fn begin(&mut self, client: OwnedFd, epoll: &OwnedFd) -> io::Result<()>;

    /// Goes on with the socket of that descriptor number, which is ready.
    fn serve(&mut self, number: usize, ready: EventFlags, epoll: &OwnedFd);
}

/// Serves the clients of `address` until the process is ended.
pub(crate) fn run(address: SocketAddr, mode: &mut impl Mode) -> io::Result<()> {
    let listener = listen::listen(address)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let flags = EventFlags::IN | EventFlags::ET;
    epoll::add(&epoll, &listener, data(&listener), flags)?;
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
    loop {
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        for event in events.drain(..) {
            let number = event.data.u64() as usize;
            if number == self::number(&listener) {
                accept(&listener, &epoll, mode)?;
            } else {
                mode.serve(number, event.flags, &epoll);
            }
        }
    }
}

/// Takes every connection that waits.
fn accept(listener: &OwnedFd, epoll: &OwnedFd, mode: &mut impl Mode) -> io::Result<()> {
    loop {
        match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(client) => mode.begin(client, epoll)?,
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error),
        }
    }
}

/// A descriptor's number is its token.
pub(crate) fn data(socket: &OwnedFd) -> EventData {
    EventData::new_u64(number(socket) as u64)
}

/// The number of a descriptor: small, so that it can be an index.
pub(crate) fn number(socket: &OwnedFd) -> usize {
    socket.as_raw_fd() as usize
}
