//! Certificates and keys in files, as PEM (RFC 7468).

use std::path::Path;

use data_encoding::BASE64;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::fault::{Fault, Part};
use crate::disk::read_file;

/// The most octets of a file: far more than all the authorities of a system have.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// What an encrypted key has in its text: PKCS #8, and the older form of OpenSSL.
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// The certificates in the file at `path`, in their order. There is one at least.
///
/// # Errors
/// Why there is none.
pub(super) fn certificates(part: Part, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = read(part, path)?;
    let certificates: Result<Vec<_>, Error> = CertificateDer::pem_slice_iter(&text).collect();
    let shown = path.display();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            let message = format!("`{shown}` holds no certificate");
            Err(Fault::new(part, message).help(if has_key(&text) {
                "it holds a key; are `certificate` and `key` in each other's place?"
            } else {
                "it should be PEM: text that begins with -----BEGIN CERTIFICATE-----"
            }))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(Fault::new(
            part,
            format!("`{shown}` is not sound PEM: {error}"),
        )),
    }
}

/// The store of the trusted `certificates`, which [`certificates`] has read from the file at `path`.
///
/// # Errors
/// Which of them cannot be trusted as an authority, and why.
pub(super) fn roots(
    part: Part,
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for (index, authority) in certificates.iter().enumerate() {
        roots.add(authority.clone()).map_err(|error| {
            let (number, shown) = (index + 1, path.display());
            Fault::new(part, format!("certificate {number} in `{shown}`: {error}"))
        })?;
    }
    Ok(roots)
}

/// The first private key in the file at `path`.
///
/// # Errors
/// Why there is none.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let text = read(Part::Key, path)?;
    let shown = path.display();
    let is_encrypted = |mark: &&str| memchr::memmem::find(&text, mark.as_bytes()).is_some();
    if ENCRYPTED.iter().any(is_encrypted) {
        let message =
            format!("the key in `{shown}` is encrypted, and the server cannot decrypt it");
        let help = format!(
            "write it without encryption, for the server's user alone: openssl pkey -in {shown} -out plain.key && chmod 600 plain.key"
        );
        return Err(Fault::new(Part::Key, message).help(help));
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) => {
            let message = format!("`{shown}` holds no private key");
            Err(Fault::new(Part::Key, message)
                .help("it should be PEM: text that begins with -----BEGIN PRIVATE KEY-----"))
        }
        Err(error) => {
            let message = format!("`{shown}` is not sound PEM: {error}");
            Err(Fault::new(Part::Key, message))
        }
    }
}

/// `der` as PEM (RFC 7468).
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut lines = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    lines + &format!("-----END {label}-----\n")
}

fn has_key(text: &[u8]) -> bool {
    PrivateKeyDer::from_pem_slice(text).is_ok()
}

fn read(part: Part, path: &Path) -> Result<Vec<u8>, Fault> {
    read_file(path, MAX_SIZE)
        .map_err(|error| Fault::new(part, format!("cannot read `{}`: {error}", path.display())))
}
