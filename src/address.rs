//! Where something listens, as a value: an IP address and port, a Unix socket, or, for upstreams, a name
//! and port. And where a request comes from.
//!
//! They have a file of their own because rooms that must not know the configuration name them. The
//! parser is in `config`, which knows the place in the file that a complaint is about.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Bytes in the longest path that the system lets a Unix socket have, without the NUL behind it (`unix(7)`).
pub(crate) const LONGEST_SOCKET_PATH: usize = 107;

/// Where this server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ListenAddress {
    Ip(SocketAddr),
    /// A Unix socket.
    Unix(SocketPath),
}

/// The path of a Unix socket of ours, short enough for the system.
///
/// Two spellings of one path are equal (`run/s`, `run/../run/s`, a path through a linked directory): they are one
/// socket. What is shown and given to the system is the path as the operator writes it.
#[derive(Clone, Debug)]
pub(crate) struct SocketPath {
    written: PathBuf,
    /// The directory without links and dots, and the name of the socket in it.
    place: PathBuf,
}

impl SocketPath {
    /// The socket at the path `written`, which need not be there. Its directory is looked at now.
    pub(crate) fn new(written: PathBuf) -> Self {
        let directory = match written.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => Path::new("/"),
        };
        let place = match (directory.canonicalize(), written.file_name()) {
            (Ok(directory), Some(name)) => directory.join(name),
            _ => std::path::absolute(&written).unwrap_or_else(|_| written.clone()),
        };
        Self { written, place }
    }

    /// The path as the operator writes it.
    pub(crate) fn path(&self) -> &Path {
        &self.written
    }
}

impl PartialEq for SocketPath {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for SocketPath {}

impl Hash for SocketPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.place.hash(state);
    }
}

impl PartialOrd for SocketPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SocketPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl From<PathBuf> for SocketPath {
    fn from(written: PathBuf) -> Self {
        Self::new(written)
    }
}

impl From<&str> for SocketPath {
    fn from(written: &str) -> Self {
        Self::new(written.into())
    }
}

impl ListenAddress {
    /// The IP address and port, unless it is a Unix socket.
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The path, if it is a Unix socket.
    pub(crate) fn unix(&self) -> Option<&Path> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(socket) => Some(socket.path()),
        }
    }

    /// Whether the system chooses the port, so that every server gets one of its own.
    pub(crate) fn has_any_port(&self) -> bool {
        self.ip().is_some_and(|address| address.port() == 0)
    }
}

/// As the operator writes it: `127.0.0.1:8080`, `unix:/run/tidegate.sock`.
impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(socket) => write!(f, "{UNIX}{}", socket.path().display()),
        }
    }
}

/// Where a server of an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum UpstreamAddress {
    Ip(SocketAddr),
    /// The path of a Unix socket, short enough for the system.
    Unix(PathBuf),
    /// A server of this machine. It listens at a loopback address of either family, or of both, and is one
    /// server all the same: see [`at_localhost`].
    Localhost {
        port: u16,
    },
    /// A name, as the operator writes it, and a port.
    Name {
        name: String,
        port: u16,
        /// The addresses that the name led to when the configuration was read. None if it was not
        /// found.
        found: Vec<SocketAddr>,
    },
    /// The name of a service, `_http._tcp.shop.internal`, whose SRV records say where it is given.
    Srv {
        name: String,
    },
}

impl UpstreamAddress {
    /// What the field `Host` of a request says of it (RFC 9110 §7.2): its name as the operator writes it,
    /// without the port that `scheme` has anyway; a socket has none.
    pub(crate) fn host_field(&self, scheme: Scheme) -> String {
        if matches!(self, Self::Unix(_) | Self::Srv { .. }) {
            return self.host();
        }
        let usual = if scheme == Scheme::Https {
            ":443"
        } else {
            ":80"
        };
        let host = self.to_string();
        host.strip_suffix(usual).map(str::to_owned).unwrap_or(host)
    }

    /// Its name as the operator writes it, or its IP address; `localhost` for a socket.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Unix(_) | Self::Localhost { .. } => LOCALHOST.to_owned(),
            // What stands behind the service and its protocol.
            Self::Srv { name } => {
                let is_of_service = |label: &&str| label.starts_with('_');
                let labels: Vec<&str> = name.split('.').skip_while(is_of_service).collect();
                labels.join(".")
            }
            Self::Ip(address) => address.ip().to_string(),
            Self::Name { name, .. } => name.clone(),
        }
    }
}

/// What is spoken to a server of an upstream, besides the protocol of the route or the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scheme {
    /// Nothing.
    #[default]
    Plain,
    /// TLS, in which HTTP is agreed upon.
    Https,
    /// TLS, in which anything follows.
    Tls,
}

impl Scheme {
    pub(crate) fn is_tls(self) -> bool {
        self != Self::Plain
    }

    /// What stands before an address; nothing for plain connections.
    fn prefix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Https => "https://",
            Self::Tls => "tls://",
        }
    }
}

/// Where a server of an upstream listens, and what is spoken to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamUrl {
    pub(crate) scheme: Scheme,
    pub(crate) address: UpstreamAddress,
}

impl From<UpstreamAddress> for UpstreamUrl {
    fn from(address: UpstreamAddress) -> Self {
        Self {
            scheme: Scheme::Plain,
            address,
        }
    }
}

/// As the operator writes it: `127.0.0.1:8000`, `https://pay.internal:8443`. The address of a service
/// (`srv:_https._tcp.shop.internal`) has no scheme: its name says whether TLS is spoken.
impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match self.address {
            UpstreamAddress::Srv { .. } => "",
            _ => self.scheme.prefix(),
        };
        write!(f, "{prefix}{}", self.address)
    }
}

/// As the operator writes it: `127.0.0.1:9000`, `php:9000`, `unix:/run/php-fpm.sock`, `srv:_http._tcp.shop`.
impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Localhost { port } => write!(f, "{LOCALHOST}:{port}"),
            Self::Name { name, port, .. } => write!(f, "{name}:{port}"),
            Self::Srv { name } => write!(f, "{SRV}{name}"),
        }
    }
}

/// The name of this machine itself. It is never looked up (RFC 6761 §6.3).
pub(crate) const LOCALHOST: &str = "localhost";

/// The addresses of [`UpstreamAddress::Localhost`], in the order in which they are tried.
pub(crate) fn at_localhost(port: u16) -> [SocketAddr; 2] {
    [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ]
}

/// The prefix before the name of a service.
pub(crate) const SRV: &str = "srv:";

/// The prefix before the path of a Unix socket.
pub(crate) const UNIX: &str = "unix:";

/// The address of a client: the peer at the socket, or who a trusted proxy says the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAddress {
    /// Never a mapped address (RFC 4291 §2.5.5.2): that is written as the IPv4 address it is.
    Ip(IpAddr),
    /// A peer at a Unix socket. It has no address.
    Unix,
    /// A trusted proxy names the client in a way that is no address. No rule by address may let this
    /// client in, because it could be any.
    Unknown,
}

impl ClientAddress {
    /// The address of the peer at a socket; `None` for a Unix socket.
    pub(crate) fn of_peer(peer: Option<SocketAddr>) -> Self {
        match peer {
            Some(peer) => Self::from(peer.ip()),
            None => Self::Unix,
        }
    }

    /// The address, if there is one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address),
            Self::Unix | Self::Unknown => None,
        }
    }

    /// The address, or 0.0.0.0 where there is none, for programs that expect one.
    pub(crate) fn ip_or_unspecified(self) -> IpAddr {
        self.ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address.to_canonical())
    }
}

/// As the log and `explain` write it.
impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            // nginx writes the same.
            Self::Unix => f.write_str(UNIX),
            Self::Unknown => f.write_str("-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_the_name_of_a_server_without_the_port_of_http() {
        let ip = |text: &str| UpstreamAddress::Ip(text.parse().expect("an address"));
        let name = |name: &str, port| UpstreamAddress::Name {
            name: name.to_owned(),
            port,
            found: vec![([192, 0, 2, 1], port).into()],
        };
        let service = UpstreamAddress::Srv {
            name: "_http._tcp.shop.internal".to_owned(),
        };
        for (scheme, address, expected) in [
            (Scheme::Plain, ip("127.0.0.1:8000"), "127.0.0.1:8000"),
            (Scheme::Plain, ip("127.0.0.1:80"), "127.0.0.1"),
            (Scheme::Plain, ip("[::1]:80"), "[::1]"),
            (Scheme::Https, ip("[::1]:80"), "[::1]:80"),
            (Scheme::Plain, name("app.internal", 80), "app.internal"),
            (Scheme::Https, name("app.internal", 443), "app.internal"),
            (Scheme::Plain, name("app.internal", 443), "app.internal:443"),
            (
                Scheme::Plain,
                name("app.internal", 8080),
                "app.internal:8080",
            ),
            (
                Scheme::Plain,
                UpstreamAddress::Unix("/run/app.sock".into()),
                "localhost",
            ),
            (Scheme::Https, service, "shop.internal"),
            (
                Scheme::Plain,
                UpstreamAddress::Localhost { port: 8000 },
                "localhost:8000",
            ),
            (
                Scheme::Https,
                UpstreamAddress::Localhost { port: 443 },
                "localhost",
            ),
        ] {
            assert_eq!(address.host_field(scheme), expected);
        }
    }
}
