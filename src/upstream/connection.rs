//! One connection to an upstream.
//!
//! If it ends before a response, the question is whether the upstream can have seen the request.
//! Over TCP the end of the upstream's side (FIN) acknowledges what its system had received until
//! then:
//!
//! ```text
//!   we   ── request ──────╲ ╱────→             the upstream had ended its side before an octet of the request
//!   upstream ←────────────╱ ╲──── FIN          arrived: it cannot have acted upon it
//!
//!   we   ── request ───→                       the end acknowledges the request: it may have been read
//!   upstream ←───────────── FIN
//!
//!   we   ── request ───→                       a reset, which counts as doubt: the system may acknowledge
//!   upstream ←───────────── RST                octets 40 ms after a program has read them, and a reset
//!                                              takes the place of that
//! ```

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::localhost;
use super::security::TlsFault;
use super::server::Server;
use crate::address::UpstreamAddress;
use crate::runtime::{self, Direction, Elapsed, Stream, Tick, Uptake};
use crate::transport::{Received, Transport};

/// Octets read at once.
const READ_SIZE: usize = 64 * 1024;

/// Octets of the largest buffer that is kept for another request.
const MAX_SPARE: usize = 8 * 1024;

/// More octets than any connection carries.
const UNCOUNTED: u64 = u64::MAX / 2;

/// A connection to an upstream, which carries one request after the other. Dropping it closes it.
pub(crate) struct Connection {
    transport: Transport,
    /// Whether another read may find something: the system has reported so, and no read has emptied the
    /// socket since. An upstream says nothing before it is asked, so a new connection has nothing.
    may_receive: Cell<bool>,
    /// Octets that were sent for the present request, up to what this can count. It is small, because a
    /// request holds the connection at several places, and must fit into what the allocator keeps at hand.
    sent: Cell<u32>,
    /// Octets that were sent for the requests before it; [`UNCOUNTED`] where the count has ended.
    sent_before: Cell<u64>,
    end: Cell<End>,
}

/// How a connection has ended, as far as sends and reads have shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It has not.
    None,
    /// The upstream has ended its side.
    Orderly,
    /// It broke: a reset, as a rule.
    Broken,
}

/// A worker's buffers for its upstreams: a connection that waits holds none.
pub(crate) struct Buffers {
    /// What any upstream sends goes here first.
    input: RefCell<Box<[u8]>>,
    /// For the next request, if there is one: most requests are sent in the turn in which they are encoded.
    spare: Cell<Vec<u8>>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            input: RefCell::new(vec![0; READ_SIZE].into_boxed_slice()),
            spare: Cell::default(),
        }
    }
}

impl Buffers {
    /// An empty buffer for a request, with room for so many octets at least.
    pub(crate) fn for_request(&self, room: usize) -> Vec<u8> {
        let mut buffer = self.spare.take();
        buffer.reserve(room);
        buffer
    }

    /// Keeps the buffer of a request that was sent, unless it is large.
    pub(super) fn keep(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= MAX_SPARE {
            buffer.clear();
            self.spare.set(buffer);
        }
    }
}

impl Connection {
    /// Connects to `address`. Where a name leads to several addresses, they are tried in their order,
    /// and each has an equal part of `timeout`. The two of localhost are tried as [`localhost::connect`] says.
    ///
    /// # Errors
    /// What the system says, of a name's last address; `TimedOut` after `timeout`.
    pub(crate) async fn open(address: &UpstreamAddress, timeout: Duration) -> io::Result<Self> {
        let stream = connect(address, timeout).await?;
        Ok(Self::over(Transport::Plain(stream)))
    }

    /// Connects to `server`. If TLS is spoken to it, the handshake follows within `timeout`, and what
    /// `preface` holds is sent before that.
    ///
    /// # Errors
    /// As [`open`](Self::open); a [`TlsFault`] if the handshake fails.
    pub(crate) async fn open_to(
        server: &Server,
        preface: Vec<u8>,
        timeout: Duration,
    ) -> io::Result<Self> {
        let deadline = runtime::deadline_after(timeout);
        let stream = connect(server.address(), timeout).await?;
        let Some(security) = server.security() else {
            return Ok(Self::over(Transport::Plain(stream)));
        };
        // In a box, so that a request over a plain connection has no room for it.
        let handshake = Box::pin(security.begin(stream, preface, deadline));
        Ok(Self::over(handshake.await?))
    }

    fn over(transport: Transport) -> Self {
        // The read that brought the end of the handshake may have brought octets behind it.
        let may_receive = Cell::new(transport.session().is_some());
        Self {
            transport,
            may_receive,
            sent: Cell::new(0),
            sent_before: Cell::new(0),
            end: Cell::new(End::None),
        }
    }

    /// The connection for a tunnel, which carries octets of any meaning. The caller has used all octets that
    /// were received before.
    pub(crate) fn into_transport(self) -> Transport {
        self.transport
    }

    /// Sends as much of `octets` as the socket takes.
    ///
    /// # Errors
    /// As [`Transport::send`].
    #[inline]
    pub(crate) fn send(&self, octets: &[u8]) -> io::Result<usize> {
        let sent = self.transport.send(octets, false);
        match &sent {
            Ok(count) => {
                let count = u32::try_from(*count).unwrap_or(u32::MAX);
                self.sent.set(self.sent.get().saturating_add(count));
            }
            // EPIPE: either the upstream had ended its side before it reset the connection, and the next
            // read finds that end; or an earlier call has already returned the error of the reset.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => self.note_error(error),
        }
        sent
    }

    /// Ends our side: nothing is sent afterwards, and the rest of the response can still be received.
    pub(super) fn shut_down(&self) {
        self.transport.shut_down();
    }

    /// Begins the next request: what is sent from now on belongs to it.
    pub(super) fn begin_request(&self) {
        let sent = match self.sent.replace(0) {
            u32::MAX => UNCOUNTED,
            sent => u64::from(sent),
        };
        let sent_before = self.sent_before.get().saturating_add(sent);
        self.sent_before.set(sent_before.min(UNCOUNTED));
    }

    /// Whether the upstream has ended its side before any octet of the present request arrived
    /// there, so that it cannot have acted upon the request. `false` also where the system cannot
    /// tell, as for a Unix socket.
    pub(super) fn ended_before_request(&self) -> bool {
        // TCP counts the SYN as an octet. The system may know no number, or one that is lower than what was
        // sent before, if it does not count; then the two differ.
        let before = self.sent_before.get() + 1;
        self.end.get() == End::Orderly && self.transport.acknowledged() == Some(before)
    }

    /// Takes note of the error of a send or a read.
    fn note_error(&self, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.end.set(End::Broken);
        }
    }

    /// Reads once into those `buffers`, and calls `use_it` with the octets. No octets are the end of the
    /// upstream's side. Makes no system call if the system would have reported what there is to read.
    ///
    /// # Errors
    /// As [`Transport::receive`]; after `WouldBlock` the caller waits.
    pub(crate) fn receive<T>(
        &self,
        buffers: &Buffers,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        if !self.may_receive.get() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut input = buffers.input.borrow_mut();
        match self.transport.receive(&mut input) {
            Ok(Received { count, is_drained }) => {
                // A send may have found that the connection broke, and a session of TLS have received the end before.
                if count == 0 && self.end.get() == End::None {
                    self.end.set(End::Orderly);
                }
                self.may_receive.set(!is_drained);
                Ok(use_it(&input[..count]))
            }
            Err(error) => {
                self.note_error(&error);
                self.may_receive.set(self.transport.is_read_closed());
                Err(self.explain(error))
            }
        }
    }

    /// The error; in the place of an error of TLS, one that says what it means.
    fn explain(&self, error: io::Error) -> io::Error {
        match self.transport.session() {
            Some(about) => TlsFault::explain(error, about.server_name.as_deref()),
            None => error,
        }
    }

    /// Whether the upstream has sent nothing, and has not ended its side, since the last read. Returns `false`
    /// also if the loop cannot know.
    fn is_quiet(&self) -> bool {
        !self.may_receive.get() && self.transport.is_quiet()
    }

    /// Whether the upstream has sent nothing that is still to be read, and has not ended its side.
    /// The system is asked only if it has reported octets or an end since the last wait (as a rule, a read
    /// has taken those octets since), or if its reports are older than the request. Asking takes an octet
    /// off the socket if there is one: if this returns `false`, close the connection.
    pub(crate) fn has_nothing(&self) -> bool {
        self.is_quiet() || self.has_nothing_now()
    }

    /// As [`has_nothing`](Self::has_nothing), but asks the system in any case: octets may have come
    /// since the loop last waited for reports. What the system has reported may also be gone: a
    /// read took it, or it was a session ticket of TLS.
    pub(crate) fn has_nothing_now(&self) -> bool {
        let would_block = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.transport.receive(&mut [0]).is_err_and(would_block)
    }

    /// Waits until there may be something to receive.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_to_receive(&self, deadline: Tick) -> Result<(), Elapsed> {
        self.transport.ready(Direction::Read, deadline).await?;
        self.may_receive.set(true);
        Ok(())
    }

    /// Waits until there is room to send.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_to_send(&self, deadline: Tick) -> Result<(), Elapsed> {
        self.transport.ready(Direction::Write, deadline).await
    }

    /// Asks for `uptake` whether the upstream has taken octets.
    ///
    /// # Errors
    /// [`Elapsed`] if the upstream's time is over.
    pub(super) fn look(&self, uptake: &mut Uptake, timeout: Duration) -> Result<(), Elapsed> {
        self.transport.look(uptake, timeout)
    }

    /// Waits until there may be something to receive, or room to send. The caller must then try both.
    ///
    /// # Errors
    /// [`Elapsed`] at `deadline`.
    pub(crate) async fn ready_for_any(&self, deadline: Tick) -> Result<(), Elapsed> {
        self.transport.ready_any(deadline).await?;
        self.may_receive.set(true);
        Ok(())
    }
}

/// Connects to `address`, as [`Connection::open`] does; once more, if descriptors have run out and the worker could
/// close some that it kept.
async fn connect(address: &UpstreamAddress, timeout: Duration) -> io::Result<Stream> {
    match connect_once(address, timeout).await {
        Err(error) if runtime::has_made_room(&error) => connect_once(address, timeout).await,
        connected => connected,
    }
}

async fn connect_once(address: &UpstreamAddress, timeout: Duration) -> io::Result<Stream> {
    match address {
        UpstreamAddress::Ip(address) => {
            Stream::connect(*address, runtime::deadline_after(timeout)).await
        }
        UpstreamAddress::Unix(path) => {
            Stream::connect_unix(path, runtime::deadline_after(timeout)).await
        }
        // In a box, so that a connection to one address has no room for two.
        UpstreamAddress::Localhost { port } => {
            Box::pin(localhost::connect(*port, runtime::deadline_after(timeout))).await
        }
        UpstreamAddress::Name { found, .. } => connect_to_any(found, timeout).await,
        // Does not occur: a group replaces a service by the addresses that it leads to.
        UpstreamAddress::Srv { .. } => connect_to_any(&[], timeout).await,
    }
}

/// A connection to the first of `addresses` that takes one.
async fn connect_to_any(addresses: &[SocketAddr], timeout: Duration) -> io::Result<Stream> {
    let part = timeout / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name was not found");
    for address in addresses {
        match Stream::connect(*address, runtime::deadline_after(part)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn the_buffer_of_a_request_serves_for_the_next_unless_it_is_large() {
        let buffers = Buffers::default();
        for (room, is_kept) in [(100, true), (MAX_SPARE + 1, false)] {
            let mut buffer = buffers.for_request(room);
            buffer.extend_from_slice(b"GET / HTTP/1.1");
            let memory = buffer.as_ptr();
            buffers.keep(buffer);
            let spare = buffers.spare.take();
            assert!(spare.is_empty(), "what was sent is sent again");
            assert_eq!(spare.capacity() >= room, is_kept, "{room}");
            assert_eq!(spare.as_ptr() == memory, is_kept, "{room}");
        }
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let there = listening.local_addr().expect("it is bound");
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let nowhere = closed.local_addr().expect("it is bound");
        drop(closed);
        for (found, is_open) in [
            (vec![there], true),
            (vec![nowhere, nowhere, there], true),
            (vec![nowhere], false),
            (vec![], false),
        ] {
            let address = UpstreamAddress::Name {
                name: "php".to_owned(),
                port: there.port(),
                found: found.clone(),
            };
            let open = async move { Connection::open(&address, Duration::from_secs(10)).await };
            let opened = runtime::run(async move { open.await.is_ok() }).expect("a loop");
            assert_eq!(opened, is_open, "{found:?}");
        }
    }

    /// What a read finds, without waiting: octets, or `None` for nothing yet.
    fn receive(connection: &Connection, buffers: &Buffers) -> Option<Vec<u8>> {
        connection.receive(buffers, <[u8]>::to_vec).ok()
    }

    /// After a read that emptied the socket, the next one was made at once and found nothing. If it is
    /// left out, the end of the upstream's side must not be missed: the system may have reported it
    /// together with the last octets, and does so once.
    #[test]
    fn nothing_is_received_that_was_not_reported_and_no_end_is_missed() {
        let directory = TemporaryDirectory::new("upstream");
        let path = directory.path().join("socket");
        let listening = UnixListener::bind(&path).expect("a socket");
        let exchange = async move {
            let (address, buffers) = (UpstreamAddress::Unix(path), Buffers::default());
            for closes_at_once in [true, false] {
                let opened = Connection::open(&address, Duration::from_secs(10)).await;
                let connection = opened.expect("a connection");
                let (mut upstream, _) = listening.accept().expect("a connection");
                upstream.write_all(b"ab").expect("room");
                assert_eq!(receive(&connection, &buffers), None, "before any report");
                let mut upstream = Some(upstream).filter(|_| !closes_at_once);
                let ready = connection.ready_to_receive(Tick::NEVER).await;
                ready.expect("a report");
                assert_eq!(receive(&connection, &buffers), Some(b"ab".to_vec()));
                if upstream.take().is_some() {
                    assert_eq!(receive(&connection, &buffers), None, "not reported yet");
                    let ready = connection.ready_to_receive(Tick::NEVER).await;
                    ready.expect("a report");
                }
                assert_eq!(receive(&connection, &buffers), Some(Vec::new()), "the end");
            }
        };
        runtime::run(exchange).expect("a loop");
    }

    /// What a server does with a request that follows others on a connection.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Does {
        CloseBefore,
        ResetBefore,
        ReadAndClose,
        ReadAndReset,
        CloseUnread,
    }

    /// The server's end of a connection.
    trait ServerEnd: io::Read + io::Write {
        fn reset(self);
    }

    impl ServerEnd for TcpStream {
        fn reset(self) {
            let socket = socket2::SockRef::from(&self);
            socket.set_linger(Some(Duration::ZERO)).expect("it is open");
        }
    }

    impl ServerEnd for UnixStream {
        fn reset(self) {}
    }

    /// Whether the server is known not to have seen the last of `earlier + 1` requests.
    async fn is_known_unseen(
        connection: Connection,
        mut server: impl ServerEnd,
        does: Does,
        earlier: usize,
    ) -> bool {
        let (buffers, mut read) = (Buffers::default(), [0; 100]);
        for _ in 0..earlier {
            connection.begin_request();
            assert_eq!(connection.send(&[b'r'; 100]).expect("room"), 100);
            server.read_exact(&mut read).expect("a request");
            server.write_all(b"response").expect("room");
            let ready = connection.ready_to_receive(Tick::NEVER).await;
            ready.expect("a response");
            assert_eq!(receive(&connection, &buffers), Some(b"response".to_vec()));
        }
        connection.begin_request();
        let send = || connection.send(&[b'r'; 100]);
        match does {
            Does::CloseBefore => {
                drop(server);
                let _ = send();
            }
            Does::ResetBefore => {
                server.reset();
                let _ = send();
            }
            Does::ReadAndClose | Does::ReadAndReset => {
                send().expect("room");
                server.read_exact(&mut read).expect("a request");
                if does == Does::ReadAndReset {
                    server.reset();
                } else {
                    drop(server);
                }
            }
            Does::CloseUnread => {
                send().expect("room");
                drop(server);
            }
        }
        let ready = connection.ready_to_receive(Tick::NEVER).await;
        ready.expect("an end");
        let _ = connection.receive(&buffers, |octets| assert_eq!(octets, b"", "{does:?}"));
        connection.ended_before_request()
    }

    const ALL: [Does; 5] = [
        Does::CloseBefore,
        Does::ResetBefore,
        Does::ReadAndClose,
        Does::ReadAndReset,
        Does::CloseUnread,
    ];

    /// In `ReadAndReset` the server's system has acknowledged nothing, because a program that answers soon
    /// would have the acknowledgement go with its answer.
    #[test]
    fn a_request_is_unseen_if_the_server_had_ended_its_side_before_it_arrived() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = UpstreamAddress::Ip(listening.local_addr().expect("it is bound"));
        let tests = async move {
            for (does, earlier) in ALL.iter().flat_map(|does| [(*does, 0), (*does, 3)]) {
                let opened = Connection::open(&address, Duration::from_secs(10)).await;
                let (server, _) = listening.accept().expect("a connection");
                server.set_nodelay(true).expect("it is open");
                let connection = opened.expect("a connection");
                let is_unseen = is_known_unseen(connection, server, does, earlier).await;
                let expected = does == Does::CloseBefore;
                assert_eq!(is_unseen, expected, "{does:?} after {earlier}");
            }
        };
        runtime::run(tests).expect("a loop");
    }

    #[test]
    fn nothing_is_known_over_a_unix_socket() {
        let directory = TemporaryDirectory::new("upstream-unseen");
        let path = directory.path().join("socket");
        let listening = UnixListener::bind(&path).expect("a socket");
        let tests = async move {
            let address = UpstreamAddress::Unix(path);
            for does in [Does::CloseBefore, Does::ReadAndClose, Does::CloseUnread] {
                let opened = Connection::open(&address, Duration::from_secs(10)).await;
                let (server, _) = listening.accept().expect("a connection");
                let connection = opened.expect("a connection");
                let is_unseen = is_known_unseen(connection, server, does, 1).await;
                assert!(!is_unseen, "{does:?}");
            }
        };
        runtime::run(tests).expect("a loop");
    }
}
