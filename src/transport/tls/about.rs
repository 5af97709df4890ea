//! What the handshake of a session has settled.

use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, ProtocolVersion};

/// What the handshake has settled.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) version: ProtocolVersion,
    pub(crate) cipher: CipherSuite,
    /// The name of the server that the client asked for (RFC 6066 §3), in lower case; or that we asked for,
    /// as the operator writes it.
    pub(crate) server_name: Option<Box<str>>,
    /// The certificates that the client has shown, its own first. They are verified.
    pub(crate) client_certificates: Option<Box<[CertificateDer<'static>]>>,
    /// What was asked of the client's certificate; see [`Chosen`](super::Chosen).
    pub(crate) client_rule: u64,
}

impl About {
    /// The version, as OpenSSL calls it: `TLSv1.3`.
    pub(crate) fn version(&self) -> &'static str {
        match self.version {
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            // rustls speaks no other.
            _ => "TLS",
        }
    }

    /// The cipher suite, as IANA calls it.
    pub(crate) fn cipher(&self) -> &'static str {
        let name = self.cipher.as_str().unwrap_or_default();
        match name {
            "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
            "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
            "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
            name => name,
        }
    }

    /// The certificates that the peer has shown, if it is a client.
    pub(crate) fn client_certificates(&self) -> &[CertificateDer<'static>] {
        self.client_certificates.as_deref().unwrap_or_default()
    }
}
