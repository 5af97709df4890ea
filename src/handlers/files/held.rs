//! What a table of the caches holds, as metrics tell it.

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) entries: usize,
    /// What the entries weigh.
    pub(crate) bytes: usize,
}
