//! A connection: carries octets in both directions, over a plain socket or over TLS.
//!
//! ```text
//!   server::worker      makes one of an accepted socket        ┐
//!   server::connection  reads heads, sends what is at hand     │
//!   transfer::receive   reads content                          │
//!   transfer::send      sends content, files with `send_file`  ├→ Transport ┬ Plain → runtime::Stream
//!   transfer::tunnel    octets of two connections, both ways   │            └ Tls → tls::Session
//!   server::stream      connects a client to a server          │
//!   upstream, fetch     ask other servers                      ┘
//! ```
//!
//! The calls that move octets never wait. They fail with `WouldBlock`, and the caller then waits with
//! [`ready`](Transport::ready). This room knows the loop and its sockets, and nothing of HTTP.
//!
//! The second arm, boxed so that a plain connection grows by one pointer at most, is a session of TLS
//! ([`tls`]). All methods take `&self`, because content is read and a response is sent by two users of one
//! connection. Behind each method the session does more than a socket:
//!
//! - `receive` processes records and decrypts. A record holds up to 16 KiB, so plaintext may be left when
//!   the socket is empty: then `is_drained` is false, and `ready(Read)` returns at once.
//! - `send` and `send_vectored` encrypt; `send_file` reads the file and encrypts. Who gets `WouldBlock`
//!   sends the same octets again, as it does for a socket.
//! - `close` says that we send nothing more (`close_notify`, RFC 8446 §6.1); `shut_down` says so before the
//!   end of our side.
//! - `peer_gone` waits for the end of the socket. The next `receive` finds a `close_notify` that comes
//!   without it.

mod received;
pub(crate) mod tls;

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::runtime::{Direction, Elapsed, Idle, Stream, Tick, Uptake};
pub(crate) use received::Received;
use received::receive_plain;
use tls::{About, Session};

/// A connection to a client, or to an upstream.
pub(crate) enum Transport {
    /// The socket carries the octets as they are.
    Plain(Stream),
    /// The socket carries them encrypted.
    Tls(Box<Session>),
}

impl Transport {
    /// Reads what has arrived, up to the length of `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` where nothing has arrived; otherwise the connection is broken.
    #[inline(always)]
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        match self {
            Self::Plain(stream) => receive_plain(stream, buffer),
            Self::Tls(session) => session.receive(buffer),
        }
    }

    /// Sends as much of `octets` as the connection takes now, and returns how much that was. With `more`,
    /// the system may wait for further octets before it sends a segment that is not full.
    ///
    /// # Errors
    /// `WouldBlock` where the connection takes nothing; otherwise the connection is broken.
    #[inline(always)]
    pub(crate) fn send(&self, octets: &[u8], more: bool) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_send(octets, more),
            Self::Tls(session) => session.send(octets, more),
        }
    }

    /// [`send`](Self::send) for several pieces in one call.
    ///
    /// # Errors
    /// As `send`.
    pub(crate) fn send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_send_vectored(pieces),
            Self::Tls(session) => session.send_vectored(pieces),
        }
    }

    /// Sends up to `count` octets of `file` from `offset`, and moves `offset` on by the number returned;
    /// 0 is the end of the file. A session of TLS reads them itself: unless it `may_wait` for the disk, it
    /// returns `None` where the first of them is not in memory. A plain connection has the kernel read
    /// them, which may always wait.
    ///
    /// # Errors
    /// As `send`, and the errors of reading the file.
    pub(crate) fn send_file(
        &self,
        file: BorrowedFd<'_>,
        offset: &mut u64,
        count: usize,
        may_wait: bool,
    ) -> io::Result<Option<usize>> {
        match self {
            Self::Plain(stream) => stream.try_send_file(file, offset, count).map(Some),
            Self::Tls(session) => session.send_file(file, offset, count, may_wait),
        }
    }

    /// Whether the kernel reads the files that are sent, so that a caller who must not wait for a
    /// disk has to look whether they are in memory.
    pub(crate) fn lets_kernel_read_files(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// The IP address of ours that the peer connected to; `None` at a Unix socket.
    pub(crate) fn server_ip(&self) -> Option<IpAddr> {
        self.socket().local_ip()
    }

    /// The IP address and port of ours that the peer connected to; `None` at a Unix socket.
    pub(crate) fn server_address(&self) -> Option<SocketAddr> {
        self.socket().local_address()
    }

    /// What the handshake of TLS has settled, if the connection has had one.
    #[inline]
    pub(crate) fn session(&self) -> Option<&About> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(session) => session.about(),
        }
    }

    fn socket(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(session) => session.stream(),
        }
    }

    /// Says, before the connection is closed, that all has been sent. Over a plain connection the close
    /// says so.
    ///
    /// # Errors
    /// [`Elapsed`] if the peer takes nothing for `timeout`.
    pub(crate) async fn close(&self, timeout: Duration) -> Result<(), Elapsed> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(session) => session.close(timeout).await,
        }
    }

    /// Ends our side: the caller sends nothing afterwards. It can still receive the peer's octets.
    pub(crate) fn shut_down(&self) {
        match self {
            Self::Plain(stream) => stream.shut_down_write(),
            Self::Tls(session) => session.shut_down(),
        }
    }

    /// Whether the system has reported that the connection broke. Reports it once.
    pub(crate) fn is_broken(&self) -> bool {
        self.socket().take_error().is_some()
    }

    /// Has the close of the connection reset it: the peer sees an error and no end.
    pub(crate) fn reset_on_close(&self) {
        if let Self::Tls(session) = self {
            session.give_up();
        }
        self.socket().reset_on_close()
    }

    /// Waits until another try may succeed in `direction`.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`, or at once if the system will not watch the socket.
    pub(crate) async fn ready(&self, direction: Direction, deadline: Tick) -> Result<(), Elapsed> {
        std::future::poll_fn(|context| self.poll_ready(context, direction, deadline)).await
    }

    /// [`ready`](Self::ready), for callers that are `poll` functions.
    ///
    /// # Errors
    /// As `ready`.
    pub(crate) fn poll_ready(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        match self {
            Self::Plain(stream) => stream.poll_ready(context, direction, deadline),
            Self::Tls(session) => session.poll_ready(context, direction, deadline),
        }
    }

    /// Waits until there may be room to send, for as long as the peer takes octets.
    ///
    /// # Errors
    /// [`Elapsed`] if the peer takes nothing for `timeout`, as [`Stream::room`] notices it.
    pub(crate) async fn room(&self, timeout: Duration) -> Result<(), Elapsed> {
        self.socket().room(timeout).await
    }

    /// What the peer has not taken of what the socket was given; see [`Stream::untaken`].
    pub(crate) fn untaken(&self) -> u32 {
        self.socket().untaken()
    }

    /// Asks for `uptake` whether the peer has taken octets; see [`Uptake::look`].
    ///
    /// # Errors
    /// [`Elapsed`] if the peer's time is over.
    pub(crate) fn look(&self, uptake: &mut Uptake, timeout: Duration) -> Result<(), Elapsed> {
        uptake.look(self.socket(), timeout)
    }

    /// Waits until the system reports anything about what the peer sends: octets, its end, or that the connection
    /// broke. For callers that receive nothing for now: unlike after [`poll_ready`](Self::poll_ready), what a
    /// session of TLS has received already is no reason to go on. A report is made once, so the caller must
    /// try to receive before it waits to read again.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) fn poll_report(
        &self,
        context: &mut Context<'_>,
        deadline: Tick,
    ) -> Poll<Result<(), Elapsed>> {
        match self {
            Self::Plain(stream) => stream.poll_ready(context, Direction::Read, deadline),
            Self::Tls(session) => session.poll_report(context, deadline),
        }
    }

    /// Waits until another try may succeed in either direction. The caller must then try both.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_any(&self, deadline: Tick) -> Result<(), Elapsed> {
        std::future::poll_fn(|context| match self {
            Self::Tls(session) if session.begin_wait(context) => Poll::Ready(Ok(())),
            _ => self.socket().poll_ready_any(context, deadline),
        })
        .await
    }

    /// Whether nothing is left of what was received, and the peer has sent nothing, and has not ended its side,
    /// since the last wait to read ended. Returns `false` also if the loop cannot know; see
    /// [`Stream::is_quiet`].
    pub(crate) fn is_quiet(&self) -> bool {
        let has_something = match self {
            Self::Plain(_) => false,
            Self::Tls(session) => session.has_something(),
        };
        !has_something && self.socket().is_quiet()
    }

    /// Whether the system has reported that the peer ended its side.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.socket().is_read_closed()
    }

    /// How many octets the peer's system has acknowledged, with one more for the beginning of the
    /// connection; `None` for a Unix socket, and over TLS, whose records have more octets than were
    /// sent.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        match self {
            Self::Plain(stream) => stream.acknowledged(),
            Self::Tls(_) => None,
        }
    }

    /// Waits until another `receive` may succeed. Meanwhile the connection is idle: its task may be told to
    /// give it up.
    pub(crate) fn poll_idle(&self, context: &mut Context<'_>, deadline: Tick) -> Poll<Idle> {
        if let Self::Tls(session) = self
            && session.begin_wait(context)
        {
            return Poll::Ready(Idle::Readable);
        }
        // One call for both, so that it is inlined.
        self.socket().poll_idle(context, deadline)
    }

    /// Waits until the peer has ended its side, or the connection broke. The octets that the peer sends
    /// meanwhile stay unread, and the next `ready(Read)` reports them.
    pub(crate) async fn peer_gone(&self) {
        std::future::poll_fn(|context| self.poll_peer_gone(context)).await;
    }

    /// [`peer_gone`](Self::peer_gone), for callers that are `poll` functions.
    pub(crate) fn poll_peer_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket().poll_peer_gone(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::runtime::{Either, either, run, yield_now};

    fn pair() -> (Transport, UnixStream) {
        let (near, far) = UnixStream::pair().expect("a socket pair");
        near.set_nonblocking(true).expect("a socket can be set so");
        (Transport::Plain(Stream::new(OwnedFd::from(near))), far)
    }

    #[test]
    fn a_short_read_has_drained_the_socket_and_a_full_one_may_not_have() {
        let (transport, mut far) = pair();
        let received = run(async move {
            far.write_all(b"12345678").expect("the pair is open");
            let mut buffer = [0; 4];
            let received = [(); 2].map(|()| transport.receive(&mut buffer).ok());
            let nothing = transport.receive(&mut buffer).map_err(|error| error.kind());
            assert_eq!(nothing, Err(io::ErrorKind::WouldBlock));
            far.write_all(b"9").expect("the pair is open");
            [
                received[0],
                received[1],
                transport.receive(&mut buffer).ok(),
            ]
        });
        let received_of = |count, is_drained| Some(Received { count, is_drained });
        let expected = [
            received_of(4, false),
            received_of(4, false),
            received_of(1, true),
        ];
        assert_eq!(received.expect("a loop"), expected);
    }

    #[test]
    fn nothing_is_drained_once_the_peer_has_ended_its_side() {
        let (transport, mut far) = pair();
        let received = run(async move {
            far.write_all(b"last").expect("the pair is open");
            drop(far);
            transport.peer_gone().await;
            let mut buffer = [0; 64];
            [(); 2].map(|()| transport.receive(&mut buffer).ok())
        });
        let [last, end] = received.expect("a loop");
        let is_drained = false;
        let count = 4;
        assert_eq!(last, Some(Received { count, is_drained }));
        assert_eq!(end.map(|end| end.count), Some(0));
    }

    #[test]
    fn the_end_of_our_side_leaves_the_peers_open() {
        let (transport, mut far) = pair();
        run(async move {
            transport.shut_down();
            assert_eq!(io::Read::read(&mut far, &mut [0]).ok(), Some(0));
            let gone = either(transport.peer_gone(), yield_now()).await;
            assert!(matches!(gone, Either::Second(())));
            far.write_all(b"x").expect("the pair is open");
            let ready = transport.ready(Direction::Read, Tick::NEVER).await;
            assert_eq!(ready, Ok(()));
            let received = transport.receive(&mut [0; 2]).ok();
            assert_eq!(received.map(|received| received.count), Some(1));
        })
        .expect("a loop");
    }
}
