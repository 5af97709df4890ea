//! A connection that changes to another protocol, before the tunnel begins.

use crate::message::tunnel::Tunnel;
use crate::server::exchange::outcome::Underway;

/// A tunnel that begins, and the exchange that led to it.
pub(super) struct Switched {
    pub(super) tunnel: Tunnel,
    /// Octets that the client has sent behind its request.
    pub(super) to_upstream: Vec<u8>,
    pub(super) exchange: Underway<'static>,
}
