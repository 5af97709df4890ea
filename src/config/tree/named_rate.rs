//! A rate that a server, a route or a test names, and where.

use crate::config::complaint::diagnostic::Spot;

/// A name of a rate. Whether the files have it is checked when all of them have been read.
#[derive(Clone, Debug)]
pub(crate) struct NamedRate {
    pub(crate) name: String,
    pub(crate) spot: Spot,
    /// Whether requests are counted there. A test only expects that they are.
    pub(crate) counts: bool,
}
