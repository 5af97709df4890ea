//! What is known of a connection over TLS.

/// What the handshake has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secured<'c> {
    /// `TLSv1.3`, as OpenSSL calls it.
    pub(crate) version: &'static str,
    /// As IANA calls it: `TLS_AES_128_GCM_SHA256`.
    pub(crate) cipher: &'static str,
    /// The name of the server that the client asked for, in lower case.
    pub(crate) server_name: Option<&'c str>,
    /// The certificate that the client has shown, as DER. It is verified.
    pub(crate) client_certificate: Option<&'c [u8]>,
}
