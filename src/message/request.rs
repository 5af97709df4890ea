//! A request, as a handler sees it.

use std::net::IpAddr;

use super::routed_path::RoutedPath;
use crate::address::ListenAddress;
use crate::http::request::RequestHead;

/// A request, as a handler sees it.
pub(crate) struct Request<'r> {
    pub(crate) head: &'r RequestHead<'r>,
    pub(crate) path: RoutedPath<'r>,
    pub(crate) client: IpAddr,
    /// Where it came in, as the operator names that.
    pub(crate) listener: &'r ListenAddress,
}
