//! `tls` of a server.

use std::path::PathBuf;

/// Whom clients find when they come over TLS, and what is asked of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tls {
    /// A file of PEM: the server's certificate, then the one that has issued it, and so on.
    pub(crate) certificate: PathBuf,
    /// A file of PEM: the private key.
    pub(crate) key: PathBuf,
    /// `None`: clients are asked for no certificate.
    pub(crate) clients: Option<ClientCertificates>,
    pub(crate) versions: TlsVersions,
}

/// What is asked of a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientCertificates {
    /// A file of PEM: the certificates of those who may have issued it.
    pub(crate) authorities: PathBuf,
    /// Whether a client without a certificate is refused.
    pub(crate) is_required: bool,
}

/// Which versions of TLS are spoken: one at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TlsVersions {
    pub(crate) tls12: bool,
    pub(crate) tls13: bool,
}

impl Default for TlsVersions {
    fn default() -> Self {
        Self {
            tls12: true,
            tls13: true,
        }
    }
}
