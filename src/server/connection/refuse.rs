//! Requests that are answered by the connection itself, because no route can be known: heads that
//! cannot be read or do not come in time, and connections that are one too many.

use std::mem::take;

use super::{Connection, Ending};
use crate::generation::Generation;
use crate::generation::policy::{AnswerKind, Scope};
use crate::http::request::field_space;
use crate::http::response::{FieldLines, Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::response::Response;
use crate::metrics::End;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::finishing::{FramedResponse, RequestTraits};
use crate::server::exchange::outcome::{CountedAs, Outcome, Subject, finish};
use crate::server::exchange::unrouted::Unrouted;
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

    // It has room for the fields of a head, which its callers need not have.
    #[inline(never)]
    fn answer_unread(
        &self,
        end: End,
        reason: Reason,
        input: &[u8],
        output: &mut Vec<u8>,
        generation: &Generation,
    ) {
        let mut space = field_space();
        let request = Unrouted::of(generation, (input, &mut space), self.client, self);
        let response = Response::problem(reason);
        let (status, content_sent) = self.encode_unrouted(response, &request, generation, output);
        self.record_unrouted(
            &request,
            Outcome {
                end,
                status,
                reason: Some(reason),
                content_sent,
            },
        );
    }

    /// Appends `response`, to a request that belongs to no route, to `output`. Returns its status and how
    /// many octets of content were appended.
    fn encode_unrouted(
        &self,
        response: Response<'_>,
        request: &Unrouted<'_>,
        generation: &Generation,
        output: &mut Vec<u8>,
    ) -> (Status, u64) {
        let traits = RequestTraits::of_unrouted(request);
        let framed = FramedResponse::new(response, &generation.policy, traits, false);
        self.encode_head(&framed, None, generation, output);
        match &framed.content {
            Content::Octets(octets) => {
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
        let (generation, mut space) = (self.generation(), field_space());
        // A client that comes over TLS could not read it before a handshake.
        if let Transport::Tls(_) = self.stream {
            let request = Unrouted::of(&generation, (&[], &mut space), self.client, self);
            return self.record_unrouted(&request, outcome);
        }
        // Read first, for the record of the exchange.
        let mut input = self.worker.input.borrow_mut();
        let received = self.stream.receive(&mut input[..READ_SIZE]);
        let input = &input[..received.map_or(0, |received| received.count)];
        let request = Unrouted::of(&generation, (input, &mut space), self.client, self);
        let response;
        (response, _, outcome.content_sent) =
            self.response_at_once((reason, &fields), &request, &generation);
        let _ = self.stream.send(&response, false);
        self.record_unrouted(&request, outcome);
    }

    /// A response of the connection itself, with `fields`, that a socket takes at once: its octets, its status, and
    /// how many octets of content it holds.
    pub(super) fn response_at_once(
        &self,
        (reason, fields): (Reason, &FieldLines),
        request: &Unrouted<'_>,
        generation: &Generation,
    ) -> (Vec<u8>, Status, u64) {
        let mut response = Vec::new();
        let problem = Response::problem_with(reason, fields.clone());
        let (status, content_sent) =
            self.encode_unrouted(problem, request, generation, &mut response);
        if response.len() <= AT_ONCE {
            return (response, status, content_sent);
        }
        // The socket does not take a large error page at once, and no caller waits for the client.
        let common = self.worker.common_lines(generation.common_fields());
        let response = head_alone(generation, &common, (status, fields));
        (response, status, 0)
    }

    /// Finishes the exchange of a request that belongs to no route.
    pub(super) fn record_unrouted(&self, request: &Unrouted<'_>, outcome: Outcome) {
        if self.endpoint.is_recorded {
            let subject = Subject::Unrouted(request);
            let counted = CountedAs::unrouted(request.glimpse.method);
            let (client, now) = (request.client, runtime::now());
            finish(&self.worker, client, &subject, outcome, counted, now);
        }
    }
}

/// A response of the connection itself, after which it ends, without content.
fn head_alone(
    generation: &Generation,
    common: &[u8],
    (status, fields): (Status, &FieldLines),
) -> Vec<u8> {
    let (policy, own) = (&generation.policy, Octets::Lent(fields.as_bytes()));
    let answer = AnswerKind {
        scope: Scope::Any,
        is_error: status.is_error(),
    };
    let head = ResponseHead {
        status,
        common,
        fields: &policy.change_fields(own, answer, None),
        more_fields: b"",
        framing: ResponseFraming::Length(0),
        persistence: Persistence::Close,
    };
    let mut encoded = Vec::new();
    head.encode(&mut encoded);
    encoded
}
