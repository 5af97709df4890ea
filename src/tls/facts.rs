//! What a certificate says (RFC 5280 §4).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXUPPER;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use super::name::{common, shown};
use crate::config::model::HostPattern;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Whose it is, as `CN=a.example,O=A` (RFC 4514).
    pub(crate) subject: String,
    /// Who has issued it, in the same form.
    pub(crate) issuer: String,
    /// In hexadecimal digits, as OpenSSL writes it.
    pub(crate) serial: String,
    /// The SHA-256 of the certificate, in hexadecimal digits.
    pub(crate) fingerprint: String,
    /// The hosts that it is for, as `hosts` of a server has them: names in lower case, IPv6 addresses in
    /// brackets.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// Whether its owner may issue certificates.
    pub(crate) is_authority: bool,
}

/// For whom a certificate is, if it says so (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Purposes {
    pub(super) server: bool,
    pub(super) client: bool,
}

impl Purposes {
    /// What `certificate` says; `None`: it is for any purpose.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let usage = certificate.extended_key_usage().ok().flatten()?.value;
        (!usage.any).then_some(Self {
            server: usage.server_auth,
            client: usage.client_auth,
        })
    }
}

/// The octets are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no X.509 certificate")]
pub(crate) struct NoCertificate;

impl Facts {
    /// What the certificate `der` says.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn of(der: &[u8]) -> Result<Self, NoCertificate> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| NoCertificate)?;
        let validity = certificate.validity();
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let host = |name: &GeneralName<'_>| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(octets) => address(octets),
            _ => None,
        };
        Ok(Self {
            subject: shown(certificate.subject()),
            issuer: shown(certificate.issuer()),
            serial: HEXUPPER.encode(without_sign(certificate.raw_serial())),
            fingerprint: HEXUPPER.encode(&Sha256::digest(der)),
            names: names.filter_map(host).collect(),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            is_authority: certificate.is_ca(),
        })
    }

    /// Whether it is for `host`, or for every host that the pattern stands for.
    pub(crate) fn covers(&self, host: &HostPattern) -> bool {
        let has = |wanted: &str| self.names.iter().any(|name| name == wanted);
        match host {
            HostPattern::Exact(host) => {
                // RFC 6125 §6.4.3: the wildcard stands for one label.
                let above = host.split_once('.').map(|(_, above)| above);
                has(host) || above.is_some_and(|above| has(&format!("*.{above}")))
            }
            HostPattern::Below(suffix) => has(&format!("*{suffix}")),
        }
    }

    /// Whether clients accept its dates at `now`.
    pub(crate) fn is_valid(&self, now: SystemTime) -> bool {
        now >= self.not_before && now < self.not_after
    }

    /// How long it is still valid at `now`; zero if it is not.
    pub(crate) fn left(&self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }
}

/// Whole days in `time`.
pub(crate) fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

/// Whether `issuer` may have issued `certificate`: its subject is the issuer that the other names.
pub(super) fn may_have_issued(issuer: &[u8], certificate: &[u8]) -> bool {
    let issuer = X509Certificate::from_der(issuer);
    let certificate = X509Certificate::from_der(certificate);
    match (issuer, certificate) {
        (Ok((_, issuer)), Ok((_, certificate))) => {
            issuer.subject().as_raw() == certificate.issuer().as_raw()
        }
        _ => false,
    }
}

/// The common name of the owner of `certificate`, without escapes; `None` if there is none that can be shown.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    common(certificate.subject())
}

/// The identifier of the key that has signed `certificate` (RFC 5280 §4.2.1.1), and the number of the
/// certificate.
pub(super) fn authority_and_serial(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut extensions = certificate.extensions().iter();
    let identifier = extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref(),
        _ => None,
    })?;
    Some((identifier.0.to_vec(), certificate.raw_serial().to_vec()))
}

/// The identifier of the key of `certificate` (RFC 5280 §4.2.1.2), if it is a CA's.
pub(super) fn key_of_authority(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut extensions = certificate.extensions().iter();
    let identifier = extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(found) => Some(found.0.to_vec()),
        _ => None,
    });
    identifier.filter(|_| certificate.is_ca())
}

/// The octets of a number without the zero before them that says that it is not negative (X.690 §8.3.3):
/// other programs do not write it.
fn without_sign(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        number => number,
    }
}

/// An IP address of a certificate, as `Host` has it (RFC 9110 §7.2).
fn address(octets: &[u8]) -> Option<String> {
    let version4 = <[u8; 4]>::try_from(octets).map(|octets| Ipv4Addr::from(octets).to_string());
    let version6 =
        <[u8; 16]>::try_from(octets).map(|octets| format!("[{}]", Ipv6Addr::from(octets)));
    version4.or(version6).ok()
}

fn time(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn the_zero_before_a_number_says_its_sign_alone() {
        for (number, expected) in [
            (&b"\x00\x81"[..], "81"),
            (b"\x01\x00", "0100"),
            (b"\x00", "00"),
            (b"", ""),
        ] {
            assert_eq!(HEXUPPER.encode(without_sign(number)), expected);
        }
    }

    #[test]
    fn a_certificate_is_for_names_and_addresses() {
        let certificate = CertificateDer::from_pem_file("tests/fixtures/tls/localhost.pem");
        let facts = Facts::of(&certificate.expect("a fixture")).expect("a certificate");
        let exact = |host: &str| HostPattern::Exact(host.to_owned());
        for (host, is_covered) in [
            (exact("localhost"), true),
            (exact("127.0.0.1"), true),
            (exact("[::1]"), true),
            (exact("a.example.com"), true),
            (HostPattern::Below(".example.com".to_owned()), true),
            (exact("127.0.0.2"), false),
            (exact("[::2]"), false),
            (exact("a.b.example.com"), false),
            (HostPattern::Below(".localhost".to_owned()), false),
        ] {
            assert_eq!(facts.covers(&host), is_covered, "{host}");
        }
    }
}
