//! What a handler learns of the connection over TLS that its request came on.

/// What the handshake of a connection over TLS has settled: of that between the client and this
/// server, not of one between the client and a proxy in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub(crate) version: &'static str,
    pub(crate) cipher: &'static str,
    pub(crate) server_name: Option<String>,
    pub(crate) client_certificate: Option<ClientCertificate>,
}

impl Tls {
    /// To try a handler with: TLS 1.3, and a client that has shown no certificate.
    pub fn new() -> Self {
        Self {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            server_name: None,
            client_certificate: None,
        }
    }

    /// This, with a certificate that the client has shown.
    pub fn with_client_certificate(self, certificate: ClientCertificate) -> Self {
        Self {
            client_certificate: Some(certificate),
            ..self
        }
    }

    /// The version, as OpenSSL calls it: `TLSv1.3`.
    pub fn version(&self) -> &str {
        self.version
    }

    /// The cipher suite, as IANA calls it: `TLS_AES_128_GCM_SHA256`.
    pub fn cipher(&self) -> &str {
        self.cipher
    }

    /// The name of the server that the client asked for (SNI), in lower case.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The certificate that the client has shown, if it has: one that `client_ca` of the server has
    /// issued. The server has verified it.
    pub fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.client_certificate.as_ref()
    }
}

/// A client's certificate, which the server has verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    pub(crate) fingerprint: String,
    pub(crate) der: Vec<u8>,
}

impl ClientCertificate {
    /// To try a handler with: one for this subject, whose octets are none.
    pub fn new(subject: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            ..Self::default()
        }
    }

    /// Whose it is: `CN=Ada,O=Example` (RFC 4514). No two names give the same text.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who has issued it, in the same form.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its number, which its issuer gives once, in hexadecimal digits.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The SHA-256 of its octets, in hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Its octets (DER), for a parser.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}
