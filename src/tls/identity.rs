//! A certificate with its key: who a server is, or this server as a client of another.

use std::path::Path;
use std::time::SystemTime;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::facts::{Facts, Purposes, authority_and_serial, may_have_issued};
use super::fault::{Fault, Part};
use super::pem;
use super::validity::chain_doubts;
use crate::config::model::HostPattern;

/// A certificate with its key.
pub(super) struct Identity {
    pub(super) certified: CertifiedKey,
    pub(super) facts: Facts,
    /// What the certificates behind the own one say, as far as they can be read.
    pub(super) issuers: Vec<Facts>,
}

impl Identity {
    /// Reads the certificates in the file `certificate`, the server's own first, and the key in the file
    /// `key`.
    ///
    /// # Errors
    /// Why the server cannot be who they say.
    pub(super) fn read(certificate: &Path, key: &Path) -> Result<Self, Fault> {
        let chain = pem::certificates(Part::Certificate, certificate)?;
        let key_der = pem::key(key)?;
        let signing = any_supported_type(&key_der).map_err(|_| {
            let message = format!(
                "the key in `{}` is of a kind that is not spoken",
                key.display()
            );
            Fault::new(Part::Key, message).help(
                "it may be ECDSA (P-256, P-384, P-521), Ed25519 or RSA with 2048 bits or more",
            )
        })?;
        let facts = Facts::of(&chain[0]).map_err(|error| {
            let message = format!("the first block of `{}`: {error}", certificate.display());
            Fault::new(Part::Certificate, message)
        })?;
        let issuers = chain[1..].iter().filter_map(|one| Facts::of(one).ok());
        let issuers = issuers.collect();
        let certified = CertifiedKey::new(chain, signing);
        if certified.keys_match().is_err() {
            return Err(misfit(&certified, certificate, key));
        }
        Ok(Self {
            certified,
            facts,
            issuers,
        })
    }

    /// What is wrong with the dates of the certificate, which is in the file `path`, and of those behind it there.
    pub(super) fn date_doubts(&self, path: &Path, now: SystemTime) -> Vec<Fault> {
        chain_doubts(&self.facts, &self.issuers, path, now)
    }

    /// Peers refuse it as that of a server or of a client: it is for others (RFC 5280 §4.2.1.12).
    pub(super) fn purpose_doubt(
        &self,
        path: &Path,
        (owners, peers): (&str, &str),
        is_meant: impl Fn(Purposes) -> bool,
    ) -> Option<Fault> {
        let purposes = Purposes::of(&self.certified.cert[0])?;
        let message = format!(
            "the certificate in `{}` is not for {owners} (extendedKeyUsage), so {peers} refuse it",
            path.display()
        );
        (!is_meant(purposes)).then(|| Fault::new(Part::Certificate, message))
    }

    /// What is wrong with it that clients will mind, for a server that answers for `hosts`.
    pub(super) fn doubts(&self, path: &Path, hosts: &[HostPattern], now: SystemTime) -> Vec<Fault> {
        let shown = path.display();
        let doubt = |message: String| Fault::new(Part::Certificate, message);
        let mut doubts = self.date_doubts(path, now);
        let whose = ("servers", "clients");
        doubts.extend(self.purpose_doubt(path, whose, |purposes| purposes.server));
        let missing: Vec<String> = hosts
            .iter()
            .filter(|host| !self.facts.covers(host))
            .map(|host| format!("`{host}`"))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "the certificate in `{shown}` is not for {}, so clients refuse it there",
                missing.join(", ")
            );
            let names = self.facts.names.join(", ");
            doubts.push(doubt(message).help(match names.as_str() {
                "" => "it names no host at all (subjectAltName)".to_owned(),
                names => format!("it is for {names}"),
            }));
        }
        if let Some(place) = break_in(&self.certified.cert) {
            let message = format!(
                "in `{shown}`, certificate {} has not issued the one before it",
                place + 1
            );
            let help = "the server's own stands first, then the one that has issued it, and so on; \
                        clients may not find their way to a root they know";
            doubts.push(doubt(message).help(help));
        }
        doubts
    }
}

/// What is known of a certificate that a CA has issued.
pub(crate) struct Issued {
    pub(crate) facts: Facts,
    /// The identifier of the CA's key, and the certificate's number: what RFC 9773 §4.1 calls it by.
    pub(crate) authority_and_serial: Option<(Vec<u8>, Vec<u8>)>,
}

/// What the certificate says that a CA has issued into `file`, with its key.
///
/// # Errors
/// Why no server can be who it says: the CA has not given what it was asked for.
pub(crate) fn check_issued(file: &Path, names: &[String]) -> Result<Issued, Fault> {
    let identity = Identity::read(file, file)?;
    let is_covered = |name: &&String| !identity.facts.covers(&HostPattern::Exact((*name).clone()));
    if let Some(missing) = names.iter().find(is_covered) {
        let message = format!(
            "the certificate in `{}` is not for {missing}",
            file.display()
        );
        return Err(Fault::new(Part::Certificate, message));
    }
    Ok(Issued {
        authority_and_serial: authority_and_serial(&identity.certified.cert[0]),
        facts: identity.facts,
    })
}

/// Why the key does not fit: perhaps it fits another certificate of the file.
fn misfit(certified: &CertifiedKey, certificate: &Path, key: &Path) -> Fault {
    let (certificate, key) = (certificate.display(), key.display());
    let fits = |other: &CertificateDer<'static>| {
        let alone = CertifiedKey::new(vec![other.clone()], certified.key.clone());
        alone.keys_match().is_ok()
    };
    match certified.cert.iter().position(fits) {
        Some(place) => {
            let message = format!(
                "the certificates in `{certificate}` are in the wrong order: that of the key is number {}",
                place + 1
            );
            Fault::new(Part::Certificate, message).help(
                "the server's own certificate stands first, then the one that has issued it, and so on",
            )
        }
        None => {
            let message =
                format!("the key in `{key}` does not fit the certificate in `{certificate}`");
            Fault::new(Part::Key, message).help(format!(
                "both say the same where they fit: openssl pkey -in {key} -pubout; openssl x509 -in {certificate} -noout -pubkey"
            ))
        }
    }
}

/// The index of the first certificate that has not issued the one before it.
fn break_in(chain: &[CertificateDer<'static>]) -> Option<usize> {
    let pairs = chain.windows(2);
    let found = pairs
        .enumerate()
        .find(|(_, pair)| !may_have_issued(&pair[1], &pair[0]));
    found.map(|(index, _)| index + 1)
}
