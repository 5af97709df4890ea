//! One connection to an upstream.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::address::UpstreamAddress;
use crate::runtime::descriptors::note_shortage;
use crate::runtime::{self, Stream};

/// Octets read at once.
const READ_SIZE: usize = 64 * 1024;

/// A connection to an upstream, for one request. Dropping it closes it.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
}

/// A worker's buffer for what any upstream sends: a connection that waits holds none.
pub(crate) struct Input(RefCell<Box<[u8]>>);

impl Default for Input {
    fn default() -> Self {
        Self(RefCell::new(vec![0; READ_SIZE].into_boxed_slice()))
    }
}

impl Connection {
    /// Connects to `address`. Where a name leads to several addresses, they are tried in their order,
    /// and each has an equal part of `timeout`.
    ///
    /// # Errors
    /// What the system says, of a name's last address; `TimedOut` after `timeout`.
    pub(crate) async fn open(address: &UpstreamAddress, timeout: Duration) -> io::Result<Self> {
        let stream = match address {
            UpstreamAddress::Ip(address) => {
                Stream::connect(*address, runtime::deadline_after(timeout)).await
            }
            UpstreamAddress::Unix(path) => {
                Stream::connect_unix(path, runtime::deadline_after(timeout)).await
            }
            UpstreamAddress::Name { found, .. } => connect_to_any(found, timeout).await,
        };
        let stream = stream.inspect_err(|error| {
            note_shortage(error);
        })?;
        Ok(Self { stream })
    }

    /// Reads once into `input`, and calls `use_it` with the octets. No octets are the end of the
    /// upstream's side.
    ///
    /// # Errors
    /// As [`Stream::try_receive`].
    pub(crate) fn receive<T>(
        &self,
        input: &Input,
        use_it: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        let mut input = input.0.borrow_mut();
        let count = self.stream.try_receive(&mut input)?;
        Ok(use_it(&input[..count]))
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
    use super::*;
    use std::net::TcpListener;

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
}
