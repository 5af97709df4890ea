//! The content of a request, as it comes off the connection: counted, unchunked, under limits.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::take;
use std::task::{Context, Poll};

use crate::config::model::Limits;
use crate::http::chunked::ChunkedError;
use crate::http::content::{Decoder, Step};
use crate::http::request::RequestHead;
use crate::http::response::CONTINUE;
use crate::http::version::Version;
use crate::message::content::{ContentError, ReadContent};
use crate::runtime::{self, Direction, Tick};
use crate::transfer::send::BYTES_PER_TURN;
use crate::transfer::{InputBuffer, READ_SIZE};
use crate::transport::Transport;

/// How many octets of unwanted content are read and dropped to keep the connection. For more, closing is cheaper for
/// both sides; the response says that the connection closes.
const MAX_DRAINED: u64 = 256 * 1024;

/// The same for content in the chunked coding, whose length is not known when the response says whether the connection
/// persists.
const MAX_DRAINED_CHUNKS: u64 = 16 * 1024 * 1024;

/// Bytes of a buffer that is kept for what is read next. A larger one is freed: the client may take its
/// time.
const MAX_KEPT: usize = 4 * 1024;

/// The content of one request, as long as its exchange lasts.
///
/// It is read through [`RequestContent`]; the connection asks here what is left of it.
pub(crate) struct Receiving<'c> {
    stream: &'c Transport,
    input: &'c InputBuffer,
    limits: &'c Limits,
    /// Octets of content read so far.
    length: Cell<u64>,
    /// Never borrowed across a wait.
    state: RefCell<State>,
}

/// The content of a request that is still to come, as a handler reads it: before it returns its
/// response, and, if the response's content is made from it, while that is sent.
#[derive(Clone, Copy)]
pub(crate) struct RequestContent<'r>(&'r Receiving<'r>);

/// What the connection needs to know when the final response begins.
pub(crate) struct Begun {
    /// Whether the next request on the connection can be found: nothing of this one's content is left,
    /// or what is left can be read and dropped.
    pub(crate) can_be_drained: bool,
    /// What of interim responses has not been sent: it goes before the response.
    pub(crate) rest_of_interim: Vec<u8>,
}

/// How far receiving has got.
struct State {
    /// Bytes of the connection that were read and not used: content first, then further requests.
    unread: Vec<u8>,
    /// `None` once reading has failed: where the content ends is then unknown.
    decoder: Option<Decoder>,
    /// Whether the client asked for `100 Continue`, which has not been begun. It is invited when more content than has
    /// come already is wanted, as by other servers: some clients send the first octets at once and wait then, though
    /// the server need not invite them any more (RFC 9110 §10.1.1).
    is_awaiting_invitation: bool,
    /// Whether content came with the head: its client sends the rest, too, if it is not invited.
    has_begun_to_come: bool,
    /// Whether the client knows of interim responses (RFC 9110 §15.2).
    takes_interim: bool,
    /// Interim responses, as far as they have not been sent.
    interim: Vec<u8>,
    /// When the wait for the next octets ends. It is set when a wait begins, and to `NEVER` when octets
    /// come, so that a wait which is dropped and begun again has no more time.
    deadline: Tick,
    /// Octets that may still be read in this turn.
    budget: usize,
    /// Whether the connection held nothing more when it was last read from; `None` if it was not read
    /// from.
    is_drained: Option<bool>,
}

impl<'c> Receiving<'c> {
    /// The content that follows `head`; `unread` is what has been read behind it.
    pub(crate) fn new(
        head: &RequestHead<'_>,
        stream: &'c Transport,
        input: &'c InputBuffer,
        limits: &'c Limits,
        unread: Vec<u8>,
    ) -> Self {
        let state = State {
            is_awaiting_invitation: head.expects_continue,
            has_begun_to_come: !unread.is_empty(),
            takes_interim: head.version == Version::Http11,
            interim: Vec::new(),
            deadline: Tick::NEVER,
            unread,
            decoder: Some(Decoder::new(head.framing)),
            budget: BYTES_PER_TURN,
            is_drained: None,
        };
        Self {
            stream,
            input,
            limits,
            length: Cell::new(0),
            state: RefCell::new(state),
        }
    }

    /// Octets of content read so far.
    pub(crate) fn length(&self) -> &Cell<u64> {
        &self.length
    }

    /// The content, to be read.
    pub(crate) fn content(&self) -> RequestContent<'_> {
        RequestContent(self)
    }

    /// Takes note that the final response is about to be sent. From here on no interim response is
    /// begun: it would stand in the middle of the response.
    pub(crate) fn begin_response(&self) -> Begun {
        let mut state = self.state.borrow_mut();
        // A client that waits for `100 Continue` may send its content without it, or never.
        let may_come = !take(&mut state.is_awaiting_invitation) || state.has_begun_to_come;
        let can_be_drained = state.decoder.as_ref().is_some_and(|decoder| {
            let is_short = decoder.length_left().is_none_or(|left| left <= MAX_DRAINED);
            decoder.is_ended() || (may_come && is_short)
        });
        Begun {
            can_be_drained,
            rest_of_interim: take(&mut state.interim),
        }
    }

    /// Reads what is left of the content and drops it, because the response has promised a connection that persists.
    /// Returns whether the end came. Chunks are read up to `max_content`, as a handler would have read them, but
    /// no more than [`MAX_DRAINED_CHUNKS`].
    pub(crate) async fn drain(&self) -> bool {
        let mut dropped = Vec::new();
        let taken = self.limits.max_content.min(MAX_DRAINED_CHUNKS);
        let max = self.length.get() + taken.max(MAX_DRAINED);
        while !self.is_ended() {
            if self.read(&mut dropped, max).await.is_err() {
                return false;
            }
            dropped.clear();
        }
        true
    }

    /// Whether all of the content has been read.
    pub(crate) fn is_ended(&self) -> bool {
        self.state.borrow().is_ended()
    }

    /// Whether all of the content has been read, and nothing behind it.
    pub(crate) fn is_complete(&self) -> bool {
        let state = self.state.borrow();
        state.is_ended() && state.unread.is_empty()
    }

    /// Whether the connection held nothing more when it was last read from; `None` if it was not read
    /// from.
    pub(crate) fn is_drained(&self) -> Option<bool> {
        self.state.borrow().is_drained
    }

    /// The bytes that were read behind the content: further requests.
    pub(crate) fn into_unread(self) -> Vec<u8> {
        self.state.into_inner().unread
    }

    /// Appends content to `into`, as [`ReadContent::read`] does, as long as no more than `max` octets have been
    /// read of it in all.
    async fn read(&self, into: &mut Vec<u8>, max: u64) -> Result<bool, ContentError> {
        if self.is_ended() {
            return Ok(false);
        }
        loop {
            if let Some(has_come) = self.take_unread(into, max)? {
                return Ok(has_come);
            }
            self.invite().await?;
            let received = self.receive().await;
            received.map_err(|error| self.state.borrow_mut().fail(error))?;
        }
    }

    /// Moves content that has been read to `into`. Returns whether there was any; `None`: more has to be read first.
    fn take_unread(&self, into: &mut Vec<u8>, max: u64) -> Result<Option<bool>, ContentError> {
        let mut state = self.state.borrow_mut();
        let taken = state.take_unread(into, max, &self.length);
        taken.map_err(|error| state.fail(error))
    }

    /// Reads from the connection, waiting if nothing is there.
    async fn receive(&self) -> Result<(), ContentError> {
        if self.state.borrow().budget == 0 {
            // The client may be as fast as the handler that takes the content.
            self.state.borrow_mut().budget = BYTES_PER_TURN;
            runtime::yield_now().await;
        }
        loop {
            match self.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = self.stream.ready(Direction::Read, self.deadline()).await;
                    ready.map_err(|_| ContentError::TimedOut)?;
                }
                Err(_) => return Err(ContentError::CutOff),
                Ok(0) => return self.state.borrow_mut().end_of_input(),
                Ok(_) => return Ok(()),
            }
        }
    }

    /// When the present wait for octets ends.
    fn deadline(&self) -> Tick {
        let mut state = self.state.borrow_mut();
        if state.deadline == Tick::NEVER {
            state.deadline = runtime::deadline_after(self.limits.body_timeout);
        }
        state.deadline
    }

    /// Reads once from the connection. Returns how many bytes came; 0 is the end of the client's side.
    fn try_receive(&self) -> io::Result<usize> {
        let mut input = self.input.borrow_mut();
        let mut state = self.state.borrow_mut();
        let received = self
            .stream
            .receive(&mut input[..READ_SIZE])
            .inspect_err(|_| state.is_drained = Some(true))?;
        state.is_drained = Some(received.is_drained);
        state.deadline = Tick::NEVER;
        state.unread.extend_from_slice(&input[..received.count]);
        state.budget = state.budget.saturating_sub(received.work(READ_SIZE));
        Ok(received.count)
    }

    /// Invites the content, if the client waits for that.
    ///
    /// # Cancellation
    /// The next call goes on where this one was.
    async fn invite(&self) -> Result<(), ContentError> {
        self.state.borrow_mut().queue_invitation();
        self.send_interim().await
    }

    /// Sends what there is of interim responses.
    ///
    /// # Cancellation
    /// The next call goes on where this one was.
    async fn send_interim(&self) -> Result<(), ContentError> {
        if self.state.borrow().interim.is_empty() {
            return Ok(());
        }
        loop {
            let sent = self.stream.send(&self.state.borrow().interim, false);
            match sent {
                Ok(count) => {
                    let interim = &mut self.state.borrow_mut().interim;
                    interim.drain(..count);
                    if interim.is_empty() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let ready = self.stream.room(self.limits.send_timeout).await;
                    ready.map_err(|_| ContentError::CutOff)?;
                }
                Err(_) => return Err(ContentError::CutOff),
            }
        }
    }
}

impl State {
    /// Puts `100 Continue` before the client, if it waits for that.
    fn queue_invitation(&mut self) {
        if take(&mut self.is_awaiting_invitation) {
            self.interim.extend_from_slice(CONTINUE);
        }
    }

    /// Whether all of the content has been read.
    fn is_ended(&self) -> bool {
        self.decoder.as_ref().is_some_and(Decoder::is_ended)
    }

    /// Moves content from `unread` to `into`, and adds the octets of it to `length`. Returns whether there was any, or
    /// `false` for the end of it; `None`: neither.
    fn take_unread(
        &mut self,
        into: &mut Vec<u8>,
        max: u64,
        length: &Cell<u64>,
    ) -> Result<Option<bool>, ContentError> {
        let decoder = self.decoder.as_mut().ok_or(ContentError::CutOff)?;
        let before = into.len();
        let used = decode(decoder, &self.unread, into)?;
        if decoder.is_ended() {
            // Lets go of the buffer; what is left belongs to further requests.
            self.unread = self.unread.split_off(used);
        } else if self.unread.capacity() > MAX_KEPT {
            self.unread = Vec::new();
        } else {
            self.unread.clear();
        }
        length.set(length.get() + (into.len() - before) as u64);
        if length.get() > max {
            return Err(ContentError::TooLarge);
        }
        let has_come = into.len() > before;
        Ok((has_come || self.is_ended()).then_some(has_come))
    }

    /// The client has ended its side of the connection.
    fn end_of_input(&mut self) -> Result<(), ContentError> {
        let decoder = self.decoder.as_mut().ok_or(ContentError::CutOff)?;
        decoder.end_of_input().map_err(|_| ContentError::CutOff)
    }

    /// Gives up reading because of `error`. No request behind this one can be found any more.
    fn fail(&mut self, error: ContentError) -> ContentError {
        self.decoder = None;
        self.unread = Vec::new();
        error
    }
}

impl ReadContent for RequestContent<'_> {
    /// # Cancellation
    /// Nothing is lost: what was read and not returned is returned by the next call.
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        self.0.read(into, self.0.limits.max_content).await
    }

    async fn inform(&self, interim: &[u8]) -> Result<(), ContentError> {
        let Self(receiving) = self;
        if !receiving.state.borrow().takes_interim {
            return Ok(());
        }
        receiving
            .state
            .borrow_mut()
            .interim
            .extend_from_slice(interim);
        receiving.send_interim().await
    }

    async fn invite(&self) -> Result<(), ContentError> {
        self.0.invite().await
    }

    fn poll_client_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.0.stream.poll_peer_gone(context)
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
