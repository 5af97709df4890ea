//! Requests that are answered by the connection itself, because no route can be known: heads that
//! cannot be read or do not come in time, and connections that are one too many.

use std::mem::take;

use super::{Connection, Ending};
use crate::generation::Generation;
use crate::generation::policy::Scope;
use crate::http::request::request_line;
use crate::http::response::{FieldLines, Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::request_id::RequestId;
use crate::message::response::Response;
use crate::metrics::End;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};
use crate::server::exchange::outcome::{CountedAs, Outcome, Subject, finish};
use crate::transfer::READ_SIZE;
use crate::transport::Transport;

/// Octets that the socket of a new connection takes at once.
const AT_ONCE: usize = 16 * 1024;

impl Connection {
    /// Answers a request that cannot be read, because of `reason`, into `output`. Where the next request
    /// begins is unknown from here on.
    pub(super) fn refuse(
        &self,
        reason: Reason,
        input: &[u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) {
        self.answer_unread(End::Refused, reason, input, output, generation);
    }

    /// Answers a head that did not come in time (RFC 9110 §15.5.9).
    pub(super) fn time_out(&mut self) -> Ending {
        let generation = self.generation();
        let input = take(&mut self.unread);
        let mut output = Vec::new();
        let reason = Reason::HeadTimeout;
        self.answer_unread(End::TimedOut, reason, &input, &mut output, &generation);
        // If the socket does not take this little, the client is not reading either.
        let _ = self.stream.send(&output, false);
        Ending::Linger
    }

    fn answer_unread(
        &self,
        end: End,
        reason: Reason,
        input: &[u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) {
        let id = generation.policy.request_id.then(RequestId::new);
        let response = Response::problem(reason);
        let (status, content_sent) =
            self.encode_unread(response, (input, id.as_ref()), generation, output);
        self.record_unread(
            (input, id.as_ref()),
            Outcome {
                end,
                status,
                reason: Some(reason),
                content_sent,
            },
        );
    }

    /// Appends `response`, to a request of which only `input` is known, to `output`. Returns its status and how
    /// many octets of content were appended: to HEAD, none (RFC 9110 §9.3.2).
    fn encode_unread(
        &self,
        response: Response<'_>,
        (input, id): (&[u8], Option<&RequestId>),
        generation: &Generation,
        output: &mut Vec<u8>,
    ) -> (Status, u64) {
        let traits = RequestTraits::unreadable(id);
        let framed = FramedResponse::new(response, &generation.policy, traits, false);
        self.encode_head(&framed, None, generation, output);
        match &framed.content {
            Content::Octets(octets) if !is_to_head(input) => {
                output.extend_from_slice(octets);
                (framed.status, octets.len() as u64)
            }
            _ => (framed.status, 0),
        }
    }

    /// Answers that the server has as many connections as it may, instead of dropping the client
    /// silently. The response is sent at once, and the connection counts as open no longer: those that
    /// linger must not keep others out.
    pub(in crate::server) fn turn_away(mut self) {
        let fields = FieldLines::new().with("Retry-After", "1");
        self.send_unasked(Reason::TooManyConnections, fields);
        self.stop_counting();
        // The request may come only now.
        runtime::spawn(async move { self.linger().await });
    }

    /// Answers a connection that is one too many, whatever its request may be.
    pub(super) fn send_unasked(&self, reason: Reason, fields: FieldLines) {
        let status = reason.status().unwrap_or(Status::SERVICE_UNAVAILABLE);
        let mut outcome = Outcome::turned_away(status, reason);
        // A client that comes over TLS could not read it before a handshake.
        if let Transport::Tls(_) = self.stream {
            return self.record_unread((&[], None), outcome);
        }
        // Read first, for the record of the exchange.
        let mut input = self.worker.input.borrow_mut();
        let received = self.stream.receive(&mut input[..READ_SIZE]);
        let input = &input[..received.map_or(0, |received| received.count)];
        let (generation, mut response) = (self.generation(), Vec::new());
        let id = generation.policy.request_id.then(RequestId::new);
        let problem = Response::problem_with(reason, fields.clone());
        (_, outcome.content_sent) =
            self.encode_unread(problem, (input, id.as_ref()), &generation, &mut response);
        if response.len() > AT_ONCE {
            // The socket does not take a large error page at once, and this function does not wait for the client.
            (response, outcome.content_sent) = self.last_response(status, &fields, (b"", input));
        }
        let _ = self.stream.send(&response, false);
        self.record_unread((input, id.as_ref()), outcome);
    }

    /// A response of the connection itself, after which it ends, to a request of which only `input` is known.
    /// Returns it, and how many octets of content it holds: to HEAD, none.
    pub(super) fn last_response(
        &self,
        status: Status,
        fields: &FieldLines,
        (content, input): (&[u8], &[u8]),
    ) -> (Vec<u8>, u64) {
        let generation = self.generation();
        let common = self.worker.common_lines(generation.common_fields());
        let mut response = last_head(&generation, &common, (status, fields), content.len());
        if is_to_head(input) {
            return (response, 0);
        }
        response.extend_from_slice(content);
        (response, content.len() as u64)
    }

    /// Finishes an exchange of which only the first bytes of the request are known.
    pub(super) fn record_unread(&self, (input, id): (&[u8], Option<&RequestId>), outcome: Outcome) {
        if self.endpoint.is_recorded {
            let line = Subject::Line(request_line(input), id);
            let (as_unread, now) = (CountedAs::UNREAD, runtime::now());
            finish(&self.worker, self.client, &line, outcome, as_unread, now);
        }
    }
}

/// The head of a response of the connection itself, after which it ends, with `length` octets of content.
pub(super) fn last_head(
    generation: &Generation,
    common: &[u8],
    (status, fields): (Status, &FieldLines),
    length: usize,
) -> Vec<u8> {
    let (policy, own) = (&generation.policy, Octets::Lent(fields.as_bytes()));
    let head = ResponseHead {
        status,
        common,
        fields: &policy.change_fields(own, Scope::Any, None),
        more_fields: b"",
        framing: ResponseFraming::Length(length as u64),
        persistence: Persistence::Close,
    };
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    encoded
}

/// Whether the request that begins with `input` is to HEAD, whose response has no content (RFC 9110 §9.3.2).
fn is_to_head(input: &[u8]) -> bool {
    request_line(input).starts_with(b"HEAD ")
}
