//! Where something stands in a file.

use std::path::PathBuf;
use std::sync::Arc;

/// Where something stands in a configuration file; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<PathBuf>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// The place of something that stands in no file. `name` takes the place of a file's name.
    pub(crate) fn of_program(name: &str) -> Self {
        Self {
            file: Arc::new(PathBuf::from(name)),
            line: 1,
            column: 1,
        }
    }
}
