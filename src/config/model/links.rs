//! What symbolic links beneath a root may lead to.

use std::path::PathBuf;

/// What symbolic links beneath a root may lead to. Links on the way to the root itself are followed in
/// any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Links {
    /// What lies beneath the root, however the link is written.
    #[default]
    Inside,
    /// Nothing: links are not followed.
    None,
    /// Whatever the system lets the server open.
    Anywhere,
    /// What lies beneath the root or one of these directories.
    Also(Vec<PathBuf>),
}
