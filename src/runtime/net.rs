//! Sockets that do not block: try first, wait for readiness when the system says so.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt,
};

use super::reactor::{Direction, Elapsed};
use super::timer::Tick;
use super::with_context;

/// How long to wait for room in the queue of a Unix socket: the system does not tell when there is
/// some.
const QUEUE_RETRY: Duration = Duration::from_millis(10);

/// A connected socket.
///
/// It meets the reactor when it is first waited for: a connection that ends with its first answer
/// never does.
#[derive(Debug)]
pub(crate) struct Stream {
    fd: OwnedFd,
    source: Registration,
}

impl Stream {
    /// A stream over a connected socket that does not block.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            source: Registration::default(),
        }
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says; `TimedOut` at `deadline`.
    pub(crate) async fn connect(address: SocketAddr, deadline: Tick) -> io::Result<Self> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let stream = Self::unconnected(family)?;
        sockopt::set_tcp_nodelay(&stream.fd, true)?;
        stream.finish_connecting(&address, deadline).await?;
        Ok(stream)
    }

    /// Connects to the Unix socket at `path`. Where its queue is full, there is another try now and
    /// then.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub(crate) async fn connect_unix(path: &Path, deadline: Tick) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let stream = Self::unconnected(AddressFamily::UNIX)?;
        loop {
            match stream.finish_connecting(&address, deadline).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if super::deadline_after(QUEUE_RETRY) > deadline {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    super::sleep(QUEUE_RETRY).await;
                }
                connected => return connected.map(|()| stream),
            }
        }
    }

    fn unconnected(family: AddressFamily) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        Ok(Self::new(fd))
    }

    async fn finish_connecting(
        &self,
        address: &impl SocketAddrArg,
        deadline: Tick,
    ) -> io::Result<()> {
        match rustix::net::connect(&self.fd, address) {
            // A signal does not stop the attempt either.
            Err(Errno::INPROGRESS | Errno::INTR) => {}
            connected => return Ok(connected?),
        }
        let ready = self.ready(Direction::Write, deadline).await;
        ready.map_err(|Elapsed| io::ErrorKind::TimedOut)?;
        Ok(sockopt::socket_error(&self.fd)??)
    }

    /// Reads what is there, up to the length of `buffer`; 0 is the end of the peer's side.
    ///
    /// # Errors
    /// `WouldBlock` where nothing is there; otherwise the connection is broken.
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = retry(|| rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()))?;
        Ok(received.0)
    }

    /// Sends as much of `bytes` as the socket takes. With `more`, the system may wait for what
    /// follows before it sends a segment that is not full.
    ///
    /// # Errors
    /// `WouldBlock` where it takes nothing; otherwise the connection is broken.
    pub(crate) fn try_send(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let flags = if more {
            SendFlags::MORE
        } else {
            SendFlags::empty()
        };
        Ok(retry(|| rustix::net::send(&self.fd, bytes, flags))?)
    }

    /// [`try_send`](Self::try_send) for several pieces at once.
    ///
    /// # Errors
    /// As `try_send`.
    pub(crate) fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(retry(|| rustix::io::writev(&self.fd, pieces))?)
    }

    /// Sends up to `count` octets of `file` from `offset`, which moves on by what was sent;
    /// 0 is the end of the file.
    ///
    /// # Errors
    /// As `try_send`, and what reading the file comes to.
    pub(crate) fn try_send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        Ok(retry(|| {
            rustix::fs::sendfile(&self.fd, file, Some(&mut *offset), count)
        })?)
    }

    /// Sends the end of our side (FIN); what the peer sends can still be read.
    pub(crate) fn shut_down_write(&self) {
        // It fails only if the connection is gone, which is what comes next anyway.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }

    /// Whether the peer is known to have ended its side: a short read is then not the last.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.source
            .key()
            .is_some_and(|key| with_context(|c| c.reactor.borrow().is_read_closed(key)))
    }

    /// Waits until the peer has ended its side, or the connection broke. What the peer sends
    /// meanwhile stays unread, and the next wait for reading reports it.
    pub(crate) async fn peer_gone(&self) {
        std::future::poll_fn(|context| self.source.poll_read_closed(self.fd.as_fd(), context))
            .await;
    }

    /// Waits until `direction` is worth another try.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready(&self, direction: Direction, deadline: Tick) -> Result<(), Elapsed> {
        std::future::poll_fn(|context| self.poll_ready(context, direction, deadline)).await
    }

    /// Waits until either direction is worth another try; both are to be tried then.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_any(&self, deadline: Tick) -> Result<(), Elapsed> {
        std::future::poll_fn(|context| {
            // Both are asked in any case: readiness in both is used up.
            let readable = self.poll_ready(context, Direction::Read, deadline);
            let writable = self.poll_ready(context, Direction::Write, deadline);
            match readable {
                Poll::Ready(Ok(())) => readable,
                _ => writable,
            }
        })
        .await
    }

    /// [`ready`](Self::ready), by hand.
    pub(crate) fn poll_ready(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        self.source
            .poll_ready(self.fd.as_fd(), context, direction, deadline)
    }
}

/// A listening socket, shared with whoever keeps it open when this loop ends.
pub(crate) struct Listener {
    fd: Arc<OwnedFd>,
    source: Registration,
}

impl Listener {
    /// Listens at a bound socket that does not block.
    pub(crate) fn new(fd: Arc<OwnedFd>) -> Self {
        Self {
            fd,
            source: Registration::default(),
        }
    }

    /// Takes a connection from the queue: it does not block, and programs we start do not inherit
    /// it, all in one system call.
    ///
    /// # Errors
    /// `WouldBlock` where none waits; otherwise what `accept4` says.
    pub(crate) fn try_accept(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, peer) = retry(|| rustix::net::acceptfrom_with(&*self.fd, flags))?;
        Ok((fd, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
    }

    /// Waits until a connection may be there.
    ///
    /// # Errors
    /// [`Elapsed`] if the system will not watch the socket.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Elapsed>> {
        let fd = (*self.fd).as_fd();
        self.source
            .poll_ready(fd, context, Direction::Read, Tick::NEVER)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.source.key().is_some() {
            // The supervisor keeps the descriptor open, so closing does not take it off the loop.
            let _ = with_context(|c| c.reactor.borrow().deregister((*self.fd).as_fd()));
        }
    }
}

/// A descriptor's place in the reactor, taken when it is first needed.
#[derive(Debug)]
pub(super) struct Registration {
    /// The source's key shifted left by one, and whether writing is of interest; or [`NONE`].
    /// In four bytes, for an idle connection holds little more than this.
    state: Cell<u32>,
}

const NONE: u32 = u32::MAX;

impl Default for Registration {
    fn default() -> Self {
        Self {
            state: Cell::new(NONE),
        }
    }
}

impl Registration {
    fn key(&self) -> Option<usize> {
        (self.state.get() != NONE).then_some((self.state.get() >> 1) as usize)
    }

    pub(super) fn poll_ready(
        &self,
        fd: BorrowedFd<'_>,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        match self.attach(fd, direction) {
            Ok(key) => with_context(|c| {
                c.reactor
                    .borrow_mut()
                    .poll_ready(key, context, direction, deadline)
            }),
            // The system will not watch it (no memory): the next try will say what is wrong.
            Err(_) => Poll::Ready(Err(Elapsed)),
        }
    }

    fn poll_read_closed(&self, fd: BorrowedFd<'_>, context: &mut Context<'_>) -> Poll<()> {
        match self.attach(fd, Direction::Read) {
            Ok(key) => with_context(|c| c.reactor.borrow_mut().poll_read_closed(key, context)),
            Err(_) => Poll::Ready(()),
        }
    }

    /// Sees to it that the system tells about `direction`.
    fn attach(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<usize> {
        let wants_write = direction == Direction::Write;
        with_context(|c| {
            let key = match self.key() {
                Some(key) => key,
                None => {
                    let mut reactor = c.reactor.borrow_mut();
                    let key = reactor.insert();
                    if let Err(error) = reactor.register(key, fd, Direction::Read) {
                        // A source that the system does not know of would be waited for in vain.
                        reactor.remove(key);
                        return Err(error);
                    }
                    self.state.set((key as u32) << 1);
                    key
                }
            };
            match wants_write && self.state.get() & 1 == 0 {
                true => self.widen(&c.reactor.borrow(), key, fd),
                false => Ok(key),
            }
        })
    }

    fn widen(
        &self,
        reactor: &super::reactor::Reactor,
        key: usize,
        fd: BorrowedFd<'_>,
    ) -> io::Result<usize> {
        reactor.widen(key, fd)?;
        self.state.set(self.state.get() | 1);
        Ok(key)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(key) = self.key() {
            let wakers = with_context(|c| c.reactor.borrow_mut().remove(key));
            drop(wakers);
        }
    }
}

/// Repeats a system call that a signal interrupted.
fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(call)
}
