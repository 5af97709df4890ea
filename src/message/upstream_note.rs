//! What became of an exchange at the servers of an upstream, for its record in the log.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::reason::Reason;

/// What a gateway notes of the servers that it asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamNote {
    /// The address of the server that was asked last; `None` if none could be asked.
    pub(crate) server: Option<Arc<str>>,
    /// How many servers were asked.
    pub(crate) tries: u32,
    /// How long the last one took to take a connection; `None` if one was kept.
    pub(crate) connect: Option<Duration>,
    /// How long it took from the first try to the head of the final response; `None` if none came.
    pub(crate) head: Option<Duration>,
    /// Why this server responded in place of the upstream, or that the upstream's response broke off.
    pub(crate) error: Option<Reason>,
}

/// Where a gateway leaves its note, for the record of the exchange.
pub(crate) type NotePlace = Cell<Option<Box<UpstreamNote>>>;
