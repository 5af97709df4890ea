//! A server that we ask, as all workers see it.

use std::sync::Arc;
use std::time::Duration;

use crate::address::UpstreamAddress;
use crate::runtime::{Permit, Permits};

/// A server that we ask.
pub(crate) struct Server {
    pub(crate) address: UpstreamAddress,
    /// Shared by all routes that lead to the address.
    pub(crate) queue: Arc<Queue>,
}

/// The requests at one address, of all workers, that have waited for the first octet of a response
/// for longer than [`PATIENCE`](Queue::PATIENCE) on a connection of their own. They are counted, not
/// bounded. While there are any, no idle connection is kept: the process behind it is for them.
pub(crate) struct Queue(Arc<Permits>);

impl Default for Queue {
    fn default() -> Self {
        Self(Arc::new(Permits::unlimited()))
    }
}

impl Queue {
    /// How long a request waits before it joins. Code that takes longer gains nothing from a kept
    /// connection; code that does not would have responded if a process were free.
    pub(crate) const PATIENCE: Duration = Duration::from_millis(10);

    /// Joins the queue, until the permit is dropped.
    pub(crate) fn join(&self) -> Option<Permit> {
        self.0.take()
    }

    /// Whether no request waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.taken() == 0
    }
}
