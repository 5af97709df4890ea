//! The name of a certificate's owner or issuer as text (RFC 4514).
//!
//! Applications decide by this text who may do what, so two names must not give the same text: nothing of a
//! name is left out, and what could be taken for the end of a value is escaped.

use std::fmt::Write as _;

use data_encoding::HEXUPPER;
use x509_parser::asn1_rs::{Tag, ToDer as _};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// The name as RFC 4514 writes it: `CN=Ada,O=Tidegate`, the last part of the certificate's name first.
/// It has no control characters.
pub(super) fn shown(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in name.iter() {
        let attributes: Vec<String> = part.iter().map(attribute).collect();
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    parts.join(",")
}

/// The common name as it is, the last if there are several. `None`: there is none, or it is no text that a
/// terminal can show.
pub(super) fn common(name: &X509Name<'_>) -> Option<String> {
    let common = text(name.iter_common_name().last()?)?;
    (!common.is_empty() && !common.contains(char::is_control)).then_some(common)
}

/// `CN=Ada`; an attribute that has no short name is `1.2.3=#0403414441` (§2.4).
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    let abbreviation = oid2abbrev(kind, oid_registry()).ok();
    let text = abbreviation.and_then(|_| text(attribute));
    let kind = abbreviation.map_or_else(|| kind.to_id_string(), str::to_owned);
    match text {
        Some(text) => format!("{kind}={}", escaped(&text)),
        None => {
            let encoded = attribute.attr_value().to_der_vec().unwrap_or_default();
            format!("{kind}=#{}", HEXUPPER.encode(&encoded))
        }
    }
}

/// The value, if it is one of the common kinds of text.
fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    if attribute.attr_value().tag() != Tag::BmpString {
        return attribute.as_str().ok().map(str::to_owned);
    }
    let (units, []) = attribute.as_slice().as_chunks() else {
        return None;
    };
    let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
    char::decode_utf16(units).collect::<Result<_, _>>().ok()
}

/// A value with a backslash before what would end it, and its control characters as octets (§2.4).
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, character) in value.char_indices() {
        let is_at_edge = at == 0 || at == last;
        match character {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => out.extend(['\\', character]),
            '#' if at == 0 => out.push_str("\\#"),
            // A space behind a backslash could be cut off from the end of a field's value.
            ' ' if is_at_edge => out.push_str("\\20"),
            _ if character.is_control() => {
                for octet in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\{octet:02X}");
                }
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer as _;

    use super::*;

    const COMMON_NAME: &[u8] = b"\x55\x04\x03";
    const UNIT: &[u8] = b"\x55\x04\x0b";
    /// 1.2.3.4
    const OTHER: &[u8] = b"\x2a\x03\x04";
    const PRINTABLE: u8 = 0x13;
    const UTF8: u8 = 0x0c;
    const BMP: u8 = 0x1e;
    const TELETEX: u8 = 0x14;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("it is short");
        assert!(length < 128);
        [&[tag, length], content].concat()
    }

    /// Type, tag and value.
    type Attribute<'a> = (&'a [u8], u8, &'a [u8]);

    /// The text of a name of these parts, each of which has these attributes.
    fn text_of(parts: &[&[Attribute<'_>]]) -> String {
        with_name(parts, shown)
    }

    fn with_name<T>(parts: &[&[Attribute<'_>]], of: impl Fn(&X509Name<'_>) -> T) -> T {
        let attribute = |(kind, tag, value): &Attribute<'_>| {
            der(0x30, &[der(6, kind), der(*tag, value)].concat())
        };
        let part = |attributes: &&[Attribute<'_>]| {
            let attributes: Vec<_> = attributes.iter().map(attribute).collect();
            der(0x31, &attributes.concat())
        };
        let parts: Vec<_> = parts.iter().map(part).collect();
        let name = der(0x30, &parts.concat());
        let (rest, name) = X509Name::from_der(&name).expect("a name");
        assert!(rest.is_empty());
        of(&name)
    }

    #[test]
    fn a_common_name_is_not_escaped() {
        for (parts, expected) in [
            (
                &[(COMMON_NAME, UTF8, &b"Acme, Inc CA"[..])][..],
                Some("Acme, Inc CA"),
            ),
            (
                &[(COMMON_NAME, UTF8, b"a"), (COMMON_NAME, UTF8, b"b")],
                Some("b"),
            ),
            (&[(COMMON_NAME, UTF8, b"a\x1b[1m")], None),
            (&[(COMMON_NAME, UTF8, b"")], None),
            (&[(COMMON_NAME, TELETEX, b"a\xe9")], None),
            (&[(UNIT, UTF8, b"a")], None),
        ] {
            let parts: Vec<_> = parts.iter().map(std::slice::from_ref).collect();
            assert_eq!(with_name(&parts, common).as_deref(), expected);
        }
    }

    #[test]
    fn a_name_is_written_from_its_end() {
        let name = text_of(&[
            &[(UNIT, PRINTABLE, b"Tides")],
            &[(COMMON_NAME, UTF8, "Åsa".as_bytes())],
        ]);
        assert_eq!(name, "CN=Åsa,OU=Tides");
        assert_eq!(text_of(&[]), "");
    }

    #[test]
    fn no_two_names_give_one_text() {
        let common_name = |value: &[u8]| text_of(&[&[(COMMON_NAME, UTF8, value)]]);
        for (value, expected) in [
            (&b"a,OU=b"[..], "CN=a\\,OU\\=b"),
            (b"a+b", "CN=a\\+b"),
            (b"ad\x01min", "CN=ad\\01min"),
            (b"admin\x00", "CN=admin\\00"),
            (b"a\r\nX-Admin: 1", "CN=a\\0D\\0AX-Admin: 1"),
            ("a\u{85}b".as_bytes(), "CN=a\\C2\\85b"),
            (b"\\00", "CN=\\\\00"),
            (b" a b ", "CN=\\20a b\\20"),
            (b" ", "CN=\\20"),
            (b"#0401", "CN=\\#0401"),
            (b"a#", "CN=a#"),
            (b"", "CN="),
        ] {
            assert_eq!(common_name(value), expected, "{}", value.escape_ascii());
        }
        let together = [(COMMON_NAME, UTF8, &b"a"[..]), (UNIT, UTF8, b"b")];
        assert_eq!(text_of(&[&together]), "CN=a+OU=b");
        let apart = text_of(&[&[(UNIT, UTF8, b"b")], &[(COMMON_NAME, UTF8, b"a")]]);
        assert_eq!(apart, "CN=a,OU=b");
    }

    #[test]
    fn what_is_no_text_is_written_in_digits() {
        for (kind, tag, value, expected) in [
            (COMMON_NAME, BMP, &b"\0A\x01\x41"[..], "CN=AŁ"),
            (COMMON_NAME, BMP, b"\0A\0", "CN=#1E03004100"),
            (COMMON_NAME, BMP, b"\xd8\x00", "CN=#1E02D800"),
            (COMMON_NAME, TELETEX, b"a\xe9", "CN=#140261E9"),
            (OTHER, UTF8, b"a", "1.2.3.4=#0C0161"),
        ] {
            let text = text_of(&[&[(kind, tag, value)]]);
            assert_eq!(text, expected, "{}", value.escape_ascii());
        }
    }
}
