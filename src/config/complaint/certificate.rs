//! What is wrong with the files of TLS, as it is found while a configuration is prepared.

use super::diagnostic::{Diagnostic, Spot};

/// Something that is wrong with the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFault {
    /// The setting that names the file.
    pub(crate) setting: CertificateSetting,
    /// Whether the server can still serve.
    pub(crate) is_warning: bool,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A setting of `tls` that names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificateSetting {
    Certificate,
    Key,
    ClientCa,
    Ca,
    /// No setting: the CAs that the system trusts are trusted because `ca` is left out.
    SystemRoots,
}

impl CertificateFault {
    /// The diagnostic for it, at the setting.
    pub(crate) fn at(self, spot: &Spot) -> Diagnostic {
        let diagnostic = if self.is_warning {
            Diagnostic::warning(self.message)
        } else {
            Diagnostic::error(self.message)
        };
        diagnostic.at(spot.clone(), "").help(self.help)
    }
}
