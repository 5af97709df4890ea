//! Hosts that a server answers for, and networks of clients, as values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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
