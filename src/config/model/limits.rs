//! Every wait and every size of a server or a route.

use std::num::NonZeroU64;
use std::time::Duration;

/// Every wait and every size, and what happens when it is reached. A level inherits the limits that
/// it does not set.
///
/// The server of a request is known only when its head is read. Until then the limits of the top of
/// the file hold. Then the head is compared with `max_head` and `max_fields` of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// From a connection to the end of the handshake of TLS: close.
    pub(crate) handshake_timeout: Duration,
    /// From the first byte of a request to the end of its head: 408.
    pub(crate) head_timeout: Duration,
    /// Between requests: close.
    pub(crate) idle_timeout: Duration,
    /// Between two reads of content: 408.
    pub(crate) body_timeout: Duration,
    /// How long a client may take nothing of a response: close.
    pub(crate) send_timeout: Duration,
    /// Bytes of a request's head: 431, or 414 when the request line alone is longer.
    pub(crate) max_head: usize,
    /// Field lines of a request: 431.
    pub(crate) max_fields: usize,
    /// Bytes of a request's content: 413.
    pub(crate) max_content: u64,
    /// Open connections of all workers together: 503 with `Retry-After`, then close.
    pub(crate) max_connections: usize,
    /// Open connections of one client, of all workers together: 429, then close. `None`: any number.
    pub(crate) connections_per_client: Option<u32>,
    /// Octets a second that a connection is sent. `None`: as many as it takes.
    pub(crate) max_rate_out: Option<NonZeroU64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(30),
            max_head: 16 * 1024,
            max_fields: 100,
            max_content: 16 * 1024 * 1024,
            max_connections: 10_000,
            connections_per_client: None,
            max_rate_out: None,
        }
    }
}
