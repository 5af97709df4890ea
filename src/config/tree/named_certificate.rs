//! A server's TLS, and the places for the faults that are found in its files.

use crate::config::complaint::certificate::{CertificateFault, CertificateSetting};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{HostPattern, Tls};

/// The `tls` of a server. Its files are read when the whole configuration has been checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedCertificate {
    pub(crate) tls: Tls,
    /// The hosts that the server answers for; empty: any.
    pub(crate) hosts: Vec<HostPattern>,
    /// Where the files are named.
    pub(crate) certificate: Spot,
    pub(crate) key: Spot,
    pub(crate) client_ca: Option<Spot>,
    /// Why files could not be read when the configuration was.
    pub(crate) unread: Vec<Diagnostic>,
}

impl NamedCertificate {
    /// The diagnostics for `faults`. Where there is nothing to serve with because files cannot be read, they say so of
    /// each file.
    pub(crate) fn diagnostics(&self, faults: Vec<CertificateFault>) -> Vec<Diagnostic> {
        let can_serve = faults.iter().all(|fault| fault.fault.is_warning);
        if !can_serve && !self.unread.is_empty() {
            return self.unread.clone();
        }
        let faults = faults.into_iter();
        faults.map(|fault| self.diagnostic(fault)).collect()
    }

    /// The diagnostic for a fault, at the setting that names the file.
    fn diagnostic(&self, fault: CertificateFault) -> Diagnostic {
        let spot = match fault.setting {
            CertificateSetting::Certificate
            | CertificateSetting::Ca
            | CertificateSetting::SystemRoots => &self.certificate,
            CertificateSetting::Key => &self.key,
            CertificateSetting::ClientCa => self.client_ca.as_ref().unwrap_or(&self.certificate),
        };
        fault.fault.at(spot)
    }

    /// Every place where a diagnostic about it may be.
    pub(crate) fn spots(&self) -> impl Iterator<Item = &Spot> {
        [&self.certificate, &self.key]
            .into_iter()
            .chain(&self.client_ca)
    }
}
