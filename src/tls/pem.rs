//! Certificates and keys in files, as PEM (RFC 7468).

use std::path::Path;

use data_encoding::BASE64;
use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject as _, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

use super::facts::Facts;
use super::fault::{Fault, Part};
use crate::byte_order_mark;
use crate::disk::read_file;

/// The most octets of a file: far more than all the authorities of a system have.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// What an encrypted key has in its text: PKCS #8, and the older form of OpenSSL.
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The remedy for a file of which a part is missing.
const CUT: &str =
    "copy it again; a program that writes it should write another file beside it, and rename that";

/// Labels by which OpenSSL knows a certificate: the one with what it is trusted for, and the one of old.
const OTHER_LABELS: [&[u8]; 2] = [b"TRUSTED CERTIFICATE", b"X509 CERTIFICATE"];

/// The certificates in the file at `path`, in their order. There is one at least.
///
/// # Errors
/// Why there is none.
pub(super) fn certificates(part: Part, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = read(part, path)?;
    look_at_labels(&text).map_err(|fault| fault.told(part, path))?;
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
        Err(error) => Err(unsound(&text, &error).told(part, path)),
    }
}

/// A digest of all `certificates`, in their order.
pub(super) fn digest(certificates: &[CertificateDer<'static>]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for certificate in certificates {
        hasher.update(certificate.len().to_be_bytes());
        hasher.update(certificate);
    }
    hasher.finalize().into()
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
            let why = match Facts::of(authority) {
                Err(error) => error.to_string(),
                Ok(_) => format!("it cannot be used as that of an authority ({error})"),
            };
            Fault::new(part, format!("certificate {number} in `{shown}`: {why}"))
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
        Err(error) => Err(unsound(&text, &error).told(Part::Key, path)),
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

/// The text of the file at `path`, whose blocks begin and end at lines of their own.
fn read(part: Part, path: &Path) -> Result<Vec<u8>, Fault> {
    let text = read_file(path, MAX_SIZE)
        .map_err(|error| Fault::new(part, format!("cannot read `{}`: {error}", path.display())))?;
    let text = byte_order_mark::without(text);
    look_at_lines(&text).map_err(|fault| fault.told(part, path))?;
    Ok(text)
}

/// A line that spoils a block, or has it passed over, of which nothing else would tell.
#[derive(Debug, PartialEq, Eq)]
struct LineFault {
    /// From 1.
    line: usize,
    what: String,
    help: &'static str,
}

impl LineFault {
    fn told(self, part: Part, path: &Path) -> Fault {
        let message = format!("`{}`, line {}: {}", path.display(), self.line, self.what);
        Fault::new(part, message).help(self.help)
    }
}

/// The lines of `text`, each with its number. A CR alone ends a line, as it does for the parser.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Some(text);
    let mut number = 0;
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr::memchr2(b'\n', b'\r', text);
        rest = end.map(|end| {
            let behind = &text[end..];
            behind.strip_prefix(b"\r\n").unwrap_or(&behind[1..])
        });
        number += 1;
        Some((number, text[..end.unwrap_or(text.len())].trim_ascii_end()))
    })
}

/// The most octets of a label that a message shows. The longest in use are half as long.
const MAX_LABEL: usize = 40;

/// The block with `label`, in words. A label that has the octets of a key in it, or may have them, is not shown.
fn block_named(label: &[u8]) -> String {
    let is_of_label = |octet: &u8| octet.is_ascii_uppercase() || b"0123456789 ".contains(octet);
    let is_shown = (1..=MAX_LABEL).contains(&label.len()) && label.iter().all(is_of_label);
    if is_shown {
        format!("the block {}", String::from_utf8_lossy(label))
    } else {
        "the block".to_owned()
    }
}

/// Whether something stands behind the label and the dashes in `rest`, which is behind BEGIN or END.
fn has_more(rest: &[u8]) -> bool {
    let dashes = memchr::memmem::find(rest, DASHES);
    dashes.is_some_and(|dashes| rest.len() > dashes + DASHES.len())
}

/// The parser passes over a block whose BEGIN does not stand at the beginning of a line, and joins one that has
/// no END with the next one. What joins files without a line end between them makes such blocks.
///
/// # Errors
/// The first line that is not as it should be.
fn look_at_lines(text: &[u8]) -> Result<(), LineFault> {
    let fault = |line, what: String, help| Err(LineFault { line, what, help });
    let mut begun: Option<(usize, &[u8])> = None;
    for (line, octets) in lines(text) {
        if let Some(rest) = octets.strip_prefix(BEGIN) {
            if has_more(rest) {
                let what = "something stands behind the BEGIN of a block".to_owned();
                return fault(line, what, "put a line break behind its five dashes");
            }
            if let Some((before, _)) = begun.replace((line, rest)) {
                let what = format!("a block begins, and that of line {before} has no END");
                return fault(line, what, "the file may be cut; copy it again");
            }
        } else if let Some(rest) = octets.strip_prefix(END) {
            if has_more(rest) {
                let what = "something stands behind the END of a block".to_owned();
                return fault(line, what, "begin a new line there");
            }
            if let Some((before, expected)) = begun.take()
                && rest != expected
                && let Some(label) = expected.strip_suffix(DASHES)
            {
                let block = block_named(label);
                let what =
                    format!("this END is not that of {block}, which begins in line {before}");
                let help = "behind END there are to be the words of BEGIN, and five dashes";
                return fault(line, what, help);
            }
        } else if is_begin_elsewhere(octets) {
            let what = "the BEGIN of a block does not stand at the beginning of its line";
            return fault(line, what.to_owned(), "take away what stands before it");
        } else if begun.is_some() && memchr::memmem::find(octets, END).is_some() {
            let what = "the END of a block does not stand at the beginning of its line";
            return fault(line, what.to_owned(), "begin a new line there");
        }
    }
    Ok(())
}

/// What the parser has refused `text` for, in words for an operator: the parser's own are numbers of octets, and may
/// hold the key.
fn unsound(text: &[u8], error: &Error) -> LineFault {
    let at = |line| move |what: String, help| LineFault { line, what, help };
    match error {
        Error::MissingSectionEnd { end_marker } => {
            let block = block_named(end_marker);
            let begins = lines(text).filter(|(_, octets)| octets.starts_with(BEGIN));
            let begin = begins.last().map_or(1, |(line, _)| line);
            at(begin)(
                format!("{block} has no END: the file is cut off, or still being written"),
                CUT,
            )
        }
        Error::IllegalSectionStart { line } => {
            let start = line.trim_ascii_end();
            let line = lines(text).find(|(_, octets)| *octets == start);
            let line = at(line.map_or(1, |(line, _)| line));
            let what = "the BEGIN of a block does not end with five dashes: the file may be cut off, or still \
                        being written";
            line(what.to_owned(), CUT)
        }
        Error::Base64Decode(_) => match undecodable(text) {
            Some((line, block)) => at(line)(
                format!("{block} that begins here is not sound base64"),
                "characters are missing or wrong; copy it again",
            ),
            None => at(1)("the file is not sound PEM".to_owned(), CUT),
        },
        // None of them comes of a text of this size.
        _ => at(1)("the file is not sound PEM".to_owned(), CUT),
    }
}

/// Where the first block begins whose base64 the parser refuses, and the block in words.
fn undecodable(text: &[u8]) -> Option<(usize, String)> {
    let mut begin = None;
    let mut block = Vec::new();
    for (line, octets) in lines(text) {
        if let Some(label) = octets.strip_prefix(BEGIN) {
            let label = label.strip_suffix(DASHES).unwrap_or(label);
            begin = Some((line, block_named(label)));
            block.clear();
        }
        block.extend_from_slice(octets);
        block.push(b'\n');
        if octets.starts_with(END) {
            let parsed = <(SectionKind, Vec<u8>)>::from_pem_slice(&block);
            if begin.is_some() && matches!(parsed, Err(Error::Base64Decode(_))) {
                return begin;
            }
        }
    }
    None
}

/// Whether a BEGIN stands behind something else in the line `octets`; one in a comment is meant to.
fn is_begin_elsewhere(octets: &[u8]) -> bool {
    !octets.trim_ascii_start().starts_with(b"#") && memchr::memmem::find(octets, BEGIN).is_some()
}

/// Certificates under other labels have a form of their own, and are passed over.
///
/// # Errors
/// The first of them.
fn look_at_labels(text: &[u8]) -> Result<(), LineFault> {
    for (line, octets) in lines(text) {
        let label = octets.strip_prefix(BEGIN).unwrap_or_default();
        let label = label.strip_suffix(DASHES).unwrap_or_default();
        if OTHER_LABELS.contains(&label) {
            let label = String::from_utf8_lossy(label);
            let what = format!("a block is labelled {label}, which is not read");
            let help = "`openssl x509 -in FILE` writes it as a CERTIFICATE";
            return Err(LineFault { line, what, help });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn fixture(name: &str) -> String {
        std::fs::read_to_string(format!("tests/fixtures/tls/{name}.pem")).expect("a fixture")
    }

    /// How many certificates are in `text`, or what is wrong with it.
    fn count(text: &str) -> Result<usize, String> {
        let directory = TemporaryDirectory::new("pem");
        directory.write("a.pem", text.as_bytes());
        let read = certificates(Part::ClientCa, &directory.path().join("a.pem"));
        let told = |fault: Fault| {
            fault
                .message
                .rsplit("`")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        read.map(|certificates| certificates.len()).map_err(told)
    }

    /// All but the first certificate of such a file were passed over without a word.
    #[test]
    fn no_certificate_is_passed_over() {
        let (one, two) = (fixture("ca"), fixture("stranger"));
        let lines = one.lines().count();
        assert_eq!(count(&format!("{one}{two}")), Ok(2));
        assert_eq!(count(&format!("{one}{two}").replace('\n', "\r\n")), Ok(2));
        assert_eq!(count(&format!("\u{feff}{one}# {two}")), Ok(1), "a comment");
        let joined = format!("{}{two}", one.trim_end());
        let expected = format!(", line {lines}: something stands behind the END of a block");
        assert_eq!(count(&joined), Err(expected));
        let cut = one.replace("-----END CERTIFICATE-----\n", "");
        let expected = format!(", line {lines}: a block begins, and that of line 1 has no END");
        assert_eq!(count(&format!("{cut}{two}")), Err(expected));
        for before in [" ", "\u{feff}"] {
            let found = count(&format!("{one}{before}{two}"));
            let expected = format!(
                ", line {}: the BEGIN of a block does not stand at the beginning of its line",
                lines + 1
            );
            assert_eq!(found, Err(expected));
        }
        let trusted = two.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        let found = count(&format!("{one}{trusted}"));
        let expected = format!(
            ", line {}: a block is labelled TRUSTED CERTIFICATE, which is not read",
            lines + 1
        );
        assert_eq!(found, Err(expected));
    }

    /// The parser's own words are numbers of octets: `[67, 69, 82, …]` for CERTIFICATE.
    #[test]
    fn a_file_that_is_cut_is_told_in_words() {
        let (one, two) = (fixture("ca"), fixture("stranger"));
        let lines = one.lines().count();
        let without_end = |text: &str| text.replace("-----END CERTIFICATE-----\n", "");
        let second = lines + 1;
        let (cut, part) = (
            "the file is cut off, or still being written",
            "the file may be cut off",
        );
        let end = "the block CERTIFICATE has no END";
        let base64 = "the block CERTIFICATE that begins here is not sound base64";
        let other = format!(
            ", line {lines}: this END is not that of the block CERTIFICATE, which begins in line 1"
        );
        let in_the_middle = |sound: &str, broken: &str| {
            assert!(two.contains(sound), "{sound}");
            format!("{one}{}{one}", two.replacen(sound, broken, 1))
        };
        let end_of_second = lines + two.lines().count();
        let middle = format!(
            ", line {end_of_second}: this END is not that of the block CERTIFICATE, which begins in line {second}"
        );
        let behind_base64 = format!(
            ", line {}: the END of a block does not stand at the beginning of its line",
            end_of_second - 1
        );
        let dashes = "the BEGIN of a block does not end with five dashes";
        let behind = "something stands behind the BEGIN of a block";
        let rows = [
            (without_end(&one), format!(", line 1: {end}: {cut}")),
            (
                format!("{one}{}", without_end(&two)),
                format!(", line {second}: {end}: {cut}"),
            ),
            (
                one.replace("ICATE-----\n", "IC"),
                format!(", line 1: {dashes}: {part}, or still being written"),
            ),
            (one.replace("END CERTIFICATE", "END CERTIFICATES"), other),
            (
                in_the_middle("END CERTIFICATE", "END CERTIFICATES"),
                middle.clone(),
            ),
            (
                in_the_middle("END CERTIFICATE-", "END CERTIFICATE"),
                middle.clone(),
            ),
            (in_the_middle("END CERTIFICATE", "END Certificate"), middle),
            (in_the_middle("\n-----END", "-----END"), behind_base64),
            (
                in_the_middle("\nMI", "\nM*"),
                format!(", line {second}: {base64}"),
            ),
            (
                format!(
                    "-----BEGIN A-----\nB: C\n-----END A-----\n{}",
                    one.replacen("\nMI", "\nM*", 1)
                ),
                format!(", line 4: {base64}"),
            ),
            (one.replacen('\n', "", 1), format!(", line 1: {behind}")),
            (
                one.replacen("\nMI", "\nM*", 1),
                format!(", line 1: {base64}"),
            ),
            (
                format!("{one}{}", two.replacen("\nMI", "\nM*", 1)),
                format!(", line {second}: {base64}"),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(count(&text), Err(expected), "{text}");
        }
        let directory = TemporaryDirectory::new("pem");
        directory.write(
            "a.key",
            b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIO",
        );
        let fault = key(&directory.path().join("a.key")).expect_err("a cut key");
        let told = format!("line 1: the block PRIVATE KEY has no END: {cut}");
        assert!(fault.message.ends_with(&told), "{}", fault.message);
        assert_eq!(fault.help.as_deref(), Some(CUT));
    }

    /// The parser takes all that is before the last dashes of a line for the label, and the label was shown.
    #[test]
    fn no_message_shows_a_part_of_a_key() {
        let directory = TemporaryDirectory::new("pem");
        let path = directory.path().join("a.key");
        let behind = "line 1: something stands behind the BEGIN of a block";
        for name in [
            "ca",
            "client",
            "early",
            "expired",
            "localhost",
            "other",
            "own",
            "stranger",
        ] {
            let text = std::fs::read_to_string(format!("tests/fixtures/tls/{name}.key"));
            let text = text.expect("a fixture");
            let secret: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let one_line = text.replace('\n', "");
            let rows = [
                (one_line.clone(), Some(behind)),
                (text.replace('\n', " "), Some(behind)),
                (text.replace('\n', "\\n"), Some(behind)),
                (text.replacen('\n', "", 1), Some(behind)),
                (text.replace('\n', "\r"), None),
                (
                    one_line.replacen("KEY-----", "KEY----", 1),
                    Some("line 1: "),
                ),
                (one_line.replace("KEY-----", "KEY----"), Some("line 1: ")),
                (one_line.replace("-----END", "----END"), Some("line 1: ")),
                (
                    one_line
                        .replacen("KEY-----", "KEY", 1)
                        .replace("-----END", ""),
                    Some("line 1: "),
                ),
                (
                    text.replace("-----END", "----END"),
                    Some("line 1: the block "),
                ),
                (
                    format!("\r\r{}", text.replacen('\n', "*\r", 2)),
                    Some("line 3: "),
                ),
            ];
            for (text, expected) in rows {
                directory.write("a.key", text.as_bytes());
                let faults = [
                    key(&path).err(),
                    certificates(Part::Certificate, &path).err(),
                ];
                let told = faults[0].as_ref().map(|fault| fault.message.clone());
                let is_expected = match (&told, expected) {
                    (Some(told), Some(expected)) => told.contains(expected),
                    (told, expected) => told.is_none() && expected.is_none(),
                };
                assert!(is_expected, "{told:?} is not {expected:?}");
                for fault in faults.into_iter().flatten() {
                    let told = fault.message + &fault.help.unwrap_or_default();
                    let mut parts = secret.as_bytes().windows(20);
                    let shown =
                        parts.find(|part| memchr::memmem::find(told.as_bytes(), part).is_some());
                    assert_eq!(shown, None, "{told}");
                }
            }
        }
    }

    #[test]
    fn what_else_stands_in_such_files_is_passed_over() {
        let parameters =
            "subject=CN = a\n-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n";
        assert_eq!(count(&format!("{parameters}{}", fixture("ca"))), Ok(1));
    }
}
