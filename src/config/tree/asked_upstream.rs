//! An upstream that a route asks, and where the route says so.

use crate::address::UpstreamUrl;
use crate::config::complaint::diagnostic::Spot;

/// An upstream that is asked. Whether the files have it is checked when all of them have been read.
#[derive(Clone, Debug)]
pub(crate) struct AskedUpstream {
    /// The name of an upstream or of an app, or the URL of a server.
    pub(crate) name: String,
    /// The server, if the URL of one stands in place of a name.
    pub(crate) server: Option<UpstreamUrl>,
    /// Whether a stream asks it, and no route.
    pub(crate) of_stream: bool,
    pub(crate) spot: Spot,
}
