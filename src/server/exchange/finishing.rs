//! An answer with its framing: how its content is delimited, and what becomes of the connection.

use crate::generation::Generation;
use crate::generation::policy::{ServingPolicy, joined};
use crate::http::fields::Known;
use crate::http::request::{RequestHead, Version};
use crate::http::response::{Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::format::Format;
use crate::message::problem;
use crate::message::response::Response;
use crate::server::worker::Worker;

/// An answer, framed: everything but the bytes of its head.
pub(crate) struct Framed<'a> {
    pub(crate) status: Status,
    fields: Octets<'a>,
    pub(crate) framing: ResponseFraming,
    persistence: Persistence,
    /// What goes on the wire: nothing, in answer to HEAD.
    pub(crate) content: Content<'a>,
    /// Whether the operator wants to hear of the server.
    has_server_field: bool,
}

/// What framing has to know of the request; of one that could not be read, nothing.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    is_head: bool,
    version: Version,
    accept: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    pub(crate) fn by(head: &RequestHead<'a>) -> Self {
        Self {
            is_head: head.is_head(),
            version: head.version,
            accept: head.fields.first(Known::Accept),
        }
    }

    /// By a request that could not be read.
    pub(crate) fn unreadably() -> Self {
        Self {
            is_head: false,
            version: Version::Http11,
            accept: None,
        }
    }
}

impl<'a> Framed<'a> {
    /// Frames `response` for a client that asked so (RFC 9112 §6.3), on a connection that may
    /// persist or not, with what `policy` makes of every answer.
    pub(crate) fn new(
        response: Response<'a>,
        policy: &'a ServingPolicy,
        asked: Asked<'_>,
        may_persist: bool,
    ) -> Self {
        let response = with_own_words(policy.with_error_page(response), asked.accept);
        let framing = match response.content.length() {
            _ if response.status.forbids_content() => ResponseFraming::None,
            Some(length) => ResponseFraming::Length(length),
            None if asked.version == Version::Http11 => ResponseFraming::Chunked,
            None => ResponseFraming::Close,
        };
        let persistence = match asked.version {
            _ if !may_persist || framing == ResponseFraming::Close => Persistence::Close,
            Version::Http11 => Persistence::Implied,
            Version::Http10 => Persistence::KeepAlive,
        };
        let has_content = !asked.is_head && framing != ResponseFraming::None;
        let content = if has_content {
            response.content
        } else {
            Content::Empty
        };
        Self {
            status: response.status,
            fields: policy.change_fields(response.fields),
            framing,
            persistence,
            content,
            has_server_field: policy.leaves("Server"),
        }
    }

    /// The field lines, but those of the connection and the framing, taken apart.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(&self.fields);
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        lines
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Whether the connection goes on after it.
    pub(crate) fn persists(&self) -> bool {
        self.persistence != Persistence::Close
    }

    /// Appends the head to `out`.
    pub(crate) fn encode_head(&self, worker: &Worker, generation: &Generation, out: &mut Vec<u8>) {
        let has_server_field = generation.server_field && self.has_server_field;
        let head = ResponseHead {
            status: self.status,
            common: &worker.common_lines(has_server_field),
            fields: &self.fields,
            framing: self.framing,
            persistence: self.persistence,
        };
        head.encode(out);
    }
}

/// Puts the server's own words where a response leaves them to it.
fn with_own_words<'a>(response: Response<'a>, accept: Option<&[u8]>) -> Response<'a> {
    if !matches!(response.content, Content::Problem) {
        return response;
    }
    if !response.status.is_error() {
        return Response {
            content: Content::Empty,
            ..response
        };
    }
    let own = problem::prepared(response.status, Format::preferred(accept));
    Response {
        status: response.status,
        fields: joined(response.fields, &own.fields),
        content: Content::Octets(Octets::Lent(&own.content)),
    }
}
