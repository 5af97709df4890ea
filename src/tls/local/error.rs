//! Why the CA of a user cannot be used.

use std::io;
use std::path::PathBuf;

use crate::disk::FileError;

/// Why the CA of a user cannot be used. The user can mend all but the last.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LocalError {
    #[error(
        "there is no place for the CA: neither XDG_DATA_HOME nor HOME holds an absolute path; set one of them"
    )]
    NoDirectory,
    #[error("{file}; {}", remedy(&file.error))]
    File {
        #[from]
        file: FileError,
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
