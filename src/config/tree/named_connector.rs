//! How TLS is spoken to a server, and the places for the faults that are found in its files.

use std::path::PathBuf;

use crate::config::complaint::certificate::{CertificateFault, CertificateSetting};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::UpstreamTls;

/// The `tls` of an upstream that has servers for it, or the certificates by which another server is verified. Its
/// files are read when the whole configuration has been checked.
#[derive(Clone, Debug)]
pub(crate) struct NamedConnector {
    pub(crate) tls: UpstreamTls,
    /// Where the configuration says that TLS is spoken.
    pub(crate) whole: Spot,
    /// Where the files are named.
    pub(crate) ca: Option<Spot>,
    pub(crate) certificate: Option<Spot>,
    pub(crate) key: Option<Spot>,
}

impl NamedConnector {
    /// The connector of an upstream that has TLS by its addresses alone, which stand at `whole`.
    pub(crate) fn plain(whole: Spot) -> Self {
        Self {
            tls: UpstreamTls::default(),
            whole,
            ca: None,
            certificate: None,
            key: None,
        }
    }

    /// That of a server that is verified by the certificates in a file, which is named at `spot`.
    pub(crate) fn verified_by(file: PathBuf, spot: Spot) -> Self {
        let tls = UpstreamTls {
            authorities: Some(file),
            ..UpstreamTls::default()
        };
        Self {
            tls,
            ca: Some(spot.clone()),
            ..Self::plain(spot)
        }
    }

    /// The diagnostic for a fault, at the setting that names the file.
    pub(crate) fn diagnostic(&self, fault: CertificateFault) -> Diagnostic {
        let spot = match fault.setting {
            CertificateSetting::Certificate => &self.certificate,
            CertificateSetting::Key => &self.key,
            CertificateSetting::Ca => &self.ca,
            CertificateSetting::ClientCa | CertificateSetting::SystemRoots => &None,
        };
        fault.fault.at(spot.as_ref().unwrap_or(&self.whole))
    }

    /// Every place where a diagnostic about it may be.
    pub(crate) fn spots(&self) -> impl Iterator<Item = &Spot> {
        let files = [&self.ca, &self.certificate, &self.key];
        files.into_iter().flatten().chain([&self.whole])
    }
}
