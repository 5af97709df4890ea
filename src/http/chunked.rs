//! Chunked transfer coding (RFC 9112 §7.1): takes the framing off, puts it on.
//!
//! Bytes in, places of content out: no I/O, no allocation, no copy. In a message:
//!
//! ```text
//! 1a;name=value CRLF      chunk size in hexadecimal, perhaps an extension
//! 26 bytes CRLF           content; repeated, until
//! 0 CRLF                  the last chunk
//! Name: value CRLF        trailer section, perhaps
//! CRLF
//! ```
//!
//! The decoder reads extensions and trailer fields under limits and drops them, as §7.1.1 and
//! §7.1.2 let a recipient do, but a gateway may have it keep the trailer fields. Lines end in CRLF
//! and in nothing else: two recipients that see a line end in different places see different
//! requests, and that lets a third party smuggle one (§11.2).

use std::num::NonZeroUsize;
use std::ops::Deref;

use thiserror::Error;

use super::field_list::FieldList;
use super::fields::is_token_byte;
use super::received_response::MAX_RECEIVED_HEAD;

/// The longest chunk-size line that is accepted, in bytes, without its CRLF. No honest sender needs a
/// longer one.
const MAX_CHUNK_LINE: u32 = 256;

/// The most bytes by which the extensions of a message may be longer than the content behind them. Without
/// it, chunks of one byte with long extensions would make the server read hundreds of bytes for each
/// byte that counts as content. Their sum is not limited: it grows with the length of any content in chunks
/// whose sender gives each of them an extension, such as a signature.
const MAX_EXTENSION_EXCESS: u16 = 16 * 1024;

/// The most bytes that are accepted in a trailer section whose fields are dropped, line ends included: half
/// of what the head of a request may take by default.
const MAX_TRAILER_SECTION: u32 = 8 * 1024;

/// The same for a trailer section that is kept, which only an upstream sends: as much as it may put into a
/// head. The fields are the same ones, put where their values are known.
const MAX_KEPT_TRAILER_SECTION: u32 = MAX_RECEIVED_HEAD as u32;

/// Finds the content between the framing. It keeps its place between calls, so the input may be split
/// anywhere.
///
/// ```text
/// Size ──→ Extension ──CR──→ SizeLf ──LF──→ Content ──→ ContentCr ──→ ContentLf ──→ Size
///   └────────CR────────────────┘   └ size 0 → TrailerStart → TrailerName → TrailerValue ┐
///                                                │  ↑ ←──LF── TrailerLf ←──CR──────────┘
///                                                └──CR──→ FinalLf ──LF──→ End
/// ```
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    state: State,
    /// The length so far of the current chunk-size line, or of the trailer section, in bytes.
    taken: u32,
    /// By how much the extensions are longer than the content behind them so far, in bytes. It is 0 where
    /// the content is longer, so that content does not pay for extensions that come after it.
    excess: u16,
    /// The trailer section so far, if it is kept.
    trailers: Option<Vec<u8>>,
}

/// What [`Decoder::step`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `input[skip..skip + len]` is content, at least one byte. All of `input` up to its end is used.
    Content { skip: usize, len: usize },
    /// All of `input` is used, and the rest of the message has not come.
    NeedMore,
    /// The message ends `used` bytes into `input`. The bytes behind that belong to the next message.
    End { used: usize },
}

/// Why a message is not in the chunked coding: a fault of its sender, a client or an upstream.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum ChunkedError {
    #[error("chunk size is not a hexadecimal number")]
    InvalidSize,
    #[error("chunk size is too large a number")]
    SizeOverflow,
    #[error("chunk-size line is longer than {MAX_CHUNK_LINE} bytes")]
    LineTooLong,
    #[error(
        "chunk extensions are longer than the content, by more than {MAX_EXTENSION_EXCESS} bytes"
    )]
    ExtensionsTooLong,
    #[error("chunk is longer than its size")]
    ChunkTooLong,
    #[error("trailer section is longer than {0} bytes")]
    TrailerTooLong(u32),
    #[error("line does not end in CRLF")]
    InvalidLineEnd,
    #[error("chunk extension is not `;name` or `;name=value`")]
    InvalidExtension,
    #[error("line of the trailer section is not a field line")]
    InvalidTrailer,
    #[error("control character in a chunk extension or a trailer field")]
    ControlCharacter,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a chunk size.
    #[default]
    SizeStart,
    /// After a digit.
    Size {
        size: u64,
    },
    /// Behind the digits of the size.
    Extension {
        size: u64,
        at: Extension,
    },
    /// After the CR of a chunk-size line.
    SizeLf {
        size: u64,
    },
    /// In the content of a chunk, of which `remaining` bytes, at least one, are still to come.
    Content {
        remaining: u64,
    },
    ContentCr,
    ContentLf,
    /// At the start of a line of the trailer section.
    TrailerStart,
    TrailerName,
    /// Behind the colon.
    TrailerValue,
    /// After the CR of a field line.
    TrailerLf,
    /// After the CR of the empty line.
    FinalLf,
    End,
}

/// The place in the extensions of a chunk: `*( BWS ";" BWS name [ BWS "=" BWS value ] )`, where a value
/// is a token or a quoted string (§7.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// After white space: `;` has to follow.
    Semicolon,
    /// After `;`: a name has to follow.
    NameStart,
    Name,
    /// After white space behind a name: `=` or `;` has to follow.
    NameEnd,
    /// After `=`: a value has to follow.
    ValueStart,
    Token,
    Quoted,
    /// After a backslash between quotes.
    QuotedPair,
    /// After the second quote.
    QuotedEnd,
}

impl Extension {
    /// Whether the line may end here.
    fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::QuotedEnd)
    }

    /// Returns the place after one byte that is not CR.
    fn next(self, byte: u8) -> Result<Self, ChunkedError> {
        check_text(byte)?;
        match (self, byte) {
            (Self::Quoted, b'"') => Ok(Self::QuotedEnd),
            (Self::Quoted, b'\\') => Ok(Self::QuotedPair),
            (Self::Quoted | Self::QuotedPair, _) => Ok(Self::Quoted),
            (Self::NameStart | Self::Name, _) if is_token_byte(byte) => Ok(Self::Name),
            (Self::ValueStart | Self::Token, _) if is_token_byte(byte) => Ok(Self::Token),
            (Self::ValueStart, b'"') => Ok(Self::Quoted),
            (
                Self::NameStart | Self::NameEnd | Self::ValueStart | Self::Semicolon,
                b' ' | b'\t',
            ) => Ok(self),
            (Self::Name, b' ' | b'\t') => Ok(Self::NameEnd),
            (Self::Token | Self::QuotedEnd, b' ' | b'\t') => Ok(Self::Semicolon),
            (Self::Name | Self::NameEnd, b'=') => Ok(Self::ValueStart),
            (
                Self::Semicolon | Self::Name | Self::NameEnd | Self::Token | Self::QuotedEnd,
                b';',
            ) => Ok(Self::NameStart),
            _ => Err(ChunkedError::InvalidExtension),
        }
    }
}

impl Decoder {
    /// A decoder that keeps the trailer section.
    pub(crate) fn with_trailers() -> Self {
        Self {
            trailers: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// The lines of the trailer section, which has ended, if they were kept.
    pub(crate) fn take_trailers(&mut self) -> FieldList {
        let lines = self.trailers.take();
        FieldList::parse(&lines.unwrap_or_default())
    }

    fn keep_trailer(&mut self, byte: u8) {
        if let Some(trailers) = &mut self.trailers
            && matches!(
                self.state,
                State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf
            )
        {
            trailers.push(byte);
        }
    }

    /// Finds the next run of content in `input`.
    ///
    /// The caller calls again with the bytes of `input` that are not used, or with more input. After
    /// [`Step::End`] every call returns `End`.
    ///
    /// # Errors
    /// The first fault in the framing. It is then unknown where the next message starts: a server
    /// answers 400 and closes, a gateway whose upstream sent the message answers 502 (§11.2).
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Step, ChunkedError> {
        for (used, byte) in input.iter().enumerate() {
            match self.state {
                State::Content { remaining } => {
                    return Ok(self.take_content(remaining, used, input.len() - used));
                }
                State::End => return Ok(Step::End { used }),
                _ => {
                    self.keep_trailer(*byte);
                    self.state = self.next(*byte)?;
                }
            }
        }
        match self.state {
            State::End => Ok(Step::End { used: input.len() }),
            _ => Ok(Step::NeedMore),
        }
    }

    /// Returns the content of the current chunk in the `available` bytes, at least one, behind `skip`.
    fn take_content(&mut self, remaining: u64, skip: usize, available: usize) -> Step {
        let len = usize::try_from(remaining).map_or(available, |all| all.min(available));
        let paid = u16::try_from(len).unwrap_or(u16::MAX);
        self.excess = self.excess.saturating_sub(paid);
        self.state = match remaining - len as u64 {
            0 => State::ContentCr,
            remaining => State::Content { remaining },
        };
        Step::Content { skip, len }
    }

    /// Returns the state after one byte of framing.
    fn next(&mut self, byte: u8) -> Result<State, ChunkedError> {
        match self.state {
            State::SizeStart | State::Size { .. } | State::Extension { .. } => {
                self.next_in_chunk_line(byte)
            }
            State::SizeLf { size } => {
                self.taken = 0;
                expect(byte, b'\n', ChunkedError::InvalidLineEnd)?;
                Ok(match size {
                    0 => State::TrailerStart,
                    remaining => State::Content { remaining },
                })
            }
            State::ContentCr => {
                expect(byte, b'\r', ChunkedError::ChunkTooLong).map(|()| State::ContentLf)
            }
            State::ContentLf => {
                expect(byte, b'\n', ChunkedError::InvalidLineEnd).map(|()| State::SizeStart)
            }
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf => {
                self.next_in_trailer_section(byte)
            }
            State::FinalLf => {
                expect(byte, b'\n', ChunkedError::InvalidLineEnd).map(|()| State::End)
            }
            State::Content { .. } | State::End => Ok(self.state),
        }
    }

    /// Returns the state after one byte of a chunk-size line, `1*HEXDIG *( BWS ";" … ) CR` (§7.1,
    /// §7.1.1). Extensions are checked and not interpreted.
    fn next_in_chunk_line(&mut self, byte: u8) -> Result<State, ChunkedError> {
        let next = match (self.state, byte) {
            (State::SizeStart, _) => State::Size {
                size: add_digit(0, byte)?,
            },
            (State::Size { size }, b'\r') => State::SizeLf { size },
            (State::Extension { size, at }, b'\r') if at.may_end() => State::SizeLf { size },
            (State::Extension { .. }, b'\r') => return Err(ChunkedError::InvalidExtension),
            (State::Size { size }, b';' | b' ' | b'\t') => State::Extension {
                size,
                at: Extension::Semicolon.next(byte)?,
            },
            (State::Size { size }, _) => State::Size {
                size: add_digit(size, byte)?,
            },
            (State::Extension { size, at }, _) => {
                if self.excess == MAX_EXTENSION_EXCESS {
                    return Err(ChunkedError::ExtensionsTooLong);
                }
                self.excess += 1;
                let at = at.next(byte)?;
                State::Extension { size, at }
            }
            _ => return Err(ChunkedError::InvalidSize),
        };
        if !matches!(next, State::SizeLf { .. }) {
            self.take(MAX_CHUNK_LINE, ChunkedError::LineTooLong)?;
        }
        Ok(next)
    }

    /// Returns the state after one byte of the trailer section, `*( field-line CRLF ) CRLF` (§7.1.2).
    /// Fields are checked and not interpreted.
    fn next_in_trailer_section(&mut self, byte: u8) -> Result<State, ChunkedError> {
        let next = match (self.state, byte) {
            (State::TrailerStart, b'\r') => return Ok(State::FinalLf),
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::TrailerLf, _) => return Err(ChunkedError::InvalidLineEnd),
            (State::TrailerValue, _) => check_text(byte).map(|()| State::TrailerValue)?,
            (State::TrailerName, b':') => State::TrailerValue,
            (_, byte) if is_token_byte(byte) => State::TrailerName,
            (_, b'\n') => return Err(ChunkedError::InvalidLineEnd),
            _ => return Err(ChunkedError::InvalidTrailer),
        };
        let limit = match self.trailers {
            Some(_) => MAX_KEPT_TRAILER_SECTION,
            None => MAX_TRAILER_SECTION,
        };
        self.take(limit, ChunkedError::TrailerTooLong(limit))?;
        Ok(next)
    }

    /// Counts one byte more in `taken`.
    ///
    /// # Errors
    /// `fault`, if `taken` is at `limit`.
    fn take(&mut self, limit: u32, fault: ChunkedError) -> Result<(), ChunkedError> {
        if self.taken == limit {
            return Err(fault);
        }
        self.taken += 1;
        Ok(())
    }
}

/// Refuses a byte other than `expected`, with `fault`.
fn expect(byte: u8, expected: u8, fault: ChunkedError) -> Result<(), ChunkedError> {
    if byte == expected { Ok(()) } else { Err(fault) }
}

/// Appends a hexadecimal digit to `size`.
fn add_digit(size: u64, byte: u8) -> Result<u64, ChunkedError> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        b'A'..=b'F' => byte - b'A' + 10,
        b'\n' => return Err(ChunkedError::InvalidLineEnd),
        _ => return Err(ChunkedError::InvalidSize),
    };
    match size.checked_mul(16) {
        Some(shifted) => Ok(shifted | u64::from(digit)),
        None => Err(ChunkedError::SizeOverflow),
    }
}

/// Refuses a byte that cannot stand in a line: a control character other than the tab.
fn check_text(byte: u8) -> Result<(), ChunkedError> {
    match byte {
        b'\n' => Err(ChunkedError::InvalidLineEnd),
        b'\t' | 0x20..=0x7e | 0x80..=0xff => Ok(()),
        _ => Err(ChunkedError::ControlCharacter),
    }
}

/// The bytes after the content of each chunk.
const CHUNK_END: &[u8] = b"\r\n";

/// The bytes after all chunks: the last chunk, and a trailer section without fields.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Returns the bytes before the content of a chunk of `len` bytes. That is not zero, because an empty
/// chunk would be the last one.
pub(crate) fn chunk_head(len: NonZeroUsize) -> ChunkHead {
    let mut head = ChunkHead {
        bytes: [0; ChunkHead::MAX_LENGTH],
        start: ChunkHead::MAX_LENGTH - 2,
    };
    head.bytes[head.start..].copy_from_slice(b"\r\n");
    let mut rest = len.get();
    while rest > 0 {
        head.start -= 1;
        head.bytes[head.start] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
    }
    head
}

/// Appends the last chunk to `out`, and the trailer section of these encoded field lines.
pub(crate) fn push_last_chunk(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

/// Appends `block` to `out` as one chunk. An empty chunk would be the last one, so no block gives none.
pub(crate) fn push_chunk(block: &[u8], out: &mut Vec<u8>) {
    if let Some(length) = NonZeroUsize::new(block.len()) {
        out.extend_from_slice(&chunk_head(length));
        out.extend_from_slice(block);
        out.extend_from_slice(CHUNK_END);
    }
}

/// A chunk-size line and its CRLF, as bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkHead {
    /// The line stands at the end of this array, from `start` on.
    bytes: [u8; Self::MAX_LENGTH],
    start: usize,
}

impl ChunkHead {
    /// Two digits for each byte of a length, and CRLF.
    const MAX_LENGTH: usize = 2 * size_of::<usize>() + 2;
}

impl Deref for ChunkHead {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests;
