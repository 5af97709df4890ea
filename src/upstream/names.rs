//! What the names among an upstream's servers lead to.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};

use super::srv::{self, Record};
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
    /// An address among several that are asked alike.
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
        UpstreamAddress::Name { .. } | UpstreamAddress::Srv { .. } => true,
        UpstreamAddress::Ip(_) | UpstreamAddress::Localhost { .. } | UpstreamAddress::Unix(_) => {
            false
        }
    }
}

/// What was found for a name when the configuration was read.
pub(super) fn found_before(address: &UpstreamAddress) -> Vec<Target> {
    match address {
        UpstreamAddress::Name { found, .. } => found.iter().copied().map(Target::at).collect(),
        UpstreamAddress::Ip(_)
        | UpstreamAddress::Localhost { .. }
        | UpstreamAddress::Unix(_)
        | UpstreamAddress::Srv { .. } => Vec::new(),
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
        UpstreamAddress::Srv { name } => targets_of_service(&srv::look_up(name)?)?,
        UpstreamAddress::Ip(address) => vec![Target::at(*address)],
        // Neither is a name that is looked up.
        UpstreamAddress::Localhost { .. } | UpstreamAddress::Unix(_) => Vec::new(),
    };
    if targets.is_empty() {
        let sentence = "it has no address";
        return Err(io::Error::new(io::ErrorKind::NotFound, sentence));
    }
    Ok(targets)
}

/// The addresses of the hosts that give a service: a tier for each priority, and weights that are at
/// least 1, as a server's are. A host that is not found is left out.
///
/// # Errors
/// If none is found, why the last was not.
fn targets_of_service(records: &[Record]) -> io::Result<Vec<Target>> {
    let mut priorities: Vec<u16> = records.iter().map(|record| record.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let (mut targets, mut failure) = (Vec::new(), None);
    for record in records {
        let tier = priorities
            .iter()
            .take_while(|priority| **priority < record.priority);
        let tier = u32::try_from(tier.count()).unwrap_or(u32::MAX);
        let target = |address| Target {
            address,
            tier,
            weight: u32::from(record.weight).max(1),
        };
        match (record.host.as_str(), record.port).to_socket_addrs() {
            Ok(found) => targets.extend(found.map(target)),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if targets.is_empty() => Err(error),
        _ => Ok(targets),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_tiers_and_weights_are_at_least_one() {
        let record = |priority, weight, host: &str| Record {
            priority,
            weight,
            port: 80,
            host: host.to_owned(),
        };
        let records = [
            record(20, 0, "127.0.0.3"),
            record(10, 5, "127.0.0.1"),
            record(10, 0, "127.0.0.2"),
            record(0, 1, "no.such.host.invalid"),
        ];
        let target = |last, tier, weight| Target {
            address: ([127, 0, 0, last], 80).into(),
            tier,
            weight,
        };
        let found = targets_of_service(&records).expect("some are found");
        assert_eq!(found, [target(3, 2, 1), target(1, 1, 5), target(2, 1, 1)]);
        assert!(targets_of_service(&records[3..]).is_err());
    }
}
