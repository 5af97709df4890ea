//! Several ranges in one response: `multipart/byteranges` (RFC 9110 §14.6, RFC 2046 §5.1.1).
//!
//! ```text
//!                               ┐
//! --0123456789abcdef            │
//! Content-Type: text/plain      │ head of a part; each begins
//! Content-Range: bytes 0-4/99   │ with a CRLF
//!                               ┘
//! Hello
//! --0123456789abcdef
//! …
//! --0123456789abcdef--            closing delimiter, with the CRLF before it
//! ```
//!
//! The CRLF before the first part is an empty preamble (RFC 2046 §5.1.1), which nginx and Apache send, and
//! without which zsync does not find the first part.
//!
//! This module makes the lines between the bytes of the ranges; the caller sends those bytes.

use std::fmt;

use super::range::{ByteRange, ContentRange};

/// The lines around the ranges of one response. It borrows nothing, so that it can live as long as the
/// content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Multipart {
    boundary: Boundary,
    content_type: Box<str>,
    complete_length: u64,
    ranges: Vec<ByteRange>,
}

/// A boundary of sixteen hexadecimal digits. It delimits safely if no client can foresee it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Boundary(u64);

impl Multipart {
    /// Frames `ranges` of a representation of `complete_length` bytes.
    ///
    /// The author of the representation must not be able to foresee `boundary`. `content_type` is
    /// that of the representation; the ranges are those of a `Selection`.
    pub(crate) fn new(
        boundary: u64,
        content_type: &str,
        complete_length: u64,
        ranges: Vec<ByteRange>,
    ) -> Self {
        Self {
            boundary: Boundary(boundary),
            content_type: content_type.into(),
            complete_length,
            ranges,
        }
    }

    /// The ranges in the parts, in order.
    pub(crate) fn ranges(&self) -> &[ByteRange] {
        &self.ranges
    }

    /// The value of `Content-Type` in the head of the response.
    pub(crate) fn content_type(&self) -> String {
        format!("multipart/byteranges; boundary={}", self.boundary)
    }

    /// The lines before the bytes of the part at `index` in [`Self::ranges`].
    ///
    /// # Panics
    /// If there is no such part.
    pub(crate) fn part_head(&self, index: usize) -> String {
        let Self {
            boundary,
            content_type,
            complete_length,
            ranges,
        } = self;
        let content_range = ContentRange::Satisfied {
            range: ranges[index],
            complete_length: *complete_length,
        };
        format!(
            "\r\n--{boundary}\r\n\
             Content-Type: {content_type}\r\n\
             Content-Range: {content_range}\r\n\r\n"
        )
    }

    /// The lines after the bytes of the last part.
    pub(crate) fn closing_delimiter(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }

    /// The exact length of the content: the lines before each part, the parts, the lines after the
    /// last one.
    ///
    /// The sum fits the type: the ranges do not overlap, so their lengths add up to at most
    /// `complete_length`, which is that of a file and leaves half the type free.
    pub(crate) fn content_length(&self) -> u64 {
        let parts = self.ranges.iter().enumerate();
        let parts = parts.map(|(index, range)| self.part_head(index).len() as u64 + range.len());
        parts.sum::<u64>() + self.closing_delimiter().len() as u64
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::range::{Selection, select};
    use proptest::prelude::*;

    /// Returns the content as a caller sends it.
    fn content(multipart: &Multipart, representation: &[u8]) -> Vec<u8> {
        let mut content = Vec::new();
        for (index, range) in multipart.ranges().iter().enumerate() {
            content.extend_from_slice(multipart.part_head(index).as_bytes());
            content.extend_from_slice(&representation[range.first as usize..=range.last as usize]);
        }
        content.extend_from_slice(multipart.closing_delimiter().as_bytes());
        content
    }

    #[test]
    fn frames_each_range() {
        let ranges = vec![
            ByteRange { first: 0, last: 4 },
            ByteRange { first: 7, last: 11 },
        ];
        let multipart = Multipart::new(0xbeef, "text/plain", 12, ranges);
        assert_eq!(
            multipart.content_type(),
            "multipart/byteranges; boundary=000000000000beef"
        );
        let content = content(&multipart, b"Hello, world");
        let expected = "\r\n--000000000000beef\r\n\
            Content-Type: text/plain\r\n\
            Content-Range: bytes 0-4/12\r\n\
            \r\n\
            Hello\r\n\
            --000000000000beef\r\n\
            Content-Type: text/plain\r\n\
            Content-Range: bytes 7-11/12\r\n\
            \r\n\
            world\r\n\
            --000000000000beef--\r\n";
        assert_eq!(str::from_utf8(&content), Ok(expected));
    }

    proptest! {
        #[test]
        fn the_length_is_exact(
            specs in prop::collection::vec("[0-9]{1,4}-", 1..=16),
            boundary: u64,
            length in 1..3000_usize,
        ) {
            let value = format!("bytes={}", specs.join(","));
            if let Selection::Ranges(ranges) = select(value.as_bytes(), length as u64) {
                let multipart = Multipart::new(boundary, "a/b", length as u64, ranges);
                let content = content(&multipart, &vec![b'x'; length]);
                prop_assert_eq!(multipart.content_length(), content.len() as u64);
            }
        }
    }
}
