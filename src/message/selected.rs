//! Which file a handler selects for a request: what `explain` tells.

/// The file that answers a request, in words for the operator.
#[derive(Debug, Default)]
pub(crate) struct Selected {
    /// The file that would be sent, and its coding, or the script that would run.
    pub(crate) file: Option<String>,
    /// What stands in the way of the file that was asked for, or of one beside it.
    pub(crate) barrier: Option<String>,
}

impl Selected {
    /// This file, and nothing stood in its way.
    pub(crate) fn file(file: String) -> Self {
        Self {
            file: Some(file),
            barrier: None,
        }
    }

    /// No file, because of `barrier`.
    pub(crate) fn nothing(barrier: String) -> Self {
        Self {
            file: None,
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
