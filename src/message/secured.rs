//! What is known of a connection over TLS.

use rustls::pki_types::CertificateDer;

/// What the handshake has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secured<'c> {
    /// `TLSv1.3`, as OpenSSL calls it.
    pub(crate) version: &'static str,
    /// As IANA calls it: `TLS_AES_128_GCM_SHA256`.
    pub(crate) cipher: &'static str,
    /// The name of the server that the client asked for, in lower case.
    pub(crate) server_name: Option<&'c str>,
    /// The certificates that the client has shown, its own first, which is verified; none if it has shown
    /// none.
    pub(crate) client_certificates: &'c [CertificateDer<'static>],
}

impl<'c> Secured<'c> {
    /// The client's own certificate, as DER.
    pub(crate) fn client_certificate(&self) -> Option<&'c [u8]> {
        let own = self.client_certificates.first()?;
        Some(own.as_ref())
    }
}
