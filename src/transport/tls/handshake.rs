//! From the first octet of a connection to a session.
//!
//! ```text
//! client's side   ClientHello ──→ ┐                    Finished ──→
//! hello.rs                        ├ which server? ─┐
//! rustls                          │                └→ ServerHello … Finished ──→
//! gate.rs                         └ its turn: a handshake is work of hundreds of microseconds
//! ```

use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, InvalidMessage, ProtocolVersion, ServerConfig};

use super::about::About;
use super::gate;
use super::half::Half;
use super::hello::{Hello, HelloReader};
use super::session::Session;
use super::state::State;
use crate::runtime::{Direction, Elapsed, Stream, Tick};

/// Octets read at once: more than nearly every message of a handshake has.
const READ_SIZE: usize = 16 * 1024;

/// The most octets of messages that are not whole: of what a client may send, a chain of certificates is the
/// longest message, and rustls takes 64 KiB of one.
const MAX_INCOMING: usize = 128 * 1024;

/// The type of a record that belongs to a handshake (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// The type of a record that tells of a failure.
const ALERT: u8 = 21;

/// The configuration for a client's handshake.
pub(crate) struct Chosen {
    pub(crate) config: Arc<ServerConfig>,
    /// Stands for what is asked of the client's certificate: equal for servers that ask the same.
    pub(crate) client_rule: u64,
}

/// The client asked for a server that is not there.
pub(crate) struct UnknownName;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the handshake took longer than `handshake_timeout`")]
    TimedOut,
    /// It has left, or the network has lost it.
    #[error("the connection ended before the handshake did")]
    Gone,
    #[error("it sent nothing within `handshake_timeout`")]
    Silent,
    /// Such as a balancer's check.
    #[error("it left without having sent anything")]
    LeftSilent,
    /// What has come of it is still to be read, so that it can be answered in plain text.
    #[error("it speaks plain HTTP, and not TLS")]
    PlainHttp(Vec<u8>),
    #[error("it does not speak TLS")]
    NotTls,
    #[error("no server here answers for the name {0:?}")]
    UnknownName(String),
    #[error("it named no server, and there is none here for such clients")]
    NoName,
    #[error(transparent)]
    Failed(#[from] rustls::Error),
}

impl HandshakeError {
    /// Whether the client had begun a handshake: at least the first octet of its record has come.
    pub(crate) fn has_begun(&self) -> bool {
        match self {
            Self::Silent | Self::LeftSilent | Self::PlainHttp(_) | Self::NotTls => false,
            Self::TimedOut | Self::Gone | Self::UnknownName(_) | Self::NoName | Self::Failed(_) => {
                true
            }
        }
    }

    /// The same, of a client that has sent nothing.
    fn of_silent(self) -> Self {
        match self {
            Self::TimedOut => Self::Silent,
            Self::Gone => Self::LeftSilent,
            other => other,
        }
    }
}

/// Takes the handshake of the client of `session`, of which `received` has come already, until
/// `deadline`. `choose` chooses what it goes on with.
///
/// # Errors
/// Why there is no session. The client has been told, where TLS has words for it.
pub(crate) async fn accept(
    session: &Session,
    received: Vec<u8>,
    deadline: Tick,
    choose: impl Fn(&Hello) -> Result<Chosen, UnknownName>,
) -> Result<(), HandshakeError> {
    let stream = session.stream();
    let mut incoming = received;
    let hello = read_hello(stream, &mut incoming, deadline).await?;
    let Ok(chosen) = choose(&hello) else {
        // The alert unrecognized_name (RFC 6066 §3), as a fatal one.
        let _ = stream.try_send(&[21, 3, 3, 0, 2, 2, 112], false);
        return Err(match hello.server_name {
            Some(name) => HandshakeError::UnknownName(name),
            None => HandshakeError::NoName,
        });
    };
    let has_waited = gate::take_turn().await;
    if has_waited && matches!(receive(stream, &mut incoming), Ok(0)) {
        // It has left meanwhile: no handshake is complete without a further message of the client.
        return Err(HandshakeError::Gone);
    }
    let half = Half::Server(UnbufferedServerConnection::new(chosen.config)?);
    let mut state = State::new(half, incoming);
    drive(stream, &mut state, deadline).await?;
    let about = about(&state, hello.server_name, chosen.client_rule);
    session.begin(state, about);
    Ok(())
}

/// Takes the handshake with the server of `session`, which is `name`, until `deadline`. The octets of
/// `preface` are sent before it, as they are.
///
/// # Errors
/// Why there is no session. The server has been told, where TLS has words for it.
pub(crate) async fn connect(
    session: &Session,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    preface: Vec<u8>,
    deadline: Tick,
) -> Result<(), HandshakeError> {
    gate::take_turn().await;
    let server_name = name.to_str().into_owned();
    let half = Half::Client(UnbufferedClientConnection::new(config, name)?);
    let mut state = State::new(half, Vec::new());
    state.outgoing = preface;
    drive(session.stream(), &mut state, deadline).await?;
    let about = about(&state, Some(server_name), 0);
    session.begin(state, about);
    Ok(())
}

/// Reads into `incoming` until it holds a ClientHello.
async fn read_hello(
    stream: &Stream,
    incoming: &mut Vec<u8>,
    deadline: Tick,
) -> Result<Hello, HandshakeError> {
    let mut reader = HelloReader::default();
    let mut seen = 0;
    loop {
        match incoming.first() {
            Some(&HANDSHAKE) => match reader.read(&incoming[seen..]) {
                Ok(Some(hello)) => return Ok(hello),
                Ok(None) => seen = incoming.len(),
                Err((error, alert)) => {
                    let _ = stream.try_send(&alert, false);
                    return Err(error.into());
                }
            },
            // The first letter of a method.
            Some(b'A'..=b'Z') => {
                let received = std::mem::take(incoming);
                return Err(HandshakeError::PlainHttp(received));
            }
            Some(_) => return Err(HandshakeError::NotTls),
            None => {}
        }
        let more = read_more(stream, incoming, deadline).await;
        if incoming.is_empty() {
            more.map_err(HandshakeError::of_silent)?;
        } else {
            more?;
        }
    }
}

/// Receives and sends until the handshake is complete.
async fn drive(stream: &Stream, state: &mut State, deadline: Tick) -> Result<(), HandshakeError> {
    // What a client sends first has been looked at.
    let mut is_known_as_tls = matches!(state.half, Half::Server(_));
    loop {
        let processed = state.process_records();
        if processed.is_err() || !is_left_with_tickets(&state.half) {
            while !flush(stream, state)? {
                let ready = stream.ready(Direction::Write, deadline).await;
                ready.map_err(|Elapsed| HandshakeError::TimedOut)?;
            }
        }
        processed.map_err(failure)?;
        if !state.half.common().is_handshaking() {
            return Ok(());
        }
        let mut incoming = std::mem::take(&mut state.incoming);
        if incoming.len() > MAX_INCOMING {
            return Err(HandshakeError::Failed(
                InvalidMessage::HandshakePayloadTooLarge.into(),
            ));
        }
        read_more(stream, &mut incoming, deadline).await?;
        if !std::mem::replace(&mut is_known_as_tls, true) {
            look_at_answer(&incoming)?;
        }
        state.incoming = incoming;
    }
}

/// Looks whether `incoming`, the first octets of a server, are of TLS.
fn look_at_answer(incoming: &[u8]) -> Result<(), HandshakeError> {
    match incoming {
        [HANDSHAKE | ALERT, ..] => Ok(()),
        [b'H', ..] => Err(HandshakeError::PlainHttp(incoming.to_vec())),
        _ => Err(HandshakeError::NotTls),
    }
}

/// Whether what is left to send are session tickets, which go with the first content: the handshake is
/// complete, and it was the client that had the last word, as in TLS 1.3.
fn is_left_with_tickets(half: &Half) -> bool {
    let common = half.common();
    matches!(half, Half::Server(_))
        && !common.is_handshaking()
        && common.protocol_version() == Some(ProtocolVersion::TLSv1_3)
}

fn flush(stream: &Stream, state: &mut State) -> Result<bool, HandshakeError> {
    state.flush(stream).map_err(|_| HandshakeError::Gone)
}

/// The failure of a session during its handshake.
fn failure(error: io::Error) -> HandshakeError {
    match error.into_inner().map(|inner| inner.downcast()) {
        Some(Ok(error)) => HandshakeError::Failed(*error),
        _ => HandshakeError::Gone,
    }
}

/// Reads once to the end of `incoming`, waiting if nothing is there.
async fn read_more(
    stream: &Stream,
    incoming: &mut Vec<u8>,
    deadline: Tick,
) -> Result<(), HandshakeError> {
    loop {
        match receive(stream, incoming) {
            Ok(0) => return Err(HandshakeError::Gone),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // A connection that waits holds no more than it has to.
                incoming.shrink_to_fit();
                let ready = stream.ready(Direction::Read, deadline).await;
                ready.map_err(|Elapsed| HandshakeError::TimedOut)?;
            }
            Err(_) => return Err(HandshakeError::Gone),
        }
    }
}

/// Reads once to the end of `incoming`. Returns how many octets that were; 0 is the end of the connection.
fn receive(stream: &Stream, incoming: &mut Vec<u8>) -> io::Result<usize> {
    let start = incoming.len();
    incoming.resize(start + READ_SIZE, 0);
    let received = stream.try_receive(&mut incoming[start..]);
    incoming.truncate(start + received.as_ref().map_or(0, |count| *count));
    received
}

fn about(state: &State, server_name: Option<String>, client_rule: u64) -> About {
    let common = state.half.common();
    let settled = "a handshake that is complete has settled it";
    About {
        version: common.protocol_version().expect(settled),
        cipher: common.negotiated_cipher_suite().expect(settled).suite(),
        server_name: server_name.map(String::into_boxed_str),
        client_certificates: common.peer_certificates().map(Into::into),
        client_rule,
    }
}
