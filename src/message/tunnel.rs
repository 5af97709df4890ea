//! What follows a response of 101 (RFC 9110 §15.2.2): octets of another protocol, both ways.

use std::fmt;
use std::time::Duration;

use crate::transport::Transport;

/// A connection to an upstream that has changed to another protocol, together with the client's.
pub(crate) struct Tunnel {
    pub(crate) upstream: Transport,
    /// Octets of the new protocol that the upstream has sent behind its head.
    pub(crate) first: Vec<u8>,
    /// How long no octet may move on either way.
    pub(crate) idle_timeout: Duration,
    /// How long the tunnel goes on once it is to end.
    pub(crate) grace: Duration,
    /// Whether the route and the server that it leads to are still there.
    pub(crate) is_wanted: Box<dyn Fn() -> bool>,
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}
