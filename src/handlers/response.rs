//! What a handler gives back: a status, field lines, content.
//!
//! Framing, `Date`, persistence, HEAD and the log are the server's work; a response says nothing of
//! them. Octets that live in the configuration or in a worker's cache are lent or shared, not copied.

use std::ops::{Deref, Range};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;

use crate::http::response::FieldLines;
use crate::http::status::Status;

/// A response without its framing.
pub(crate) struct Response<'a> {
    pub(crate) status: Status,
    /// Encoded field lines; see [`FieldLines`].
    pub(crate) fields: Octets<'a>,
    pub(crate) content: Content<'a>,
}

/// The content of a response.
#[derive(Default)]
pub(crate) enum Content<'a> {
    #[default]
    Empty,
    Octets(Octets<'a>),
    File(FileRange),
    /// One after the other: the parts of a multipart/byteranges.
    Pieces(Vec<Piece>),
    /// Made a block at a time, of a length nobody knows yet.
    Blocks(Box<dyn Blocks>),
    /// Comes from elsewhere while it is sent, and has to be waited for.
    Stream(ContentStream),
    /// The server's own words for the status.
    Problem,
}

/// A run of a file's octets. They are sent as they are when they are sent: if the file has become
/// shorter than `end` by then, the connection is cut.
#[derive(Clone, Debug)]
pub(crate) struct FileRange {
    pub(crate) file: Rc<OwnedFd>,
    pub(crate) start: u64,
    /// The first octet that is not sent; never below `start`.
    pub(crate) end: u64,
}

/// A part of composed content.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Octets(Octets<'static>),
    File(FileRange),
}

/// Content that is made as it is sent.
pub(crate) trait Blocks {
    /// Appends the next block to `out`, some tens of KiB. Returns whether another one follows.
    fn next_block(&mut self, out: &mut Vec<u8>) -> bool;
}

/// Content that somebody else makes: code on another thread, a script, an application server.
pub(crate) struct ContentStream {
    /// What its maker says it is; the connection is cut if that turns out to be wrong.
    pub(crate) length: Option<u64>,
    pub(crate) source: Box<dyn ContentSource>,
}

/// Where a [`ContentStream`] comes from. Dropped before its end: nobody wants the rest.
pub(crate) trait ContentSource {
    /// Waits for the next octets and appends them to `into`, some tens of KiB at most; `false` at
    /// the end of the content.
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>>;
}

/// A future that stays on its worker.
pub(crate) type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Why there is no more content although its end has not come, in words for the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokenOff(pub(crate) String);

/// Octets, lent or owned or shared among a worker's exchanges.
#[derive(Clone, Debug)]
pub(crate) enum Octets<'a> {
    Lent(&'a [u8]),
    Owned(Vec<u8>),
    Shared(Rc<[u8]>),
    Part(Rc<[u8]>, Range<usize>),
}

impl<'a> Response<'a> {
    /// An answer of `status` with the server's own words for it.
    pub(crate) fn problem(status: Status) -> Self {
        Self {
            status,
            fields: Octets::Lent(b""),
            content: Content::Problem,
        }
    }

    /// [`problem`](Self::problem), with fields that go with the status.
    pub(crate) fn problem_with(status: Status, fields: FieldLines) -> Self {
        Self {
            fields: fields.into(),
            ..Self::problem(status)
        }
    }
}

impl Content<'_> {
    /// Copies what was lent.
    pub(crate) fn into_owned(self) -> Content<'static> {
        match self {
            Self::Empty => Content::Empty,
            Self::Octets(octets) => Content::Octets(octets.into_owned()),
            Self::File(range) => Content::File(range),
            Self::Pieces(pieces) => Content::Pieces(pieces),
            Self::Blocks(blocks) => Content::Blocks(blocks),
            Self::Stream(stream) => Content::Stream(stream),
            Self::Problem => Content::Problem,
        }
    }

    /// How many octets it is; `None` if nobody knows before it has been made.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::Problem => Some(0),
            Self::Octets(octets) => Some(octets.len() as u64),
            Self::File(range) => Some(range.length()),
            Self::Pieces(pieces) => Some(pieces.iter().map(Piece::length).sum()),
            Self::Blocks(_) => None,
            Self::Stream(stream) => stream.length,
        }
    }
}

impl FileRange {
    pub(crate) fn length(&self) -> u64 {
        self.end - self.start
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Octets(octets) => octets.len() as u64,
            Self::File(range) => range.length(),
        }
    }
}

impl Octets<'_> {
    pub(crate) fn into_owned(self) -> Octets<'static> {
        match self {
            Self::Lent(octets) => Octets::Owned(octets.to_vec()),
            Self::Owned(octets) => Octets::Owned(octets),
            Self::Shared(octets) => Octets::Shared(octets),
            Self::Part(octets, range) => Octets::Part(octets, range),
        }
    }
}

impl Deref for Octets<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(octets) => octets,
            Self::Owned(octets) => octets,
            Self::Shared(octets) => octets,
            Self::Part(octets, range) => &octets[range.clone()],
        }
    }
}

impl From<FieldLines> for Octets<'_> {
    fn from(lines: FieldLines) -> Self {
        Self::Owned(lines.into_bytes())
    }
}
