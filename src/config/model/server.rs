//! One `[[server]]`, checked.

use super::{HostPattern, Policy, Route, Tls};
use crate::address::ListenAddress;

/// Which users may connect to a Unix socket: the permissions and the owners of its file. What is
/// `None` is as the system makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SocketAccess {
    /// Permission bits; who may write may connect.
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<Account>,
    pub(crate) group: Option<Account>,
}

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// As the operator wrote it: a name, or a number.
    pub(crate) written: String,
    pub(crate) number: u32,
}

/// One `[[server]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// At least one; each address once.
    pub(crate) listen: Vec<ListenAddress>,
    /// Which users may connect to those listeners that are Unix sockets.
    pub(crate) socket: SocketAccess,
    /// Whether trusted proxies say by the PROXY protocol who the client is. Others may not connect.
    pub(crate) accept_proxy_protocol: bool,
    /// `None`: clients come over plain connections.
    pub(crate) tls: Option<Tls>,
    /// Whether its certificate is shown to clients that name no server, or one that is not there.
    pub(crate) is_tls_default: bool,
    /// Where plain HTTP is taken for it, and led to `https`.
    pub(crate) http_redirect: Vec<ListenAddress>,
    /// Whether it stands for the `http_redirect` of another server, and not in the file.
    pub(crate) is_companion: bool,
    /// Empty: any host.
    pub(crate) hosts: Vec<HostPattern>,
    /// The policy for requests that no route matches.
    pub(crate) policy: Policy,
    pub(crate) routes: Vec<Route>,
}
