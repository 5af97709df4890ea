//! The first message of a client, read before it is known which server it is for.

use rustls::Error;
use rustls::server::{Accepted, Acceptor};

/// The alert `decode_error` (RFC 8446 §6.2), for what rustls refuses without one: a message too long.
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// What a ClientHello says that a choice depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Hello {
    /// The name of the server (RFC 6066 §3), in lower case.
    pub(crate) server_name: Option<String>,
    /// The protocols that the client offers by ALPN (RFC 7301).
    pub(crate) protocols: Vec<Vec<u8>>,
}

/// Reads a ClientHello that comes in pieces.
#[derive(Default)]
pub(super) struct HelloReader(Acceptor);

impl HelloReader {
    /// Reads `octets`, which follow those of the last call. `None`: there is more to come.
    ///
    /// # Errors
    /// Why it cannot be read, and the record that tells the client.
    pub(super) fn read(&mut self, mut octets: &[u8]) -> Result<Option<Hello>, (Error, Vec<u8>)> {
        while !octets.is_empty() {
            // It takes a part of them at a time, and fails only where it has taken too much.
            let failed = |_| {
                (
                    Error::General("the ClientHello is too long".into()),
                    DECODE_ERROR.to_vec(),
                )
            };
            self.0.read_tls(&mut octets).map_err(failed)?;
            match self.0.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Ok(Some(hello(&accepted))),
                Err((error, mut alert)) => {
                    let mut record = Vec::new();
                    let written = alert.write_all(&mut record);
                    written.expect("a Vec takes everything");
                    if record.is_empty() {
                        record.extend(DECODE_ERROR);
                    }
                    return Err((error, record));
                }
            }
        }
        Ok(None)
    }
}

fn hello(accepted: &Accepted) -> Hello {
    let hello = accepted.client_hello();
    let protocols = hello.alpn().into_iter().flatten();
    Hello {
        server_name: hello.server_name().map(str::to_ascii_lowercase),
        protocols: protocols.map(<[u8]>::to_vec).collect(),
    }
}
