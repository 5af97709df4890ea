//! One connection to an upstream.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::address::UpstreamAddress;
use crate::runtime::{self, Stream};

/// A connection to an upstream.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    opened: Instant,
    is_reused: bool,
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
                Stream::connect(*address, runtime::deadline_after(timeout)).await?
            }
            UpstreamAddress::Unix(path) => {
                Stream::connect_unix(path, runtime::deadline_after(timeout)).await?
            }
            UpstreamAddress::Name { found, .. } => connect_to_any(found, timeout).await?,
        };
        Ok(Self {
            stream,
            opened: runtime::now(),
            is_reused: false,
        })
    }

    /// Whether it has carried a request before: the upstream may have closed it unnoticed.
    pub(crate) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// The connection, for another request.
    pub(super) fn reused(self) -> Self {
        Self {
            is_reused: true,
            ..self
        }
    }

    /// How long it has been open.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.opened)
    }

    /// Whether nothing has come, not even the end: what comes before a request is no response to it.
    pub(super) fn is_quiet(&self) -> bool {
        let received = self.stream.try_receive(&mut [0]);
        matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
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
