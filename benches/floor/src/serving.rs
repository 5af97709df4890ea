//! The modes that answer: each connection goes on when its socket is ready.

use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventFlags};
use rustix::io;

use crate::event_loop::{Mode, data, number};

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

/// The connections of a mode that answers.
pub(crate) struct Serving<P: Peer> {
    /// By descriptor number, which is dense.
    peers: Vec<Option<P>>,
    shared: P::Shared,
}

impl<P: Peer> Serving<P> {
    pub(crate) fn new(shared: P::Shared) -> Self {
        Self {
            peers: Vec::new(),
            shared,
        }
    }

    /// Has the loop tell when a connection whose peer reads slowly can be written to; rare enough to
    /// be left on.
    fn want_write(&mut self, index: usize, epoll: &OwnedFd) {
        let Some(peer) = &self.peers[index] else {
            return;
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = data(peer.socket());
        if epoll::modify(epoll, peer.socket(), data, flags).is_err() {
            self.peers[index] = None;
        }
    }
}

impl<P: Peer> Mode for Serving<P> {
    fn begin(&mut self, socket: OwnedFd, epoll: &OwnedFd) -> io::Result<()> {
        let mut peer = P::new(socket);
        let wanted = match peer.proceed(&mut self.shared) {
            Next::Close => return Ok(()),
            Next::Read => EventFlags::empty(),
            Next::Write => EventFlags::OUT,
        };
        let index = number(peer.socket());
        let flags = wanted | EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, peer.socket(), data(peer.socket()), flags)?;
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, || None);
        }
        self.peers[index] = Some(peer);
        Ok(())
    }

    fn serve(&mut self, index: usize, ready: EventFlags, epoll: &OwnedFd) {
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
            Next::Write if !was_owing => self.want_write(index, epoll),
            Next::Read | Next::Write => {}
        }
    }
}
