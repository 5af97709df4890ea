//! The head of a response: status line and header section (RFC 9112 §4, §5), encoded.
//!
//! ```text
//! HTTP/1.1 200 OK                       status line
//! Server: tidegate                      ┐ the worker's, encoded once a second
//! Date: Sun, 22 Nov 2026 23:54:16 GMT   ┘
//! Content-Type: text/html               ┐ the representation's, encoded when it was loaded
//! ETag: "…"                             ┘
//! Content-Length: 612                   ┐ the message's own
//! Connection: close                     ┘
//! ```

use std::borrow::Cow;
use std::fmt::Write as _;

use super::fields::is_token;
use super::status::Status;

/// Encoded field lines, each with its CRLF.
///
/// [`FieldLines::push`] encodes a line. It lets no byte of a value through that could end the line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldLines(Vec<u8>);

impl FieldLines {
    /// Makes an empty list of lines.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds `name: value`.
    ///
    /// Replaces CR, LF and NUL in the value by spaces (RFC 9110 §5.5), so that no value can add a line.
    pub(crate) fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.push_parts(name, &[value.as_ref()]);
    }

    /// Adds a line as [`push`](Self::push) does, whose value is these parts one behind the other.
    pub(crate) fn push_parts(&mut self, name: &str, parts: &[&[u8]]) {
        debug_assert!(is_token(name.as_bytes()), "{name:?} is no field name");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        let start = self.0.len();
        for part in parts {
            self.0.extend_from_slice(part);
        }
        // Behind the copy, because the compiler then looks at many octets at once.
        for byte in &mut self.0[start..] {
            *byte = match *byte {
                b'\r' | b'\n' | 0 => b' ',
                byte => byte,
            };
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Adds a line as [`push_parts`](Self::push_parts) does, and copies the parts as they are: they were
    /// read in another head, whose parser lets no CR, LF or NUL through, or this server has written them.
    /// A gateway passes many lines on, and most are short, so that the look at each octet would cost more
    /// than the copy.
    // The compiler knows most names where this is inlined, and stores them: no call copies them.
    #[inline(always)]
    pub(crate) fn push_clean<const N: usize>(&mut self, name: &str, parts: [&[u8]; N]) {
        debug_assert!(is_token(name.as_bytes()), "{name:?} is no field name");
        let ends_line = |octet: &u8| matches!(octet, b'\r' | b'\n' | 0);
        let is_clean = |part: &&[u8]| !part.iter().any(ends_line);
        debug_assert!(parts.iter().all(is_clean), "{name} is not clean");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        for part in parts {
            self.0.extend_from_slice(part);
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Lines behind `start`, a start line with its CRLF.
    pub(crate) fn behind(start: Vec<u8>) -> Self {
        Self(start)
    }

    /// Adds `name: value` as [`push`](Self::push) does, and returns the lines.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.push(name, value);
        self
    }

    /// Adds lines that are already encoded.
    pub(crate) fn extend(&mut self, lines: &[u8]) {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"), "whole lines");
        self.0.extend_from_slice(lines);
    }

    /// The lines, one after another.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The lines, one after another.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// How a response's content is delimited (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseFraming {
    /// No content, and no field that tells a length: a 1xx or 204 must not have one, and a 304 need
    /// not (RFC 9110 §8.6).
    None,
    /// By `Content-Length`, in octets.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
    /// By the end of the connection, for a client that does not know the chunked coding.
    Close,
}

/// What the response tells the client about the connection (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// The connection persists, as it does in HTTP/1.1 without a field that says so.
    Implied,
    /// The connection persists, and a client of HTTP/1.0 has to be told.
    KeepAlive,
    /// The server closes the connection after this response.
    Close,
}

/// Everything before a response's content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseHead<'a> {
    pub(crate) status: Status,
    /// Encoded lines that every response has: `Date`, `Server`.
    pub(crate) common: &'a [u8],
    /// Encoded lines of this response.
    pub(crate) fields: &'a [u8],
    /// More of them, which stand behind the others; empty as a rule.
    pub(crate) more_fields: &'a [u8],
    pub(crate) framing: ResponseFraming,
    pub(crate) persistence: Persistence,
}

impl ResponseHead<'_> {
    /// Appends the head, with the empty line at its end, to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(out, |_| {});
    }

    /// As [`encode`](Self::encode); `push_lines` appends further field lines, each with its CRLF.
    pub(crate) fn encode_with(&self, out: &mut Vec<u8>, push_lines: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(status_line(self.status).as_bytes());
        out.extend_from_slice(self.common);
        out.extend_from_slice(self.fields);
        if !self.more_fields.is_empty() {
            out.extend_from_slice(self.more_fields);
        }
        push_lines(out);
        match self.framing {
            ResponseFraming::None | ResponseFraming::Close => {}
            ResponseFraming::Length(length) => push_content_length(out, length),
            ResponseFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        out.extend_from_slice(match self.persistence {
            Persistence::Implied => b"\r\n",
            Persistence::KeepAlive => b"Connection: keep-alive\r\n\r\n",
            Persistence::Close => b"Connection: close\r\n\r\n",
        });
    }
}

/// The interim response that asks the client for the content (RFC 9110 §15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Returns an interim response of `status` with these encoded field lines.
pub(crate) fn encode_interim(status: Status, fields: &[u8]) -> Vec<u8> {
    let mut encoded = status_line(status).into_owned().into_bytes();
    encoded.extend_from_slice(fields);
    encoded.extend_from_slice(b"\r\n");
    encoded
}

/// Returns the status line with its CRLF. Allocates only for a status that is not registered.
// Two callers, of which one is hot: without this the compiler inlines it into neither.
#[inline(always)]
fn status_line(status: Status) -> Cow<'static, str> {
    match status.line() {
        Some(line) => Cow::Borrowed(line),
        None => {
            let mut line = String::new();
            write!(line, "HTTP/1.1 {} \r\n", status.code()).expect("a String takes everything");
            Cow::Owned(line)
        }
    }
}

/// Appends `Content-Length`.
fn push_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    push_decimal(length, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the digits of `number`. `write!` takes several times as long, and every response has a
/// number.
pub(crate) fn push_decimal(number: u64, out: &mut Vec<u8>) {
    let digit = |place: u64| b'0' + (number / place % 10) as u8;
    match number {
        0..10 => out.push(digit(1)),
        10..100 => out.extend_from_slice(&[digit(10), digit(1)]),
        100..1_000 => out.extend_from_slice(&[digit(100), digit(10), digit(1)]),
        _ => push_long_decimal(number, out),
    }
}

fn push_long_decimal(number: u64, out: &mut Vec<u8>) {
    const LONGEST: usize = 20;
    let mut digits = [0; LONGEST];
    let (mut start, mut rest) = (LONGEST, number);
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(head: ResponseHead<'_>) -> String {
        let mut out = Vec::new();
        head.encode(&mut out);
        String::from_utf8(out).expect("the cases are text")
    }

    #[test]
    fn encodes_a_head() {
        let lines = FieldLines::new().with("Content-Type", "text/plain");
        let head = ResponseHead {
            status: Status::OK,
            common: b"Date: now\r\n",
            fields: lines.as_bytes(),
            more_fields: b"",
            framing: ResponseFraming::Length(12),
            persistence: Persistence::Implied,
        };
        let start = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: text/plain\r\n";
        for (framing, persistence, end) in [
            (
                ResponseFraming::Length(12),
                Persistence::Implied,
                "Content-Length: 12\r\n\r\n",
            ),
            (
                ResponseFraming::None,
                Persistence::Close,
                "Connection: close\r\n\r\n",
            ),
            (
                ResponseFraming::Chunked,
                Persistence::KeepAlive,
                "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n",
            ),
            (
                ResponseFraming::Close,
                Persistence::Close,
                "Connection: close\r\n\r\n",
            ),
        ] {
            let found = encode(ResponseHead {
                framing,
                persistence,
                ..head
            });
            assert_eq!(found, format!("{start}{end}"));
        }
    }

    #[test]
    fn encodes_a_status_that_is_not_registered() {
        assert_eq!(
            status_line(Status::from_code(299).expect("three digits")),
            "HTTP/1.1 299 \r\n"
        );
    }

    #[test]
    fn no_value_adds_a_line() {
        let mut lines = FieldLines::new().with("X", "a\r\nSet-Cookie: b\0");
        lines.push_parts("Y", &[b"", b"c\r", b"\nd: e"]);
        assert_eq!(lines.as_bytes(), b"X: a  Set-Cookie: b \r\nY: c  d: e\r\n");
    }

    #[test]
    fn a_clean_line_is_written_as_any_other() {
        let parts: [&[u8]; 3] = [b"for=", b"", b"::1"];
        let (mut lines, mut clean) = (FieldLines::new(), FieldLines::new());
        lines.push_parts("Forwarded", &parts);
        clean.push_clean("Forwarded", parts);
        assert_eq!(lines, clean);
    }

    #[test]
    fn writes_decimals() {
        for number in [0, 7, 10, 612, 65_536, u64::MAX] {
            let mut out = Vec::new();
            push_decimal(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }
}
