//! A `[[stream]]`, prepared.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::config::model::{self, Access};
use crate::proxy_protocol::Version;
use crate::runtime::{Permit, Permits};
use crate::tls::Terminator;
use crate::upstream::Group;

/// What a worker needs to pass on a connection.
pub(crate) struct Stream {
    pub(crate) upstream: Arc<Group>,
    /// `None`: its clients come over plain connections.
    pub(crate) terminator: Option<Arc<Terminator>>,
    /// What the upstream is told of the client before the client's first octet.
    pub(crate) proxy_protocol: Option<Version>,
    /// How long no octet may move, either way.
    pub(crate) idle_timeout: Duration,
    /// Octets that each client is sent in a second; `None`: as many as it takes.
    pub(crate) max_rate_out: Option<NonZeroU64>,
    pub(crate) access: Access,
    /// The connections that are open, also those that came in before a reload.
    open: Arc<Permits>,
    max_connections: usize,
}

impl Stream {
    pub(super) fn new(
        options: &model::Stream,
        upstream: Arc<Group>,
        open: Arc<Permits>,
        terminator: Option<Arc<Terminator>>,
    ) -> Self {
        Self {
            upstream,
            terminator,
            proxy_protocol: options.proxy_protocol,
            idle_timeout: options.idle_timeout,
            max_rate_out: options.max_rate_out,
            access: options.access.clone(),
            open,
            max_connections: options.max_connections.unwrap_or(usize::MAX),
        }
    }

    /// A place for one more connection; `None` if as many are open as may be.
    pub(crate) fn take_place(&self) -> Option<Permit> {
        let place = self.open.take()?;
        (self.open.taken() <= self.max_connections).then_some(place)
    }
}
