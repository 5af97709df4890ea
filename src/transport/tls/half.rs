//! One end of a session: the state machine of rustls, which has no buffers of its own, and what it has
//! us do.
//!
//! rustls is given the records that have come, and says one thing to do at a time. [`Half::advance`] does
//! it and says what it was.

use std::io;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, Error};

/// One end of a session.
pub(super) enum Half {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What [`Half::advance`] has done.
pub(super) enum Advance {
    /// It took content, or put records of its own into `outgoing`: there may be more to do.
    More,
    /// It needs further records, or has nothing to do.
    Waiting,
    /// The peer has ended its side in order (`close_notify`).
    PeerClosed,
}

impl Half {
    /// What both ends know of the session.
    pub(super) fn common(&self) -> &CommonState {
        match self {
            Self::Server(connection) => connection,
            Self::Client(connection) => connection,
        }
    }

    /// Does the next thing with the records in `input`. Content goes to `take`, records of our own to
    /// the end of `outgoing`. Returns how many octets of `input` are used, and what was done.
    ///
    /// `input` must be what was left of it by the last call, with what has come since behind it:
    /// records are decrypted in place.
    pub(super) fn advance(
        &mut self,
        input: &mut [u8],
        take: &mut dyn FnMut(&[u8]),
        outgoing: &mut Vec<u8>,
    ) -> (usize, Result<Advance, Error>) {
        match self {
            Self::Server(connection) => {
                take_step(connection.process_tls_records(input), take, outgoing)
            }
            Self::Client(connection) => {
                take_step(connection.process_tls_records(input), take, outgoing)
            }
        }
    }

    /// Encrypts `plain` to the start of `out`, which has room for it. Returns how many octets that gave.
    /// `input` is as for [`advance`](Self::advance), and that has nothing to do.
    ///
    /// # Errors
    /// If the keys have encrypted as much as they may, or the session has failed.
    pub(super) fn encrypt(
        &mut self,
        input: &mut [u8],
        plain: &[u8],
        out: &mut [u8],
    ) -> io::Result<usize> {
        match self {
            Self::Server(connection) => {
                write_traffic(connection.process_tls_records(input), plain, out)
            }
            Self::Client(connection) => {
                write_traffic(connection.process_tls_records(input), plain, out)
            }
        }
    }

    /// Puts the alert `close_notify` at the end of `outgoing` (RFC 8446 §6.1).
    pub(super) fn close(&mut self, input: &mut [u8], outgoing: &mut Vec<u8>) {
        match self {
            Self::Server(connection) => {
                push_close(connection.process_tls_records(input), outgoing);
            }
            Self::Client(connection) => {
                push_close(connection.process_tls_records(input), outgoing);
            }
        }
    }
}

/// Does what `status` says is next; see [`Half::advance`].
fn take_step<D>(
    status: UnbufferedStatus<'_, '_, D>,
    take: &mut dyn FnMut(&[u8]),
    outgoing: &mut Vec<u8>,
) -> (usize, Result<Advance, Error>) {
    let mut used = status.discard;
    let advance = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    used += record.discard;
                    take(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Advance::More),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            append(outgoing, |room| match data.encode(room) {
                Ok(count) => Ok(count),
                Err(EncodeError::InsufficientSize(needed)) => Err(Some(needed)),
                Err(EncodeError::AlreadyEncoded) => Err(None),
            });
            Ok(Advance::More)
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // `outgoing` is sent before anything else is.
            data.done();
            Ok(Advance::More)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Advance::PeerClosed),
        // Early data (0-RTT), which no configuration of ours takes, is among the others.
        Ok(_) => Ok(Advance::Waiting),
        Err(error) => Err(error),
    };
    (used, advance)
}

fn write_traffic<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &[u8],
    out: &mut [u8],
) -> io::Result<usize> {
    match status.state.map_err(broken)? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.encrypt(plain, out).map_err(io::Error::other)
        }
        state => Err(io::Error::other(format!(
            "nothing can be sent in the state {state:?}"
        ))),
    }
}

fn push_close<D>(status: UnbufferedStatus<'_, '_, D>, outgoing: &mut Vec<u8>) {
    if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
        append(outgoing, |room| match traffic.queue_close_notify(room) {
            Ok(count) => Ok(count),
            Err(EncryptError::InsufficientSize(needed)) => Err(Some(needed)),
            Err(EncryptError::EncryptExhausted) => Err(None),
        });
    }
}

/// Has `write` write to the end of `outgoing`, with as much room as it says that it needs. Nothing is
/// written if it fails for another reason.
fn append(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<InsufficientSizeError>>,
) {
    let start = outgoing.len();
    let mut written = write(&mut []);
    if let Err(Some(InsufficientSizeError { required_size })) = written {
        outgoing.resize(start + required_size, 0);
        written = write(&mut outgoing[start..]);
    }
    outgoing.truncate(start + written.unwrap_or(0));
}

/// The failure of a session as an error of its connection.
pub(super) fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
