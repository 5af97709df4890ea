//! How far in a table stands.

/// Where a table stands: the policy of each is that of the one before, refined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Top,
    Server,
    Route,
}
