//! The floor of proxies: octets go from one socket to the other, and nothing looks at them.
//!
//! A client has a connection to the upstream of its own, from its first octet to its end: one `recv` and
//! one `send` each way. When one of the two ends, so does the other; halves are not closed by themselves.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventFlags};
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
    sockopt,
};

use crate::event_loop::{Mode, data, number};

/// The size of the buffer that all octets pass; a shorter read has drained its socket.
const BUFFER: usize = 64 * 1024;

/// One of two sockets between which octets are copied.
struct End {
    socket: OwnedFd,
    /// The descriptor number of the other connection.
    other: usize,
    /// What the other end sent and this socket has not taken yet; the other is not read meanwhile.
    unsent: Vec<u8>,
}

/// The connections, and what they share.
pub(crate) struct Proxy {
    upstream: SocketAddr,
    /// By descriptor number, which is dense.
    ends: Vec<Option<End>>,
    buffer: Vec<u8>,
}

/// One of the two connections ended, or failed.
struct Ended;

impl Proxy {
    pub(crate) fn new(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            ends: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// A connection to the upstream, which is on this machine: it is there when the call returns.
    fn connect(&self) -> io::Result<OwnedFd> {
        let family = match self.upstream {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        connect(&socket, &self.upstream)?;
        Ok(socket)
    }

    fn hold(&mut self, socket: OwnedFd, other: usize, epoll: &OwnedFd) -> io::Result<()> {
        // The kernel tells of room only after a `send` that found none.
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &socket, data(&socket), flags)?;
        let index = number(&socket);
        if self.ends.len() <= index {
            self.ends.resize_with(index + 1, || None);
        }
        self.ends[index] = Some(End {
            socket,
            other,
            unsent: Vec::new(),
        });
        Ok(())
    }

    /// Sends what `index` is owed and reads what it has sent, as its readiness says.
    fn copy(&mut self, index: usize, other: usize, ready: EventFlags) -> Result<(), Ended> {
        if ready.contains(EventFlags::OUT) && self.flush(index)? {
            self.pump(other, index)?;
        }
        if ready.intersects(EventFlags::IN | EventFlags::RDHUP) {
            self.pump(index, other)?;
        }
        Ok(())
    }

    /// Sends what an end did not take before; whether there was something, and now is nothing.
    fn flush(&mut self, index: usize) -> Result<bool, Ended> {
        let Some(end) = &mut self.ends[index] else {
            return Err(Ended);
        };
        if end.unsent.is_empty() {
            return Ok(false);
        }
        let sent = send_now(&end.socket, &end.unsent)?;
        end.unsent.drain(..sent);
        Ok(end.unsent.is_empty())
    }

    /// Copies from one end to the other until the one is drained or the other is full.
    fn pump(&mut self, from: usize, to: usize) -> Result<(), Ended> {
        let (Some(source), Some(sink)) = (&self.ends[from], &self.ends[to]) else {
            return Err(Ended);
        };
        let mut rest = Vec::new();
        while sink.unsent.is_empty() && rest.is_empty() {
            let count = match recv(&source.socket, &mut *self.buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(Ended),
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(_) => return Err(Ended),
            };
            let sent = send_now(&sink.socket, &self.buffer[..count])?;
            rest.extend_from_slice(&self.buffer[sent..count]);
            if count < BUFFER {
                break;
            }
        }
        if let (Some(sink), false) = (&mut self.ends[to], rest.is_empty()) {
            sink.unsent = rest;
        }
        Ok(())
    }
}

impl Mode for Proxy {
    /// Connects a client to the upstream; one that cannot be connected is closed.
    fn begin(&mut self, client: OwnedFd, epoll: &OwnedFd) -> io::Result<()> {
        let Ok(upstream) = self.connect() else {
            return Ok(());
        };
        let (near, far) = (number(&client), number(&upstream));
        self.hold(client, far, epoll)?;
        self.hold(upstream, near, epoll)?;
        self.serve(near, EventFlags::IN, epoll);
        Ok(())
    }

    fn serve(&mut self, index: usize, ready: EventFlags, _epoll: &OwnedFd) {
        let Some(other) = self.ends[index].as_ref().map(|end| end.other) else {
            return; // closed earlier in this batch
        };
        let copied = self.copy(index, other, ready);
        let is_over = ready.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if copied.is_err() || is_over {
            self.ends[index] = None;
            self.ends[other] = None;
        }
    }
}

/// How much a socket took: less than all of it when it is full.
fn send_now(socket: &OwnedFd, octets: &[u8]) -> Result<usize, Ended> {
    let mut sent = 0;
    while sent < octets.len() {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(socket, &octets[sent..], flags) {
            Ok(count) => sent += count,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(_) => return Err(Ended),
        }
    }
    Ok(sent)
}
