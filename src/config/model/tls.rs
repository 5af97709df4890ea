//! `tls` of a server, of a stream, and of an upstream.

use std::path::PathBuf;

use super::Issue;

/// The certificate that clients are shown, and what the server asks of theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tls {
    /// A file of PEM: the server's certificate, then the one that has issued it, and so on.
    pub(crate) certificate: PathBuf,
    /// A file of PEM: the private key.
    pub(crate) key: PathBuf,
    /// `None`: clients are asked for no certificate.
    pub(crate) clients: Option<ClientCertificates>,
    pub(crate) versions: TlsVersions,
    pub(crate) protocols: Protocols,
    /// What is issued by ACME, which writes `certificate` and `key`: one file with both. `None`:
    /// they are the operator's files.
    pub(crate) issue: Option<Issue>,
}

/// What clients may ask for by ALPN (RFC 7301).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Protocols {
    /// HTTP/1.1 and HTTP/1.0.
    #[default]
    Http,
    /// The server does not look at what clients ask for.
    Any,
    Only(Vec<String>),
}

/// What is asked of a client's certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientCertificates {
    /// A file of PEM: the certificates of the CAs that may have issued it.
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

/// `tls` of an upstream: how its servers prove who they are, and how this server does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamTls {
    /// A file of PEM: the certificates of the authorities that may have issued a server's
    /// certificate. `None`: the authorities that the system trusts.
    pub(crate) authorities: Option<PathBuf>,
    /// The host that a server's certificate has to be for. `None`: the host of the server's address.
    pub(crate) server_name: Option<String>,
    /// What this server shows, if it is asked for a certificate.
    pub(crate) own: Option<OwnCertificate>,
    /// Whether the certificate of the upstream's server is verified. If not, any machine on the way can
    /// read the messages and answer in the server's place.
    pub(crate) is_verified: bool,
    pub(crate) versions: TlsVersions,
    /// What this server offers by ALPN (RFC 7301) to servers with `tls://`; empty: nothing. To servers with
    /// `https://` it offers HTTP/1.1.
    pub(crate) protocols: Vec<String>,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self {
            authorities: None,
            server_name: None,
            own: None,
            is_verified: true,
            versions: TlsVersions::default(),
            protocols: Vec::new(),
        }
    }
}

/// A certificate of this server as a client, with its key: files of PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OwnCertificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}
