//! The loop of the modes that answer: it accepts, waits for readiness, and has each connection go on.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{self, Errno};
use rustix::net::{SocketFlags, accept_with};

use crate::listen;

/// Events taken from the kernel in one call.
pub(crate) const EVENTS: usize = 512;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    Read,
    Write,
    Close,
}

/// One peer, as a mode serves it.
pub(crate) trait Peer {
    /// What all connections of the loop use: answers, buffers.
    type Shared;

    fn new(socket: OwnedFd) -> Self;

    fn socket(&self) -> &OwnedFd;

    /// Whether the peer reads slower than it asks.
    fn is_owing(&self) -> bool;

    /// Goes on, when the connection is new and after each event.
    fn proceed(&mut self, shared: &mut Self::Shared) -> Next;
}

/// The loop and what it holds.
pub(crate) struct Serving<P: Peer> {
    listener: OwnedFd,
    epoll: OwnedFd,
    /// By descriptor number, which is dense.
    peers: Vec<Option<P>>,
    shared: P::Shared,
}

impl<P: Peer> Serving<P> {
    pub(crate) fn new(address: SocketAddr, shared: P::Shared) -> io::Result<Self> {
        let listener = listen::listen(address)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &listener, data(&listener), flags)?;
        Ok(Self {
            listener,
            epoll,
            peers: Vec::new(),
            shared,
        })
    }

    /// Serves until the process is ended.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let listener = data(&self.listener).u64();
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            for event in events.drain(..) {
                if event.data.u64() == listener {
                    self.accept()?;
                } else {
                    self.serve(event.data.u64() as usize, event.flags);
                }
            }
        }
    }

    /// Takes every connection that waits, and answers what each has sent.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            match accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => self.begin(socket)?,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn begin(&mut self, socket: OwnedFd) -> io::Result<()> {
        let mut peer = P::new(socket);
        let wanted = match peer.proceed(&mut self.shared) {
            Next::Close => return Ok(()),
            Next::Read => EventFlags::empty(),
            Next::Write => EventFlags::OUT,
        };
        let data = data(peer.socket());
        let flags = wanted | EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, peer.socket(), data, flags)?;
        let index = data.u64() as usize;
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, || None);
        }
        self.peers[index] = Some(peer);
        Ok(())
    }

    fn serve(&mut self, index: usize, ready: EventFlags) {
        let Some(peer) = &mut self.peers[index] else {
            return; // closed earlier in this batch
        };
        let was_owing = peer.is_owing();
        let mut next = peer.proceed(&mut self.shared);
        // An edge that tells of the peer's end comes once, and the short read did not see it.
        if ready.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            next = Next::Close;
        }
        match next {
            Next::Close => self.peers[index] = None,
            Next::Write if !was_owing => self.want_write(index),
            Next::Read | Next::Write => {}
        }
    }

    /// Has the loop tell when a connection whose peer reads slowly can be written to; rare enough to
    /// be left on.
    fn want_write(&mut self, index: usize) {
        let Some(peer) = &self.peers[index] else {
            return;
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = data(peer.socket());
        if epoll::modify(&self.epoll, peer.socket(), data, flags).is_err() {
            self.peers[index] = None;
        }
    }
}

/// A descriptor's number is its token.
pub(crate) fn data(socket: &OwnedFd) -> EventData {
    EventData::new_u64(socket.as_raw_fd() as u64)
}
