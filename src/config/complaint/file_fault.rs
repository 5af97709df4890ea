//! What is wrong with a file that the configuration names, as it is found while a configuration is prepared.

use super::diagnostic::{Diagnostic, Spot};

/// Something that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileFault {
    /// Whether the configuration can be used all the same, as with what was read before.
    pub(crate) is_warning: bool,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl FileFault {
    /// The diagnostic for it, where the file is named.
    pub(crate) fn at(self, spot: &Spot) -> Diagnostic {
        let diagnostic = if self.is_warning {
            Diagnostic::warning(self.message)
        } else {
            Diagnostic::error(self.message)
        };
        diagnostic.at(spot.clone(), "").help(self.help)
    }
}
