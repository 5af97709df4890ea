//! The fast path: every request of a read that can be answered at once, and one write for all the
//! answers.

use std::io;
use std::mem::take;

use super::perform::{Pending, Unlogged};
use super::{Connection, Ending, Turn};
use crate::generation::Generation;
use crate::http::request::{
    HeadLimits, Parsed, RequestError, RequestHead, field_space, lower_minor_version, request_line,
};
use crate::http::response::ResponseFraming;
use crate::http::status::Status;
use crate::log::record::AccessRecord;
use crate::message::content::Content;
use crate::message::response::Response;
use crate::runtime::{self, Tick};
use crate::server::exchange::Exchange;
use crate::server::exchange::finishing::{Asked, Framed};
use crate::transfer::send::{Progress, Transmission};

/// Content up to this many octets is copied behind its head, into the write that answers share;
/// past it, copying costs more than a write of its own.
const MAX_COPIED: usize = 8 * 1024;

/// Answers collected before they are sent, in bytes: what a socket takes at once.
const MAX_COLLECTED: usize = 64 * 1024;

/// What became of the request at the start of some input.
enum Step {
    /// It was answered, or refused, into the output; so many bytes of input are used.
    Answered {
        used: usize,
        /// Its content did not go into the output, but out at once: the others get their turn.
        is_large: bool,
        ending: Option<Ending>,
    },
    /// The socket does not take all of its answer now.
    Unsent { used: usize, pending: Box<Pending> },
    /// It has to be waited for; its head has so many bytes.
    Perform { head: usize },
    /// It is not all there.
    Incomplete,
}

impl Connection {
    /// Answers the complete requests in `input`, in order, and sends the answers together.
    pub(super) fn answer_all(
        &mut self,
        input: &mut [u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) -> Turn {
        let limits = self.head_limits(generation);
        let mut at = 0;
        loop {
            let step = match &mut input[at..] {
                [] => Step::Incomplete,
                rest => self.answer_one(rest, limits, output, generation),
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
        generation: &Generation,
    ) -> Step {
        let mut space = field_space();
        let error = match RequestHead::parse(input, &mut space, limits) {
            Ok(Parsed::Complete(head, length)) => {
                return self.answer_head(&head, &input[..length], output, generation);
            }
            Ok(Parsed::Partial) => return Step::Incomplete,
            Err(error) => error,
        };
        if error == RequestError::UnsupportedVersion && lower_minor_version(input) {
            return self.answer_one(input, limits, output, generation);
        }
        self.refuse(error.status(), input, output, generation);
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
        generation: &Generation,
    ) -> Step {
        #[cfg(debug_assertions)]
        crate::server::test_hooks::obey_outside_of_handlers(head.target.path);
        let worker = &self.worker;
        let exchange = Exchange::new(generation, &self.endpoint.address, self.client, head);
        let Some(response) = exchange.answer_now(&worker.local) else {
            return Step::Perform { head: bytes.len() };
        };
        let may_persist = head.persistent && !self.is_to_end();
        let framed = Framed::new(response, exchange.policy, Asked::by(head), may_persist);
        framed.encode_head(worker, generation, output);
        let ending = ending_after(&framed, head);
        let status = framed.status;
        let mut is_large = false;
        let content_length = match framed.content {
            Content::Empty | Content::Problem => 0,
            Content::Octets(octets) if octets.len() <= MAX_COPIED => {
                output.extend_from_slice(&octets);
                octets.len() as u64
            }
            content => {
                let is_chunked = framed.framing == ResponseFraming::Chunked;
                let mut transmission =
                    Transmission::new(take(output), content.into_owned(), is_chunked);
                if !matches!(transmission.advance(&self.stream), Ok(Progress::Done)) {
                    // What it came to, if it failed, it comes to again.
                    return self.pend(transmission, &exchange, bytes, status, ending);
                }
                let sent = transmission.content_sent();
                is_large = true;
                // Its buffer was the output's: it goes back, for its capacity.
                *output = transmission.into_buffer();
                output.clear();
                sent
            }
        };
        worker.log_exchange(
            exchange.client,
            head,
            bytes,
            (status, content_length),
            runtime::now(),
        );
        Step::Answered {
            used: bytes.len(),
            is_large,
            ending,
        }
    }

    /// An answer that could not be sent at once, with what its record will need.
    fn pend(
        &self,
        transmission: Transmission,
        exchange: &Exchange<'_, '_>,
        bytes: &[u8],
        status: Status,
        ending: Option<Ending>,
    ) -> Step {
        let unlogged = Unlogged {
            client: exchange.client,
            head: bytes.to_vec(),
            status,
            started: runtime::now(),
            route: exchange.route().map(ToString::to_string),
        };
        let pending = Pending {
            transmission,
            exchange: Some(unlogged),
            send_timeout: exchange.limits().send_timeout,
            ending,
        };
        Step::Unsent {
            used: bytes.len(),
            pending: Box::new(pending),
        }
    }

    /// Answers a request that cannot be read; where the next one begins is then unknown.
    pub(super) fn refuse(
        &self,
        status: Status,
        input: &[u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) {
        let framed = Framed::new(
            Response::problem(status),
            &generation.policy,
            Asked::unreadably(),
            false,
        );
        framed.encode_head(&self.worker, generation, output);
        let content_length = framed.content.length().unwrap_or(0);
        if let Content::Octets(octets) = &framed.content {
            output.extend_from_slice(octets);
        }
        self.worker.log(&AccessRecord {
            content_length,
            ..AccessRecord::unreadable(self.client, request_line(input), status)
        });
    }

    /// Sends the collected answers, which are logged already; `next` if the socket takes them all.
    fn send(&mut self, output: &mut Vec<u8>, generation: &Generation, next: Turn) -> Turn {
        let sent = match output.is_empty() {
            true => Ok(0),
            false => self.stream.try_send(output, false),
        };
        let rest = match sent {
            Ok(count) if count == output.len() => return next,
            Ok(count) => output.split_off(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => take(output),
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
        let limits = generation.limits_at(&self.endpoint.address);
        Turn::Transmit(Box::new(Pending {
            send_timeout: limits.send_timeout,
            transmission,
            exchange: None,
            ending,
        }))
    }
}

/// How the connection ends after an answer, if it does: quietly where the client said that it sends
/// nothing more.
fn ending_after(framed: &Framed<'_>, head: &RequestHead<'_>) -> Option<Ending> {
    match framed.persists() {
        true => None,
        false if head.persistent => Some(Ending::Linger),
        false => Some(Ending::Close),
    }
}
