//! What the system refused to do with a file.

use std::io;
use std::path::{Path, PathBuf};

/// What cannot be done with a file or a directory, and why. The caller knows what it is for, and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} `{}`: {error}", path.display())]
pub(crate) struct FileError {
    /// A verb, such as "read".
    pub(crate) what: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl FileError {
    pub(crate) fn new(what: &'static str, path: &Path, error: io::Error) -> Self {
        Self {
            what,
            path: path.to_owned(),
            error,
        }
    }
}
