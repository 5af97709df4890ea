//! One connection to an upstream.

use std::io;
use std::time::{Duration, Instant};

use crate::address::ListenAddress;
use crate::runtime::{self, Stream, Tick};

/// A connection to an upstream.
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    opened: Instant,
    is_reused: bool,
}

impl Connection {
    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says; `TimedOut` at `deadline`.
    pub(crate) async fn open(address: &ListenAddress, deadline: Tick) -> io::Result<Self> {
        let stream = match address {
            ListenAddress::Ip(address) => Stream::connect(*address, deadline).await?,
            ListenAddress::Unix(path) => Stream::connect_unix(path, deadline).await?,
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
