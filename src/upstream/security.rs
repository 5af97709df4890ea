//! TLS to a server of an upstream: which name its certificate must be for, and the errors that can occur.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, PeerIncompatible};

use crate::address::Scheme;
use crate::reason::Reason;
use crate::runtime::{Stream, Tick};
use crate::tls::Connector;
use crate::transport::Transport;
use crate::transport::tls::{HandshakeError, Session, connect};

/// How the server authenticates itself, and the settings of handshakes with it.
#[derive(Debug)]
pub(super) struct Security {
    key: SecurityKey,
    /// The host that the server's certificate has to be for. `None`: no certificate can be for such a name.
    server_name: Option<ServerName<'static>>,
    config: Arc<ClientConfig>,
}

/// What tells one way to speak TLS to a server from another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SecurityKey {
    /// The id of the connector.
    id: u64,
    scheme: Scheme,
    /// Whom the server's certificate has to be for.
    name: String,
}

impl Security {
    /// TLS with a server that is called `name`; `scheme` decides which protocols are offered.
    pub(super) fn new(connector: &Connector, scheme: Scheme, name: &str) -> Self {
        Self {
            key: SecurityKey {
                id: connector.id(),
                scheme,
                name: name.to_owned(),
            },
            server_name: ServerName::try_from(name.to_owned()).ok(),
            config: Arc::clone(connector.config(scheme)),
        }
    }

    /// Whom the server's certificate has to be for.
    pub(super) fn name(&self) -> &str {
        &self.key.name
    }

    pub(super) fn key(&self) -> &SecurityKey {
        &self.key
    }

    /// Sends `preface` on `stream`, then performs the handshake, until `deadline`.
    ///
    /// # Errors
    /// Why there is no session: a [`TlsFault`], or `TimedOut`.
    pub(super) async fn begin(
        &self,
        stream: Stream,
        preface: Vec<u8>,
        deadline: Tick,
    ) -> io::Result<Transport> {
        let name = &self.key.name;
        let Some(server_name) = self.server_name.clone() else {
            let message = format!("`{name}` is no name of a host");
            return Err(TlsFault::Certificate(message).into());
        };
        let session = Session::new(stream);
        let config = Arc::clone(&self.config);
        match connect(&session, config, server_name, preface, deadline).await {
            Ok(()) => Ok(Transport::Tls(Box::new(session))),
            Err(HandshakeError::TimedOut) => Err(io::ErrorKind::TimedOut.into()),
            Err(HandshakeError::Failed(error)) => Err(TlsFault::of(&error, name).into()),
            Err(HandshakeError::PlainHttp(_)) => Err(TlsFault::Protocol(
                "it answers in plain HTTP: nothing speaks TLS at its port".to_owned(),
            )
            .into()),
            Err(error) => Err(TlsFault::Protocol(error.to_string()).into()),
        }
    }
}

/// What went wrong with TLS, as the operator reads it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsFault {
    /// Its certificate is refused.
    #[error("{0}")]
    Certificate(String),
    /// It has sent an alert.
    #[error("{0}")]
    Alert(String),
    #[error("{0}")]
    Protocol(String),
}

impl From<TlsFault> for io::Error {
    fn from(fault: TlsFault) -> Self {
        Self::new(io::ErrorKind::InvalidData, fault)
    }
}

impl TlsFault {
    /// Replaces `error` by a [`TlsFault`] if it is an error of the session with the server that is called
    /// `name`.
    pub(super) fn explain(error: io::Error, name: Option<&str>) -> io::Error {
        let inner = error.get_ref();
        let Some(inner) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return error;
        };
        Self::of(inner, name.unwrap_or_default()).into()
    }

    /// The fault that `error` holds, if it is an error of TLS.
    pub(crate) fn in_error(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The reason of the response in its place.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Certificate(_) => Reason::UpstreamCertificate,
            Self::Alert(_) => Reason::UpstreamTlsAlert,
            Self::Protocol(_) => Reason::UpstreamTlsProtocol,
        }
    }

    /// What `error` means at a server that is called `name`.
    fn of(error: &rustls::Error, name: &str) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => {
                Self::Certificate(certificate_words(error, name))
            }
            rustls::Error::AlertReceived(alert) => Self::Alert(alert_words(*alert, name)),
            rustls::Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ) => Self::Protocol(NO_VERSION.to_owned()),
            rustls::Error::InvalidMessage(_) => {
                Self::Protocol(format!("what it sends is no TLS: {error}"))
            }
            error => Self::Protocol(error.to_string()),
        }
    }
}

const NO_VERSION: &str = "it speaks no version of TLS that is spoken here";

/// Why the certificate of a server is refused.
fn certificate_words(error: &CertificateError, name: &str) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "its certificate is not trusted: no authority that `ca` (or the system) names has issued it"
                .to_owned()
        }
        CertificateError::NotValidForName => format!("its certificate is not for `{name}`"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let presented = presented.join(", ");
            let presented = if presented.is_empty() {
                "it names no host at all"
            } else {
                &presented
            };
            format!("its certificate is not for `{name}`: {presented}")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet; is the clock right?".to_owned()
        }
        // rustls has no variant for this error of webpki; it keeps the error in a box, which has
        // only `Debug`.
        error if format!("{error:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority (basicConstraints=CA:true), and none of a server"
                .to_owned()
        }
        error => format!("its certificate is not accepted: {error}"),
    }
}

/// What the alert means that a server has sent.
fn alert_words(alert: AlertDescription, name: &str) -> String {
    let meaning = match alert {
        AlertDescription::ProtocolVersion => NO_VERSION.to_owned(),
        AlertDescription::CertificateRequired => {
            "it asks for a certificate: `certificate` and `key` in `tls` of the upstream".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown => "it does not trust our certificate".to_owned(),
        AlertDescription::CertificateExpired => "our certificate has expired".to_owned(),
        AlertDescription::UnrecognisedName => format!("it does not answer for `{name}`"),
        AlertDescription::NoApplicationProtocol => {
            "it speaks none of the protocols that were offered".to_owned()
        }
        AlertDescription::HandshakeFailure => "it finds nothing that both speak".to_owned(),
        _ => "it has broken off".to_owned(),
    };
    format!("{meaning} (alert {alert:?})")
}
