//! What carries a client's octets: a plain connection or, if the server says `https`, one over TLS.
//!
//! With `TIDEGATE_TEST_TLS=1` in the environment every server of a site speaks TLS, and so every test runs
//! over it that has no reason of its own to speak plainly.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::client_trusting;

/// The addresses at which servers of this process have said that they speak TLS.
static SECURE: Mutex<Option<HashSet<SocketAddr>>> = Mutex::new(None);

/// A connection that carries the octets of a client.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls {
        socket: TcpStream,
        session: Arc<Mutex<Session>>,
    },
}

/// A session, and what has come over it.
pub(crate) struct Session {
    connection: ClientConnection,
    received: VecDeque<u8>,
    /// The server has ended its side in order.
    is_ended: bool,
}

impl Session {
    /// Takes in what the server has sent; no octets are the end of the connection.
    fn take_in(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            self.connection.read_tls(&mut octets)?;
            let state = self.connection.process_new_packets();
            let state = state.map_err(io::Error::other)?;
            self.is_ended |= state.peer_has_closed();
            let mut plain = vec![0; state.plaintext_bytes_to_read()];
            self.connection.reader().read_exact(&mut plain)?;
            self.received.extend(plain);
        }
        Ok(())
    }
}

thread_local! {
    /// Whether the test of this thread is about something that only plain connections have.
    static IS_PLAIN: Cell<bool> = const { Cell::new(false) };
}

/// Has the servers of this test speak plain HTTP, whatever the others do: it compares texts that TLS
/// changes, writes octets that are none of a session, or counts what a handshake costs.
pub(crate) fn speak_plainly() {
    IS_PLAIN.set(true);
}

/// Whether sites speak TLS that do not say anything of it.
pub(crate) fn is_tls_wanted() -> bool {
    let is_switched = std::env::var_os("TIDEGATE_TEST_TLS").is_some_and(|value| value == "1");
    is_switched && !IS_PLAIN.get()
}

/// A file of `tests/fixtures/tls`.
pub(crate) fn tls_fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

/// Has clients speak TLS at `address` from now on, or no longer.
pub(crate) fn note_scheme(address: SocketAddr, is_tls: bool) {
    let mut secure = SECURE.lock().unwrap_or_else(PoisonError::into_inner);
    let secure = secure.get_or_insert_default();
    if is_tls {
        secure.insert(address);
    } else {
        secure.remove(&address);
    }
}

/// Whether clients speak TLS at `address`.
pub(super) fn speaks_tls(address: SocketAddr) -> bool {
    let secure = SECURE.lock().unwrap_or_else(PoisonError::into_inner);
    secure.as_ref().is_some_and(|all| all.contains(&address))
}

fn client_config() -> Arc<ClientConfig> {
    static CONFIG: LazyLock<Arc<ClientConfig>> =
        LazyLock::new(|| client_trusting(&tls_fixture("ca.pem"), None));
    Arc::clone(&CONFIG)
}

impl Wire {
    /// The connection that `socket` has made to `address`; the handshake comes with the first octets.
    pub(super) fn over(socket: TcpStream, address: SocketAddr) -> Self {
        if !speaks_tls(address) {
            return Self::Plain(socket);
        }
        Self::by_session(socket, client_config(), "localhost")
    }

    fn by_session(socket: TcpStream, config: Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connection = ClientConnection::new(config, name).expect("a configuration");
        Self::Tls {
            socket,
            session: Arc::new(Mutex::new(Session {
                connection,
                received: VecDeque::new(),
                is_ended: false,
            })),
        }
    }

    /// A session over `socket` with the server that is `name`.
    ///
    /// # Errors
    /// If there is none: the alert of the server is among the reasons.
    pub(super) fn secured(
        socket: TcpStream,
        config: Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let wire = Self::by_session(socket, config, name);
        if let Self::Tls { socket, session } = &wire {
            complete_handshake(socket, session)?;
        }
        Ok(wire)
    }

    /// What the server has shown of itself and agreed to, if this is a session.
    pub(super) fn with_connection<T>(&self, use_it: impl FnOnce(&ClientConnection) -> T) -> T {
        match self {
            Self::Plain(_) => panic!("a plain connection has no session"),
            Self::Tls { session, .. } => use_it(&lock(session).connection),
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) | Self::Tls { socket, .. } => socket,
        }
    }

    /// The same connection once more.
    pub(super) fn another(&self) -> Self {
        let socket = self.socket().try_clone().expect("it is open");
        match self {
            Self::Plain(_) => Self::Plain(socket),
            Self::Tls { session, .. } => Self::Tls {
                socket,
                session: Arc::clone(session),
            },
        }
    }

    /// Ends the sending side.
    pub(super) fn finish_sending(&self) {
        if let Self::Tls { socket, session } = self {
            // Octets that are sent later than the end would be none of the session.
            complete_handshake(socket, session).expect("a handshake");
            lock(session).connection.send_close_notify();
            flush(socket, session).expect("the server reads");
        }
        let ended = self.socket().shutdown(Shutdown::Write);
        // The server may have read the close_notify, and ended the connection behind its answer.
        if let Self::Plain(_) = self {
            ended.expect("the connection is open");
        }
    }
}

fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends the records that wait. The session is not locked meanwhile: another thread may have to read
/// before the server takes them.
fn flush(mut socket: &TcpStream, session: &Mutex<Session>) -> io::Result<()> {
    let mut records = Vec::new();
    let mut session = lock(session);
    while session.connection.wants_write() {
        session.connection.write_tls(&mut records)?;
    }
    drop(session);
    socket.write_all(&records)
}

/// Reads once from the socket into the session. Returns whether the connection has not ended.
fn fill(mut socket: &TcpStream, session: &Mutex<Session>) -> io::Result<bool> {
    let mut block = [0; 16 * 1024];
    let count = socket.read(&mut block)?;
    lock(session).take_in(&block[..count])?;
    Ok(count > 0)
}

fn complete_handshake(socket: &TcpStream, session: &Mutex<Session>) -> io::Result<()> {
    flush(socket, session)?;
    while lock(session).connection.is_handshaking() {
        if !fill(socket, session)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        flush(socket, session)?;
    }
    Ok(())
}

impl Read for Wire {
    /// An end without a close_notify is an error, as a reset is.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (socket, session) = match self {
            Self::Plain(socket) => return socket.read(buffer),
            Self::Tls { socket, session } => (&*socket, &**session),
        };
        complete_handshake(socket, session)?;
        loop {
            let mut known = lock(session);
            if !known.received.is_empty() {
                return known.received.read(buffer);
            }
            if known.is_ended {
                return Ok(0);
            }
            drop(known);
            if !fill(socket, session)? {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }
}

impl Write for Wire {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let (socket, session) = match self {
            Self::Plain(socket) => return socket.write(octets),
            Self::Tls { socket, session } => (&*socket, &**session),
        };
        complete_handshake(socket, session)?;
        let count = lock(session).connection.writer().write(octets)?;
        flush(socket, session)?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
