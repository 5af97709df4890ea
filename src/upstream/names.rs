//! What the names among an upstream's servers lead to.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};

use crate::address::UpstreamAddress;

/// A server that a name leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// Servers of a higher tier are asked only while none of a lower one can be.
    pub(super) tier: u32,
    pub(super) weight: u32,
}

impl Target {
    /// One of several addresses that are alike.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            address,
            tier: 0,
            weight: 1,
        }
    }
}

/// Whether `address` is a name, which has to be looked up.
pub(super) fn is_name(address: &UpstreamAddress) -> bool {
    match address {
        UpstreamAddress::Name { .. } => true,
        UpstreamAddress::Ip(_) | UpstreamAddress::Unix(_) => false,
    }
}

/// What was found for a name when the configuration was read.
pub(super) fn found_before(address: &UpstreamAddress) -> Vec<Target> {
    match address {
        UpstreamAddress::Name { found, .. } => found.iter().copied().map(Target::at).collect(),
        UpstreamAddress::Ip(_) | UpstreamAddress::Unix(_) => Vec::new(),
    }
}

/// Looks a name up, as every program of the system does. This may wait for a long time.
///
/// # Errors
/// What the system says; [`io::ErrorKind::NotFound`] if the name has no address.
pub(super) fn look_up(address: &UpstreamAddress) -> io::Result<Vec<Target>> {
    let targets: Vec<Target> = match address {
        UpstreamAddress::Name { name, port, .. } => {
            let found = (name.as_str(), *port).to_socket_addrs()?;
            found.map(Target::at).collect()
        }
        UpstreamAddress::Ip(address) => vec![Target::at(*address)],
        UpstreamAddress::Unix(_) => Vec::new(),
    };
    if targets.is_empty() {
        let sentence = "it has no address";
        return Err(io::Error::new(io::ErrorKind::NotFound, sentence));
    }
    Ok(targets)
}

/// The last good answers of the names of an upstream, by how the operator writes them.
#[derive(Debug, Default)]
pub(super) struct LastAnswers(Mutex<HashMap<String, Vec<Target>>>);

impl LastAnswers {
    pub(super) fn get(&self, name: &UpstreamAddress) -> Vec<Target> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&name.to_string()).cloned().unwrap_or_default()
    }

    pub(super) fn put(&self, name: &UpstreamAddress, targets: &[Target]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.to_string(), targets.to_vec());
    }
}
