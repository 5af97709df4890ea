//! Sockets that do not block. Callers try a call first, and wait for readiness when it would block.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
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

use super::descriptors::unwatched;
use super::reactor::{Direction, Elapsed, Idle};
use super::sys;
use super::timer::Tick;
use super::with_context;

/// The time between two tries to connect to a Unix socket whose queue is full. The system does not
/// report when there is room.
const QUEUE_RETRY: Duration = Duration::from_millis(10);

/// A connected socket.
///
/// The reactor gets to know it when a task first waits for it. A connection that ends with its first
/// response is never registered.
#[derive(Debug)]
pub(crate) struct Stream {
    fd: OwnedFd,
    source: Registration,
}

impl Stream {
    /// A stream over `fd`, a connected socket that does not block.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            source: Registration::default(),
        }
    }

    /// The IP address of this end; `None` for a Unix socket.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        Some(self.local_address()?.ip().to_canonical())
    }

    /// The IP address and port of this end; `None` for a Unix socket.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        SocketAddr::try_from(rustix::net::getsockname(&self.fd).ok()?).ok()
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// The system's error; `TimedOut` at `deadline`. A [shortage](super::descriptors::is_shortage) says nothing of
    /// the peer.
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

    /// Connects to the Unix socket at `path`. While its queue is full, tries again every
    /// [`QUEUE_RETRY`].
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

    /// A new socket that does not block.
    fn unconnected(family: AddressFamily) -> io::Result<Self> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        Ok(Self::new(fd))
    }

    /// Connects this socket to `address`, and waits for the result.
    async fn finish_connecting(
        &self,
        address: &impl SocketAddrArg,
        deadline: Tick,
    ) -> io::Result<()> {
        match rustix::net::connect(&self.fd, address) {
            // After a signal the attempt goes on, too.
            Err(Errno::INPROGRESS | Errno::INTR) => self.watch()?,
            connected => {
                connected?;
                return self.watch();
            }
        }
        let ready = self.ready(Direction::Write, deadline).await;
        ready.map_err(|Elapsed| io::ErrorKind::TimedOut)?;
        Ok(sockopt::socket_error(&self.fd)??)
    }

    /// Has the system watch the socket already, which the first wait would do otherwise: a wait ends as if its time
    /// were over if that fails, and the peer would be blamed.
    ///
    /// # Errors
    /// A [shortage](super::descriptors::is_shortage): the system will not watch it.
    fn watch(&self) -> io::Result<()> {
        let attached = self.source.attach(self.fd.as_fd(), Direction::Read);
        attached.map(drop).map_err(unwatched)
    }

    /// Reads what has arrived, up to the length of `buffer`. Returns the number of octets; 0 is the end
    /// of the peer's side.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has arrived; otherwise the connection is broken, also if a call that sends has
    /// returned the error before. What arrived before the break is read first.
    pub(crate) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = retry(|| rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()))?;
        if count == 0 {
            return self.at_end();
        }
        Ok(count)
    }

    /// What a read returns that has found 0 octets.
    #[cold]
    fn at_end(&self) -> io::Result<usize> {
        if self.source.is_broken() {
            return Err(Errno::CONNRESET.into());
        }
        Ok(0)
    }

    /// Takes note of the error of a call that does not read.
    #[cold]
    fn note_error(&self, error: Errno) -> io::Error {
        // PIPE: the peer had ended its side before the connection broke, and the reads find that end; or an
        // earlier call has returned the error.
        if !matches!(error, Errno::AGAIN | Errno::PIPE) {
            self.source.note_break();
        }
        error.into()
    }

    /// Sends as much of `bytes` as the socket takes, and returns how much that was. With `more`, the
    /// system may wait for further octets before it sends a segment that is not full.
    ///
    /// # Errors
    /// `WouldBlock` where the socket takes nothing; otherwise the connection is broken.
    pub(crate) fn try_send(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let flags = if more {
            SendFlags::MORE | SendFlags::NOSIGNAL
        } else {
            SendFlags::NOSIGNAL
        };
        let sent = retry(|| rustix::net::send(&self.fd, bytes, flags));
        sent.map_err(|error| self.note_error(error))
    }

    /// [`try_send`](Self::try_send) for several pieces in one call.
    ///
    /// # Errors
    /// As `try_send`.
    pub(crate) fn try_send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let sent = retry(|| rustix::io::writev(&self.fd, pieces));
        sent.map_err(|error| self.note_error(error))
    }

    /// Sends up to `count` octets of `file` from `offset`, and moves `offset` on by the number returned;
    /// 0 is the end of the file.
    ///
    /// # Errors
    /// As `try_send`, and the errors of reading the file.
    pub(crate) fn try_send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
    ) -> io::Result<usize> {
        let sent = retry(|| rustix::fs::sendfile(&self.fd, file, Some(&mut *offset), count));
        sent.map_err(|error| self.note_error(error))
    }

    /// How many octets the peer's system has acknowledged, with one more for the beginning of the
    /// connection; `None` for a Unix socket. It is told of a connection that has ended, too.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        sys::tcp_acknowledged(self.fd.as_fd())
    }

    /// How many octets the peer's system has not acknowledged; of a Unix socket, the memory that holds what the
    /// peer has not read. 0 if the system does not tell.
    pub(crate) fn untaken(&self) -> u32 {
        sys::untaken(self.fd.as_fd()).unwrap_or(0)
    }

    /// Ends our side (FIN). The peer's octets can still be read.
    pub(crate) fn shut_down_write(&self) {
        // Fails only if the connection is gone, and the caller is about to close it anyway.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }

    /// The error by which the connection broke, if it has. The system reports each once.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let error = sockopt::socket_error(&self.fd).ok()?.err()?;
        Some(self.note_error(error))
    }

    /// Has the close of the socket reset the connection (RST), and drop what is not sent yet. A Unix
    /// socket knows no reset: its peer sees an end.
    pub(crate) fn reset_on_close(&self) {
        // Fails only where the system knows no such option; then the peer sees an end.
        let _ = sockopt::set_socket_linger(&self.fd, Some(Duration::ZERO));
    }

    /// Whether the system has reported that the peer ended its side: after a short read, another read
    /// then finds the end.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.source
            .key()
            .is_some_and(|key| with_context(|c| c.reactor.borrow().is_read_closed(key)))
    }

    /// Whether the peer has sent nothing, and has not ended its side, since the last wait to read ended. Returns
    /// `false` also if the loop cannot know, because a task received octets that are younger than the events of
    /// this turn; see [`overtake_events`](super::overtake_events).
    pub(crate) fn is_quiet(&self) -> bool {
        self.source
            .key()
            .is_none_or(|key| with_context(|c| c.reactor.borrow().is_quiet(key)))
    }

    /// [`poll_peer_gone`](Self::poll_peer_gone), as tests wait for it.
    #[cfg(test)]
    pub(crate) async fn peer_gone(&self) {
        std::future::poll_fn(|context| self.poll_peer_gone(context)).await;
    }

    /// Waits until the peer has ended its side, or the connection broke, beside something else: where the system will
    /// not watch the socket, this wait does not end. The octets that the peer sends
    /// meanwhile stay unread, and the next wait for reading reports them.
    pub(crate) fn poll_peer_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.source.poll_read_closed(self.fd.as_fd(), context)
    }

    /// Waits until another try may succeed in `direction`.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`, or at once if the system will not watch the socket.
    pub(crate) async fn ready(&self, direction: Direction, deadline: Tick) -> Result<(), Elapsed> {
        std::future::poll_fn(|context| self.poll_ready(context, direction, deadline)).await
    }

    /// Waits until another try may succeed in either direction, for callers that are `poll` functions. The
    /// caller must then try both.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) fn poll_ready_any(
        &self,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        // Both are polled in any case, so that readiness in both is used up.
        let readable = self.poll_ready(context, Direction::Read, deadline);
        let writable = self.poll_ready(context, Direction::Write, deadline);
        match readable {
            Poll::Ready(Ok(())) => readable,
            _ => writable,
        }
    }

    /// [`ready`](Self::ready), for callers that are `poll` functions.
    pub(crate) fn poll_ready(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        self.source
            .poll_ready(self.fd.as_fd(), context, direction, deadline)
    }

    /// Waits until there may be something to read, by a task that can do without: it may be told to give
    /// up, so that another one gets its place.
    pub(crate) fn poll_idle(&self, context: &mut Context<'_>, deadline: Tick) -> Poll<Idle> {
        match self.source.attach(self.fd.as_fd(), Direction::Read) {
            Ok(key) => with_context(|c| c.reactor.borrow_mut().poll_idle(key, context, deadline)),
            // As for `poll_ready`.
            Err(_) => Poll::Ready(Idle::TimedOut),
        }
    }
}

/// A listening socket. The supervisor shares it, and keeps it open when this loop ends.
pub(crate) struct Listener {
    fd: Arc<OwnedFd>,
    source: Registration,
}

impl Listener {
    /// A listener over `fd`, a listening socket that does not block.
    pub(crate) fn new(fd: Arc<OwnedFd>) -> Self {
        Self {
            fd,
            source: Registration::default(),
        }
    }

    /// Takes a connection from the queue. Returns its descriptor, which does not block and which the
    /// programs that we start do not inherit (all of that in one system call), and the peer's address.
    ///
    /// # Errors
    /// `WouldBlock` where no connection waits; otherwise the error of `accept4`.
    pub(crate) fn try_accept(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, peer) = retry(|| rustix::net::acceptfrom_with(&*self.fd, flags))?;
        Ok((fd, peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
    }

    /// How many connections wait in the queue, or `None` if the system does not tell, as for Unix sockets.
    pub(crate) fn queued(&self) -> Option<usize> {
        sys::tcp_queued((*self.fd).as_fd())
    }

    /// Waits until a connection may wait in the queue.
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
            // The supervisor keeps the descriptor open, so closing our copy does not end the reports.
            let _ = with_context(|c| c.reactor.borrow().deregister((*self.fd).as_fd()));
        }
    }
}

/// A descriptor's source in the reactor, made with the first wait and removed when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    /// The source's key shifted left by [`FLAGS`], or [`NO_SOURCE`]; with [`WRITABLE`] and [`BROKEN`]. Four bytes,
    /// because an idle connection holds little more than this.
    state: Cell<u32>,
}

/// How many flags a state has.
const FLAGS: u32 = 2;

/// The system reports writability.
const WRITABLE: u32 = 1;

/// A call that does not read has returned the error by which the connection broke. The system returns an error once:
/// the reads after it return 0 octets, as at the end of the peer's side.
const BROKEN: u32 = 2;

/// The state of a registration that has no source yet.
const NO_SOURCE: u32 = u32::MAX << FLAGS;

impl Default for Registration {
    fn default() -> Self {
        Self {
            state: Cell::new(NO_SOURCE),
        }
    }
}

impl Registration {
    /// The key of the source, if there is one.
    fn key(&self) -> Option<usize> {
        let state = self.state.get();
        (state < NO_SOURCE).then_some((state >> FLAGS) as usize)
    }

    /// Takes note that a call which does not read has returned the error by which the connection broke.
    fn note_break(&self) {
        self.state.set(self.state.get() | BROKEN);
    }

    fn is_broken(&self) -> bool {
        self.state.get() & BROKEN != 0
    }

    /// Waits until `fd`, whose registration this is, may be ready in `direction`.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`, or at once if the system will not watch `fd`.
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
            // The system will not watch it (no memory). The caller's next try reports what is wrong.
            Err(_) => Poll::Ready(Err(Elapsed)),
        }
    }

    /// Waits until the peer of `fd` has ended its side. Where the system will not watch `fd`, the peer counts as there:
    /// the caller waits for something else as well.
    fn poll_read_closed(&self, fd: BorrowedFd<'_>, context: &mut Context<'_>) -> Poll<()> {
        match self.attach(fd, Direction::Read) {
            Ok(key) => with_context(|c| c.reactor.borrow_mut().poll_read_closed(key, context)),
            Err(_) => Poll::Pending,
        }
    }

    /// Makes sure that there is a source and that the system reports `direction`. Returns the key.
    ///
    /// Every wait calls it: as a call of its own it takes 135 more instructions of a request that is passed on.
    #[inline(always)]
    fn attach(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<usize> {
        match self.key() {
            Some(key) if direction == Direction::Read || self.reports_writability() => Ok(key),
            _ => self.attach_anew(fd, direction),
        }
    }

    /// Whether the system reports writability, where there is a source.
    fn reports_writability(&self) -> bool {
        self.state.get() & WRITABLE != 0
    }

    fn attach_anew(&self, fd: BorrowedFd<'_>, direction: Direction) -> io::Result<usize> {
        let wants_write = direction == Direction::Write;
        with_context(|c| {
            let key = match self.key() {
                Some(key) => key,
                None => {
                    let mut reactor = c.reactor.borrow_mut();
                    let key = reactor.insert();
                    if let Err(error) = reactor.register(key, fd, Direction::Read) {
                        // A wait for a source that the system does not know would never end.
                        reactor.remove(key);
                        return Err(error);
                    }
                    let broken = self.state.get() & BROKEN;
                    self.state.set((key as u32) << FLAGS | broken);
                    key
                }
            };
            if wants_write && !self.reports_writability() {
                self.widen(&c.reactor.borrow(), key, fd)
            } else {
                Ok(key)
            }
        })
    }

    /// Has the system report writability as well, and remembers that it does.
    fn widen(
        &self,
        reactor: &super::reactor::Reactor,
        key: usize,
        fd: BorrowedFd<'_>,
    ) -> io::Result<usize> {
        reactor.widen(key, fd)?;
        self.state.set(self.state.get() | WRITABLE);
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown as Half, TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// A connection, and its far end.
    fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let far = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let (near, _) = listener.accept().expect("a connection waits");
        near.set_nonblocking(true).expect("a socket can be set so");
        let far = far.expect("it listens");
        (Stream::new(OwnedFd::from(near)), far)
    }

    fn send(stream: &Stream) -> io::Result<usize> {
        stream.try_send(b"x", false)
    }

    fn send_vectored(stream: &Stream) -> io::Result<usize> {
        stream.try_send_vectored(&[IoSlice::new(b"x")])
    }

    fn send_file(stream: &Stream) -> io::Result<usize> {
        let file = File::open("Cargo.toml").expect("the package has one");
        stream.try_send_file(file.as_fd(), &mut 0, 1)
    }

    fn take_error(stream: &Stream) -> io::Result<usize> {
        stream.take_error().map_or(Ok(0), Err)
    }

    /// Repeats `call` until it returns an error; which one.
    fn error_of(stream: &Stream, call: fn(&Stream) -> io::Result<usize>) -> io::ErrorKind {
        loop {
            match call(stream) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return error.kind(),
                _ => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// What is read up to an end or an error, and that of two reads.
    fn read_all(stream: &Stream) -> (Vec<u8>, [Option<io::ErrorKind>; 2]) {
        let (mut all, mut buffer) = (Vec::new(), [0; 4]);
        let mut end = || loop {
            match stream.try_receive(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => return Some(error.kind()),
            }
        };
        let ends = [end(), end()];
        (all, ends)
    }

    /// The system returns the error of a reset once. After a send had returned it, a read found 0 octets, which
    /// was taken for the end of the peer's side.
    #[test]
    fn a_break_that_a_call_has_returned_is_no_end_for_the_reads_after_it() {
        for call in [send, send_vectored, send_file, take_error] {
            let (near, mut far) = pair();
            far.write_all(b"a part").expect("room");
            let socket = socket2::SockRef::from(&far);
            let set = socket.set_linger(Some(Duration::ZERO));
            set.expect("a TCP socket");
            drop(far);
            let reset = io::ErrorKind::ConnectionReset;
            assert_eq!(error_of(&near, call), reset);
            assert_eq!(read_all(&near), (b"a part".to_vec(), [Some(reset); 2]));
        }
    }

    #[test]
    fn an_end_that_came_before_a_break_stays_an_end() {
        for call in [send, send_vectored, send_file] {
            let (near, mut far) = pair();
            far.write_all(b"all").expect("room");
            far.shutdown(Half::Write).expect("it is open");
            send(&near).expect("room");
            far.read_exact(&mut [0]).expect("an octet");
            // What is sent from here on is answered by a reset.
            drop(far);
            assert_eq!(error_of(&near, call), io::ErrorKind::BrokenPipe);
            assert_eq!(read_all(&near), (b"all".to_vec(), [None; 2]));
        }
    }
}
