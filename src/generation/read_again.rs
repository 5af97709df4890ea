//! Files that held something else when a generation was prepared than when they were read before.

use std::path::PathBuf;

/// Such a file, by what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadAgain {
    /// The certificate that clients of servers are shown.
    Certificate(PathBuf),
    ClientCa(PathBuf),
    /// What certificates of upstreams are verified by; `None`: those that the system trusts.
    Ca(Option<PathBuf>),
    /// The certificate that upstreams are shown.
    OwnCertificate(PathBuf),
    Passwords {
        file: PathBuf,
        users: usize,
    },
    ErrorPage(PathBuf),
}
