//! A connection's life: read, answer everything that is complete, wait; until one side closes.
//!
//! ```text
//!   accept → turn ─┬─ all answered, in one write ──────→ wait ─┐
//!            ↑     ├─ not all could be sent → transmit ─→ ─────┤
//!            │     ├─ has to be waited for → perform ───→ ─────┤
//!            └─────┼───────────────────────────────────────────┘
//!                  └─ close, or linger: stop sending, read what still comes, close
//! ```
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the life as a whole, and one turn of it | this file |
//! | the fast path: plain functions that neither await nor lock | [`answer`] |
//! | the slow path: a response that has to be waited for | [`perform`] |
//! | a response that the socket does not take at once | [`pending`] |
//! | the handshake of TLS, before all of this | [`secure`] |
//! | requests that are refused before they are understood | [`refuse`] |
//! | one connection too many of a client | [`per_client`] |
//! | a connection that changes to another protocol | [`switched`], [`tunnel`] |
//! | the end | [`linger`] |
//!
//! Nothing on the fast path allocates, up to a few KiB of content.

mod answer;
mod linger;
mod pending;
mod per_client;
mod perform;
mod refuse;
mod secure;
mod switched;
mod tunnel;

use std::cell::{Cell, OnceCell};
use std::future::poll_fn;
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::address::ClientAddress;
use crate::generation::{Generation, Listening, LocalGeneration};
use crate::http::request::{HeadLimits, head_length, may_be_complete};
use crate::log::diagnostic;
use crate::proxy_protocol::Origin;
use crate::runtime::{self, Direction, Elapsed, Idle, Tick};
use crate::server::exchange::Before;
use crate::server::proxy_header::{self, Announced};
use crate::server::worker::Worker;
use crate::server::worker::endpoint::Endpoint;
use crate::throttle::clients::PlaceOfClient;
use crate::throttle::pace::Debt;
use crate::transport::{Received, Transport};

use pending::Pending;
use switched::Switched;

/// Bytes read at a time where requests are looked for: several heads, or a few hundred small ones. A
/// client that sends more than it reads has the server hold no more than this. The content of a request
/// is read in larger pieces.
const HEADS_SIZE: usize = 16 * 1024;

/// A connection. What it holds while it is idle is this, a task, and a place in the reactor.
pub(super) struct Connection {
    stream: Transport,
    worker: Rc<Worker>,
    /// Where it came in.
    endpoint: Rc<Endpoint>,
    client: ClientAddress,
    /// The peer's port; 0 at a Unix socket.
    client_port: u16,
    /// Bytes that were read and not used: an incomplete head, or what came behind a request that had
    /// to be waited for. Empty, and without a buffer, while the connection is idle.
    unread: Vec<u8>,
    /// `unread` may hold a complete request.
    is_unexamined: bool,
    /// The socket held nothing more when it was last read from. What came since then, also while an
    /// answer was sent, ends the next wait at once: no other wait uses that readiness up.
    is_drained: bool,
    /// The last request was for a handler that always waits. The next one is likely to be for it as
    /// well, so it goes the slow path at once: on the fast path it would be parsed and routed in
    /// vain.
    is_likely_to_wait: bool,
    /// No request came in time, or the worker needs the place for another client. The connection ends; if a
    /// request has come meanwhile, it is answered first.
    is_given_up: bool,
    /// When the head that has begun to arrive must be complete.
    head_deadline: Tick,
    /// A trusted proxy has said by the PROXY protocol who the client is.
    has_proxy_header: bool,
    /// Whether the connection counts among those that are open.
    is_counted: bool,
    /// What was done for the request at the start of `unread`, while that is not performed.
    begun: Cell<Option<Box<Begun>>>,
    /// Its place among the connections of its client, where they are counted.
    place: Option<Box<PlaceOfClient>>,
    /// What it was sent and has not paid for, once it was sent something at a pace.
    debt: OnceCell<Box<Debt>>,
}

/// A request that has to be waited for, and for which something has been done that is not done twice.
struct Begun {
    /// The generation in which that was done. It may wait behind a response while another one is adopted, in which
    /// its rates and its handler would be other ones.
    generation: Rc<LocalGeneration>,
    /// Bytes of its head.
    head: usize,
    before: Before,
}

/// How a turn ended.
enum Turn {
    /// Every complete request that was read is answered.
    Done,
    /// A response could not be sent at once.
    Transmit(Box<Pending>),
    /// The request at the start of `unread`, whose head has that many bytes, has to be waited for.
    Perform(usize),
    Close(Ending),
}

/// How a request that had to be waited for ended.
enum Performed {
    /// How the connection ends after it, if it does.
    Answered(Option<Ending>),
    /// Against expectation the request need not be waited for, or it cannot be read: the fast path takes it.
    NotAnswered,
    Switched(Box<Switched>),
}

/// How a wait ended.
enum Waited {
    Readable,
    /// The rest of a head did not come in time.
    TimedOut,
    /// The connection is to end, and no exchange is under way on it.
    ToEnd,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Both sides are done: close at once.
    Close,
    /// The client may still be sending.
    Linger,
    /// A response was not sent to its end: the connection is reset, so that the client does not
    /// take what came for the whole.
    Cut,
}

impl Connection {
    /// A connection that `peer` made to `endpoint`; the worker has admitted it.
    pub(super) fn new(
        stream: Transport,
        peer: Option<SocketAddr>,
        endpoint: Rc<Endpoint>,
        worker: Rc<Worker>,
    ) -> Self {
        Self {
            stream,
            worker,
            endpoint,
            client: ClientAddress::of_peer(peer),
            client_port: peer.map_or(0, |peer| peer.port()),
            unread: Vec::new(),
            is_unexamined: false,
            is_drained: false,
            is_likely_to_wait: false,
            is_given_up: false,
            head_deadline: Tick::NEVER,
            has_proxy_header: false,
            is_counted: true,
            begun: Cell::new(None),
            place: None,
            debt: OnceCell::new(),
        }
    }

    /// Counts the connection no longer as one that is open.
    fn stop_counting(&mut self) {
        self.is_counted = false;
        self.worker.dismiss();
    }

    /// The generation that the next exchange belongs to, from its head to its record.
    fn generation(&self) -> Rc<LocalGeneration> {
        let last = self.endpoint.last_generation();
        last.unwrap_or_else(|| self.worker.current_generation())
    }

    /// Whether the connection is to end as soon as no exchange is under way on it.
    fn is_to_end(&self) -> bool {
        self.is_given_up || self.worker.is_draining()
    }

    /// When the connection is to end if it is idle then: another process serves, or its listener was removed.
    /// [`Tick::NEVER`] if there is no such reason.
    fn leave_by(&self) -> Tick {
        self.worker.leave_by().min(self.endpoint.leave_by())
    }

    /// Whether the connection may be used for another request after this one.
    fn may_persist(&self) -> bool {
        !self.is_to_end() && self.leave_by() == Tick::NEVER
    }

    /// Lives the connection's life. A panic anywhere in it ends this connection, and no other.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps room for an argument twice: 144 bytes more of an idle connection"
    )]
    pub(super) fn serve(mut self) -> impl Future<Output = ()> {
        async move {
            let lived = runtime::catch_panics(pin!(self.live())).await;
            match lived {
                Ok(None) => {}
                Ok(Some(switched)) => self.become_tunnel(*switched),
                Err(_) => diagnostic::error(format_args!("a connection panicked and was closed")),
            }
        }
    }

    /// Serves the connection from its first octet. Before the first request comes the PROXY protocol, if it
    /// `has_proxy_header`, by which a trusted proxy says who the client is; then the handshake, if TLS is
    /// spoken. Closes the connection where one of the two fails.
    pub(super) async fn serve_from_arrival(mut self, has_proxy_header: bool) {
        let arrived = runtime::catch_panics(pin!(self.arrive(has_proxy_header))).await;
        if arrived.unwrap_or(false) {
            // In a new task, because this one keeps room for the handshake until it ends.
            runtime::spawn(self.serve());
        }
    }

    async fn arrive(&mut self, has_proxy_header: bool) -> bool {
        if has_proxy_header {
            if !self.identify().await {
                return false;
            }
            let generation = self.generation();
            if !self.take_place_of_client(&generation) {
                self.send_too_many();
                if let Transport::Plain(_) = self.stream {
                    self.stop_counting();
                    // The request may come only now.
                    self.linger().await;
                }
                return false;
            }
        }
        self.secure().await
    }

    /// Learns from a trusted proxy who the client is. Returns `false` if the peer is no such proxy,
    /// or has not said so.
    async fn identify(&mut self) -> bool {
        let generation = self.generation();
        let timeout = generation.limits_at(&self.endpoint.address).head_timeout;
        let (stream, worker) = (&self.stream, &self.worker);
        let proxies = &generation.proxies;
        let announced = proxy_header::receive(stream, self.client, proxies, worker, timeout).await;
        match announced {
            Ok(Announced { origin, rest }) => {
                self.has_proxy_header = true;
                match origin {
                    Origin::Proxy => {}
                    Origin::Client { source, .. } => {
                        (self.client, self.client_port) = (source.ip().into(), source.port());
                    }
                    Origin::Unix => (self.client, self.client_port) = (ClientAddress::Unknown, 0),
                }
                self.keep_for_later(&rest);
                true
            }
            Err(error) => {
                error.tell(&self.endpoint.bound, self.client);
                self.stream.reset_on_close();
                false
            }
        }
    }

    /// Answers requests until the connection ends, or changes to another protocol.
    async fn live(&mut self) -> Option<Box<Switched>> {
        let mut is_last_look = false;
        runtime::overtake_events();
        let ending = loop {
            let ended = match self.turn() {
                Turn::Done => None,
                Turn::Transmit(pending) => Box::pin(self.transmit(pending)).await,
                Turn::Perform(head) => match Box::pin(self.perform(head)).await {
                    Performed::Answered(ending) => ending,
                    Performed::NotAnswered => continue,
                    Performed::Switched(switched) => return Some(switched),
                },
                Turn::Close(ending) => Some(ending),
            };
            if let Some(ending) = ended {
                break ending;
            }
            if !self.is_drained || self.is_unexamined {
                runtime::yield_now().await;
                if !self.is_unexamined {
                    runtime::overtake_events();
                }
                continue;
            }
            match self.wait().await {
                Waited::Readable => {}
                Waited::TimedOut => {
                    self.tell("sent no whole head in time");
                    break self.time_out();
                }
                // Reads once more: the client may have sent a request before it learned of the end.
                Waited::ToEnd if !is_last_look => is_last_look = true,
                Waited::ToEnd => break Ending::Close,
            }
        };
        self.unread = Vec::new();
        match ending {
            Ending::Linger => Box::pin(self.linger()).await,
            Ending::Close if self.stream.session().is_some() => Box::pin(self.close()).await,
            Ending::Close | Ending::Cut => {}
        }
        None
    }

    /// Tells at level debug what becomes of the connection.
    #[inline]
    fn tell(&self, what: &str) {
        if diagnostic::may_debug(self.client) {
            self.write_debug_line(what);
        }
    }

    #[cold]
    fn write_debug_line(&self, what: &str) {
        let (client, listener) = (self.client, &self.endpoint.bound);
        let what = format_args!("the connection at {listener} {what}");
        diagnostic::debug_of(client, what);
    }

    /// Reads once, and answers every request that is complete and can be answered at once.
    fn turn(&mut self) -> Turn {
        let worker = Rc::clone(&self.worker);
        let mut input = worker.input.borrow_mut();
        let seen = self.unread.len();
        input[..seen].copy_from_slice(&self.unread);
        let mut filled = seen;
        let mut is_last = false;
        if take(&mut self.is_unexamined) {
            // The responses before it had to be sent first.
            if let Some(begun) = self.begun.get_mut() {
                return Turn::Perform(begun.head);
            }
        } else {
            match self.stream.receive(&mut input[seen..seen + HEADS_SIZE]) {
                Ok(Received { count: 0, .. }) if seen == 0 => return Turn::Close(Ending::Close),
                Ok(Received { count, is_drained }) => {
                    filled += count;
                    is_last = count == 0;
                    self.is_drained = is_drained;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_drained = true;
                    return Turn::Done;
                }
                Err(_) => return Turn::Close(Ending::Close),
            }
        }
        let generation = self.generation();
        let is_worth_parsing = seen == 0
            || filled == seen
            || filled >= generation.limits_at(&self.endpoint.address).max_head
            || may_be_complete(&input[..filled], seen);
        if !is_worth_parsing {
            self.keep_incomplete(&input[..filled], &generation);
            return Turn::Done;
        }
        if self.is_likely_to_wait {
            if let Some(head) = head_length(&input[..filled]) {
                self.head_deadline = Tick::NEVER;
                self.keep(&input[..filled]);
                return Turn::Perform(head);
            }
            self.is_likely_to_wait = false;
        }
        let mut output = worker.output.borrow_mut();
        output.clear();
        match self.answer_all(&mut input[..filled], &mut output, &generation) {
            // The client has closed its side in the middle of a head. What is there of it was parsed
            // once more, because it may hold a fault that earlier turns, which wait for an empty line,
            // have not looked for: a fault is answered in whatever pieces it came.
            Turn::Done if is_last => Turn::Close(Ending::Close),
            turn => turn,
        }
    }

    /// Keeps an incomplete request until more of it comes.
    fn keep_incomplete(&mut self, rest: &[u8], generation: &Generation) {
        // RFC 9112 §2.2: empty lines before a request are ignored, and do not start the time of a head.
        let start = rest.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
        let rest = &rest[start.unwrap_or(rest.len())..];
        if rest.is_empty() {
            self.head_deadline = Tick::NEVER;
        } else if self.head_deadline == Tick::NEVER {
            let limits = generation.limits_at(&self.endpoint.address);
            self.head_deadline = runtime::deadline_after(limits.head_timeout);
        }
        self.keep(rest);
    }

    /// Keeps octets that may hold complete requests until the exchange before them is done. The
    /// time of their heads begins when they are looked at: until then it is the server that lets
    /// the client wait.
    fn keep_for_later(&mut self, rest: &[u8]) {
        self.head_deadline = Tick::NEVER;
        // No larger than it has to be: it may have to wait for long.
        self.unread = rest.to_vec();
        self.is_unexamined = !rest.is_empty();
    }

    fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            // An idle connection holds no buffer.
            self.unread = Vec::new();
            return;
        }
        self.unread.clear();
        self.unread.extend_from_slice(rest);
    }

    /// Waits for more to read.
    async fn wait(&mut self) -> Waited {
        if self.unread.is_empty() {
            return self.wait_idle().await;
        }
        // A request that has begun to arrive may still be finished.
        let ready = self.stream.ready(Direction::Read, self.head_deadline);
        match ready.await {
            Ok(()) => Waited::Readable,
            Err(Elapsed) => {
                tell_if_unwatched(self.head_deadline);
                Waited::TimedOut
            }
        }
    }

    /// Waits for a request to begin.
    async fn wait_idle(&mut self) -> Waited {
        let generation = self.generation();
        let limits = generation.limits_at(&self.endpoint.address);
        let deadline = runtime::deadline_after(limits.idle_timeout);
        drop(generation);
        let idle = poll_fn(|context| {
            if self.is_to_end() {
                return Poll::Ready(None);
            }
            let deadline = deadline.min(self.leave_by());
            self.stream.poll_idle(context, deadline).map(Some)
        });
        match idle.await {
            Some(Idle::Readable) => Waited::Readable,
            Some(why @ (Idle::TimedOut | Idle::GivenUp)) => {
                self.is_given_up = true;
                if why == Idle::TimedOut {
                    tell_if_unwatched(deadline.min(self.leave_by()));
                }
                self.tell(match why {
                    Idle::GivenUp => "is idle, and given up for another one",
                    _ => "has been idle for too long",
                });
                Waited::ToEnd
            }
            None => Waited::ToEnd,
        }
    }
}

/// Tells the operator if the wait for a client ended before its `deadline`: then the system does not watch the
/// connection, and the client is not late.
#[cold]
fn tell_if_unwatched(deadline: Tick) {
    if runtime::deadline_after(Duration::ZERO) < deadline {
        diagnostic::error_limited(
            "unwatched connections",
            format_args!(
                "the system does not watch the connection of a client, which is ended: it has no memory left, or \
                 fs.epoll.max_user_watches allows no more"
            ),
        );
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tell("has ended");
        if self.is_counted {
            self.worker.dismiss();
        }
    }
}

/// The limits of a head, whose server is not known yet.
fn head_limits(listening: Listening<'_>) -> HeadLimits {
    let limits = listening.limits();
    HeadLimits {
        max_bytes: limits.max_head,
        max_fields: limits.max_fields,
    }
}
