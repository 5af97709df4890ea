//! Hosts that a server answers for, and networks of clients, as values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

/// A host a server answers for; lower case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// `example.com`
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any name below it, not the name itself.
    Below(String),
}

/// As the operator writes it: `*.example.com`.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// What files about `hosts` are called, without their endings: as the first host, with how many there are
/// besides: `a.example+2`. Two lists may give the same name.
pub(crate) fn file_name_of_hosts(hosts: &[impl fmt::Display]) -> String {
    let first = hosts.first().map(ToString::to_string).unwrap_or_default();
    let first = first.trim_matches(['[', ']']).replace(':', "_");
    let first = first.replace('*', "_wildcard");
    match hosts.len() {
        0 | 1 => first,
        count => format!("{first}+{}", count - 1),
    }
}

/// The longest name of a file without its ending, in octets: Linux allows 255 with an ending such as `.json`.
const LONGEST_NAME: usize = 250;

/// As [`file_name_of_hosts`], but two lists give two names: of several hosts, a digest stands behind. A name that
/// would be longer than the system allows is the digest alone.
pub(crate) fn distinct_file_name_of_hosts(hosts: &[impl fmt::Display]) -> String {
    let listed: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let digest = HEXLOWER.encode(&Sha256::digest(listed.join(",")));
    let name = file_name_of_hosts(&listed);
    let name = match hosts.len() {
        0 | 1 => name,
        _ => format!("{name}-{}", &digest[..8]),
    };
    if name.len() <= LONGEST_NAME {
        name
    } else {
        digest
    }
}

/// A network: an address and how many of its leading bits count. The others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Every address of both families.
    pub(crate) const ALL: [Self; 2] = [
        Self {
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            prefix: 0,
        },
        Self {
            address: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            prefix: 0,
        },
    ];

    /// The network of `prefix` bits that `address` is in; `None` if the address has fewer bits.
    pub(crate) fn around(address: IpAddr, prefix: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                Ipv4Addr::from_bits(v4.to_bits() & mask4(prefix)).into()
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                Ipv6Addr::from_bits(v6.to_bits() & mask6(prefix)).into()
            }
            _ => return None,
        };
        Some(Self { address, prefix })
    }

    /// The first address of the network.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether `ip` is in this network. An IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2) counts
    /// as the IPv4 address it is.
    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                ip.to_bits() & mask4(self.prefix) == network.to_bits()
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                ip.to_bits() & mask6(self.prefix) == network.to_bits()
            }
            _ => false,
        }
    }

    /// Whether every address of `other` is in this network.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }
}

/// The first `prefix` bits, which are at most 32.
fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

/// The first `prefix` bits, which are at most 128.
fn mask6(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// `10.0.0.0/8`; a single address without its length.
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.prefix) {
            (IpAddr::V4(address), 32) => write!(f, "{address}"),
            (IpAddr::V6(address), 128) => write!(f, "{address}"),
            (address, prefix) => write!(f, "{address}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system refused such files, and the certificate was ordered again and again.
    #[test]
    fn the_names_of_files_are_no_longer_than_the_system_allows() {
        let host = |length: usize| "a".repeat(length - 8) + ".example";
        let other = || "b.example".to_owned();
        assert_eq!(distinct_file_name_of_hosts(&[host(250)]), host(250));
        let two = distinct_file_name_of_hosts(&[host(239), other()]);
        assert!(two.starts_with(&(host(239) + "+1-")) && two.len() == 250);
        // The other names count also where there is no room for the first one.
        let three = [host(240), other(), "c.example".to_owned()];
        let names = [vec![host(251)], three[..2].to_vec(), three.to_vec()];
        let names = names.map(|names| distinct_file_name_of_hosts(&names));
        assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
        assert!(names[0] != names[1] && names[1] != names[2]);
    }
}
