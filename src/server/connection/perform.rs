//! The slow path: an exchange that has to be waited for, as one boxed future that is made when it is
//! needed and gone when it is done.
//!
//! ```text
//! perform   head → exchange → respond → what is left of the request's content → next request
//! respond   response, waited for → framed → sent
//! ```
//!
//! Both ways are open at once: a handler may read the request's content before it returns a response,
//! and the response's content may be made from it while it is sent.

use std::mem::{replace, take};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::time::Duration;

use super::answer::MAX_COPIED;
use super::pending::Sending;
use super::switched::Switched;
use super::{Connection, Ending, Performed, head_limits};
use crate::generation::{Generation, Route};
use crate::http::request::{HeadLimits, Parsed, RequestHead};
use crate::http::response::ResponseFraming;
use crate::http::status::Status;
use crate::message::content::{DuplexContent, LocalFuture};
use crate::message::request::{Arrival, TellsOfConnection};
use crate::message::secured::Secured;
use crate::message::tunnel::Tunnel;
use crate::metrics::End;
use crate::reason::Reason;
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};
use crate::server::exchange::outcome::{Outcome, Underway};
use crate::server::exchange::{Answered, Exchange, Over};
use crate::throttle::rates::Standing;
use crate::transfer::receive::Receiving;
use crate::transfer::send::{Terms, Transmission};

/// Octets that are enough for the head of nearly every response.
const USUAL_HEAD: usize = 512;

/// How responding ended.
enum Responded {
    /// The response was sent to its end; it says whether the connection persists.
    Sent { persists: bool },
    /// The connection has changed to another protocol.
    Switched(Box<Switched>),
    /// The client left before there was a response.
    Left,
    /// The response could not be sent to its end.
    Failed,
}

/// What is still to be done for a response that was begun.
enum Begun<'e> {
    Done(Responded),
    /// The rest of the response is still to be sent. Boxed, because that is seldom, and the future of every
    /// exchange that waits would have room for it.
    GoesOn(LocalFuture<'e, Responded>),
}

/// How far a response has been sent that was begun.
enum Attempt<'c> {
    All(Outcome),
    /// A part. What is left of the response, its status and its reason.
    Rest(Transmission<'c>, (Status, Option<Reason>)),
    /// Nothing: the head is in the buffer, and another protocol follows it.
    Tunnel(Box<Tunnel>, Vec<u8>),
}

impl Connection {
    /// Performs the exchange whose request's head is the first `length` bytes of `unread`, waiting
    /// wherever it has to.
    pub(super) async fn perform(&mut self, length: usize) -> Performed {
        let is_guess = take(&mut self.is_likely_to_wait);
        // Taken before anything else: a request that goes back to the fast path is asked anew there.
        debug_assert!(
            !is_guess || self.begun.get_mut().is_none(),
            "a handler was asked"
        );
        let (generation, begun) = self.take_begun();
        let bytes = self.take_head(length);
        let unread = take(&mut self.unread);
        let mut lines = Box::default();
        let listening = generation.at(&self.endpoint.address);
        let limits = head_limits(listening);
        let Some(head) = parse_whole(&bytes, &mut lines, limits) else {
            return self.leave_to_turn(bytes, unread);
        };
        let arrival = self.arrival(&generation, &head);
        let listener = &self.endpoint.address;
        let mut exchange = Exchange::new(listening, listener, self.client, &head, self.over());
        exchange.set_arrival(&arrival);
        exchange.resume(begun);
        let always_waits = exchange.always_waits();
        if is_guess && !always_waits {
            drop(exchange);
            return self.leave_to_turn(bytes, unread);
        }
        exchange.tell(&self.endpoint.bound);
        let (input, limits) = (&self.worker.input, exchange.limits());
        let receiving = Receiving::new(&head, &self.stream, input, limits, unread);
        let underway = self.begin(&exchange, &bytes);
        let underway = underway.receiving(receiving.length());
        let content = receiving.content();
        let answered = exchange.answer(&self.worker.local, content).await;
        let begun = (&exchange, &head, underway, &receiving);
        let responded = match self.begin_response(answered, begun, &generation) {
            Begun::Done(responded) => responded,
            Begun::GoesOn(rest) => rest.await,
        };
        let ending = match responded {
            Responded::Switched(mut switched) => {
                switched.to_upstream = receiving.into_unread();
                return Performed::Switched(switched);
            }
            Responded::Left => Some(Ending::Close),
            Responded::Failed => Some(Ending::Cut),
            Responded::Sent { persists: true } if receiving.is_ended() => None,
            // Boxed, because seldom is content left to be read.
            Responded::Sent { persists: true } if Box::pin(receiving.drain()).await => None,
            // As on the fast path: the client has said that this is its last request.
            Responded::Sent { .. } if !head.persistent && receiving.is_complete() => {
                Some(Ending::Close)
            }
            Responded::Sent { .. } => Some(Ending::Linger),
        };
        if let Some(is_drained) = receiving.is_drained() {
            self.is_drained = is_drained;
        }
        self.is_likely_to_wait = always_waits;
        // Copied, so that a buffer that the content has made large is freed.
        let behind = receiving.into_unread();
        self.keep_for_later(&behind);
        Performed::Answered(ending)
    }

    /// Puts a head back that is for the fast path, with what has been read behind it.
    fn leave_to_turn(&mut self, head: Box<[u8]>, mut behind: Vec<u8>) -> Performed {
        let mut head = head.into_vec();
        head.append(&mut behind);
        self.unread = head;
        self.is_unexamined = true;
        Performed::NotAnswered
    }

    /// What handlers are told of this connection.
    pub(super) fn arrival(&self, generation: &Generation, head: &RequestHead<'_>) -> Arrival<'_> {
        let is_tls = self.stream.session().is_some();
        Arrival {
            is_https: is_tls || Exchange::is_https(generation, self.client, head),
            believed: Exchange::believed(generation, self.client),
            connection: self,
        }
    }

    /// What decides with the configuration whether a request is answered.
    #[inline]
    pub(super) fn over(&self) -> Over<'_> {
        let session = self.stream.session();
        Over {
            connection: self,
            has_proxy_header: self.has_proxy_header,
            client_rule: session.map(|session| session.client_rule),
        }
    }

    /// Sends as much of the response as can be sent without waiting. If that is all, finishes the exchange.
    fn begin_response<'e>(
        &'e self,
        answered: Option<Answered<'e, 'e>>,
        (exchange, head, mut underway, receiving): (
            &'e Exchange<'_, '_>,
            &RequestHead<'_>,
            Underway<'e>,
            &Receiving<'_>,
        ),
        generation: &Generation,
    ) -> Begun<'e> {
        underway.note_upstream(exchange.take_note());
        let Some(answered) = answered else {
            underway.finish(Outcome::CLIENT_LEFT);
            return Begun::Done(Responded::Left);
        };
        let Answered {
            response,
            policy,
            route,
        } = answered;
        let begun = receiving.begin_response();
        let may_persist = head.persistent && self.may_persist() && begun.can_be_drained;
        let traits = RequestTraits::of(exchange).answered_by(route);
        let framed = FramedResponse::new(response, policy, traits, may_persist);
        let persists = framed.persists();
        let send_timeout = exchange.limits().send_timeout;
        let max_rate_out = policy.max_rate_out();
        let is_paced = max_rate_out.is_some();
        match self.begin_sending(
            framed,
            begun.rest_of_interim,
            (exchange.standing(), is_paced),
            generation,
        ) {
            Attempt::All(outcome) => {
                underway.finish(outcome);
                Begun::Done(Responded::Sent { persists })
            }
            Attempt::Rest(transmission, status) => {
                let sending = Sending::new(transmission, underway, status, route);
                let terms = self.terms(send_timeout, max_rate_out);
                Begun::GoesOn(Box::pin(self.send_rest(sending, terms, persists)))
            }
            Attempt::Tunnel(tunnel, buffer) => {
                let exchange = underway.keep();
                Begun::GoesOn(Box::pin(self.switch(
                    *tunnel,
                    exchange,
                    buffer,
                    (send_timeout, max_rate_out),
                )))
            }
        }
    }

    /// Sends a response to its end.
    async fn send_rest(
        &self,
        sending: Sending<'_, &Route>,
        terms: Terms<'_>,
        persists: bool,
    ) -> Responded {
        let disk = &self.worker.local.pools.disk;
        match sending.finish(&self.stream, disk, terms).await {
            Ok(()) => Responded::Sent { persists },
            Err(_) => Responded::Failed,
        }
    }

    /// Sends as much of a response as can be sent without waiting for the socket or for content; of one that
    /// `is_paced`, no content. `before` is what goes before it.
    fn begin_sending<'c>(
        &self,
        mut framed: FramedResponse<'_, 'c>,
        before: Vec<u8>,
        (standing, is_paced): (Option<Standing<'_>>, bool),
        generation: &Generation,
    ) -> Attempt<'c> {
        let content = match take(&mut framed.content) {
            DuplexContent::Empty | DuplexContent::Problem(_) => {
                return self.send_small(&framed, b"", &before, standing, generation);
            }
            DuplexContent::Octets(octets) if octets.len() <= MAX_COPIED && !is_paced => {
                return self.send_small(&framed, &octets, &before, standing, generation);
            }
            content => content,
        };
        let mut buffer = before;
        buffer.reserve(USUAL_HEAD);
        self.encode_head(&framed, standing, generation, &mut buffer);
        if let DuplexContent::Tunnel(tunnel) = content {
            return Attempt::Tunnel(tunnel, buffer);
        }
        let is_chunked = framed.framing == ResponseFraming::Chunked;
        let transmission = Transmission::new(buffer, content.into_owned(), is_chunked);
        Attempt::Rest(transmission, (framed.status, framed.reason))
    }

    /// Sends a response with one call, out of the worker's buffer, if the socket takes it.
    fn send_small(
        &self,
        framed: &FramedResponse<'_, '_>,
        content: &[u8],
        before: &[u8],
        standing: Option<Standing<'_>>,
        generation: &Generation,
    ) -> Attempt<'static> {
        let mut output = self.worker.output.borrow_mut();
        output.clear();
        output.extend_from_slice(before);
        self.encode_head(framed, standing, generation, &mut output);
        output.extend_from_slice(content);
        let (status, reason) = (framed.status, framed.reason);
        let content_sent = content.len() as u64;
        // If it failed, the retry fails in the same way.
        let sent = self.stream.send(&output, false).unwrap_or_default();
        if sent < output.len() {
            let rest = Transmission::rest(output[sent..].to_vec(), content_sent);
            return Attempt::Rest(rest, (status, reason));
        }
        Attempt::All(Outcome {
            end: End::Answered,
            status,
            reason,
            content_sent,
        })
    }

    /// Sends the head of a 101, which is in `buffer`. The pace is for what the tunnel carries.
    async fn switch(
        &self,
        tunnel: Tunnel,
        mut exchange: Underway<'static>,
        buffer: Vec<u8>,
        (send_timeout, max_rate_out): (Duration, Option<NonZeroU64>),
    ) -> Responded {
        exchange.answer_with(Status::SWITCHING_PROTOCOLS);
        let mut head = Transmission::new(buffer, DuplexContent::Empty, false);
        let disk = &self.worker.local.pools.disk;
        match head
            .finish(&self.stream, disk, Terms::unpaced(send_timeout))
            .await
        {
            Ok(()) => Responded::Switched(Box::new(Switched {
                tunnel,
                to_upstream: Vec::new(),
                max_rate_out,
                exchange,
            })),
            Err(_) => {
                exchange.finish(Outcome::CLIENT_LEFT);
                Responded::Failed
            }
        }
    }

    /// Takes the head of so many bytes off `unread`.
    fn take_head(&mut self, length: usize) -> Box<[u8]> {
        let behind = self.unread.split_off(length);
        // The head is held as long as the exchange lasts.
        replace(&mut self.unread, behind).into_boxed_slice()
    }
}

/// Parses `bytes`, if they are a head that is not refused; `lines` receives its field lines.
fn parse_whole<'b>(
    bytes: &'b [u8],
    lines: &'b mut Box<[httparse::Header<'b>]>,
    limits: HeadLimits,
) -> Option<RequestHead<'b>> {
    match RequestHead::parse_kept(bytes, lines, limits) {
        Ok(Parsed::Complete(head, length)) if length == bytes.len() => Some(head),
        _ => None,
    }
}

impl TellsOfConnection for Connection {
    fn peer(&self) -> Option<SocketAddr> {
        let address = self.client.ip();
        address.map(|address| SocketAddr::new(address, self.client_port))
    }

    /// The system is asked where we listen at all addresses.
    fn server_ip(&self) -> Option<IpAddr> {
        let listening = self.endpoint.address.ip();
        let address = listening.map(|listening| listening.ip().to_canonical());
        match address.filter(|address| !address.is_unspecified()) {
            None => self.stream.server_ip(),
            known => known,
        }
    }

    fn secured(&self) -> Option<Secured<'_>> {
        let session = self.stream.session()?;
        Some(Secured {
            version: session.version(),
            cipher: session.cipher(),
            server_name: session.server_name.as_deref(),
            client_certificates: session.client_certificates(),
        })
    }
}
