//! One request and its answer on a connection to an application server.
//!
//! Sending and receiving go on at once, for a script may answer before it has read everything, and
//! wait for us to read before it reads on:
//!
//! ```text
//!   client ── content ──→ outgoing ──→ peer        at most a block of content waits to be sent,
//!   client ←── answer ── output ←── records ── peer     and a bounded amount of answer to be taken
//! ```
//!
//! While the head is waited for, the content comes from the client. Once there is a head, what the
//! client has not sent is buffered, so that the answer can be sent with nobody reading the request;
//! see [`content`](super::content).

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::record::{self, Decoder, ProtocolStatus, RecordError, Step};
use crate::handlers::gateway::script_log::ScriptLog;
use crate::handlers::gateway::script_response::{HeaderSection, ScriptAnswer, ScriptError};
use crate::http::status::Status;
use crate::message::content::{ContentError, ReadContent, TooLong};
use crate::runtime::{self, Direction, Either, Elapsed, Permit, Tick, either};
use crate::upstream::{Connection, Pool, Queue, Server};

/// Octets of the answer that may wait to be taken.
const MAX_OUTPUT: usize = 256 * 1024;

/// How often something may be sent or received, up to a block each time, before other connections have
/// their turn.
const MOVES_PER_TURN: usize = 16;

/// Why an application server gave no answer, or no whole one. Its fault, or the operator's.
#[derive(Debug, thiserror::Error)]
pub(super) enum PeerError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("it did not take the connection within the timeout")]
    ConnectTimedOut,
    #[error("it closed the connection before the end of its answer")]
    ClosedEarly,
    #[error("the connection broke")]
    Broken(#[source] io::Error),
    #[error("it did not answer within the timeout")]
    TimedOut,
    #[error("it sent what is no FastCGI")]
    Record(#[from] RecordError),
    #[error("it sent what is no answer")]
    Script(#[from] ScriptError),
    #[error("its content is not as long as its Content-Length says")]
    WrongLength,
    #[error(transparent)]
    TooLong(#[from] TooLong),
    #[error("it is overloaded")]
    Overloaded,
    #[error("it refused the request, as one that would share a connection")]
    CannotMultiplex,
    #[error("it refused the request, for it is no responder")]
    UnknownRole,
    #[error("the file that it answers with")]
    SentFile(#[from] super::sent_file::SentFileError),
}

impl PeerError {
    /// The status it is answered with, where there is no head yet.
    pub(super) fn status(&self) -> Status {
        match self {
            Self::ConnectTimedOut | Self::TimedOut => Status::GATEWAY_TIMEOUT,
            Self::Overloaded => Status::SERVICE_UNAVAILABLE,
            _ => Status::BAD_GATEWAY,
        }
    }

    /// Whether the connection ended, rather than anything being said on it.
    fn is_end(&self) -> bool {
        matches!(self, Self::ClosedEarly | Self::Broken(_))
    }
}

/// Why there is no answer: on which side it failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Client(#[from] ContentError),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// A request under way.
pub(super) struct Conversation {
    pool: Rc<Pool>,
    server: Arc<Server>,
    /// The peer is taking so long that another process of its would be welcome.
    waiting: Option<Permit>,
    /// When that will be so.
    patience: Tick,
    connection: Connection,
    timeout: Duration,
    /// When the peer must have done what is waited for.
    deadline: Tick,
    /// Records on their way to the peer.
    outgoing: Vec<u8>,
    /// How much of `outgoing` has been sent.
    sent: usize,
    /// `outgoing` still holds all that was sent.
    is_repeatable: bool,
    /// The end of the request's content is in `outgoing`, or sent.
    is_asked: bool,
    /// The peer takes nothing more; it may have answered all the same.
    is_refused: bool,
    decoder: Decoder,
    /// The peer has sent something.
    is_heard: bool,
    /// How often something was sent or received since others had their turn.
    moves: usize,
    /// Octets of the answer that nobody has taken.
    output: Vec<u8>,
    messages: ScriptLog,
    /// The answer's head is all there: from now on, any octet shows that the peer is alive.
    has_head: bool,
    is_ended: bool,
    /// The answer ended in such a way that the connection can be used again.
    is_clean: bool,
}

impl Conversation {
    /// A conversation that begins with `request`: the records up to the request's content.
    pub(super) fn new(
        (pool, server): (Rc<Pool>, Arc<Server>),
        connection: Connection,
        timeout: Duration,
        request: Vec<u8>,
        messages: ScriptLog,
    ) -> Self {
        Self {
            pool,
            server,
            waiting: None,
            patience: runtime::deadline_after(Queue::PATIENCE),
            connection,
            timeout,
            deadline: runtime::deadline_after(timeout),
            outgoing: request,
            sent: 0,
            is_repeatable: true,
            is_asked: false,
            is_refused: false,
            decoder: Decoder::default(),
            is_heard: false,
            moves: 0,
            output: Vec::new(),
            messages,
            has_head: false,
            is_ended: false,
            is_clean: false,
        }
    }

    /// Waits for the head of the answer, and gives the peer the request's `content` meanwhile.
    ///
    /// Where the content is not finished then, the peer has answered so much that nobody can take it
    /// before the rest has been read, or it has ended the request.
    pub(super) async fn head(
        &mut self,
        content: &mut impl ReadContent,
    ) -> Result<ScriptAnswer, Failure> {
        let mut section = HeaderSection::default();
        let mut answer = None;
        loop {
            let has_moved = self.advance()?;
            if answer.is_none() {
                let output = std::mem::take(&mut self.output);
                answer = section.push(&output).map_err(PeerError::from)?;
                self.has_head = answer.is_some();
                if let Some(ScriptAnswer::Response(head)) = &mut answer {
                    self.output = std::mem::take(&mut head.content);
                }
            }
            match answer.take() {
                Some(found) if self.is_asked || self.is_ended || self.is_full() => {
                    return Ok(found);
                }
                found => answer = found,
            }
            if self.is_ended {
                return Err(PeerError::from(ScriptError::Incomplete).into());
            }
            self.go_on(has_moved, content).await?;
        }
    }

    /// Appends the next octets of the answer's content to `into`, giving the peer what there is of
    /// the request's `content`; `false` at the end.
    pub(super) async fn next(
        &mut self,
        content: &mut impl ReadContent,
        into: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        // The client may have taken its time with what came before.
        self.restart_deadline();
        loop {
            let has_moved = self.advance()?;
            if !self.output.is_empty() || self.is_ended {
                into.append(&mut self.output);
                return Ok(!self.is_ended);
            }
            self.go_on(has_moved, content).await?;
        }
    }

    /// Waits where nothing `has_moved`; where something always does, others have their turn now and
    /// then: a peer may send messages as fast as they are read, and nothing else.
    async fn go_on(
        &mut self,
        has_moved: bool,
        content: &mut impl ReadContent,
    ) -> Result<(), Failure> {
        self.moves = if has_moved { self.moves + 1 } else { 0 };
        match has_moved {
            false => self.wait(content).await,
            true if self.moves < MOVES_PER_TURN => Ok(()),
            true if self.deadline <= runtime::deadline_after(Duration::ZERO) => {
                Err(PeerError::TimedOut.into())
            }
            true => {
                self.moves = 0;
                runtime::yield_now().await;
                Ok(())
            }
        }
    }

    /// How long the peer may do nothing.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether the peer has said all it has to say.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether all of the request's content has been read.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// What there is of the answer's content.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Ends the conversation; the connection is kept if it can serve another.
    pub(super) fn finish(self) {
        let has_sent_all = self.is_asked && self.sent == self.outgoing.len();
        if self.is_clean && has_sent_all && !self.is_refused {
            self.pool.keep(self.server, self.connection);
        }
    }

    /// Whether `error` only says that the peer had closed a kept connection, and the request can be
    /// made again from its beginning.
    pub(super) fn may_be_repeated(&self, error: &PeerError) -> bool {
        self.connection.is_reused() && !self.is_heard && self.is_repeatable && error.is_end()
    }

    /// The same request on a fresh connection.
    pub(super) fn repeat_on(&mut self, connection: Connection) {
        self.connection = connection;
        self.patience = runtime::deadline_after(Queue::PATIENCE);
        self.restart_deadline();
        self.sent = 0;
        self.is_refused = false;
        self.decoder = Decoder::default();
    }

    fn restart_deadline(&mut self) {
        self.deadline = runtime::deadline_after(self.timeout);
    }

    fn is_full(&self) -> bool {
        self.output.len() >= MAX_OUTPUT
    }

    /// Sends and receives what can be without waiting; whether there was anything.
    fn advance(&mut self) -> Result<bool, PeerError> {
        let has_sent = self.send();
        let has_received = !self.is_ended && !self.is_full() && self.receive()?;
        if has_sent || has_received && self.has_head {
            self.restart_deadline();
        }
        Ok(has_sent || has_received)
    }

    fn send(&mut self) -> bool {
        if self.is_refused || self.sent == self.outgoing.len() {
            return false;
        }
        match self
            .connection
            .stream
            .try_send(&self.outgoing[self.sent..], false)
        {
            Ok(count) => {
                self.sent += count;
                true
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(_) => {
                self.is_refused = true;
                self.restart_deadline();
                false
            }
        }
    }

    fn receive(&mut self) -> Result<bool, PeerError> {
        let Self {
            pool,
            connection,
            decoder,
            output,
            messages,
            ..
        } = self;
        let received = pool.receive(&connection.stream, |input| {
            decode(decoder, input, output, messages).map(|ended| (input.len(), ended))
        });
        match received {
            Ok(Ok((0, _))) => Err(PeerError::ClosedEarly),
            Ok(Ok((_, ended))) => {
                self.is_heard = true;
                self.waiting = None;
                if let Some(ended) = ended {
                    self.end(ended)?;
                }
                Ok(true)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(PeerError::Broken(error)),
        }
    }

    fn end(&mut self, ended: Ended) -> Result<(), PeerError> {
        match ended.status {
            ProtocolStatus::Complete => {}
            ProtocolStatus::Overloaded => return Err(PeerError::Overloaded),
            ProtocolStatus::CannotMultiplex => return Err(PeerError::CannotMultiplex),
            ProtocolStatus::UnknownRole => return Err(PeerError::UnknownRole),
        }
        self.is_ended = true;
        self.is_clean = ended.is_last;
        Ok(())
    }

    /// Waits until there is something to send or to receive.
    async fn wait(&mut self, content: &mut impl ReadContent) -> Result<(), Failure> {
        if self.sent < self.outgoing.len() && !self.is_refused {
            let ready = self.connection.stream.ready_any(self.next_deadline()).await;
            return Ok(ready.or_else(|Elapsed| self.run_out())?);
        }
        if !self.is_asked && !self.is_refused {
            return self.wait_for_content(content).await;
        }
        let stream = &self.connection.stream;
        let ready = stream.ready(Direction::Read, self.next_deadline());
        match either(ready, content.client_gone()).await {
            Either::First(ready) => Ok(ready.or_else(|Elapsed| self.run_out())?),
            Either::Second(()) => Err(ContentError::CutOff.into()),
        }
    }

    /// The next moment at which something is to be done if the peer has done nothing.
    fn next_deadline(&self) -> Tick {
        let is_queued = self.waiting.is_some();
        match self.is_heard || self.connection.is_reused() || is_queued {
            true => self.deadline,
            false => self.deadline.min(self.patience),
        }
    }

    /// That moment has come.
    fn run_out(&mut self) -> Result<(), PeerError> {
        if self.next_deadline() == self.deadline {
            return Err(PeerError::TimedOut);
        }
        self.waiting = self.server.queue.join();
        self.pool.close_idle(&self.server.address);
        Ok(())
    }

    /// Waits for content to send, as long as its limits let the client take, or for the peer.
    async fn wait_for_content(&mut self, content: &mut impl ReadContent) -> Result<(), Failure> {
        let mut block = Vec::new();
        let stream = &self.connection.stream;
        let reading = content.read(&mut block);
        let goes_on = match either(reading, stream.ready(Direction::Read, Tick::NEVER)).await {
            Either::First(goes_on) => goes_on?,
            Either::Second(_) => return Ok(()),
        };
        self.push_content(&block, goes_on);
        Ok(())
    }

    /// Puts content before the peer, or its end.
    pub(super) fn push_content(&mut self, block: &[u8], goes_on: bool) {
        if self.sent > 0 && self.sent == self.outgoing.len() {
            self.is_repeatable = false;
            self.outgoing.clear();
            self.sent = 0;
        }
        self.restart_deadline();
        record::push_content(block, &mut self.outgoing);
        if !goes_on {
            record::push_end_of_content(&mut self.outgoing);
            self.is_asked = true;
        }
    }
}

/// How a request ended.
struct Ended {
    status: ProtocolStatus,
    /// Nothing came behind it.
    is_last: bool,
}

/// Takes `input` apart.
fn decode(
    decoder: &mut Decoder,
    mut input: &[u8],
    output: &mut Vec<u8>,
    messages: &mut ScriptLog,
) -> Result<Option<Ended>, RecordError> {
    loop {
        match decoder.step(&mut input)? {
            Step::NeedMore => return Ok(None),
            Step::Output(octets) => output.extend_from_slice(octets),
            Step::Messages(octets) => messages.push(octets),
            Step::End { protocol, .. } => {
                return Ok(Some(Ended {
                    status: protocol,
                    is_last: input.is_empty(),
                }));
            }
        }
    }
}
