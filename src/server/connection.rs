//! A connection's life: read, answer everything that is complete, wait; until somebody closes.
//!
//! ```text
//!   accept → turn ─┬─ all answered, in one write ──────→ wait ─┐
//!            ↑     ├─ not all could be sent → transmit ─→ ─────┤
//!            │     ├─ has to be waited for → perform ───→ ─────┤
//!            └─────┼───────────────────────────────────────────┘
//!                  └─ close, or linger: stop sending, read what still comes, close
//! ```

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::content::RequestContent;
use super::exchange::{self, Asked, Framed};
use super::generation::Generation;
use super::transmit::{Progress, Transmission};
use super::worker::Worker;
use crate::handlers::response::{Content, Response};
use crate::http::fields::Known;
use crate::http::request::{
    self, HeadLimits, Parsed, RequestError, RequestHead, field_space, lower_minor_version,
    may_be_complete,
};
use crate::http::response::ResponseFraming;
use crate::http::status::Status;
use crate::log::record::AccessRecord;
use crate::runtime::{self, Direction, Elapsed, Stream, Tick};

/// Content up to this many octets is copied behind its head, into the write that answers share;
/// past it, copying costs more than a write of its own.
const MAX_COPIED: usize = 8 * 1024;

/// Answers collected before they are sent, in bytes: what a socket takes at once.
const MAX_COLLECTED: usize = 64 * 1024;

/// How long a connection that was closed by us is still read from, and how much: a client that is
/// still sending must not have our answer reset away (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// A connection. What it holds while it is idle is this, a task, and a place in the reactor.
pub(super) struct Connection {
    stream: Stream,
    worker: Rc<Worker>,
    /// The listener's address, as configured.
    address: Rc<SocketAddr>,
    client: IpAddr,
    /// What was read and not used: an incomplete head, or what came behind a request that had to be
    /// waited for. Empty, and without a buffer, while the connection is idle.
    unread: Vec<u8>,
    /// `unread` may hold a complete request.
    is_unexamined: bool,
    /// The socket held nothing more when it was last read from.
    is_drained: bool,
    /// When the head that has begun to arrive must be complete.
    head_deadline: Tick,
}

/// What a turn came to.
enum Turn {
    /// Everything complete that was read is answered.
    Done,
    /// An answer could not be sent at once.
    Transmit(Box<Pending>),
    /// The request at the start of `unread`, of that many bytes, has to be waited for.
    Perform(usize),
    Close(Ending),
}

/// What a wait came to.
enum Waited {
    Readable,
    TimedOut,
    /// The worker drains, and nothing is under way here.
    Draining,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Nobody has anything to say any more.
    Close,
    /// The client may still be sending.
    Linger,
}

/// An answer that is still to be sent, and what its record needs.
struct Pending {
    transmission: Transmission,
    /// The exchange it belongs to, if that is not logged yet.
    exchange: Option<Unlogged>,
    /// How the connection ends after it, if it does.
    ending: Option<Ending>,
}

/// An exchange that is logged when its answer is sent.
struct Unlogged {
    /// The request's.
    head: Vec<u8>,
    status: Status,
    started: Instant,
}

/// What became of one request.
enum Step {
    /// It was answered, or refused, into the output; so many bytes of input are used.
    Answered {
        used: usize,
        ending: Option<Ending>,
    },
    /// Its answer is too large to be collected.
    Large {
        used: usize,
        pending: Box<Pending>,
    },
    Perform {
        head: usize,
    },
    Incomplete,
}

impl Connection {
    pub(super) fn new(
        stream: Stream,
        peer: Option<SocketAddr>,
        address: Rc<SocketAddr>,
        worker: Rc<Worker>,
    ) -> Self {
        let client = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
            peer.ip().to_canonical()
        });
        Self {
            stream,
            worker,
            address,
            client,
            unread: Vec::new(),
            is_unexamined: false,
            is_drained: false,
            head_deadline: Tick::NEVER,
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Lives the connection's life.
    pub(super) async fn serve(mut self) {
        let mut is_last_look = false;
        let ending = loop {
            let ended = match self.turn() {
                Turn::Done => None,
                Turn::Transmit(pending) => Box::pin(self.transmit(pending)).await,
                Turn::Perform(head) => Box::pin(self.perform(head)).await,
                Turn::Close(ending) => Some(ending),
            };
            if let Some(ending) = ended {
                break ending;
            }
            if !self.is_drained || self.is_unexamined {
                runtime::yield_now().await;
                continue;
            }
            match self.wait().await {
                Waited::Readable => {}
                Waited::TimedOut if self.unread.is_empty() => break Ending::Close,
                Waited::TimedOut => break self.time_out(),
                // A request may have come before the client could know.
                Waited::Draining if !is_last_look => is_last_look = true,
                Waited::Draining => break Ending::Close,
            }
        };
        if ending == Ending::Linger {
            Box::pin(self.linger()).await;
        }
    }

    /// Reads once, and answers every request that is complete and can be answered at once.
    fn turn(&mut self) -> Turn {
        let worker = Rc::clone(&self.worker);
        let mut input = worker.input.borrow_mut();
        let seen = self.unread.len();
        input[..seen].copy_from_slice(&self.unread);
        let mut filled = seen;
        if !std::mem::take(&mut self.is_unexamined) {
            match self.stream.try_receive(&mut input[seen..]) {
                Ok(0) => return Turn::Close(Ending::Close),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    return Turn::Done;
                }
                Err(_) => return Turn::Close(Ending::Close),
            }
            // A short read has emptied the socket: no second call to hear that it has.
            self.is_drained = filled < input.len() && !self.stream.is_read_closed();
        }
        let generation = worker.current_generation();
        let is_worth_parsing = seen == 0
            || filled == seen
            || filled >= generation.limits.max_head
            || may_be_complete(&input[..filled], seen);
        if !is_worth_parsing {
            self.keep(&input[..filled], &generation);
            return Turn::Done;
        }
        let mut output = worker.output.borrow_mut();
        output.clear();
        self.answer_all(&mut input[..filled], &mut output, &generation)
    }

    /// Answers the complete requests in `input`, in order, and sends the answers together.
    fn answer_all(
        &mut self,
        input: &mut [u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) -> Turn {
        let mut at = 0;
        loop {
            let step = match &mut input[at..] {
                [] => Step::Incomplete,
                rest => self.answer_one(rest, output, generation),
            };
            match step {
                Step::Answered { used, ending: None } => {
                    at += used;
                    if output.len() >= MAX_COLLECTED {
                        self.keep_for_later(&input[at..], generation);
                        return self.send(output, Turn::Done);
                    }
                }
                Step::Answered {
                    used,
                    ending: Some(ending),
                } => {
                    // What the client sent behind it will not be answered, but must be read.
                    let ending = if at + used < input.len() {
                        Ending::Linger
                    } else {
                        ending
                    };
                    return self.send(output, Turn::Close(ending));
                }
                Step::Large { used, pending } => {
                    self.keep_for_later(&input[at + used..], generation);
                    return self.send_pending(pending, output);
                }
                Step::Perform { head } => {
                    self.keep(&input[at..], generation);
                    return self.send(output, Turn::Perform(head));
                }
                Step::Incomplete => {
                    self.keep(&input[at..], generation);
                    return self.send(output, Turn::Done);
                }
            }
        }
    }

    /// Answers the request at the start of `input`, if it is complete.
    fn answer_one(
        &mut self,
        input: &mut [u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) -> Step {
        let limits = head_limits(generation);
        let mut space = field_space();
        let error = match RequestHead::parse(input, &mut space, limits) {
            Ok(Parsed::Complete(head, length)) => {
                return self.answer_head(&head, &input[..length], output, generation);
            }
            Ok(Parsed::Partial) => return Step::Incomplete,
            Err(error) => error,
        };
        if error == RequestError::UnsupportedVersion && lower_minor_version(input) {
            return self.answer_one(input, output, generation);
        }
        self.refuse(error.status(), input, output, generation);
        Step::Answered {
            used: input.len(),
            ending: Some(Ending::Linger),
        }
    }

    fn answer_head(
        &mut self,
        head: &RequestHead<'_>,
        bytes: &[u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) -> Step {
        let local = &self.worker.local;
        let Some(response) =
            exchange::answer_now(generation, &self.address, self.client, head, local)
        else {
            return Step::Perform { head: bytes.len() };
        };
        let may_persist = head.persistent && !self.worker.is_draining();
        let framed = Framed::new(response, Asked::by(head), may_persist);
        self.worker.encode_head(&framed, generation, output);
        let ending = self.ending_after(&framed, head);
        let status = framed.status;
        match framed.content {
            Content::Empty | Content::Problem => self.log(head, bytes, status, 0, runtime::now()),
            Content::Octets(octets) if octets.len() <= MAX_COPIED => {
                output.extend_from_slice(&octets);
                self.log(head, bytes, status, octets.len() as u64, runtime::now());
            }
            content => {
                let is_chunked = framed.framing == ResponseFraming::Chunked;
                let transmission =
                    Transmission::new(std::mem::take(output), content.into_owned(), is_chunked);
                let exchange = Unlogged {
                    head: bytes.to_vec(),
                    status,
                    started: runtime::now(),
                };
                let pending = Box::new(Pending {
                    transmission,
                    exchange: Some(exchange),
                    ending,
                });
                return Step::Large {
                    used: bytes.len(),
                    pending,
                };
            }
        }
        Step::Answered {
            used: bytes.len(),
            ending,
        }
    }

    /// How the connection ends after an answer, if it does: quietly where the client said that it
    /// sends nothing more.
    fn ending_after(&self, framed: &Framed<'_>, head: &RequestHead<'_>) -> Option<Ending> {
        match framed.persists() {
            true => None,
            false if head.persistent => Some(Ending::Linger),
            false => Some(Ending::Close),
        }
    }

    /// Answers a request that cannot be read; what follows it cannot be found.
    fn refuse(
        &mut self,
        status: Status,
        input: &[u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) {
        let framed = Framed::new(Response::problem(status), Asked::unreadably(), false);
        self.worker.encode_head(&framed, generation, output);
        let mut length = 0;
        if let Content::Octets(octets) = &framed.content {
            output.extend_from_slice(octets);
            length = octets.len() as u64;
        }
        self.worker.log(&AccessRecord {
            client: self.client,
            request_line: request::request_line(input),
            host: b"",
            status,
            content_length: length,
            referer: None,
            user_agent: None,
            duration: Duration::ZERO,
        });
    }

    fn log(
        &self,
        head: &RequestHead<'_>,
        bytes: &[u8],
        status: Status,
        content_length: u64,
        started: Instant,
    ) {
        self.worker.log(&AccessRecord {
            client: self.client,
            request_line: request::request_line(bytes),
            host: head.host,
            status,
            content_length,
            referer: head.fields.first(Known::Referer),
            user_agent: head.fields.first(Known::UserAgent),
            duration: runtime::now().duration_since(started),
        });
    }

    /// Sends the collected answers, which are logged already; `next` if the socket takes them all.
    fn send(&mut self, output: &mut Vec<u8>, next: Turn) -> Turn {
        let sent = match output.is_empty() {
            true => Ok(0),
            false => self.stream.try_send(output, false),
        };
        let rest = match sent {
            Ok(count) if count == output.len() => return next,
            Ok(count) => output.split_off(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::mem::take(output),
            Err(_) => return Turn::Close(Ending::Close),
        };
        let ending = match next {
            Turn::Close(ending) => Some(ending),
            // Its head is looked at again when the answers before it are sent.
            Turn::Perform(_) => {
                self.is_unexamined = true;
                None
            }
            Turn::Done | Turn::Transmit(_) => None,
        };
        let transmission = Transmission::new(rest, Content::Empty, false);
        Turn::Transmit(Box::new(Pending {
            transmission,
            exchange: None,
            ending,
        }))
    }

    /// Sends a large answer as far as it goes without waiting.
    fn send_pending(&mut self, mut pending: Box<Pending>, output: &mut Vec<u8>) -> Turn {
        match pending.transmission.advance(&self.stream) {
            Ok(Progress::Done) => {
                self.log_pending(&pending);
                // Its buffer was the output's: it goes back, for its capacity.
                *output = pending.transmission.into_buffer();
                pending.ending.map_or(Turn::Done, Turn::Close)
            }
            Ok(_) => Turn::Transmit(pending),
            Err(_) => {
                self.log_pending(&pending);
                Turn::Close(Ending::Close)
            }
        }
    }

    fn log_pending(&self, pending: &Pending) {
        let Some(exchange) = &pending.exchange else {
            return;
        };
        let mut space = field_space();
        let limits = HeadLimits {
            max_bytes: usize::MAX,
            max_fields: usize::MAX,
        };
        if let Ok(Parsed::Complete(head, _)) =
            RequestHead::parse(&exchange.head, &mut space, limits)
        {
            let sent = pending.transmission.content_sent();
            self.log(
                &head,
                &exchange.head,
                exchange.status,
                sent,
                exchange.started,
            );
        }
    }

    /// Waits to send the rest of an answer.
    async fn transmit(&mut self, mut pending: Box<Pending>) -> Option<Ending> {
        let generation = self.worker.current_generation();
        let pool = &self.worker.local.pool;
        let sent = pending
            .transmission
            .finish(&self.stream, pool, generation.limits.send_timeout)
            .await;
        self.log_pending(&pending);
        match sent {
            Ok(()) => pending.ending,
            Err(_) => Some(Ending::Close),
        }
    }

    /// Performs the exchange whose request's head is the first `length` bytes of `unread`, waiting
    /// wherever it has to.
    async fn perform(&mut self, length: usize) -> Option<Ending> {
        let worker = Rc::clone(&self.worker);
        let generation = worker.current_generation();
        let started = runtime::now();
        let behind = self.unread.split_off(length);
        let bytes = std::mem::replace(&mut self.unread, behind);
        let mut space = field_space();
        let Ok(Parsed::Complete(head, _)) =
            RequestHead::parse(&bytes, &mut space, head_limits(&generation))
        else {
            unreachable!("these bytes were parsed a moment ago, under the same limits")
        };

        let mut content = RequestContent::new(
            &head,
            &self.stream,
            &worker,
            &generation.limits,
            &mut self.unread,
        );
        let (address, client, local) = (&self.address, self.client, &worker.local);
        let answered =
            exchange::answer(&generation, address, client, &head, local, &mut content).await;
        // Nobody is there to read an answer.
        let Some(response) = answered else {
            return Some(Ending::Close);
        };

        let may_persist = head.persistent && !worker.is_draining() && content.can_be_drained();
        let framed = Framed::new(response.into_owned(), Asked::by(&head), may_persist);
        let (status, persists) = (framed.status, framed.persists());
        let mut buffer = Vec::new();
        worker.encode_head(&framed, &generation, &mut buffer);
        let is_chunked = framed.framing == ResponseFraming::Chunked;
        let mut transmission = Transmission::new(buffer, framed.content, is_chunked);
        let sent = transmission
            .finish(&self.stream, &local.pool, generation.limits.send_timeout)
            .await;
        let is_next_known = sent.is_ok() && persists && content.drain().await;

        self.log(&head, &bytes, status, transmission.content_sent(), started);
        self.is_unexamined = !self.unread.is_empty();
        self.is_drained = false;
        match sent {
            Ok(()) if is_next_known => None,
            Ok(()) => Some(Ending::Linger),
            Err(_) => Some(Ending::Close),
        }
    }

    /// Keeps an incomplete request until more of it comes.
    fn keep(&mut self, rest: &[u8], generation: &Generation) {
        if rest.is_empty() {
            // An idle connection holds no buffer.
            self.unread = Vec::new();
            self.head_deadline = Tick::NEVER;
            return;
        }
        if self.head_deadline == Tick::NEVER {
            self.head_deadline = runtime::deadline_after(generation.limits.head_timeout);
        }
        self.unread.clear();
        self.unread.extend_from_slice(rest);
    }

    /// Keeps what may well be complete requests until the answers before them are sent.
    fn keep_for_later(&mut self, rest: &[u8], generation: &Generation) {
        self.keep(rest, generation);
        self.is_unexamined = !rest.is_empty();
    }

    /// Waits for more to read.
    async fn wait(&mut self) -> Waited {
        let deadline = match self.unread.is_empty() {
            true => runtime::deadline_after(self.worker.current_generation().limits.idle_timeout),
            false => self.head_deadline,
        };
        poll_fn(
            |context| match self.stream.poll_ready(context, Direction::Read, deadline) {
                // A request that has begun to arrive may still be finished.
                Poll::Pending if self.worker.is_draining() && self.unread.is_empty() => {
                    Poll::Ready(Waited::Draining)
                }
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) => Poll::Ready(Waited::Readable),
                Poll::Ready(Err(Elapsed)) => Poll::Ready(Waited::TimedOut),
            },
        )
        .await
    }

    /// RFC 9110 §15.5.9: the head did not come in time.
    fn time_out(&mut self) -> Ending {
        let worker = Rc::clone(&self.worker);
        let generation = worker.current_generation();
        let mut output = Vec::new();
        let input = std::mem::take(&mut self.unread);
        self.refuse(Status::REQUEST_TIMEOUT, &input, &mut output, &generation);
        // If the socket does not take this little, the client is not reading either.
        let _ = self.stream.try_send(&output, false);
        Ending::Linger
    }

    /// Reads what still comes, and drops it, so that closing does not reset our answer away.
    async fn linger(&mut self) {
        self.stream.shut_down_write();
        let mut room = LINGER_BYTES;
        let deadline = runtime::deadline_after(LINGER);
        while room > 0 {
            let received = {
                let mut input = self.worker.input.borrow_mut();
                self.stream.try_receive(&mut input)
            };
            match received {
                Ok(0) => return,
                Ok(count) => room = room.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.stream.ready(Direction::Read, deadline).await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.dismiss();
    }
}

fn head_limits(generation: &Generation) -> HeadLimits {
    HeadLimits {
        max_bytes: generation.limits.max_head,
        max_fields: generation.limits.max_fields,
    }
}
