//! One request and its response, on a connection to an upstream that carries nothing else meanwhile.
//!
//! Sending and receiving go on at once, because an upstream may respond before it has read everything,
//! and wait for us to read before it reads on:
//!
//! ```text
//!   client ── content ──→ Sending ──→ upstream      at most a block of content waits to be sent,
//!   client ←── response ── Protocol ←─ upstream     and a bounded amount of content to be taken
//! ```
//!
//! The [`Protocol`], FastCGI or HTTP, says what the octets mean. It does no I/O.

mod sending;

use std::future::{pending, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use sending::{Sending, Sent};

use super::connection::{Buffers, Connection};
use crate::message::content::{ContentError, ReadContent};
use crate::runtime::{self, Either, Elapsed, Tick, Uptake, either};

/// How often something may be sent or received, up to a block each time, before other connections have
/// their turn.
const MOVES_PER_TURN: usize = 16;

/// How a request's content is put on the wire, and a response taken off it. Octets come in pieces of
/// any size.
pub(crate) trait Protocol {
    /// What an upstream can do wrong.
    type Fault: Fault;

    /// Appends a block of the request's content, and its end unless it `goes_on`, to `out`.
    fn push_content(&mut self, block: &[u8], goes_on: bool, out: &mut Vec<u8>);

    /// Takes the next octets from the connection; none are the end of the upstream's side.
    ///
    /// # Errors
    /// What the upstream did wrong.
    fn receive(&mut self, octets: &[u8]) -> Result<(), Self::Fault>;

    /// Content of the response that has come and has not been taken.
    fn content(&mut self) -> &mut Vec<u8>;

    /// Whether content must be taken before more is received.
    fn is_full(&self) -> bool;

    /// Whether the head has come, so that any octet shows that the upstream goes on.
    fn is_in_content(&self) -> bool;

    /// Whether the upstream has said all it has to say.
    fn is_ended(&self) -> bool;
}

/// What an upstream did wrong: an error of its protocol, or one of these, which every protocol knows.
pub(crate) trait Fault: Sized {
    /// It did nothing for as long as it may.
    fn timed_out() -> Self;

    /// The connection broke.
    fn broken(error: io::Error) -> Self;

    /// It ended its response before the head of it was complete.
    fn no_head() -> Self;
}

/// Why there is no response, and on which side it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure<F> {
    #[error(transparent)]
    Client(ContentError),
    #[error(transparent)]
    Upstream(F),
}

impl<F> From<ContentError> for Failure<F> {
    fn from(error: ContentError) -> Self {
        Self::Client(error)
    }
}

impl<F: Fault> From<F> for Failure<F> {
    fn from(fault: F) -> Self {
        Self::Upstream(fault)
    }
}

/// A request under way.
pub(crate) struct Dialogue<P> {
    connection: Connection,
    /// What is received goes here first. They get the buffer of the request back when that is sent.
    buffers: Rc<Buffers>,
    sending: Sending,
    protocol: P,
    /// How long the upstream may do nothing.
    timeout: Duration,
    /// When the upstream must have done what the dialogue waits for, or have taken octets of the request.
    /// `None`: that is to be computed by the next wait, because most of what moves starts the time anew, and
    /// few moves are waited for.
    uptake: Option<Uptake>,
    /// Whether none of the request's content may ever come: the client was not invited to send it, and has not
    /// begun to.
    may_lack_content: bool,
    /// A call of [`next`](Self::next) waits for content, or was dropped while it did.
    wants_content: bool,
    /// How often something was sent or received since other connections had their turn.
    moves: usize,
}

/// When [`Dialogue::head`] returns a head that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadReturns {
    /// At once: the rest of the content has been spooled, and can be given while the response is sent.
    AtOnce,
    /// When the content is finished as well, if it can be.
    AfterContent,
}

impl<P: Protocol> Dialogue<P> {
    /// A dialogue that begins with `request`: the octets up to the request's content.
    pub(crate) fn new(
        connection: Connection,
        buffers: &Rc<Buffers>,
        timeout: Duration,
        request: Vec<u8>,
        protocol: P,
    ) -> Self {
        connection.begin_request();
        Self {
            connection,
            buffers: Rc::clone(buffers),
            sending: Sending::new(request),
            protocol,
            timeout,
            uptake: None,
            may_lack_content: false,
            wants_content: false,
            moves: 0,
        }
    }

    /// Waits for what `find` returns when enough of the response has come, its head, and gives the
    /// upstream the request's `content` meanwhile.
    ///
    /// # Errors
    /// On which side it failed.
    pub(crate) async fn head<H>(
        &mut self,
        content: &mut impl ReadContent,
        returns: HeadReturns,
        mut find: impl FnMut(&mut P) -> Result<Option<H>, P::Fault>,
    ) -> Result<H, Failure<P::Fault>> {
        let mut head = None;
        loop {
            let has_moved = self.advance()?;
            if head.is_none() {
                head = find(&mut self.protocol)?;
            }
            match head.take() {
                Some(found) if returns == HeadReturns::AtOnce || self.needs_no_content() => {
                    return Ok(found);
                }
                found => head = found,
            }
            if self.is_ended() {
                return Err(P::Fault::no_head().into());
            }
            self.go_on(has_moved, content).await?;
        }
    }

    /// Appends the next octets of the response's content to `into`, and gives the upstream
    /// what there is of the request's `content`; `false` at the end.
    ///
    /// # Errors
    /// On which side it failed.
    ///
    /// # Cancellation
    /// Nothing is lost, and the upstream gets no more time: the next call goes on where this
    /// one was.
    pub(crate) async fn next(
        &mut self,
        content: &mut impl ReadContent,
        into: &mut Vec<u8>,
    ) -> Result<bool, Failure<P::Fault>> {
        if !self.wants_content {
            // The client may have been slow to take what came before; the upstream is not to blame for that.
            self.restart_timeout();
            self.wants_content = true;
        }
        let next = self.next_content(content, into).await;
        self.wants_content = false;
        next
    }

    async fn next_content(
        &mut self,
        content: &mut impl ReadContent,
        into: &mut Vec<u8>,
    ) -> Result<bool, Failure<P::Fault>> {
        loop {
            let has_moved = self.advance()?;
            if self.move_content(into) || self.is_ended() {
                return Ok(!self.is_ended());
            }
            self.go_on(has_moved, content).await?;
        }
    }

    /// Sends the upstream what there is of the request's `content`, and receives nothing of the
    /// response: for the time in which the client takes nothing of it. Returns when the client has
    /// sent some content; does not return if there is no more content to be sent.
    ///
    /// # Cancellation
    /// Nothing is lost.
    pub(crate) async fn feed(&mut self, content: &mut impl ReadContent) {
        loop {
            let connection = &self.connection;
            let sent = self.sending.advance(|octets| connection.send(octets));
            if sent == Sent::Some {
                // A session of TLS takes no more than its share of what there is room for, and the system reports
                // room only to those whom it has refused some.
                continue;
            }
            if self.sending.has_more() {
                if self.connection.ready_to_send(Tick::NEVER).await.is_err() {
                    // The system does not watch the connection. The next wait for content fails as well.
                    return pending().await;
                }
            } else if self.sending.wants_content() {
                let mut block = Vec::new();
                let read = content.read(&mut block).await;
                if self.take_block(&block, read).is_err() {
                    // The next wait for content fails as well, and tells why.
                    return pending().await;
                }
                return;
            } else {
                return pending().await;
            }
        }
    }

    /// Waits if nothing `has_moved`. If something moves every time, other connections get their
    /// turn now and then: an upstream may send messages, and nothing else, as fast as
    /// they are read.
    async fn go_on(
        &mut self,
        has_moved: bool,
        content: &mut impl ReadContent,
    ) -> Result<(), Failure<P::Fault>> {
        if !has_moved {
            self.moves = 0;
            return self.wait(content).await;
        }
        self.moves += 1;
        if self.moves < MOVES_PER_TURN {
            return Ok(());
        }
        if self.uptake().deadline().has_come() {
            return Err(P::Fault::timed_out().into());
        }
        self.moves = 0;
        runtime::yield_now().await;
        Ok(())
    }

    /// How long the upstream may do nothing.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Restarts the time in which the upstream must do something: it has done something, or has got
    /// more to do.
    fn restart_timeout(&mut self) {
        self.uptake = None;
    }

    /// How long the upstream may still do nothing. The time runs from the first call since it was restarted.
    fn uptake(&mut self) -> &mut Uptake {
        self.uptake
            .get_or_insert_with(|| Uptake::begin(self.timeout))
    }

    /// Waits until the upstream has done something: there may be something to receive, or room for what is to
    /// be sent. An upstream that takes octets does something, also when the socket has the whole request.
    ///
    /// # Errors
    /// [`Elapsed`] if the upstream's time is over.
    async fn ready(&mut self) -> Result<(), Elapsed> {
        let timeout = self.timeout;
        let uptake = self.uptake.get_or_insert_with(|| Uptake::begin(timeout));
        loop {
            let ready = if self.sending.has_more() {
                self.connection.ready_for_any(uptake.next_look()).await
            } else {
                self.connection.ready_to_receive(uptake.next_look()).await
            };
            match ready {
                Ok(()) => return Ok(()),
                Err(Elapsed) => self.connection.look(uptake, timeout)?,
            }
        }
    }

    /// Whether the upstream has said all it has to say.
    pub(crate) fn is_ended(&self) -> bool {
        self.protocol.is_ended()
    }

    /// Whether the request's content is finished, or so much of the response has come that it must be
    /// taken first, or the upstream has ended the request.
    fn needs_no_content(&self) -> bool {
        self.is_asked() || self.is_ended() || self.protocol.is_full()
    }

    /// Whether all of the request's content has been read.
    pub(crate) fn is_asked(&self) -> bool {
        self.sending.is_asked()
    }

    /// Whether the upstream has taken the whole request.
    pub(crate) fn is_sent(&self) -> bool {
        self.sending.is_sent()
    }

    /// Whether the upstream has ended its side before any octet of the request arrived there.
    pub(crate) fn ended_before_request(&self) -> bool {
        self.connection.ended_before_request()
    }

    /// What there is of the response's content.
    pub(crate) fn take_content(&mut self) -> Vec<u8> {
        std::mem::take(self.protocol.content())
    }

    /// Moves what there is of the response's content to the end of `into`. Returns whether there was any.
    fn move_content(&mut self, into: &mut Vec<u8>) -> bool {
        let content = self.protocol.content();
        let has_some = !content.is_empty();
        if into.is_empty() {
            std::mem::swap(into, content);
        } else {
            into.append(content);
        }
        has_some
    }

    /// The protocol that reads the octets.
    pub(crate) fn protocol(&self) -> &P {
        &self.protocol
    }

    /// The protocol that reads the octets, to be changed.
    pub(crate) fn protocol_mut(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// Changes how long the upstream may do nothing.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
        self.restart_timeout();
    }

    /// The connection, and the protocol that read its octets.
    pub(crate) fn into_parts(self) -> (Connection, P) {
        (self.connection, self.protocol)
    }

    /// Takes note that the client was not invited to send the request's content: it may send it, or never. If it
    /// sends none in its time, the upstream is told that none follows, and the response goes on.
    pub(crate) fn may_lack_content(&mut self) {
        self.may_lack_content = true;
    }

    /// Takes what a read of the request's content has returned.
    ///
    /// # Errors
    /// That of the read, unless the content may be lacking.
    fn take_block(
        &mut self,
        block: &[u8],
        read: Result<bool, ContentError>,
    ) -> Result<(), ContentError> {
        match read {
            Ok(goes_on) => self.push_content(block, goes_on),
            Err(ContentError::TimedOut) if self.may_lack_content => self.end_request(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ends our side of the connection in the place of content that does not come: the upstream may wait for it
    /// before it ends its response.
    fn end_request(&mut self) {
        self.restart_timeout();
        self.sending.stop();
        self.connection.shut_down();
    }

    /// Adds content to what is sent to the upstream, and the end of the content unless it `goes_on`.
    pub(crate) fn push_content(&mut self, block: &[u8], goes_on: bool) {
        self.restart_timeout();
        self.may_lack_content = false;
        let protocol = &mut self.protocol;
        self.sending
            .push_content(goes_on, |out| protocol.push_content(block, goes_on, out));
    }

    /// Sends and receives what it can without waiting. Returns whether there was anything.
    fn advance(&mut self) -> Result<bool, P::Fault> {
        let connection = &self.connection;
        let sent = self.sending.advance(|octets| connection.send(octets));
        if sent == Sent::Refused {
            self.restart_timeout();
        }
        let has_sent = match sent {
            Sent::Nothing | Sent::Refused => false,
            Sent::Some => true,
            Sent::All(buffer) => {
                self.buffers.keep(buffer);
                true
            }
        };
        let has_received = !self.is_ended() && !self.protocol.is_full() && self.receive()?;
        if has_sent || has_received && self.protocol.is_in_content() {
            self.restart_timeout();
        }
        Ok(has_sent || has_received)
    }

    fn receive(&mut self) -> Result<bool, P::Fault> {
        let protocol = &mut self.protocol;
        let receive = |input: &[u8]| protocol.receive(input);
        match self.connection.receive(&self.buffers, receive) {
            Ok(pushed) => pushed.map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(P::Fault::broken(error)),
        }
    }

    /// Waits until there is something to send or to receive.
    async fn wait(&mut self, content: &mut impl ReadContent) -> Result<(), Failure<P::Fault>> {
        if !self.sending.has_more() && self.sending.wants_content() {
            // Boxed, because most requests have no content, and would have room for it.
            return Box::pin(self.wait_for_content(content)).await;
        }
        // Pinned here, and below: `either` has room for its arguments twice.
        let ready = pin!(self.ready());
        let gone = poll_fn(|context| content.poll_client_gone(context));
        match either(ready, gone).await {
            Either::First(Ok(())) => Ok(()),
            Either::First(Err(Elapsed)) => Err(P::Fault::timed_out().into()),
            Either::Second(()) => Err(ContentError::CutOff.into()),
        }
    }

    /// Waits for content to send, for as long as the limits allow the client, or for the upstream, which is
    /// looked at first: after its response, further content may not be needed.
    async fn wait_for_content(
        &mut self,
        content: &mut impl ReadContent,
    ) -> Result<(), Failure<P::Fault>> {
        let mut block = Vec::new();
        let ready = self.connection.ready_to_receive(Tick::NEVER);
        let read = content.read(&mut block);
        let came = either(pin!(ready), pin!(read)).await;
        let read = match came {
            Either::First(Ok(())) => return Ok(()),
            Either::First(Err(Elapsed)) => return Err(P::Fault::timed_out().into()),
            Either::Second(read) => read,
        };
        Ok(self.take_block(&block, read)?)
    }
}

#[cfg(test)]
mod tests;
