//! Sending an answer: buffered bytes, memory, files, streams from elsewhere.
//!
//! [`Transmission::advance`] sends what it can without waiting; [`Transmission::finish`] waits for
//! the rest. Nothing is ever queued beyond one block: a client that reads slowly is waited for.

mod file_chunk;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::AsFd as _;
use std::time::Duration;

use rustix::io::Errno;

use crate::http::chunked::{push_chunk, push_last_chunk};
use crate::message::content::{
    BrokenOff, ContentSource, ContentStream, DuplexContent, FileRange, Octets, Piece,
};
use crate::runtime::{self, BlockingPool, Either, either};
use crate::throttle::pace::Pace;
use crate::transport::Transport;

use file_chunk::{chunk_end, is_in_memory, warm};

/// Octets sent, or read of content, before other connections get their turn.
pub(crate) const BYTES_PER_TURN: usize = 2 * 1024 * 1024;

/// What a block of a stream counts for at least in that share: a short one is work too.
const LEAST_BLOCK: usize = 4 * 1024;

/// The largest content that is copied behind its head, so that one plain call sends both: the copy is
/// cheaper than a call with several pieces. The connection copies more into the write that answers share,
/// because content that is not in it costs a call of its own.
const MAX_COPIED: usize = 4 * 1024;

/// An answer on its way out.
pub(crate) struct Transmission<'c> {
    /// Encoded heads and small contents, or the current block; sent first.
    buffer: Vec<u8>,
    /// How much of `buffer` has been sent.
    sent: usize,
    pieces: VecDeque<Piece>,
    /// How much of the first piece's octets has been sent.
    piece_sent: usize,
    stream: Option<StreamSource<'c>>,
    /// How a stream's content compares with the length that was announced for it.
    extent: Extent,
    /// Whether nothing but the end of the connection tells the client where the content ends.
    ends_with_connection: bool,
    /// Up to where the first piece's file has been found in memory, or read into it.
    warm_until: u64,
    /// Octets of content taken from pieces and streams so far; the framing of chunks aside.
    content_sent: u64,
}

struct StreamSource<'c> {
    source: Box<dyn ContentSource + 'c>,
    is_chunked: bool,
    /// Octets still to come, where its maker said how many.
    left: Option<u64>,
}

/// How the content of a stream compares with the length that its maker announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// It has been as announced so far, or nothing was announced.
    AsAnnounced,
    /// It has ended too early. The connection is cut behind what there is.
    Shorter,
    /// It was longer. What was announced is sent, and the rest is dropped.
    Longer,
}

/// How far [`Transmission::advance`] got.
#[derive(Debug)]
pub(crate) enum Progress {
    Done,
    /// The socket takes no more for now.
    Blocked,
    /// The file's next octets are not in memory.
    Cold(FileRange),
    /// The stream's next octets have to be waited for.
    Waiting,
    /// It took its share of the turn.
    Yield,
    /// The pace lets no more be sent for so long.
    Paced(Duration),
}

/// How an answer is sent to its end.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'c> {
    /// How long the client may take nothing.
    pub(crate) send_timeout: Duration,
    /// `None`: as fast as the client takes it.
    pub(crate) pace: Option<Pace<'c>>,
}

impl Terms<'static> {
    /// As fast as the client takes it.
    pub(crate) fn unpaced(send_timeout: Duration) -> Self {
        Self {
            send_timeout,
            pace: None,
        }
    }
}

/// How much one call of a transmission may send.
#[derive(Clone, Copy)]
enum PerCall {
    /// As much as the socket takes, also if that is more than is left of the budget.
    Unbounded,
    /// What is left of the budget: a pace allows no more.
    LeftOfBudget,
}

/// What became of an attempt to send octets of a file.
enum FileSent {
    /// This many octets were sent, or the end of the file has been reached.
    Octets(usize),
    /// The next octets of this range are not in memory.
    Cold(FileRange),
}

/// Why an answer was not sent to its end. The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    #[error("the client took nothing for as long as send_timeout")]
    TimedOut,
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    #[error("the file cannot be read any further")]
    FileUnreadable(#[source] io::Error),
    #[error("the file became shorter while it was sent")]
    FileShrank,
    #[error("the content broke off")]
    BrokenOff(#[from] BrokenOff),
    #[error("the content is shorter than its Content-Length says")]
    TooShort,
    #[error("the client went away before the end of the content")]
    ClientGone,
}

impl SendError {
    /// Why octets of a file were not sent. One call reads the file and writes to the socket, and does not say which of
    /// the two failed: what a socket cannot fail with is the file's.
    fn of_file(error: io::Error) -> Self {
        if may_be_of_socket(&error) {
            Self::Broken(error)
        } else {
            Self::FileUnreadable(error)
        }
    }

    /// Whether it is not the client's doing, nor the network's: the operator wants to hear of it.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::FileUnreadable(_) | Self::FileShrank | Self::TooShort => true,
            Self::BrokenOff(broken_off) => !broken_off.is_of_client(),
            Self::TimedOut | Self::Broken(_) | Self::ClientGone => false,
        }
    }
}

impl<'c> Transmission<'c> {
    /// Sends `buffer`, then `content`.
    pub(crate) fn new(
        buffer: Vec<u8>,
        content: DuplexContent<'static, 'c>,
        is_chunked: bool,
    ) -> Self {
        let mut transmission = Self {
            buffer,
            sent: 0,
            pieces: VecDeque::new(),
            piece_sent: 0,
            stream: None,
            extent: Extent::AsAnnounced,
            ends_with_connection: false,
            warm_until: 0,
            content_sent: 0,
        };
        match content {
            DuplexContent::Empty | DuplexContent::Problem(_) | DuplexContent::Tunnel(_) => {}
            DuplexContent::Octets(octets) => transmission.begin_octets(octets),
            DuplexContent::File(range) => transmission.pieces.push_back(Piece::File(range)),
            DuplexContent::Pieces(pieces) => transmission.pieces = pieces.into(),
            DuplexContent::Stream(stream) => transmission.begin_stream(stream, is_chunked),
        }
        transmission
    }

    /// Sends `buffer`: what is left of a response that had been begun, of whose content so many
    /// octets are in it or have been sent.
    pub(crate) fn rest(buffer: Vec<u8>, content_sent: u64) -> Self {
        Self {
            content_sent,
            ..Self::new(buffer, DuplexContent::Empty, false)
        }
    }

    /// Puts octets behind the head, so that they go out in one call.
    fn begin_octets(&mut self, octets: Octets<'static>) {
        if octets.len() <= MAX_COPIED {
            self.buffer.extend_from_slice(&octets);
            self.content_sent += octets.len() as u64;
        } else {
            self.pieces.push_back(Piece::Octets(octets));
        }
    }

    /// Puts what is there of a stream behind the head, so that they go out in one call.
    fn begin_stream(&mut self, stream: ContentStream<'c>, is_chunked: bool) {
        let (mut first, length, source) = stream.into_parts();
        let first_length = first.len() as u64;
        let is_longer = length.is_some_and(|length| length < first_length);
        if let (true, Some(length)) = (is_longer, length) {
            first.truncate(length as usize);
        }
        if is_chunked {
            self.content_sent += first.len() as u64;
            push_chunk(&first, &mut self.buffer);
        } else {
            self.begin_octets(Octets::Owned(first));
        }
        self.ends_with_connection = !is_chunked && length.is_none();
        let left = length.map(|length| length.saturating_sub(first_length));
        self.stream = Some(StreamSource {
            source,
            is_chunked,
            left,
        });
        if is_longer {
            self.drop_rest();
        }
    }

    /// Drops what follows the announced octets of a stream.
    fn drop_rest(&mut self) {
        self.extent = Extent::Longer;
        if let Some(stream) = self.stream.take() {
            stream.source.discard();
        }
    }

    /// Whether the stream's maker gave more content than it had announced.
    pub(crate) fn dropped_some(&self) -> bool {
        self.extent == Extent::Longer
    }

    /// Whether the client would take what it has got for all of the content if the connection ended now:
    /// a client of HTTP/1.0 that was told no length.
    pub(crate) fn looks_complete(&self) -> bool {
        let is_sent = self.sent == self.buffer.len() && self.pieces.is_empty();
        self.ends_with_connection && !(is_sent && self.stream.is_none())
    }

    /// Octets of content sent so far.
    pub(crate) fn content_sent(&self) -> u64 {
        self.content_sent
    }

    /// Frees what of the buffer is not used: the transmission may have to wait for its client.
    pub(crate) fn shrink(&mut self) {
        self.buffer.shrink_to_fit();
    }

    /// The buffer, for its capacity.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Sends as much as can be sent without waiting.
    pub(crate) fn advance(&mut self, stream: &Transport) -> Result<Progress, SendError> {
        self.advance_by(stream, &mut { BYTES_PER_TURN }, PerCall::Unbounded)
    }

    /// As [`advance`](Self::advance), as far as `pace` lets it.
    fn advance_at(&mut self, stream: &Transport, pace: Pace<'_>) -> Result<Progress, SendError> {
        let now = runtime::now();
        let most = match pace.allowance(now) {
            Ok(most) => most.min(BYTES_PER_TURN),
            Err(wait) => return Ok(Progress::Paced(wait)),
        };
        let mut left = most;
        let progress = self.advance_by(stream, &mut left, PerCall::LeftOfBudget);
        pace.sent(most - left, now);
        progress
    }

    /// Sends until `budget` is used up, with calls of that size; what is left of the budget stays in it.
    #[inline]
    fn advance_by(
        &mut self,
        stream: &Transport,
        budget: &mut usize,
        per_call: PerCall,
    ) -> Result<Progress, SendError> {
        loop {
            if *budget == 0 {
                return Ok(Progress::Yield);
            }
            let most = match per_call {
                PerCall::Unbounded => usize::MAX,
                PerCall::LeftOfBudget => *budget,
            };
            let step = match self.pieces.front() {
                Some(Piece::Octets(_)) => self.send_octets(stream, most),
                _ if self.sent < self.buffer.len() => self.send_buffer(stream, most),
                Some(Piece::File(_)) => match self.send_file(stream, most) {
                    Ok(FileSent::Octets(count)) => Ok(count),
                    Ok(FileSent::Cold(range)) => return Ok(Progress::Cold(range)),
                    Err(error) => Err(error),
                },
                None if self.stream.is_some() => return Ok(Progress::Waiting),
                None if self.extent == Extent::Shorter => return Err(SendError::TooShort),
                None => return Ok(Progress::Done),
            };
            match step {
                Ok(count) => *budget = budget.saturating_sub(count),
                Err(SendError::Broken(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends to the end, waiting as long as the client takes octets within every `send_timeout`. What the pace
    /// lets wait is no lack of progress.
    ///
    /// # Errors
    /// Why it cannot be sent to its end.
    pub(crate) async fn finish(
        &mut self,
        stream: &Transport,
        pool: &BlockingPool,
        terms: Terms<'_>,
    ) -> Result<(), SendError> {
        let mut budget = BYTES_PER_TURN;
        loop {
            let progress = match terms.pace {
                None => self.advance(stream),
                Some(pace) => self.advance_at(stream, pace),
            };
            match progress? {
                Progress::Done => return Ok(()),
                Progress::Yield => runtime::yield_now().await,
                // Boxed, because seldom is there a pace, and every answer would have room for it.
                Progress::Paced(wait) => Box::pin(self.wait_at_pace(wait)).await,
                Progress::Blocked => {
                    let room = stream.room(terms.send_timeout);
                    let room = match &mut self.stream {
                        None => room.await,
                        Some(StreamSource { source, .. }) => {
                            match either(room, source.while_blocked()).await {
                                Either::First(room) => room,
                                Either::Second(()) => continue,
                            }
                        }
                    };
                    room.map_err(|_| SendError::TimedOut)?;
                }
                Progress::Cold(range) => {
                    // It is sent then, whatever another look would say.
                    self.warm_until = chunk_end(&range);
                    warm(range, pool).await;
                    runtime::yield_now().await;
                }
                Progress::Waiting => {
                    let length = self.next_of_stream(stream).await?;
                    // The maker of the content may be as fast as this loop, and the client too.
                    budget = budget.saturating_sub(length.max(LEAST_BLOCK));
                    if budget == 0 {
                        runtime::yield_now().await;
                        budget = BYTES_PER_TURN;
                    }
                }
            }
        }
    }

    /// Waits until the pace lets more be sent. A stream that reads the request's content goes on meanwhile.
    async fn wait_at_pace(&mut self, wait: Duration) {
        let pause = runtime::sleep(wait);
        match &mut self.stream {
            None => pause.await,
            Some(StreamSource { source, .. }) => {
                either(pause, source.while_blocked()).await;
            }
        }
    }

    /// Waits for the stream's next octets, in the place of the buffer that was sent, or for the
    /// client to go; how many there are.
    async fn next_of_stream(&mut self, client: &Transport) -> Result<usize, SendError> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let mut block = Vec::new();
        let goes_on = match either(stream.source.next(&mut block), client.peer_gone()).await {
            Either::First(next) => next?,
            Either::Second(()) => return Err(SendError::ClientGone),
        };
        let length = block.len();
        let is_chunked = stream.is_chunked;
        let left = stream.left.map(|left| left.checked_sub(length as u64));
        match (left, stream.left) {
            (Some(None), Some(allowed)) => {
                block.truncate(allowed as usize);
                self.drop_rest();
            }
            (left, _) => stream.left = left.flatten(),
        }
        let mut trailers = None;
        if !goes_on && let Some(mut stream) = self.stream.take() {
            if stream.left > Some(0) {
                self.extent = Extent::Shorter;
            } else if stream.source.dropped_some() {
                self.extent = Extent::Longer;
            }
            trailers = Some(stream.source.trailers());
        }
        self.put_block(block, is_chunked, trailers);
        Ok(length)
    }

    /// Sends what is left of the buffer, at most so many octets.
    fn send_buffer(&mut self, stream: &Transport, most: usize) -> Result<usize, SendError> {
        let octets = up_to(&self.buffer[self.sent..], most);
        // What the pace has wait does not follow at once.
        let follows = !self.pieces.is_empty() && octets.len() < most;
        let count = stream.send(octets, follows)?;
        self.sent += count;
        Ok(count)
    }

    /// Sends what is left of the buffer and the first piece's octets, in one call, at most so many.
    fn send_octets(&mut self, stream: &Transport, most: usize) -> Result<usize, SendError> {
        let Some(Piece::Octets(octets)) = self.pieces.front() else {
            return Ok(0);
        };
        let head = up_to(&self.buffer[self.sent..], most);
        let whole = octets.len() - self.piece_sent;
        let octets = up_to(&octets[self.piece_sent..], most - head.len());
        let count = stream.send_vectored(&[IoSlice::new(head), IoSlice::new(octets)])?;
        let of_head = count.min(head.len());
        let of_octets = count - of_head;
        let is_whole = of_octets == whole;
        self.sent += of_head;
        self.piece_sent += of_octets;
        self.content_sent += of_octets as u64;
        if is_whole && self.sent == self.buffer.len() {
            self.pieces.pop_front();
            self.piece_sent = 0;
        }
        Ok(count)
    }

    /// Sends the next octets of the first piece, a file, if they are in memory or `warm` has read them.
    /// At most so many octets.
    fn send_file(&mut self, stream: &Transport, most: usize) -> Result<FileSent, SendError> {
        let Some(Piece::File(range)) = self.pieces.front_mut() else {
            return Ok(FileSent::Octets(0));
        };
        if range.length() > 0 {
            let may_wait = range.start < self.warm_until;
            if !may_wait && stream.lets_kernel_read_files() && !is_in_memory(range) {
                return Ok(FileSent::Cold(range.clone()));
            }
            let end = if may_wait {
                self.warm_until.min(range.end)
            } else {
                chunk_end(range)
            };
            if stream.lets_kernel_read_files() {
                self.warm_until = end;
            }
            let count = ((end - range.start) as usize).min(most);
            let file = range.file.as_fd();
            let sent = stream.send_file(file, &mut range.start, count, may_wait);
            let Some(sent) = sent.map_err(SendError::of_file)? else {
                return Ok(FileSent::Cold(range.clone()));
            };
            if sent == 0 {
                return Err(SendError::FileShrank);
            }
            self.content_sent += sent as u64;
            if range.length() > 0 {
                return Ok(FileSent::Octets(sent));
            }
        }
        self.pieces.pop_front();
        self.warm_until = 0;
        Ok(FileSent::Octets(1))
    }

    /// Puts a block in the place of the buffer that was sent, with its framing. The last one is followed
    /// by `trailers`.
    fn put_block(&mut self, block: Vec<u8>, is_chunked: bool, trailers: Option<Vec<u8>>) {
        self.buffer.clear();
        self.sent = 0;
        self.content_sent += block.len() as u64;
        if is_chunked {
            push_chunk(&block, &mut self.buffer);
        } else {
            self.buffer = block;
        }
        if let (true, Some(trailers)) = (is_chunked, trailers) {
            push_last_chunk(&trailers, &mut self.buffer);
        }
    }
}

/// Whether a write to a connected socket can fail so: it takes nothing now, the peer or the network ended the
/// connection, or its session of TLS failed, which is no error of the system.
fn may_be_of_socket(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_none_or(|errno| {
        matches!(
            errno,
            Errno::AGAIN
                | Errno::PIPE
                | Errno::CONNRESET
                | Errno::CONNABORTED
                | Errno::CONNREFUSED
                | Errno::TIMEDOUT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NETDOWN
                | Errno::NETRESET
                | Errno::NETUNREACH
                | Errno::NOBUFS
                | Errno::NOPROTOOPT
                | Errno::PROTO
        )
    })
}

/// The first octets, at most so many.
fn up_to(octets: &[u8], most: usize) -> &[u8] {
    &octets[..octets.len().min(most)]
}
