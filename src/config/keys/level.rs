//! How far in a table stands, and what it makes of the policy that it inherits.

use crate::config::complaint::diagnostic::Spot;
use crate::config::model::{Cidr, Policy};

/// Where a table stands: the policy of each level is that of the one before, refined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Top,
    Server,
    Route,
}

/// The policy of a level while its keys are read.
pub(super) struct Refinement {
    /// As inherited, but for the keys that were read.
    pub(super) policy: Policy,
    /// What `allow` says at this level, and where.
    pub(super) allow: Vec<(Cidr, Spot)>,
    /// What `deny` says at this level, and where.
    pub(super) deny: Vec<(Cidr, Spot)>,
}
