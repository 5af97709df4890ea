//! A request, as a handler sees it.

use std::net::IpAddr;

use crate::address::ListenAddress;
use crate::http::path::NormalPath;
use crate::http::request::RequestHead;

/// A request, as a handler sees it.
pub(crate) struct Request<'r> {
    pub(crate) head: &'r RequestHead<'r>,
    /// The whole path.
    pub(crate) path: &'r NormalPath<'r>,
    /// How many of its octets the route's pattern covers.
    pub(crate) matched: usize,
    pub(crate) client: IpAddr,
    /// Where it came in, as the operator names that.
    pub(crate) listener: &'r ListenAddress,
}
