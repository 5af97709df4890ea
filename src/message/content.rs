//! Content on its way: of a request, as a handler reads it, and of a response, as the server sends it.
//!
//! Octets that live in the configuration or in a worker's cache are lent or shared, not copied.

use std::future::poll_fn;
use std::ops::{Deref, Range};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::http::response::FieldLines;
use crate::message::tunnel::Tunnel;
use crate::reason::Reason;
use crate::runtime::BlockingError;
use crate::runtime::descriptors::is_shortage;
use crate::runtime::{self, timeout};

/// The content of a response.
pub(crate) type Content<'a> = DuplexContent<'a, 'static>;

/// The content of a response that may be made from the request's content while it is sent.
///
/// `'a` is how long lent octets live, `'c` how long the content of the request can be read. Content
/// that does not read it is [`Content`].
#[derive(Default)]
pub(crate) enum DuplexContent<'a, 'c> {
    #[default]
    Empty,
    Octets(Octets<'a>),
    File(FileRange),
    /// One after the other: the parts of a multipart/byteranges.
    Pieces(Vec<Piece>),
    /// Comes from elsewhere while it is sent, and has to be waited for.
    Stream(ContentStream<'c>),
    /// None, but what follows on the connection is of another protocol: with 101 alone.
    Tunnel(Box<Tunnel>),
    /// The server's own words, of an error for that reason; `None` where the status says all.
    Problem(Option<Reason>),
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

/// Content that is made outside of the loop: by code on another thread, a script, an application
/// server.
pub(crate) struct ContentStream<'c> {
    /// Octets that have been made already: they are sent with the head.
    first: Vec<u8>,
    /// The length that its maker announced. If the content turns out to be longer, the rest is
    /// dropped; if it is shorter, the connection is cut behind it.
    length: Option<u64>,
    /// The rest.
    source: Box<dyn ContentSource + 'c>,
}

/// Where a [`ContentStream`] comes from. If it is dropped before its end, the rest is not wanted.
pub(crate) trait ContentSource {
    /// Waits for the next octets and appends them to `into`, some hundreds of KiB at most; `false`
    /// at the end of the content.
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>>;

    /// The field lines, encoded, of the trailer section that follows the content, once that has ended.
    /// They are sent to a client that takes them.
    fn trailers(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// Does what can be done while the client takes nothing: a source that reads the request's
    /// content goes on reading it, because a client may take no response before it has sent all. Ends
    /// when something was done, and is then called again; does not end if there is nothing to do.
    /// Dropped as soon as the client takes more.
    fn while_blocked<'s>(&'s mut self) -> LocalFuture<'s, ()> {
        Box::pin(std::future::pending())
    }

    /// Whether the maker of the content gave more than it had announced, and this source has dropped the rest.
    fn dropped_some(&self) -> bool {
        false
    }

    /// Lets go of the source where the response is sent without its content: to HEAD, with a 304. A
    /// script that makes it may be allowed to run to its end, since it has done nothing wrong.
    fn discard(self: Box<Self>) {}
}

/// What is left of content that is not sent.
struct Nothing;

impl ContentSource for Nothing {
    fn next<'s>(&'s mut self, _: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(std::future::ready(Ok(false)))
    }
}

/// Reads `source` to its end, within `limit`, and drops what it gives.
pub(crate) fn drain(mut source: impl ContentSource + 'static, limit: Duration) {
    runtime::spawn(async move {
        let mut block = Vec::new();
        let to_the_end = async {
            while let Ok(true) = source.next(&mut block).await {
                block.clear();
                runtime::yield_now().await;
            }
        };
        let _ = timeout(limit, to_the_end).await;
    });
}

/// A future that stays on its worker.
pub(crate) type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Why content ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    /// Its maker failed; in words for the log.
    #[error("{0}")]
    Maker(String),
    /// It is made from the request's content, which could not be read.
    #[error("the request's content failed")]
    Request(#[source] ContentError),
}

impl BrokenOff {
    /// Whether it is the client's doing.
    pub(crate) fn is_of_client(&self) -> bool {
        match self {
            Self::Maker(_)
            | Self::Request(ContentError::NoThread(_) | ContentError::NotKept(_)) => false,
            Self::Request(_) => true,
        }
    }
}

/// Octets, lent or owned or shared among a worker's exchanges.
#[derive(Clone, Debug)]
pub(crate) enum Octets<'a> {
    Lent(&'a [u8]),
    Owned(Vec<u8>),
    Shared(Rc<[u8]>),
    Part(Rc<[u8]>, Range<usize>),
    /// Shared among workers.
    Everywhere(Arc<[u8]>),
}

impl<'c> ContentStream<'c> {
    /// Content of that length, where it is known, which comes from `source`.
    pub(crate) fn new(length: Option<u64>, source: Box<dyn ContentSource + 'c>) -> Self {
        Self {
            first: Vec::new(),
            length,
            source,
        }
    }

    /// Content as [`new`](Self::new) makes it, whose `first` octets are there already.
    pub(crate) fn beginning_with(
        first: Vec<u8>,
        length: Option<u64>,
        source: Box<dyn ContentSource + 'c>,
    ) -> Self {
        Self {
            first,
            length,
            source,
        }
    }

    /// Content that is all there, and announced with `length`, which may be wrong.
    pub(crate) fn announced(octets: Vec<u8>, length: u64) -> Self {
        Self::beginning_with(octets, Some(length), Box::new(Nothing))
    }

    /// This content, with the source of its rest replaced by what `map` makes of it.
    pub(crate) fn map_source<'d>(
        self,
        map: impl FnOnce(Box<dyn ContentSource + 'c>) -> Box<dyn ContentSource + 'd>,
    ) -> ContentStream<'d> {
        ContentStream {
            first: self.first,
            length: self.length,
            source: map(self.source),
        }
    }

    /// No content, of which it is known how long it would have been.
    pub(crate) fn unsent(length: Option<u64>) -> Self {
        Self::new(length, Box::new(Nothing))
    }

    /// Its first octets, the length of all of it, where that is announced, and where the rest comes
    /// from.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Option<u64>, Box<dyn ContentSource + 'c>) {
        (self.first, self.length, self.source)
    }

    /// It will not be sent; its length may be told all the same.
    pub(crate) fn without_octets(self) -> Self {
        self.source.discard();
        Self::unsent(self.length)
    }

    /// Lets go of content that is not wanted any more.
    pub(crate) fn discard(self) {
        self.source.discard();
    }
}

impl<'c> DuplexContent<'_, 'c> {
    /// Copies what was lent.
    pub(crate) fn into_owned(self) -> DuplexContent<'static, 'c> {
        match self {
            Self::Empty => DuplexContent::Empty,
            Self::Octets(octets) => DuplexContent::Octets(octets.into_owned()),
            Self::File(range) => DuplexContent::File(range),
            Self::Pieces(pieces) => DuplexContent::Pieces(pieces),
            Self::Stream(stream) => DuplexContent::Stream(stream),
            Self::Tunnel(tunnel) => DuplexContent::Tunnel(tunnel),
            Self::Problem(reason) => DuplexContent::Problem(reason),
        }
    }

    /// Its length in octets; `None` if that is not known before it has been made.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty | Self::Problem(_) | Self::Tunnel(_) => Some(0),
            Self::Octets(octets) => Some(octets.len() as u64),
            Self::File(range) => Some(range.length()),
            Self::Pieces(pieces) => Some(pieces.iter().map(Piece::length).sum()),
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
            Self::Everywhere(octets) => Octets::Everywhere(octets),
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
            Self::Everywhere(octets) => octets,
        }
    }
}

impl From<FieldLines> for Octets<'_> {
    fn from(lines: FieldLines) -> Self {
        Self::Owned(lines.into_bytes())
    }
}

/// Where a handler reads the content of a request, if it wants it.
pub(crate) trait ReadContent {
    /// Appends some octets of content to `into`; `false` at its end.
    ///
    /// The first call invites a client that waits for `100 Continue`.
    ///
    /// # Errors
    /// Content that is malformed, too large, late or cut off. The handler gives up: return it.
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError>;

    /// Sends the client an interim response, encoded with the empty line at its end, unless the client
    /// does not know of them (RFC 9110 §15.2).
    ///
    /// # Errors
    /// The client takes nothing.
    ///
    /// # Cancellation
    /// What of it has not been sent goes before the next response.
    async fn inform(&self, _interim: &[u8]) -> Result<(), ContentError> {
        Ok(())
    }

    /// Invites a client that waits for `100 Continue`, if it has not been invited.
    ///
    /// # Errors
    /// The client takes nothing.
    ///
    /// # Cancellation
    /// As [`inform`](Self::inform).
    async fn invite(&self) -> Result<(), ContentError> {
        Ok(())
    }

    /// Waits until the client has gone: it broke the connection, or ended its side of it. For
    /// handlers that have others work for it; they give up: return [`ContentError::CutOff`].
    ///
    /// To be waited for beside something else, while no content is read. A client that has ended its
    /// side behind content that is still unread has gone as well: it is told at once.
    async fn client_gone(&self) {
        poll_fn(|context| self.poll_client_gone(context)).await;
    }

    /// [`client_gone`](Self::client_gone), for callers that are `poll` functions.
    fn poll_client_gone(&self, context: &mut Context<'_>) -> Poll<()>;
}

/// Why a request's content could not be read. The peer's fault, unless it is said otherwise.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContentError {
    #[error("the content is malformed: {0}")]
    Malformed(#[from] crate::http::chunked::ChunkedError),
    #[error("the content is not in the content coding that Content-Encoding says")]
    NotInCoding,
    #[error("the content is larger than max_content")]
    TooLarge,
    #[error("the content did not arrive within body_timeout")]
    TimedOut,
    #[error("the connection was closed before the end of the content")]
    CutOff,
    /// Ours: content is kept by threads, and every place before them is taken, or the system gives none.
    #[error("the content could not be kept on the disk")]
    NoThread(#[source] BlockingError),
    /// Ours: the disk is full, or there is no such directory, which `TMPDIR` names.
    #[error("the content could not be kept in a temporary file in {}", std::env::temp_dir().display())]
    NotKept(#[source] std::io::Error),
}

impl ContentError {
    /// Why the request is answered with an error; [`Reason::ClientGone`] where no client is left to
    /// read a response.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::ContentMalformed,
            Self::NotInCoding => Reason::ContentNotInCoding,
            Self::TooLarge => Reason::ContentTooLarge,
            Self::TimedOut => Reason::ContentTimeout,
            Self::CutOff => Reason::ClientGone,
            Self::NoThread(_) => Reason::ContentQueueFull,
            Self::NotKept(error) if is_shortage(error) => Reason::SystemShortage,
            Self::NotKept(_) => Reason::ContentNotKept,
        }
    }
}
