//! What is wrong with a file of passwords, as it is found while a configuration is prepared.

use super::diagnostic::{Diagnostic, Spot};

/// Something that is wrong with the file.
#[derive(Clone, Debug)]
pub(crate) struct PasswordsFault {
    /// Whether users can still log in, or there is nothing to be done now.
    pub(crate) is_warning: bool,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl PasswordsFault {
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
