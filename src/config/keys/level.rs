//! The levels of the file, and a policy while one of them is read.

use crate::config::complaint::diagnostic::Spot;
use crate::config::model::{Cidr, Policy};

/// Where a table stands, from the outermost to the innermost. Each level refines the policy of the
/// level before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Top,
    Server,
    Route,
}

/// The policy of a level while its keys are read.
pub(super) struct Refinement {
    /// The inherited policy, changed by the keys that have been read.
    pub(super) policy: Policy,
    /// What `allow` says at this level, and where.
    pub(super) allow: Vec<(Cidr, Spot)>,
    /// What `deny` says at this level, and where.
    pub(super) deny: Vec<(Cidr, Spot)>,
    /// The names of the fields that `headers` sets and adds at this level, and where.
    pub(super) fields: Vec<(String, Spot)>,
}

impl Refinement {
    /// The inherited policy, before any key is read.
    pub(super) fn of(policy: Policy) -> Self {
        Self {
            policy,
            allow: Vec::new(),
            deny: Vec::new(),
            fields: Vec::new(),
        }
    }
}
