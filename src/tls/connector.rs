//! The settings, keys and trusted roots of handshakes with the servers of an upstream.
//!
//! ```text
//! settings ─ Material: what their files hold ─ Connector: rules, and the sessions that can be resumed
//! ```
//!
//! A connector is kept through reloads as long as its settings and what their files hold stay the same.
//! Connections that were made with another connector are not used any more: the new one may not trust the
//! server that they lead to.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::fault::{Fault, Part};
use super::identity::Identity;
use super::pem;
use super::provider::{protocol_versions, provider};
use crate::address::Scheme;
use crate::config::model::{OwnCertificate, UpstreamTls};

/// What the files of an upstream's `tls` hold.
pub(crate) struct Material {
    roots: Vec<CertificateDer<'static>>,
    own: Option<(Identity, OwnCertificate)>,
}

/// What handshakes with the servers of an upstream are performed with. All workers share it, and with it the
/// sessions that servers have given tickets for.
pub(crate) struct Connector {
    id: u64,
    https: Arc<ClientConfig>,
    tls: Arc<ClientConfig>,
}

/// Digests of what the files of an upstream's `tls` hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digests {
    /// Of what its certificates are verified by.
    pub(crate) roots: [u8; 32],
    /// Of the certificate that it is shown.
    pub(crate) own: [u8; 32],
}

impl Material {
    /// Reads the files of `settings`; without `ca`, those that hold the authorities which the system trusts.
    ///
    /// # Errors
    /// Why servers cannot be asked with them.
    pub(crate) fn read(settings: &UpstreamTls) -> Result<Self, Fault> {
        let roots = match &settings.authorities {
            _ if !settings.is_verified => Vec::new(),
            Some(path) => pem::certificates(Part::Ca, path)?,
            None => system_roots()?,
        };
        let read = |own: &OwnCertificate| {
            let identity = Identity::read(&own.certificate, &own.key)?;
            Ok((identity, own.clone()))
        };
        let own = settings.own.as_ref().map(read).transpose()?;
        Ok(Self { roots, own })
    }

    /// Digests of what the files hold: one differs if its file has changed.
    pub(crate) fn digests(&self) -> Digests {
        let own = self.own.as_ref();
        let own = own.map(|(identity, _)| identity.certified.cert.as_slice());
        Digests {
            roots: pem::digest(&self.roots),
            // The key needs no place: a certificate holds its public part, so a new key has a new certificate.
            own: pem::digest(own.unwrap_or_default()),
        }
    }

    /// What in the files may have servers refuse the certificate.
    pub(crate) fn doubts(&self) -> Vec<Fault> {
        let now = SystemTime::now();
        let Some((identity, own)) = &self.own else {
            return Vec::new();
        };
        let (path, whose) = (&own.certificate, ("clients", "servers"));
        let mut doubts = identity.date_doubts(path, now);
        doubts.extend(identity.purpose_doubt(path, whose, |purposes| purposes.client));
        doubts
    }
}

impl Connector {
    /// A connector by `settings`, whose files hold `material`.
    ///
    /// # Errors
    /// Why servers cannot be asked with it.
    pub(crate) fn new(settings: &UpstreamTls, material: &Material) -> Result<Self, Fault> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let provider = provider();
        let verifier = verifier(settings, material, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&protocol_versions(settings.versions))
            .expect("checking has left one version at least")
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &material.own {
            Some((own, _)) => {
                let resolver = SingleCertAndKey::from(own.certified.clone());
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        let offered = settings.protocols.iter();
        config.alpn_protocols = offered
            .map(|protocol| protocol.clone().into_bytes())
            .collect();
        let mut https = config.clone();
        https.alpn_protocols = vec![b"http/1.1".to_vec()];
        https.resumption = rustls::client::Resumption::default();
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            https: Arc::new(https),
            tls: Arc::new(config),
        })
    }

    /// A number that no other connector of the process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The configuration of a handshake with a server of this scheme.
    pub(crate) fn config(&self, scheme: Scheme) -> &Arc<ClientConfig> {
        match scheme {
            Scheme::Https => &self.https,
            Scheme::Plain | Scheme::Tls => &self.tls,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connector").field(&self.id).finish()
    }
}

/// The certificates of the authorities that the system trusts.
fn system_roots() -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found = rustls_native_certs::load_native_certs();
    if !found.certs.is_empty() {
        return Ok(found.certs);
    }
    let why = found.errors.first();
    let why = why.map_or(String::new(), |error| format!(" ({error})"));
    let message = format!("the system has no certificates of authorities that it trusts{why}");
    let help = "install the package ca-certificates, or name the file of an authority: tls = { ca = \"internal.pem\" } in \
                `[upstreams.NAME]`";
    Err(Fault::new(Part::SystemRoots, message).help(help))
}

/// What verifies the certificates of servers.
fn verifier(
    settings: &UpstreamTls,
    material: &Material,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Fault> {
    if !settings.is_verified {
        let algorithms = provider.signature_verification_algorithms;
        return Ok(Arc::new(AnyCertificate(algorithms)));
    }
    let roots = match &settings.authorities {
        Some(path) => pem::roots(Part::Ca, path, &material.roots)?,
        None => parsable_roots(&material.roots)?,
    };
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = builder.build();
    Ok(verifier.expect("there is one root at least, and no list of revoked certificates"))
}

/// A store of those of the system's `certificates` that can be read: some systems still have a few old
/// ones that cannot.
///
/// # Errors
/// None can be read.
fn parsable_roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates.iter().cloned());
    if added == 0 {
        let message = "none of the certificates that the system trusts can be read";
        return Err(Fault::new(Part::SystemRoots, message));
    }
    Ok(roots)
}

/// Accepts every certificate: `verify = false`. A server must still prove that it has the key of
/// its certificate; it signs the handshake with one of these algorithms.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
