//! Why the CA of a user cannot be used.

use std::io;
use std::path::{Path, PathBuf};

/// Why the CA of a user cannot be used. The user can mend all but the last.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error(
        "there is no place for the CA: neither XDG_DATA_HOME nor HOME holds an absolute path; set one of them"
    )]
    NoDirectory,
    #[error("cannot {what} `{}`: {error}; {}", path.display(), remedy(error))]
    File {
        what: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    #[error(
        "the CA in `{}` cannot sign: {why}; put a copy that is good in its place, or delete the file: then a \
         new CA is made, which has to be trusted anew",
        path.display()
    )]
    Broken { path: PathBuf, why: String },
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl LocalError {
    pub(super) fn file(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self::File {
            what,
            path: path.to_owned(),
            error,
        }
    }
}

/// What the user can do about `error`.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "let it belong to the user who runs this, or name another directory in XDG_DATA_HOME"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or name another directory in XDG_DATA_HOME"
        }
        _ => "name a directory that can be written to in XDG_DATA_HOME",
    }
}
