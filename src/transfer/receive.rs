//! The content of a request, as it comes off the connection: counted, unchunked, under limits.

use std::mem::take;
use std::time::Duration;

use crate::http::chunked::{Decoder, Step};
use crate::http::framing::Framing;
use crate::http::request::RequestHead;
use crate::http::response::CONTINUE;
use crate::message::content::{ContentError, ReadContent};
use crate::runtime::{self, Direction};
use crate::transfer::send::BYTES_PER_TURN;
use crate::transfer::{InputBuffer, READ_SIZE};
use crate::transport::Transport;

/// Octets of unwanted content that are read and dropped for the sake of the connection. Past it,
/// closing is cheaper for both sides.
const MAX_DRAINED: u64 = 256 * 1024;

/// What is waited for, and how much is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentLimits {
    /// Octets of content.
    pub(crate) max_content: u64,
    /// Between two reads.
    pub(crate) body_timeout: Duration,
    /// For `100 Continue` to be taken.
    pub(crate) send_timeout: Duration,
}

/// Content that is still to come.
pub(crate) struct RequestContent<'c> {
    stream: &'c Transport,
    input: &'c InputBuffer,
    limits: ContentLimits,
    /// What was read of the connection and not used: content first, then further requests.
    unread: &'c mut Vec<u8>,
    rest: Rest,
    /// The client waits for `100 Continue` and has not had it.
    awaits_continue: bool,
    /// Octets of content read so far.
    length: u64,
    /// Octets that may still be read in this turn.
    budget: usize,
}

/// How much is still to come.
enum Rest {
    Octets(u64),
    Chunks(Decoder),
    Nothing,
    /// Where it ends cannot be known any more.
    Unknowable,
}

impl<'c> RequestContent<'c> {
    /// The content that follows `head`; `unread` is what has been read behind it.
    pub(crate) fn new(
        head: &RequestHead<'_>,
        stream: &'c Transport,
        input: &'c InputBuffer,
        limits: ContentLimits,
        unread: &'c mut Vec<u8>,
    ) -> Self {
        let rest = match head.framing {
            Framing::Empty => Rest::Nothing,
            Framing::Length(length) => Rest::Octets(length),
            Framing::Chunked => Rest::Chunks(Decoder::default()),
        };
        // A client whose content has begun to come is not waiting (RFC 9110 §10.1.1).
        let awaits_continue = head.expects_continue && unread.is_empty();
        Self {
            stream,
            input,
            limits,
            unread,
            rest,
            awaits_continue,
            length: 0,
            budget: BYTES_PER_TURN,
        }
    }

    /// Whether the next request on the connection can be found: nothing of this one's content is
    /// left, or what is left can be read and dropped.
    pub(crate) fn can_be_drained(&self) -> bool {
        match self.rest {
            Rest::Nothing => true,
            // It may come or not: nobody said "continue".
            _ if self.awaits_continue => false,
            Rest::Octets(rest) => rest <= MAX_DRAINED,
            Rest::Chunks(_) => true,
            Rest::Unknowable => false,
        }
    }

    /// Reads what is left and drops it; whether it was all there within its limit.
    pub(crate) async fn drain(&mut self) -> bool {
        let mut dropped = Vec::new();
        let limit = self.length + MAX_DRAINED;
        while !matches!(self.rest, Rest::Nothing) {
            if self.length > limit || self.read(&mut dropped).await.is_err() {
                return false;
            }
            dropped.clear();
        }
        true
    }

    /// Moves content from `unread` to `into`; whether any was there, or the end was.
    fn take_unread(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        let before = into.len();
        match &mut self.rest {
            Rest::Nothing => return Ok(true),
            Rest::Unknowable => return Err(ContentError::CutOff),
            Rest::Octets(rest) => {
                let count = (*rest).min(self.unread.len() as u64);
                into.extend(self.unread.drain(..count as usize));
                *rest -= count;
                if *rest == 0 {
                    self.rest = Rest::Nothing;
                }
            }
            Rest::Chunks(decoder) => {
                let unread = take(self.unread);
                match unchunk(decoder, &unread, into) {
                    Ok(None) => {}
                    Ok(Some(used)) => {
                        *self.unread = unread[used..].to_vec();
                        self.rest = Rest::Nothing;
                    }
                    Err(error) => {
                        self.rest = Rest::Unknowable;
                        return Err(error.into());
                    }
                }
            }
        }
        self.length += (into.len() - before) as u64;
        if self.length > self.limits.max_content {
            self.rest = Rest::Unknowable;
            return Err(ContentError::TooLarge);
        }
        Ok(into.len() > before || matches!(self.rest, Rest::Nothing))
    }

    /// Reads from the connection, waiting if nothing is there.
    async fn receive(&mut self) -> Result<(), ContentError> {
        if self.budget == 0 {
            // The client may be as fast as whoever takes the content.
            runtime::yield_now().await;
            self.budget = BYTES_PER_TURN;
        }
        let deadline = runtime::deadline_after(self.limits.body_timeout);
        loop {
            // A statement of its own: the buffer is every connection's, and not borrowed in a wait.
            let received = {
                let mut input = self.input.borrow_mut();
                self.stream
                    .receive(&mut input[..READ_SIZE])
                    .map(|received| self.unread.extend_from_slice(&input[..received.count]))
            };
            match received {
                Ok(()) if self.unread.is_empty() => return Err(ContentError::CutOff),
                Ok(()) => {
                    self.budget = self.budget.saturating_sub(self.unread.len());
                    return Ok(());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let ready = self.stream.ready(Direction::Read, deadline).await;
                    ready.map_err(|_| ContentError::TimedOut)?;
                }
                Err(_) => return Err(ContentError::CutOff),
            }
        }
    }

    /// Invites the content, once.
    async fn invite(&mut self) -> Result<(), ContentError> {
        let deadline = runtime::deadline_after(self.limits.send_timeout);
        let mut rest = CONTINUE;
        while !rest.is_empty() {
            match self.stream.send(rest, false) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let ready = self.stream.ready(Direction::Write, deadline).await;
                    ready.map_err(|_| ContentError::CutOff)?;
                }
                Err(_) => return Err(ContentError::CutOff),
            }
        }
        Ok(())
    }
}

impl ReadContent for RequestContent<'_> {
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        if matches!(self.rest, Rest::Nothing) {
            return Ok(false);
        }
        if take(&mut self.awaits_continue) {
            self.invite().await?;
        }
        let before = into.len();
        while !self.take_unread(into)? {
            if let Err(error) = self.receive().await {
                self.rest = Rest::Unknowable;
                return Err(error);
            }
        }
        Ok(into.len() > before)
    }

    async fn client_gone(&self) {
        self.stream.peer_gone().await;
    }
}

/// Takes the framing of chunks off `input`; where the content ended, if it did.
fn unchunk(
    decoder: &mut Decoder,
    input: &[u8],
    into: &mut Vec<u8>,
) -> Result<Option<usize>, crate::http::chunked::ChunkedError> {
    let mut at = 0;
    loop {
        match decoder.step(&input[at..])? {
            Step::Content { skip, len } => {
                into.extend_from_slice(&input[at + skip..at + skip + len]);
                at += skip + len;
            }
            Step::NeedMore => return Ok(None),
            Step::End { used } => return Ok(Some(at + used)),
        }
    }
}
