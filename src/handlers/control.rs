//! The control socket's resources: how a running server is asked and told (DESIGN §5).
//!
//! ```text
//! GET  /status               what runs
//! GET  /explain              where a request would go, which `Explain-…` fields describe
//! POST /reload[?confirm=30s] read the configuration again; with `confirm`, only for that long
//! POST /confirm              keep what was reloaded for a while
//! POST /upgrade              have a new process of the program take over
//! POST /stop                 finish what is in flight and end
//! ```
//!
//! Each is a question to the supervisor, asked on the loop and answered by another thread; meanwhile
//! the loop serves everybody else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::config::parse_duration;
use crate::http::fields::Known;
use crate::http::method::Method;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::format::Format;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::runtime::channel;

/// What the supervisor is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ControlVerb {
    Status,
    /// What has been counted, for everybody to see.
    Counters,
    /// What becomes of a request; these fields tell which.
    Explain(Vec<(String, String)>),
    /// With a time: go back to what ran before unless [`ControlVerb::Confirm`] comes within it.
    Reload {
        confirm_within: Option<Duration>,
    },
    /// Take on a configuration that is no file; errors speak of it as `name`.
    Replace {
        text: String,
        name: PathBuf,
    },
    Confirm,
    Upgrade,
    /// In another time than the configuration's `grace`, if one is given.
    Stop {
        grace: Option<Duration>,
    },
}

/// A question, and where its answer goes.
pub(crate) struct ControlRequest {
    pub(crate) verb: ControlVerb,
    pub(crate) reply: Reply,
}

/// Takes an answer, on any thread. Dropped, it says that there is none.
pub(crate) type Reply = Box<dyn FnOnce(ControlReply) + Send>;

/// An answer, in both of its forms.
pub(crate) struct ControlReply {
    pub(crate) status: Status,
    /// For a person, with its last line end.
    pub(crate) text: String,
    pub(crate) json: Value,
}

/// Hands a request to the supervisor.
pub(crate) type Submit = Arc<dyn Fn(ControlRequest) + Send + Sync>;

pub(crate) struct ControlHandler {
    submit: Submit,
}

impl ControlHandler {
    pub(crate) fn new(submit: Submit) -> Self {
        Self { submit }
    }

    pub(crate) async fn answer(&self, request: &Request<'_>) -> Response<'static> {
        let verb = match parse_verb(request) {
            Ok(verb) => verb,
            Err(status) => return Response::problem(status),
        };
        ask(&self.submit, verb, request).await
    }
}

/// What the supervisor answers, in the form that the client prefers.
pub(super) async fn ask(
    submit: &Submit,
    verb: ControlVerb,
    request: &Request<'_>,
) -> Response<'static> {
    let (sender, mut replies) = channel();
    let reply = Box::new(move |reply| sender.send(reply));
    submit(ControlRequest { verb, reply });
    let Some(reply) = replies.receive().await else {
        // The supervisor is ending.
        return Response::problem(Status::SERVICE_UNAVAILABLE);
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
    }
}

fn parse_verb(request: &Request<'_>) -> Result<ControlVerb, Status> {
    let (method, verb) = match request.path.as_bytes() {
        b"/status" => (Method::Get, ControlVerb::Status),
        b"/explain" => (Method::Get, ControlVerb::Explain(explain_fields(request))),
        b"/reload" => {
            let confirm_within = parse_confirm(request.head.target.query)?;
            (Method::Post, ControlVerb::Reload { confirm_within })
        }
        b"/confirm" => (Method::Post, ControlVerb::Confirm),
        b"/upgrade" => (Method::Post, ControlVerb::Upgrade),
        b"/stop" => (Method::Post, ControlVerb::Stop { grace: None }),
        _ => return Err(Status::NOT_FOUND),
    };
    match request.head.method {
        asked if asked == method => Ok(verb),
        _ => Err(Status::METHOD_NOT_ALLOWED),
    }
}

/// The fields that ask; see `server::Question`.
fn explain_fields(request: &Request<'_>) -> Vec<(String, String)> {
    let asks = |name: &str| name.to_ascii_lowercase().starts_with("explain-");
    let fields = request.head.fields.iter().filter(|(name, _)| asks(name));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    fields
        .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
        .collect()
}

/// `confirm=30s`
fn parse_confirm(query: Option<&[u8]>) -> Result<Option<Duration>, Status> {
    let Some(query) = query else { return Ok(None) };
    let value = query.strip_prefix(b"confirm=").ok_or(Status::BAD_REQUEST)?;
    let text = str::from_utf8(value).map_err(|_| Status::BAD_REQUEST)?;
    parse_duration(text).map(Some).ok_or(Status::BAD_REQUEST)
}
