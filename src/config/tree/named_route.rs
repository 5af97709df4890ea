//! A route that an access log is for, and where the log names it.

use crate::config::complaint::diagnostic::Spot;

/// The key of a route. Whether a server has it is checked when all files have been read.
#[derive(Clone, Debug)]
pub(crate) struct NamedRoute {
    pub(crate) key: String,
    pub(crate) spot: Spot,
}
