//! One request and its response, on a connection to an application server that carries nothing else.
//!
//! Sending and receiving go on at once, because a script may respond before it has read everything,
//! and wait for us to read before it reads on:
//!
//! ```text
//!   client ── content ──→ Sending ───→ upstream      at most a block of content waits to be sent,
//!   client ←── response ── Receiving ←─ upstream     and a bounded amount of output to be taken
//! ```
//!
//! Unless the route streams, the content has been spooled before there is a conversation. If it
//! streams, the content comes from the client while the head is waited for. Once there is a head, what
//! the client has not sent is spooled, so that the response can be sent while nothing reads the
//! request; see [`content`](super::content).

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::error::{Failure, UpstreamError};
use super::receiving::Receiving;
use super::sending::{Sending, Sent};
use crate::handlers::gateway::script_log::ScriptLog;
use crate::handlers::gateway::script_response::{HeaderSection, ScriptAnswer, ScriptError};
use crate::message::content::{ContentError, ReadContent};
use crate::runtime::{self, Either, Elapsed, Tick, either};
use crate::upstream::{Connection, Input};

/// How often something may be sent or received, up to a block each time, before other connections have
/// their turn.
const MOVES_PER_TURN: usize = 16;

/// A request under way.
pub(super) struct Conversation {
    connection: Connection,
    /// What is received goes here first.
    input: Rc<Input>,
    sending: Sending,
    receiving: Receiving,
    /// How long the application server may do nothing.
    timeout: Duration,
    /// When the thing that is waited for must have happened.
    deadline: Tick,
    /// A call of [`next`](Self::next) waits for output, or was dropped while it did.
    wants_output: bool,
    /// How often something was sent or received since others had their turn.
    moves: usize,
}

/// When [`Conversation::head`] returns a head that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadReturns {
    /// At once: the rest of the content has been spooled, and can be given while the response is sent.
    AtOnce,
    /// When the content is finished as well, if it can be.
    AfterContent,
}

impl Conversation {
    /// A conversation that begins with `request`: the records up to the request's content.
    pub(super) fn new(
        connection: Connection,
        input: &Rc<Input>,
        timeout: Duration,
        request: Vec<u8>,
        log: ScriptLog,
    ) -> Self {
        Self {
            connection,
            input: Rc::clone(input),
            sending: Sending::new(request),
            receiving: Receiving::new(log),
            timeout,
            deadline: runtime::deadline_after(timeout),
            wants_output: false,
            moves: 0,
        }
    }

    /// Waits for the head of the response, and gives the application server the request's `content`
    /// meanwhile.
    ///
    /// # Errors
    /// On which side it failed.
    pub(super) async fn head(
        &mut self,
        content: &mut impl ReadContent,
        returns: HeadReturns,
    ) -> Result<ScriptAnswer, Failure> {
        let mut section = HeaderSection::default();
        let mut answer = None;
        loop {
            let has_moved = self.advance()?;
            if answer.is_none() {
                answer = self
                    .receiving
                    .head(&mut section)
                    .map_err(UpstreamError::from)?;
            }
            match answer.take() {
                Some(found) if returns == HeadReturns::AtOnce || self.needs_no_content() => {
                    return Ok(found);
                }
                found => answer = found,
            }
            if self.is_ended() {
                return Err(UpstreamError::from(ScriptError::Incomplete).into());
            }
            self.go_on(has_moved, content).await?;
        }
    }

    /// Appends the next octets of the response's content to `into`, and gives the application server
    /// what there is of the request's `content`; `false` at the end.
    ///
    /// # Errors
    /// On which side it failed.
    ///
    /// # Cancellation
    /// Nothing is lost, and the application server gets no more time: the next call goes on where this
    /// one was.
    pub(super) async fn next(
        &mut self,
        content: &mut impl ReadContent,
        into: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        if !self.wants_output {
            // The client may have taken its time with what came before.
            self.restart_timeout();
            self.wants_output = true;
        }
        let next = self.next_output(content, into).await;
        self.wants_output = false;
        next
    }

    async fn next_output(
        &mut self,
        content: &mut impl ReadContent,
        into: &mut Vec<u8>,
    ) -> Result<bool, Failure> {
        loop {
            let has_moved = self.advance()?;
            if self.receiving.move_output(into) || self.is_ended() {
                return Ok(!self.is_ended());
            }
            self.go_on(has_moved, content).await?;
        }
    }

    /// Waits if nothing `has_moved`. If something moves every time, other connections get their
    /// turn now and then: an application server may send messages, and nothing else, as fast as
    /// they are read.
    async fn go_on(
        &mut self,
        has_moved: bool,
        content: &mut impl ReadContent,
    ) -> Result<(), Failure> {
        if !has_moved {
            self.moves = 0;
            return self.wait(content).await;
        }
        self.moves += 1;
        if self.moves < MOVES_PER_TURN {
            return Ok(());
        }
        if self.deadline <= runtime::deadline_after(Duration::ZERO) {
            return Err(UpstreamError::TimedOut.into());
        }
        self.moves = 0;
        runtime::yield_now().await;
        Ok(())
    }

    /// How long the application server may do nothing.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The application server has done something, or got more to do.
    fn restart_timeout(&mut self) {
        self.deadline = runtime::deadline_after(self.timeout);
    }

    /// Whether the application server has said all it has to say.
    pub(super) fn is_ended(&self) -> bool {
        self.receiving.is_ended()
    }

    /// Whether the request's content is finished, or so much of the response has come that it must be
    /// taken first, or the application server has ended the request.
    fn needs_no_content(&self) -> bool {
        self.is_asked() || self.is_ended() || self.receiving.is_full()
    }

    /// Whether all of the request's content has been read.
    pub(super) fn is_asked(&self) -> bool {
        self.sending.is_asked()
    }

    /// What there is of the response's content.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        self.receiving.take_output()
    }

    /// Puts content before the application server, and its end unless it `goes_on`.
    pub(super) fn push_content(&mut self, block: &[u8], goes_on: bool) {
        self.restart_timeout();
        self.sending.push_content(block, goes_on);
    }

    /// Sends and receives what it can without waiting. Returns whether there was anything.
    fn advance(&mut self) -> Result<bool, UpstreamError> {
        let connection = &self.connection;
        let sent = self.sending.advance(|octets| connection.send(octets));
        if sent == Sent::Refused {
            self.restart_timeout();
        }
        let has_sent = sent == Sent::Some;
        let has_received = !self.is_ended() && !self.receiving.is_full() && self.receive()?;
        if has_sent || has_received && self.receiving.is_in_content() {
            self.restart_timeout();
        }
        Ok(has_sent || has_received)
    }

    fn receive(&mut self) -> Result<bool, UpstreamError> {
        let receiving = &mut self.receiving;
        let receive = |input: &[u8]| receiving.push(input);
        match self.connection.receive(&self.input, receive) {
            Ok(pushed) => pushed.map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(UpstreamError::Broken(error)),
        }
    }

    /// Waits until there is something to send or to receive.
    async fn wait(&mut self, content: &mut impl ReadContent) -> Result<(), Failure> {
        if !self.sending.has_more() && self.sending.wants_content() {
            return self.wait_for_content(content).await;
        }
        let ready = async {
            if self.sending.has_more() {
                self.connection.ready_for_any(self.deadline).await
            } else {
                self.connection.ready_to_receive(self.deadline).await
            }
        };
        match either(ready, content.client_gone()).await {
            Either::First(Ok(())) => Ok(()),
            Either::First(Err(Elapsed)) => Err(UpstreamError::TimedOut.into()),
            Either::Second(()) => Err(ContentError::CutOff.into()),
        }
    }

    /// Waits for content to send, as long as its limits let the client take, or for the application
    /// server, which is looked at first: its answer may make further content needless.
    async fn wait_for_content(&mut self, content: &mut impl ReadContent) -> Result<(), Failure> {
        let mut block = Vec::new();
        let ready = self.connection.ready_to_receive(Tick::NEVER);
        let goes_on = match either(ready, content.read(&mut block)).await {
            Either::First(Ok(())) => return Ok(()),
            Either::First(Err(Elapsed)) => return Err(UpstreamError::TimedOut.into()),
            Either::Second(goes_on) => goes_on?,
        };
        self.push_content(&block, goes_on);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::content::SpooledContent;
    use super::*;
    use crate::address::UpstreamAddress;
    use crate::runtime::BlockingPool;
    use crate::test_support::TemporaryDirectory;

    /// A wait for output is dropped whenever the client takes something, and the next one gave the
    /// script its timeout anew: a client that read slowly kept a process that did nothing.
    #[test]
    fn a_wait_that_is_dropped_gives_the_script_no_more_time() {
        const LONG: Duration = Duration::from_secs(3600);
        let directory = TemporaryDirectory::new("conversation");
        let path = directory.path().join("socket");
        let _listening = UnixListener::bind(&path).expect("a socket");
        let talk = async move {
            let opened = Connection::open(&UpstreamAddress::Unix(path), LONG).await;
            let (connection, input) = (opened.expect("a connection"), Rc::default());
            let log = ScriptLog::new("test");
            let mut conversation = Conversation::new(connection, &input, LONG, Vec::new(), log);
            conversation.push_content(b"", false);
            let mut rest = SpooledContent::nothing(&BlockingPool::new(1, 0));
            let mut into = Vec::new();
            let waiting = conversation.next(&mut rest, &mut into);
            assert!(matches!(
                either(waiting, runtime::yield_now()).await,
                Either::Second(())
            ));
            // Time passes.
            conversation.deadline = runtime::deadline_after(Duration::ZERO);
            let waiting = conversation.next(&mut rest, &mut into);
            let Either::First(Err(Failure::Upstream(UpstreamError::TimedOut))) =
                either(waiting, runtime::sleep(Duration::from_millis(100))).await
            else {
                panic!("the script got more time");
            };
        };
        runtime::run(talk).expect("a loop");
    }
}
