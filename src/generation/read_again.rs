//! Files that held something else when a generation was prepared than when the one before it was.

use std::path::PathBuf;

/// Such a file, by what it is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ReadAgain {
    /// The certificate that clients of servers are shown.
    Certificate(PathBuf),
    ClientCa(PathBuf),
    /// What certificates of upstreams are verified by; `None`: those that the system trusts.
    Ca(Option<PathBuf>),
    /// The certificate that upstreams are shown.
    OwnCertificate(PathBuf),
    Passwords(PathBuf),
    ErrorPage(PathBuf),
}

impl ReadAgain {
    /// Whether a generation holds what was read by itself, so that the generation before it still has the content of
    /// before. What servers show and who may come in is renewed for all generations at once.
    pub(crate) fn is_of_generation(&self) -> bool {
        matches!(self, Self::Ca(_) | Self::OwnCertificate(_))
    }
}
