//! The floor: the least that a server which waits for readiness and parses can do.
//!
//! One thread, one epoll instance, edge-triggered. A request is one `recv`, `httparse` and one `send`
//! of a canned answer; all complete requests of a read share that `send`. A connection is one
//! `accept4` and is read at once, since `TCP_DEFER_ACCEPT` says that its request is there; one that
//! ends with its first answer never meets epoll. A short read means that the socket is drained, so
//! none is ever read to hear `EAGAIN`.
//!
//! It routes nothing, looks at no clock, sets no timer and logs nothing. Content of requests is not
//! understood. It is a yardstick and no server: what another spends beyond it is the price of
//! everything else.

mod answer;
mod connection;
mod listen;

use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::ExitCode;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{self, Errno};
use rustix::net::{SocketFlags, accept_with};

use crate::answer::Answers;
use crate::connection::{Connection, Next};

/// Where it listens, unless the first argument says otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8090";

/// Events taken from the kernel in one call.
const EVENTS: usize = 512;

/// The size of the buffer all connections are read into; a shorter read has drained its socket.
const READ_BUFFER: usize = 64 * 1024;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let address = argument.as_deref().unwrap_or(DEFAULT_ADDRESS);
    let Ok(address) = address.parse::<SocketAddr>() else {
        eprintln!("usage: floor [ADDRESS:PORT]; {address} is no such thing");
        return ExitCode::from(2);
    };
    match Floor::new(address).and_then(|mut floor| floor.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: floor at {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The loop and what it holds.
struct Floor {
    listener: OwnedFd,
    epoll: OwnedFd,
    /// By descriptor number, which is dense.
    connections: Vec<Option<Connection>>,
    answers: Answers,
    buffer: Vec<u8>,
}

impl Floor {
    fn new(address: SocketAddr) -> io::Result<Self> {
        let listener = listen::listen(address)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            data(&listener),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            answers: Answers::new(),
            buffer: vec![0; READ_BUFFER],
        })
    }

    /// Serves until the process is ended.
    fn run(&mut self) -> io::Result<()> {
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
        let mut connection = Connection::new(socket);
        let wanted = match connection.read(&self.answers, &mut self.buffer) {
            Next::Close => return Ok(()),
            Next::Read => EventFlags::empty(),
            Next::Write => EventFlags::OUT,
        };
        let data = data(connection.socket());
        let flags = wanted | EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, connection.socket(), data, flags)?;
        let index = data.u64() as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        self.connections[index] = Some(connection);
        Ok(())
    }

    fn serve(&mut self, index: usize, ready: EventFlags) {
        let Some(connection) = &mut self.connections[index] else {
            return; // closed earlier in this batch
        };
        let was_owing = connection.is_owing();
        let mut next = connection.proceed(&self.answers, &mut self.buffer);
        // An edge that tells of the peer's end comes once, and the short read did not see it.
        if ready.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            next = Next::Close;
        }
        match next {
            Next::Close => self.connections[index] = None,
            Next::Write if !was_owing => self.want_write(index),
            Next::Read | Next::Write => {}
        }
    }

    /// Has the loop tell when a connection whose peer reads slowly can be written to; rare enough to
    /// be left on.
    fn want_write(&mut self, index: usize) {
        let Some(connection) = &self.connections[index] else {
            return;
        };
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        let data = data(connection.socket());
        if epoll::modify(&self.epoll, connection.socket(), data, flags).is_err() {
            self.connections[index] = None;
        }
    }
}

/// A descriptor's number is its token.
fn data(socket: &OwnedFd) -> EventData {
    EventData::new_u64(socket.as_raw_fd() as u64)
}
