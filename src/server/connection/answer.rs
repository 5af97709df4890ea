//! The fast path: every request of a read that can be answered at once, and one write for all the
//! responses.

use std::io;
use std::mem::{forget, take};
use std::rc::Rc;

use super::pending::{Octets, Pending, Sending};
use super::{Begun, Connection, Ending, Turn, head_limits};
use crate::address::ClientAddress;
use crate::generation::{Generation, Listening, LocalGeneration};
use crate::http::error::RequestError;
use crate::http::method::Method;
use crate::http::request::{HeadLimits, Parsed, RequestHead, field_space, lower_minor_version};
use crate::http::response::ResponseFraming;
use crate::log::diagnostic;
use crate::message::content::Content;
use crate::message::marks::Marks;
use crate::metrics::End;
use crate::metrics::series::SeriesId;
use crate::runtime::{self, Tick};
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};
use crate::server::exchange::outcome::{CountedAs, Outcome, Subject, Underway, finish};
use crate::server::exchange::{Before, Exchange};
use crate::throttle::rates::{Counted, Standing};
use crate::transfer::send::{Progress, Transmission};

/// Content up to this many octets is copied behind its head, into the write that answers share;
/// past it, copying costs more than a write of its own. `transfer::send` copies less: what it does not
/// copy is a further piece of the same call, which is cheaper than a call of its own.
pub(super) const MAX_COPIED: usize = 8 * 1024;

/// Bytes of responses that are collected before they are sent. A client that does not read has the
/// server hold about as much.
const MAX_COLLECTED: usize = 16 * 1024;

/// What became of the request at the start of some input.
enum Step {
    /// It was answered, or refused, into the output; so many bytes of input are used.
    Answered {
        used: usize,
        /// Its content did not go into the output, but was sent at once: other connections get their
        /// turn.
        is_large: bool,
        ending: Option<Ending>,
    },
    /// The socket does not take all of its response now.
    Unsent { used: usize, pending: Box<Pending> },
    /// The response has to be waited for; the request's head has so many bytes.
    Perform { head: usize },
    /// The head is incomplete.
    Incomplete,
}

impl Connection {
    /// Answers the complete requests in `input`, in order, and sends the responses together.
    pub(super) fn answer_all(
        &mut self,
        input: &mut [u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) -> Turn {
        let listening = generation.at(&self.endpoint.address);
        let limits = head_limits(listening);
        let mut at = 0;
        loop {
            let step = match &mut input[at..] {
                [] => Step::Incomplete,
                rest => self.answer_one(rest, limits, output, listening),
            };
            match step {
                Step::Answered {
                    used,
                    is_large,
                    ending: None,
                } => {
                    at += used;
                    // The next head has a time of its own.
                    self.head_deadline = Tick::NEVER;
                    if output.len() >= MAX_COLLECTED || is_large {
                        self.keep_for_later(&input[at..]);
                        return self.send(output, generation, Turn::Done);
                    }
                }
                Step::Answered {
                    used,
                    ending: Some(ending),
                    ..
                } => {
                    // What the client sent behind it will not be answered, but must be read.
                    let ending = if at + used < input.len() {
                        Ending::Linger
                    } else {
                        ending
                    };
                    return self.send(output, generation, Turn::Close(ending));
                }
                Step::Unsent { used, pending } => {
                    self.keep_for_later(&input[at + used..]);
                    return Turn::Transmit(pending);
                }
                Step::Perform { head } => {
                    self.head_deadline = Tick::NEVER;
                    self.keep(&input[at..]);
                    return self.send(output, generation, Turn::Perform(head));
                }
                Step::Incomplete => {
                    self.keep_incomplete(&input[at..], generation);
                    return self.send(output, generation, Turn::Done);
                }
            }
        }
    }

    /// Answers the request at the start of `input`, if it is complete.
    fn answer_one(
        &mut self,
        input: &mut [u8],
        limits: HeadLimits,
        output: &mut Vec<u8>,
        listening: Listening<'_>,
    ) -> Step {
        let mut space = field_space();
        let error = match RequestHead::parse(input, &mut space, limits) {
            Ok(Parsed::Complete(head, length)) => {
                return self.answer_head(&head, &input[..length], output, listening);
            }
            Ok(Parsed::Partial) => return Step::Incomplete,
            Err(error) => error,
        };
        if error == RequestError::UnsupportedVersion && lower_minor_version(input) {
            return self.answer_one(input, limits, output, listening);
        }
        let (client, listener) = (self.client, &self.endpoint.bound);
        if diagnostic::may_debug(client) {
            let what = format_args!("a request at {listener} is refused: {error}");
            diagnostic::debug_of(client, what);
        }
        self.refuse(error.into(), input, output, listening.generation);
        Step::Answered {
            used: input.len(),
            is_large: false,
            ending: Some(Ending::Linger),
        }
    }

    /// Answers the request of `head`, which was parsed from `bytes`.
    fn answer_head(
        &self,
        head: &RequestHead<'_>,
        bytes: &[u8],
        output: &mut Vec<u8>,
        listening: Listening<'_>,
    ) -> Step {
        let worker = &self.worker;
        let mut cut_by_panic = CutByPanic {
            connection: self,
            client: self.client,
            series: listening.generation.policy.series,
            head,
            bytes,
        };
        let arrival;
        let listener = &self.endpoint.address;
        let mut exchange = Exchange::new(listening, listener, self.client, head, self.over());
        if exchange.is_told_arrival_now() {
            arrival = self.arrival(listening.generation, head);
            exchange.set_arrival(&arrival);
        }
        cut_by_panic.client = exchange.client;
        cut_by_panic.series = exchange.policy.series;
        #[cfg(debug_assertions)]
        crate::server::test_hooks::run_hook_outside_of_handlers(head.target.path);
        let Some(response) = exchange.answer_now(&worker.local) else {
            forget(cut_by_panic);
            let head = bytes.len();
            self.note_begun(head, exchange.counted(), exchange.marks());
            return Step::Perform { head };
        };
        let may_persist = head.persistent && self.may_persist();
        let traits = RequestTraits::of(&exchange);
        let framed = FramedResponse::new(response, exchange.policy, traits, may_persist);
        exchange.tell_answered(framed.status, framed.reason, &self.endpoint.bound);
        self.encode_head(&framed, exchange.standing(), listening.generation, output);
        let ending = ending_after(&framed, head);
        let content_sent = match framed.content {
            Content::Empty | Content::Problem(_) => 0,
            Content::Octets(octets)
                if octets.len() <= MAX_COPIED && exchange.policy.max_rate_out().is_none() =>
            {
                output.extend_from_slice(&octets);
                octets.len() as u64
            }
            _ => {
                forget(cut_by_panic);
                let underway = self.begin(&exchange, bytes);
                return self.answer_large(framed, &exchange, underway, output, ending);
            }
        };
        forget(cut_by_panic);
        let outcome = Outcome {
            end: End::Answered,
            status: framed.status,
            reason: framed.reason,
            content_sent,
        };
        self.record(&exchange, (head.method, bytes), outcome);
        exchange.end_at_once();
        Step::Answered {
            used: bytes.len(),
            is_large: false,
            ending,
        }
    }

    /// Records an exchange that was answered at once, where such exchanges are recorded.
    #[inline(always)]
    fn record(
        &self,
        exchange: &Exchange<'_, '_>,
        (method, bytes): (Method, &[u8]),
        outcome: Outcome,
    ) {
        if !self.endpoint.is_recorded {
            return;
        }
        let subject = Subject::Request(exchange, bytes);
        let counted = CountedAs::of(exchange.policy.series, method);
        let (client, now) = (exchange.client, runtime::now());
        finish(&self.worker, client, &subject, outcome, counted, now);
    }

    /// Keeps what was done for a request that has to be waited for: what the handler has begun, and what
    /// the rates have said.
    fn note_begun(&self, head: usize, counted: Option<Counted>, marks: Option<&Rc<Marks>>) {
        let of_handler = self.worker.local.take_begun();
        let is_begun = of_handler.is_some() || counted.is_some();
        let begun = || Begun {
            // That of this turn, which adopts no other.
            generation: self.generation(),
            head,
            before: Before {
                of_handler,
                counted,
                marks: marks.cloned(),
            },
        };
        self.begun.set(is_begun.then(|| Box::new(begun())));
    }

    /// Takes what was done for a request that has to be waited for, if anything was, and the generation that it
    /// belongs to.
    pub(super) fn take_begun(&self) -> (Rc<LocalGeneration>, Option<Before>) {
        match self.begun.take() {
            None => (self.generation(), None),
            Some(begun) => (begun.generation, Some(begun.before)),
        }
    }

    /// Begins an exchange that is not finished within this turn.
    pub(super) fn begin<'e>(
        &self,
        exchange: &'e Exchange<'_, '_>,
        bytes: &'e [u8],
    ) -> Underway<'e> {
        let is_recorded = self.endpoint.is_recorded;
        Underway::begin(&self.worker, is_recorded, exchange, bytes)
    }

    /// Sends a response whose content is too large to be copied behind its head. The head is the last
    /// in `output`, which is sent with it.
    fn answer_large(
        &self,
        framed: FramedResponse<'_, 'static>,
        exchange: &Exchange<'_, '_>,
        underway: Underway<'_>,
        output: &mut Vec<u8>,
        ending: Option<Ending>,
    ) -> Step {
        let used = exchange.head_length();
        let (status, reason) = (framed.status, framed.reason);
        let is_chunked = framed.framing == ResponseFraming::Chunked;
        let content = framed.content.into_owned();
        let mut transmission = Transmission::new(take(output), content, is_chunked);
        let max_rate_out = exchange.policy.max_rate_out();
        // If it failed, the retry fails in the same way.
        if max_rate_out.is_some()
            || !matches!(transmission.advance(&self.stream), Ok(Progress::Done))
        {
            transmission.shrink();
            let underway = underway.keep();
            let route = exchange.route().map(ToString::to_string);
            let sending = Sending::new(transmission, underway, (status, reason), route);
            let pending = Box::new(Pending {
                octets: Octets::Response(sending),
                send_timeout: exchange.limits().send_timeout,
                max_rate_out,
                ending,
            });
            return Step::Unsent { used, pending };
        }
        underway.finish(Outcome {
            end: End::Answered,
            status,
            reason,
            content_sent: transmission.content_sent(),
        });
        // The transmission's buffer was the output's: it goes back, for its capacity.
        *output = transmission.into_buffer();
        output.clear();
        Step::Answered {
            used,
            is_large: true,
            ending,
        }
    }

    /// Appends the head of a response to `output`, with what it says of rates.
    // Two callers, of which one is hot: without this the compiler inlines it into neither.
    #[inline(always)]
    pub(super) fn encode_head(
        &self,
        framed: &FramedResponse<'_, '_>,
        standing: Option<Standing<'_>>,
        generation: &Generation,
        output: &mut Vec<u8>,
    ) {
        let common = framed.common(generation);
        framed.encode_head(&self.worker.common_lines(common), standing, output);
    }

    /// Sends the collected responses, whose exchanges are finished; returns `next` if the socket takes
    /// them all.
    fn send(&mut self, output: &[u8], generation: &Generation, next: Turn) -> Turn {
        let sent = if output.is_empty() {
            Ok(0)
        } else {
            self.stream.send(output, false)
        };
        let rest = match sent {
            Ok(count) if count == output.len() => return next,
            // Copied, so that the worker's buffer, which may be larger, stays with the worker.
            Ok(count) => output[count..].to_vec(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => output.to_vec(),
            Err(_) => return Turn::Close(Ending::Close),
        };
        let ending = match next {
            Turn::Close(ending) => Some(ending),
            // Its head is looked at again when the responses before it are sent.
            Turn::Perform(_) => {
                self.is_unexamined = true;
                None
            }
            Turn::Done | Turn::Transmit(_) => None,
        };
        let transmission = Transmission::new(rest, Content::Empty, false);
        let limits = generation.limits_at(&self.endpoint.address);
        Turn::Transmit(Box::new(Pending {
            octets: Octets::Collected(transmission),
            send_timeout: limits.send_timeout,
            max_rate_out: None,
            ending,
        }))
    }
}

/// Finishes the exchange that the fast path is at, as cut, should a panic unwind through it. Forgotten
/// on every other way, so it costs the fast path nothing.
struct CutByPanic<'e> {
    connection: &'e Connection,
    client: ClientAddress,
    series: SeriesId,
    head: &'e RequestHead<'e>,
    bytes: &'e [u8],
}

impl Drop for CutByPanic<'_> {
    fn drop(&mut self) {
        let Connection {
            worker, endpoint, ..
        } = self.connection;
        let counted = (endpoint.is_recorded, self.series);
        // Dropped at once, and so finished as cut.
        let _ = Underway::lost(worker, self.client, counted, (self.head, self.bytes));
    }
}

/// How the connection ends after an answer, if it does: quietly where the client said that it sends
/// nothing more.
fn ending_after(framed: &FramedResponse<'_, '_>, head: &RequestHead<'_>) -> Option<Ending> {
    if framed.persists() {
        None
    } else if head.persistent {
        Some(Ending::Linger)
    } else {
        Some(Ending::Close)
    }
}
