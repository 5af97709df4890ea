//! One `[[stream]]`, checked.

use std::num::NonZeroU64;
use std::time::Duration;

use super::{Access, SocketAccess, Tls};
use crate::address::ListenAddress;
use crate::proxy_protocol::Version;

/// One `[[stream]]`: connections that are passed on to an upstream as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// At least one; each address once.
    pub(crate) listen: Vec<ListenAddress>,
    /// Which users may connect to those listeners that are Unix sockets.
    pub(crate) socket: SocketAccess,
    /// `None`: its clients come over plain connections.
    pub(crate) tls: Option<Tls>,
    /// The name of an [`Upstream`](super::Upstream) of the configuration.
    pub(crate) upstream: String,
    /// What the upstream is told of the client before the client's first octet.
    pub(crate) proxy_protocol: Option<Version>,
    /// Whether trusted proxies say by the PROXY protocol who the client is. Others may not connect.
    pub(crate) accept_proxy_protocol: bool,
    /// Connections that may be open at once, besides the limit of the whole process.
    pub(crate) max_connections: Option<usize>,
    /// How long no octet may move, either way: closed.
    pub(crate) idle_timeout: Duration,
    /// Octets that each client is sent in a second; `None`: as many as it takes.
    pub(crate) max_rate_out: Option<NonZeroU64>,
    pub(crate) access: Access,
}

/// A stream that listens nowhere and leads nowhere yet, with the default of every setting.
impl Default for Stream {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            socket: SocketAccess::default(),
            tls: None,
            upstream: String::new(),
            proxy_protocol: None,
            accept_proxy_protocol: false,
            max_connections: None,
            idle_timeout: Duration::from_secs(3600),
            max_rate_out: None,
            access: Access::default(),
        }
    }
}
