//! What the certificates of a CA for development say.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::model::HostPattern;
use crate::tls::facts::Facts;
use crate::tls::pem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a CA signs.
const AUTHORITY_LIFETIME: Duration = Duration::from_secs(3650 * DAY.as_secs());

/// How long the certificate of a server or a client lasts. It is short, because `serve` and `proxy` renew
/// theirs by themselves, and a key that was lost is of use to its finder no longer than this.
const LIFETIME: Duration = Duration::from_secs(397 * DAY.as_secs());

/// Certificates begin so long before they are made: a clock of another machine may be slow.
const BACKDATED: Duration = Duration::from_secs(60 * 60);

/// The longest common name there may be, in characters (RFC 5280 appendix A.1, ub-common-name).
pub(crate) const MAX_COMMON_NAME: usize = 64;

/// Who a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    /// A server that is asked for by these hosts. There is one at least.
    Server(&'a [HostPattern]),
    /// A client of this name.
    Client(&'a str),
}

/// A certificate with its key, as PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) not_after: SystemTime,
}

/// The certificate of a CA, with its key.
pub(super) struct Pair {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Pair {
    pub(super) fn of(
        certificate: CertificateDer<'static>,
        key: &PrivateKeyDer<'_>,
    ) -> Result<Self, Error> {
        let key = KeyPair::try_from(key)?;
        Ok(Self { certificate, key })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.certificate
    }

    pub(super) fn certificate(&self) -> String {
        pem::block("CERTIFICATE", &self.certificate)
    }

    pub(super) fn key(&self) -> String {
        pem::block("PRIVATE KEY", self.key.serialized_der())
    }

    pub(super) fn facts(&self) -> Facts {
        Facts::of(&self.certificate).expect("it was made as a certificate")
    }

    /// A new certificate with its key. `own` is what the CA's certificate says.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn issue(
        &self,
        subject: &Subject<'_>,
        own: &Facts,
        now: SystemTime,
    ) -> Result<Issued, Error> {
        let not_after = longest(own, now);
        let mut parameters = parameters(subject)?;
        parameters.not_before = (now - BACKDATED).into();
        parameters.not_after = not_after.into();
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        Ok(Issued {
            certificate: pem::block("CERTIFICATE", certificate.der()),
            key: pem::block("PRIVATE KEY", key.serialized_der()),
            not_after,
        })
    }
}

/// When a certificate ends that is made at `now` by the CA whose certificate says `authority`: not later than
/// the CA does.
pub(super) fn longest(authority: &Facts, now: SystemTime) -> SystemTime {
    authority.not_after.min(now - BACKDATED + LIFETIME)
}

/// Makes a CA for `owner`.
///
/// # Errors
/// If it cannot be made.
pub(super) fn make_authority(owner: &str, now: SystemTime) -> Result<Pair, Error> {
    let mut parameters = CertificateParams::default();
    let name = format!("Tidegate development CA of {owner}");
    parameters.distinguished_name = distinguished("Tidegate development CA", &name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = (now - BACKDATED).into();
    parameters.not_after = (now - BACKDATED + AUTHORITY_LIFETIME).into();
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?.der().clone();
    Ok(Pair { certificate, key })
}

/// What a certificate for `subject` says, but for its dates.
fn parameters(subject: &Subject<'_>) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::default();
    let organization = "Tidegate development certificate";
    let (name, usage) = match subject {
        Subject::Server(hosts) => {
            let names: Result<_, Error> = hosts.iter().map(alternative_name).collect();
            parameters.subject_alt_names = names?;
            let first = hosts.first().map(ToString::to_string);
            let first = first.unwrap_or_default();
            (first, ExtendedKeyUsagePurpose::ServerAuth)
        }
        Subject::Client(name) => ((*name).to_owned(), ExtendedKeyUsagePurpose::ClientAuth),
    };
    parameters.distinguished_name = distinguished(organization, &name);
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![usage];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

fn distinguished(organization: &str, common: &str) -> DistinguishedName {
    let common: String = common.chars().take(MAX_COMMON_NAME).collect();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, organization);
    name.push(DnType::CommonName, common);
    name
}

fn alternative_name(host: &HostPattern) -> Result<SanType, Error> {
    let text = host.to_string();
    let address = text.trim_matches(['[', ']']).parse::<IpAddr>();
    Ok(match address {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(Ia5String::try_from(text)?),
    })
}
