//! The content of a request, as it comes off the connection: counted, unchunked, under limits.

use std::mem::take;
use std::time::Duration;

use crate::http::chunked::ChunkedError;
use crate::http::content::{Decoder, Step};
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
    /// `None` once reading has failed: where the content ends is then unknown.
    decoder: Option<Decoder>,
    /// The client waits for `100 Continue` and has not had it.
    awaits_continue: bool,
    /// Octets of content read so far.
    length: u64,
    /// Octets that may still be read in this turn.
    budget: usize,
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
        // A client whose content has begun to come is not waiting (RFC 9110 §10.1.1).
        let awaits_continue = head.expects_continue && unread.is_empty();
        Self {
            stream,
            input,
            limits,
            unread,
            decoder: Some(Decoder::new(head.framing)),
            awaits_continue,
            length: 0,
            budget: BYTES_PER_TURN,
        }
    }

    /// Whether the next request on the connection can be found: nothing of this one's content is
    /// left, or what is left can be read and dropped.
    pub(crate) fn can_be_drained(&self) -> bool {
        let Some(decoder) = &self.decoder else {
            return false;
        };
        // A client that waits for `100 Continue` may send its content without it, or never.
        let may_come = !self.awaits_continue;
        let is_short = decoder.length_left().is_none_or(|left| left <= MAX_DRAINED);
        decoder.is_ended() || (may_come && is_short)
    }

    /// Reads what is left and drops it; whether it was all there within its limit.
    pub(crate) async fn drain(&mut self) -> bool {
        let mut dropped = Vec::new();
        let limit = self.length + MAX_DRAINED;
        while !self.is_ended() {
            if self.length > limit || self.read(&mut dropped).await.is_err() {
                return false;
            }
            dropped.clear();
        }
        true
    }

    /// Whether all of the content has been read.
    fn is_ended(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::is_ended)
    }

    /// Moves content from `unread` to `into`. Returns whether there was any, or the end of it.
    fn take_unread(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        let decoder = self.decoder.as_mut().ok_or(ContentError::CutOff)?;
        let before = into.len();
        let used = decode(decoder, self.unread, into)?;
        if decoder.is_ended() {
            // Lets go of the buffer; what is left belongs to further requests.
            *self.unread = self.unread.split_off(used);
        } else {
            self.unread.clear();
        }
        self.length += (into.len() - before) as u64;
        if self.length > self.limits.max_content {
            return Err(ContentError::TooLarge);
        }
        Ok(into.len() > before || self.is_ended())
    }

    /// The client has ended its side of the connection.
    fn end_of_input(&mut self) -> Result<(), ContentError> {
        let decoder = self.decoder.as_mut().ok_or(ContentError::CutOff)?;
        decoder.end_of_input().map_err(|_| ContentError::CutOff)
    }

    /// Gives up reading because of `error`. No request behind this one can be found any more.
    fn fail(&mut self, error: ContentError) -> ContentError {
        self.decoder = None;
        *self.unread = Vec::new();
        error
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
                Ok(()) if self.unread.is_empty() => return self.end_of_input(),
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
        if self.is_ended() {
            return Ok(false);
        }
        if take(&mut self.awaits_continue) {
            self.invite().await?;
        }
        let before = into.len();
        while !self.take_unread(into).map_err(|error| self.fail(error))? {
            let received = self.receive().await;
            received.map_err(|error| self.fail(error))?;
        }
        Ok(into.len() > before)
    }

    async fn client_gone(&self) {
        self.stream.peer_gone().await;
    }
}

/// Appends the content in `input` to `into`. Returns how many octets of `input` belong to the message.
fn decode(decoder: &mut Decoder, input: &[u8], into: &mut Vec<u8>) -> Result<usize, ChunkedError> {
    let mut at = 0;
    loop {
        match decoder.step(&input[at..])? {
            Step::Content { skip, len } => {
                into.extend_from_slice(&input[at + skip..at + skip + len]);
                at += skip + len;
            }
            Step::NeedMore => return Ok(input.len()),
            Step::End { used } => return Ok(at + used),
        }
    }
}
