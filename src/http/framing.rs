//! Where a request's content ends (RFC 9112 §6), read strictly.
//!
//! Two recipients that disagree about the end of a message let a third party smuggle a request
//! between them (RFC 9112 §11.2). So the server refuses every message that two recipients could
//! read in different ways.

use super::error::RequestError;
use super::fields::{Fields, Known};
use super::list;
use super::version::Version;

/// How a request's content is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No content.
    Empty,
    /// The content has so many octets, at least one.
    Length(u64),
    /// The content is in the chunked transfer coding.
    Chunked,
}

impl Framing {
    /// Reads `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.3).
    ///
    /// # Errors
    /// The fields are invalid, or contradict each other.
    pub(crate) fn of_request(fields: &Fields<'_>, version: Version) -> Result<Self, RequestError> {
        match (
            fields.has(Known::TransferEncoding),
            fields.has(Known::ContentLength),
        ) {
            (false, false) => Ok(Self::Empty),
            (false, true) => content_length(fields).map(|length| match length {
                0 => Self::Empty,
                length => Self::Length(length),
            }),
            // §6.3 item 3: both fields may be an attempt to smuggle a request.
            (true, true) => Err(RequestError::LengthBesideTransferCoding),
            // §6.1: a message of HTTP/1.0 with a transfer coding has faulty framing.
            (true, false) if version == Version::Http10 => {
                Err(RequestError::TransferCodingInHttp10)
            }
            (true, false) => transfer_coding(fields),
        }
    }
}

/// Reads `Content-Length`. A list of equal values counts as that value; any other list is invalid
/// (§6.3 item 5).
fn content_length(fields: &Fields<'_>) -> Result<u64, RequestError> {
    let value = fields
        .combined(Known::ContentLength)
        .ok_or(RequestError::InvalidContentLength)?;
    let mut members = value.split(|byte| *byte == b',').map(list::trim);
    let first = members
        .next()
        .and_then(parse_digits)
        .ok_or(RequestError::InvalidContentLength)?;
    if members.all(|member| parse_digits(member) == Some(first)) {
        Ok(first)
    } else {
        Err(RequestError::InvalidContentLength)
    }
}

/// Reads a number of digits alone; `None` for a sign, white space, or a number too large for the type.
pub(super) fn parse_digits(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit().then_some(())?;
        sum.checked_mul(10)?.checked_add(u64::from(byte - b'0'))
    })
}

/// Reads `Transfer-Encoding`, whose last coding must be `chunked`, and no other one: without that it
/// is unknown where the content ends (§6.3 item 4). The server knows no coding before it (§6.1).
fn transfer_coding(fields: &Fields<'_>) -> Result<Framing, RequestError> {
    let value = fields
        .combined(Known::TransferEncoding)
        .ok_or(RequestError::InvalidTransferCoding)?;
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let (mut length, mut chunked, mut ends_chunked) = (0, 0, false);
    for coding in list::elements(&value) {
        ends_chunked = is_chunked(coding);
        length += 1;
        chunked += usize::from(ends_chunked);
    }
    match (length, chunked) {
        (1, 1) => Ok(Framing::Chunked),
        (_, 1) if ends_chunked => Err(RequestError::UnknownTransferCoding),
        _ => Err(RequestError::InvalidTransferCoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Framing::*;
    use RequestError::*;

    #[test]
    fn reads_framing_strictly() {
        const LENGTH: &str = "Content-Length";
        const CODING: &str = "Transfer-Encoding";
        type Row = (
            &'static [(&'static str, &'static str)],
            Result<Framing, RequestError>,
        );
        let cases: &[Row] = &[
            (&[], Ok(Empty)),
            (&[(LENGTH, "0")], Ok(Empty)),
            (&[(LENGTH, "42")], Ok(Length(42))),
            (&[(LENGTH, "0042")], Ok(Length(42))),
            (&[(LENGTH, "18446744073709551615")], Ok(Length(u64::MAX))),
            (
                &[(LENGTH, "18446744073709551616")],
                Err(InvalidContentLength),
            ),
            (&[(LENGTH, "42, 42")], Ok(Length(42))),
            (&[(LENGTH, "42"), (LENGTH, "42")], Ok(Length(42))),
            (&[(LENGTH, "42"), (LENGTH, "43")], Err(InvalidContentLength)),
            (&[(LENGTH, "42,")], Err(InvalidContentLength)),
            (&[(LENGTH, "")], Err(InvalidContentLength)),
            (&[(LENGTH, "+42")], Err(InvalidContentLength)),
            (&[(LENGTH, "-1")], Err(InvalidContentLength)),
            (&[(LENGTH, "4 2")], Err(InvalidContentLength)),
            (&[(LENGTH, "0x10")], Err(InvalidContentLength)),
            (&[(CODING, "chunked")], Ok(Chunked)),
            (&[(CODING, "Chunked")], Ok(Chunked)),
            (&[(CODING, "chunked, chunked")], Err(InvalidTransferCoding)),
            (
                &[(CODING, "chunked"), (CODING, "chunked")],
                Err(InvalidTransferCoding),
            ),
            (&[(CODING, "")], Err(InvalidTransferCoding)),
            (&[(CODING, "gzip, chunked")], Err(UnknownTransferCoding)),
            (
                &[(CODING, "gzip"), (CODING, "br, Chunked")],
                Err(UnknownTransferCoding),
            ),
            (&[(CODING, "identity, chunked")], Err(UnknownTransferCoding)),
            (&[(CODING, "gzip")], Err(InvalidTransferCoding)),
            (&[(CODING, "identity")], Err(InvalidTransferCoding)),
            (&[(CODING, "chunked, gzip")], Err(InvalidTransferCoding)),
            (
                &[(CODING, "chunked, gzip, chunked")],
                Err(InvalidTransferCoding),
            ),
            (
                &[(CODING, "gzip, chunked, chunked")],
                Err(InvalidTransferCoding),
            ),
            (&[(CODING, "chunked;x=y")], Err(InvalidTransferCoding)),
            (&[(CODING, "xchunked")], Err(InvalidTransferCoding)),
            (&[(CODING, "x;a=\"b, chunked")], Err(InvalidTransferCoding)),
            (
                &[(CODING, "chunked"), (LENGTH, "3")],
                Err(LengthBesideTransferCoding),
            ),
        ];
        for (lines, expected) in cases {
            let lines: Vec<_> = lines
                .iter()
                .map(|(name, value)| httparse::Header {
                    name,
                    value: value.as_bytes(),
                })
                .collect();
            assert_eq!(
                Framing::of_request(&Fields::new(&lines), Version::Http11),
                *expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn refuses_a_transfer_coding_in_http_1_0() {
        let lines = [httparse::Header {
            name: "Transfer-Encoding",
            value: b"chunked",
        }];
        let found = Framing::of_request(&Fields::new(&lines), Version::Http10);
        assert_eq!(found, Err(TransferCodingInHttp10));
    }
}
