//! Asks the supervisor from a worker's loop.

use super::{ControlRequest, ControlVerb, Submit};
use crate::http::fields::Known;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::format::Format;
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::reason::Reason;
use crate::runtime::channel;

/// Hands `verb` to the supervisor, waits for the reply, and returns it as a response in the form that
/// the client of `request` prefers. If the supervisor is ending, that is 503.
pub(crate) async fn ask(
    submit: &Submit,
    verb: ControlVerb,
    request: &Request<'_>,
) -> Response<'static> {
    let (sender, mut replies) = channel();
    let reply = Box::new(move |reply| sender.send(reply));
    submit(ControlRequest { verb, reply });
    let Some(reply) = replies.receive().await else {
        // The supervisor is ending.
        return Response::problem_of(Status::SERVICE_UNAVAILABLE, Reason::Stopped);
    };
    let accept = request.head.fields.combined(Known::Accept);
    let (format, content) = match Format::preferred(accept.as_deref()) {
        Format::Json => (Format::Json, format!("{:#}\n", reply.json)),
        Format::Html | Format::Text => (Format::Text, reply.text),
    };
    let fields = FieldLines::new()
        .with("Content-Type", format.content_type())
        .with("Cache-Control", "no-store");
    let content = Content::Octets(Octets::Owned(content.into_bytes()));
    Response {
        status: reply.status,
        fields: fields.into(),
        content,
        common: CommonFields::DateAndServer,
    }
}
