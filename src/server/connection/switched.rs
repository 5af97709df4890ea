//! A connection that changes to another protocol, before the tunnel begins.

use std::num::NonZeroU64;

use crate::message::tunnel::Tunnel;
use crate::server::exchange::outcome::Underway;

/// A tunnel that begins, and the exchange that led to it.
pub(super) struct Switched {
    pub(super) tunnel: Tunnel,
    /// Octets that the client has sent behind its request.
    pub(super) to_upstream: Vec<u8>,
    /// Octets that the client is sent in a second; `None`: as many as it takes.
    pub(super) max_rate_out: Option<NonZeroU64>,
    pub(super) exchange: Underway<'static>,
}
