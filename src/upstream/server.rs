//! One server of an upstream, as all workers see it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::address::UpstreamAddress;

/// A server at one address, and what is known of it. It stays the same through reloads that leave its
/// upstream's name and its address as they are.
#[derive(Debug)]
pub(crate) struct Server {
    id: u64,
    /// An IP address and port, or a Unix socket.
    address: UpstreamAddress,
    /// Requests that it has at present, of all workers together.
    in_flight: AtomicUsize,
}

impl Server {
    /// A server of which nothing is known yet.
    pub(crate) fn new(address: UpstreamAddress) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            address,
            in_flight: AtomicUsize::new(0),
        }
    }

    /// What tells it from every other server of the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &UpstreamAddress {
        &self.address
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
