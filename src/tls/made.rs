//! Certificates that the server makes itself: until a CA has issued one, and to answer a CA's challenge.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest as _, Sha256};

use super::provider::provider;

/// The protocol of the handshake by which a CA verifies a name (RFC 8737 §6.2).
pub(crate) const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MakeError {
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot use a certificate of our own: {0}")]
    Use(#[from] rustls::Error),
}

/// A certificate for `names` that its own key has signed, with that key.
///
/// # Errors
/// If one of the names cannot stand in a certificate.
pub(super) fn self_signed(names: &[String]) -> Result<CertifiedKey, MakeError> {
    signed_by_itself(names.to_vec(), Vec::new())
}

/// What the handshake goes on with by which a CA verifies `name` (RFC 8737 §3): its certificate has the
/// digest of the key authorization.
///
/// # Errors
/// If the name cannot stand in a certificate.
pub(crate) fn challenge_config(
    name: &str,
    key_authorization: &str,
) -> Result<Arc<ServerConfig>, MakeError> {
    let digest = Sha256::digest(key_authorization);
    let extension = CustomExtension::new_acme_identifier(&digest);
    let certified = signed_by_itself(vec![name.to_owned()], vec![extension])?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![CHALLENGE_PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn signed_by_itself(
    names: Vec<String>,
    extensions: Vec<CustomExtension>,
) -> Result<CertifiedKey, MakeError> {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "tidegate, not issued yet");
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = name;
    parameters.custom_extensions = extensions;
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = any_supported_type(&key)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signing))
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;
    use crate::tls::facts::Facts;

    #[test]
    fn a_certificate_of_our_own_is_for_its_names() {
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let certified = self_signed(&names).expect("a certificate");
        let facts = Facts::of(&certified.cert[0]).expect("a certificate");
        assert_eq!(facts.names, names);
        assert!(certified.keys_match().is_ok());
    }

    #[test]
    fn that_of_a_challenge_has_one_name_and_the_digest_as_critical_extension() {
        let digest = Sha256::digest("token.thumbprint");
        let extension = CustomExtension::new_acme_identifier(&digest);
        let made = signed_by_itself(vec!["a.example".to_owned()], vec![extension]);
        let certified = made.expect("a certificate");
        let (_, certificate) = X509Certificate::from_der(&certified.cert[0]).expect("it");
        // RFC 8737 §3: id-pe-acmeIdentifier, an OCTET STRING of 32 octets.
        let oid = "1.3.6.1.5.5.7.1.31";
        let mut extensions = certificate.extensions().iter();
        let found = extensions.find(|extension| extension.oid.to_id_string() == oid);
        let found = found.expect("the extension");
        assert!(found.critical);
        assert_eq!(found.value[..2], [4, 32]);
        assert_eq!(found.value[2..], digest[..]);
        let facts = Facts::of(&certified.cert[0]).expect("a certificate");
        assert_eq!(facts.names, ["a.example"]);
        let config = challenge_config("a.example", "token.thumbprint").expect("a config");
        assert_eq!(config.alpn_protocols, [CHALLENGE_PROTOCOL]);
    }
}
