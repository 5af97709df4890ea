//! The head of a response that an upstream sends: status line and header section (RFC 9112 §4, §5), and
//! where its content ends (§6.3), read strictly.
//!
//! A gateway that guesses where a response ends gives one client's response to another. So a head that
//! two recipients could read in different ways is refused, as that of a request is. `httparse` splits
//! the lines; this file decides what they mean.

use std::mem::MaybeUninit;

use super::fields::{FIELD_CAPACITY, is_name};
use super::framing::parse_digits;
use super::list::{self, trim};
use super::method::Method;
use super::status::Status;
use super::version::Version;

/// The longest head that is taken, in bytes. Applications put large cookies and policies into theirs.
pub(crate) const MAX_RECEIVED_HEAD: usize = 128 * 1024;

/// A response's head. It borrows from the bytes it was parsed from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceivedHead<'a> {
    pub(crate) version: Version,
    pub(crate) status: Status,
    /// The field lines, as they were sent.
    pub(crate) lines: &'a [httparse::Header<'a>],
    pub(crate) framing: ReceivedFraming,
    /// The value of `Content-Length`. To HEAD it is the length of content that is not sent.
    pub(crate) content_length: Option<u64>,
    /// Whether another response may follow on the connection (RFC 9112 §9.3).
    pub(crate) persistent: bool,
    /// Bytes of the head, with the empty line at its end.
    pub(crate) length: usize,
}

/// How the content of a received response is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReceivedFraming {
    /// There is none, whatever the fields say: to HEAD, with 1xx, 204 and 304.
    Empty,
    Length(u64),
    Chunked,
    /// It ends with the connection.
    Close,
}

/// Why octets are no response. The upstream's fault: 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResponseError {
    #[error("its status line or a field line is malformed")]
    Malformed,
    #[error("it speaks another version of HTTP than 1.0 and 1.1")]
    UnsupportedVersion,
    #[error("its status is not from 100 to 999")]
    InvalidStatus,
    #[error("its head is longer than {MAX_RECEIVED_HEAD} bytes")]
    HeadTooLong,
    #[error("its head has more than {FIELD_CAPACITY} field lines")]
    TooManyFields,
    #[error("its Content-Length is not one number")]
    InvalidContentLength,
    #[error("it has Content-Length beside Transfer-Encoding")]
    LengthBesideTransferCoding,
    #[error("its Transfer-Encoding is not `chunked` alone")]
    UnknownTransferCoding,
    #[error("it has Transfer-Encoding in HTTP/1.0")]
    TransferCodingInHttp10,
}

/// Room for the field lines of a head.
pub(crate) type LineSpace<'a> = [MaybeUninit<httparse::Header<'a>>; FIELD_CAPACITY];

/// Room for as many lines as a head may have.
pub(crate) fn line_space<'a>() -> LineSpace<'a> {
    [const { MaybeUninit::uninit() }; FIELD_CAPACITY]
}

impl<'a> ReceivedHead<'a> {
    /// Parses the head at the start of `bytes`, of a response to a request of `method`. Returns `None`
    /// while it is incomplete.
    ///
    /// # Errors
    /// The first fault. The connection is of no more use then.
    pub(crate) fn parse(
        bytes: &'a [u8],
        space: &'a mut LineSpace<'a>,
        method: Method,
    ) -> Result<Option<Self>, ResponseError> {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, space);
        let length = match parsed {
            Ok(httparse::Status::Complete(length)) if length <= MAX_RECEIVED_HEAD => length,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_RECEIVED_HEAD => return Ok(None),
            Ok(_) => return Err(ResponseError::HeadTooLong),
            Err(error) => return Err(fault(error, bytes)),
        };
        let complete = "httparse fills these in before it says Complete";
        let version = match response.version.expect(complete) {
            0 => Version::Http10,
            _ => Version::Http11,
        };
        let code = response.code.expect(complete);
        let status = Status::from_code(code).ok_or(ResponseError::InvalidStatus)?;
        let lines: &'a [httparse::Header<'a>] = response.headers;
        let content_length = content_length(lines)?;
        let is_chunked = is_chunked(lines, version)?;
        let framing = framing(content_length, is_chunked, status, method)?;
        Ok(Some(Self {
            version,
            status,
            lines,
            framing,
            content_length,
            persistent: framing != ReceivedFraming::Close
                && !announces_content(status, content_length, is_chunked)
                && is_persistent(lines, version),
            length,
        }))
    }

    /// The names and values of the field lines, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.lines.iter().map(|line| (line.name, trim(line.value)))
    }

    /// The values of the field `name`, in lower case here, in their order.
    pub(crate) fn values<const N: usize>(
        &self,
        name: &'static [u8; N],
    ) -> impl Iterator<Item = &'a [u8]> + use<'a, N> {
        values(self.lines, name)
    }
}

/// The status of the final response to a GET at the start of `octets`; `None` while its head is incomplete.
/// Interim responses before it (RFC 9110 §15.2) are taken out of `octets`, also then and before an error.
///
/// # Errors
/// The first fault of the first head that is left in `octets`.
pub(crate) fn final_status(octets: &mut Vec<u8>) -> Result<Option<Status>, ResponseError> {
    loop {
        let mut space = line_space();
        let Some(head) = ReceivedHead::parse(octets, &mut space, Method::Get)? else {
            return Ok(None);
        };
        let (status, length) = (head.status, head.length);
        if status.code() >= 200 {
            return Ok(Some(status));
        }
        octets.drain(..length);
    }
}

fn fault(error: httparse::Error, bytes: &[u8]) -> ResponseError {
    match error {
        httparse::Error::TooManyHeaders => ResponseError::TooManyFields,
        httparse::Error::Version if bytes.starts_with(b"HTTP/") => {
            ResponseError::UnsupportedVersion
        }
        httparse::Error::Status if bytes.starts_with(b"HTTP/1.") => ResponseError::InvalidStatus,
        _ => ResponseError::Malformed,
    }
}

fn values<'a, const N: usize>(
    lines: &'a [httparse::Header<'a>],
    name: &'static [u8; N],
) -> impl Iterator<Item = &'a [u8]> + use<'a, N> {
    let is_it = move |line: &&httparse::Header<'_>| is_name(line.name.as_bytes(), name);
    lines.iter().filter(is_it).map(|line| trim(line.value))
}

/// Whether a 204 announces content, which it cannot have (RFC 9110 §8.6, RFC 9112 §6.1): its sender may
/// send that all the same.
fn announces_content(status: Status, length: Option<u64>, is_chunked: bool) -> bool {
    status == Status::NO_CONTENT && (is_chunked || length.is_some_and(|length| length > 0))
}

/// How the content is delimited (RFC 9112 §6.3).
fn framing(
    length: Option<u64>,
    is_chunked: bool,
    status: Status,
    method: Method,
) -> Result<ReceivedFraming, ResponseError> {
    if is_chunked && length.is_some() {
        // Item 3: it may be an attempt to split a response.
        return Err(ResponseError::LengthBesideTransferCoding);
    }
    let has_no_content = method == Method::Head || status.ends_with_its_head();
    Ok(match length {
        _ if has_no_content => ReceivedFraming::Empty,
        Some(length) => ReceivedFraming::Length(length),
        None if is_chunked => ReceivedFraming::Chunked,
        None => ReceivedFraming::Close,
    })
}

/// The length in `Content-Length`. Two of them are refused even if they are equal: no server sends
/// them by intention.
fn content_length(lines: &[httparse::Header<'_>]) -> Result<Option<u64>, ResponseError> {
    let mut found = values(lines, b"content-length");
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some(digits), None) => parse_digits(digits)
            .map(Some)
            .ok_or(ResponseError::InvalidContentLength),
        (Some(_), Some(_)) => Err(ResponseError::InvalidContentLength),
    }
}

/// Whether the content is in chunks. No other coding is known.
fn is_chunked(lines: &[httparse::Header<'_>], version: Version) -> Result<bool, ResponseError> {
    let mut codings = values(lines, b"transfer-encoding");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(false),
        (Some(_), _) if version == Version::Http10 => Err(ResponseError::TransferCodingInHttp10),
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        (Some(_), _) => Err(ResponseError::UnknownTransferCoding),
    }
}

fn is_persistent(lines: &[httparse::Header<'_>], version: Version) -> bool {
    let has = |option: &[u8]| {
        let mut options = values(lines, b"connection").flat_map(list::elements);
        options.any(|other| other.eq_ignore_ascii_case(option))
    };
    !has(b"close") && (version == Version::Http11 || has(b"keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::ReceivedFraming::*;
    use super::ResponseError::*;
    use super::*;

    /// Status, framing and persistence of a head; `None` while it is incomplete.
    fn read(
        head: &str,
        method: Method,
    ) -> Result<Option<(u16, ReceivedFraming, bool)>, ResponseError> {
        let mut space = line_space();
        let head = ReceivedHead::parse(head.as_bytes(), &mut space, method)?;
        Ok(head.map(|head| (head.status.code(), head.framing, head.persistent)))
    }

    #[test]
    fn reads_where_the_content_ends() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", (200, Close, false)),
            (
                "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n",
                (200, Length(3), true),
            ),
            (
                "HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n",
                (200, Length(0), true),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                (200, Chunked, true),
            ),
            ("HTTP/1.1 204 No\r\n\r\n", (204, Empty, true)),
            (
                "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
                (204, Empty, true),
            ),
            (
                "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
                (204, Empty, false),
            ),
            (
                "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
                (204, Empty, false),
            ),
            (
                "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
                (304, Empty, true),
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n", (100, Empty, true)),
            (
                "HTTP/1.1 999 X\r\nContent-Length: 1\r\nConnection: a, Close\r\n\r\n",
                (999, Length(1), false),
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
                (200, Length(1), false),
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
                (200, Length(1), true),
            ),
        ] {
            assert_eq!(read(head, Method::Get), Ok(Some(expected)), "{head:?}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(read(head, Method::Head), Ok(Some((200, Empty, true))));
    }

    #[test]
    fn waits_for_the_end_of_a_head() {
        let head = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(read(&head[..end], Method::Get), Ok(None), "{end}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(MAX_RECEIVED_HEAD));
        assert_eq!(read(&long, Method::Get), Err(HeadTooLong));
        let long = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: {}\r\n\r\n",
            "b".repeat(64 * 1024)
        );
        assert!(read(&long, Method::Get).is_ok_and(|head| head.is_some()));
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        let fields = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        for (head, expected) in [
            ("hello\r\n\r\n".to_owned(), Malformed),
            ("HTTP/2.0 200 OK\r\n\r\n".to_owned(), UnsupportedVersion),
            ("HTTP/1.1 099 X\r\n\r\n".to_owned(), InvalidStatus),
            ("HTTP/1.1 99 X\r\n\r\n".to_owned(), InvalidStatus),
            ("HTTP/1.1 1000 X\r\n\r\n".to_owned(), InvalidStatus),
            (fields("A : b"), Malformed),
            (fields("A: b\r\n c"), Malformed),
            (fields("A: b\rc"), Malformed),
            (fields("A: b\0c"), Malformed),
            (fields("A"), Malformed),
            (
                fields("Content-Length: 1\r\nContent-Length: 2"),
                InvalidContentLength,
            ),
            (
                fields("Content-Length: 1\r\nContent-Length: 1"),
                InvalidContentLength,
            ),
            (fields("Content-Length: 1, 1"), InvalidContentLength),
            (fields("Content-Length: +1"), InvalidContentLength),
            (fields("Content-Length: -1"), InvalidContentLength),
            (fields("Content-Length: 0x1"), InvalidContentLength),
            (fields("Content-Length: "), InvalidContentLength),
            (
                fields("Content-Length: 18446744073709551616"),
                InvalidContentLength,
            ),
            (
                fields("Content-Length: 1\r\nTransfer-Encoding: chunked"),
                LengthBesideTransferCoding,
            ),
            (
                fields("Transfer-Encoding: gzip, chunked"),
                UnknownTransferCoding,
            ),
            (
                fields("Transfer-Encoding: chunked, chunked"),
                UnknownTransferCoding,
            ),
            (
                fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
                UnknownTransferCoding,
            ),
            (fields("Transfer-Encoding: identity"), UnknownTransferCoding),
            (fields("Transfer-Encoding: "), UnknownTransferCoding),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                TransferCodingInHttp10,
            ),
            (fields(&"A: b\r\n".repeat(300)), TooManyFields),
        ] {
            assert_eq!(read(&head, Method::Get), Err(expected), "{head:?}");
        }
    }
}
