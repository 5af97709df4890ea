//! Where something listens, as a value: an IP address and port, or a Unix socket.
//!
//! A leaf, because rooms name it that must know no configuration. The parser, which has a place in
//! a file to complain about, is `config`'s.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a server listens: this one, or one that it asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ListenAddress {
    Ip(SocketAddr),
    /// The path of a Unix socket, short enough for the system.
    Unix(PathBuf),
}

impl ListenAddress {
    /// The IP address and port, unless it is a Unix socket.
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
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
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

/// What the path of a Unix socket is written behind.
pub(crate) const UNIX: &str = "unix:";
