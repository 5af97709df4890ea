//! Which file a handler selects for a request: what `explain` tells.

use std::path::PathBuf;

/// The file that answers a request, in words for the operator.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// The file that would be sent, and its coding, or the script that would run.
    pub(crate) file: Option<String>,
    /// Where the file stands that would be sent as it is; `None`: none would, or a listing, or a script would run.
    pub(crate) path: Option<PathBuf>,
    /// What stands in the way of the file that was asked for, or of one beside it.
    pub(crate) barrier: Option<String>,
}

impl Selected {
    /// This file, and nothing stood in its way.
    pub(crate) fn file(file: String) -> Self {
        Self {
            file: Some(file),
            path: None,
            barrier: None,
        }
    }

    /// No file, because of `barrier`.
    pub(crate) fn nothing(barrier: String) -> Self {
        Self {
            file: None,
            path: None,
            barrier: Some(barrier),
        }
    }

    /// No file, because a redirect to the path with a slash at its end comes first.
    pub(crate) fn without_slash() -> Self {
        Self::nothing("the path is a directory's, and lacks its final slash".to_owned())
    }

    /// No file, because a redirect to the path without the slash at its end comes first.
    pub(crate) fn with_slash() -> Self {
        Self::nothing("the path is a page's, and has a slash at its end".to_owned())
    }
}
