//! One `[[server]]`, checked.

use super::{HostPattern, Policy, Route};
use crate::address::ListenAddress;

/// One `[[server]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// At least one; each address once.
    pub(crate) listen: Vec<ListenAddress>,
    /// Empty: any host.
    pub(crate) hosts: Vec<HostPattern>,
    /// The policy for requests that no route matches.
    pub(crate) policy: Policy,
    pub(crate) routes: Vec<Route>,
}
