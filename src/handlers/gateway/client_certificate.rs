//! What a program behind this server is told of the client's certificate.
//!
//! As fields, for an upstream, by `client_certificate` of the route:
//!
//! ```text
//! X-Client-Verified: SUCCESS                   NONE where the client has shown no certificate, and no other line then
//! X-Client-Subject: CN=\C3\85sa,O=Tidegate     RFC 4514, with octets outside of ASCII in hexadecimal digits
//! Client-Cert: :MIIBxDCCAWqgAwIBAgIUHvOiiEafww==:             RFC 9440 §2.2
//! Client-Cert-Chain: :MIIB3jCCAY…:, :MIICBzCCAa…:             RFC 9440 §2.3
//! ```
//!
//! Scripts are told by meta-variables instead.

use std::borrow::Cow;

use data_encoding::{BASE64, HEXUPPER};
use rustls::pki_types::CertificateDer;

use crate::config::model::CertificateFact;
use crate::http::response::FieldLines;
use crate::message::request::Request;
use crate::message::secured::Secured;
use crate::tls::facts::Facts;

/// What programs are told of whether there is a certificate, in the words of Apache and nginx.
pub(super) const VERIFIED: &str = "SUCCESS";
pub(super) const NOT_SHOWN: &str = "NONE";

/// What the client's certificate says, if it has shown one.
pub(super) fn facts(secured: &Secured<'_>) -> Option<Facts> {
    let certificate = secured.client_certificate()?;
    Facts::of(certificate).ok()
}

/// Appends the fields that the operator has named for a fact each. One of which there is nothing to tell is
/// left out.
pub(super) fn push_fields(
    request: &Request<'_>,
    fields: &[(String, CertificateFact)],
    lines: &mut FieldLines,
) {
    let arrival = request.arrival;
    let secured = arrival.and_then(|arrival| arrival.connection.secured());
    let facts = secured.as_ref().and_then(facts);
    let chain = secured.map_or(&[][..], |secured| secured.client_certificates);
    for (name, fact) in fields {
        let value = match (fact, &facts) {
            (CertificateFact::Verified, None) => NOT_SHOWN.into(),
            (_, None) => continue,
            (fact, Some(facts)) => value(*fact, facts, chain),
        };
        if !value.is_empty() {
            lines.push_clean(name, [value.as_bytes()]);
        }
    }
}

/// `fact` as a field's value; empty where there is nothing to tell. `chain` begins with the client's own
/// certificate, which says `facts`.
fn value<'f>(
    fact: CertificateFact,
    facts: &'f Facts,
    chain: &[CertificateDer<'_>],
) -> Cow<'f, str> {
    match fact {
        CertificateFact::Verified => VERIFIED.into(),
        CertificateFact::Subject => in_ascii(&facts.subject),
        CertificateFact::Issuer => in_ascii(&facts.issuer),
        CertificateFact::Serial => facts.serial.as_str().into(),
        CertificateFact::Fingerprint => facts.fingerprint.as_str().into(),
        CertificateFact::Certificate => list(&chain[..1]).into(),
        CertificateFact::Chain => list(&chain[1..]).into(),
    }
}

/// A list of byte sequences (RFC 9651 §3.1, §3.3.5).
fn list(certificates: &[CertificateDer<'_>]) -> String {
    let sequence = |certificate: &CertificateDer<'_>| format!(":{}:", BASE64.encode(certificate));
    let sequences: Vec<String> = certificates.iter().map(sequence).collect();
    sequences.join(", ")
}

/// The text of a name with its octets outside of ASCII in hexadecimal digits (RFC 4514 §2.4): recipients
/// read those of a field as they like (RFC 9110 §5.5).
fn in_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut out = String::with_capacity(2 * text.len());
    for octet in text.bytes() {
        if octet.is_ascii() {
            out.push(octet.into());
        } else {
            out.push('\\');
            HEXUPPER.encode_append(&[octet], &mut out);
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_ascii_alone() {
        for (text, expected) in [
            ("", ""),
            ("CN=Ada,O=Tidegate", "CN=Ada,O=Tidegate"),
            ("CN=Åsa", "CN=\\C3\\85sa"),
            ("CN=a\\0D", "CN=a\\0D"),
        ] {
            assert_eq!(in_ascii(text), expected);
        }
    }

    #[test]
    fn certificates_are_byte_sequences() {
        let certificates = [&b"\x01\x02\x03\xff"[..], b"b"].map(CertificateDer::from);
        assert_eq!(list(&certificates[..1]), ":AQID/w==:");
        assert_eq!(list(&certificates), ":AQID/w==:, :Yg==:");
        assert_eq!(list(&[]), "");
    }
}
