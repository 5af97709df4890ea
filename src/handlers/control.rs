//! The control socket's resources: a request becomes a question for the supervisor. Metrics and what is shown
//! live are none, because they are wanted while a reload goes on, too; nor are exchanges, which come from the
//! workers.

mod exchanges;

use std::time::Duration;

use crate::config::parse_duration;
use crate::control::ask::ask;
use crate::control::reach::Reach;
use crate::control::{ControlVerb, live, scrape};
use crate::http::method::Method;
use crate::http::status::Status;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::reason::Reason;
use crate::runtime::BlockingPool;

/// The handler of the control socket.
pub(crate) struct ControlHandler;

impl ControlHandler {
    /// The supervisor's reply to `request`; metrics and snapshots are made without it, by a thread of `pool`.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        reach: &Reach,
        pool: &BlockingPool,
    ) -> Response<'static> {
        let is_get = request.head.method == Method::Get;
        match request.path.as_bytes() {
            b"/metrics" | b"/live" if !is_get => {
                return Response::problem(Reason::MethodNotAllowed);
            }
            b"/metrics" => return scrape::answer(request, &reach.scrape, pool).await,
            b"/live" => return live::answer::negotiated(request, &reach.live, pool).await,
            _ => {}
        }
        let of_exchanges = match request.path.as_bytes() {
            b"/exchanges" => Some(exchanges::Resource::Exchanges),
            b"/failures" => Some(exchanges::Resource::Failures),
            _ => None,
        };
        if let Some(resource) = of_exchanges {
            return match request.head.method {
                Method::Get => resource.answer(request.head.target.query, reach).await,
                _ => Response::problem(Reason::MethodNotAllowed),
            };
        }
        let verb = match parse_verb(request) {
            Ok(verb) => verb,
            Err(NoVerb::Because(reason)) => return Response::problem(reason),
            Err(NoVerb::Malformed(sentence)) => {
                return Response::line(Status::BAD_REQUEST, sentence);
            }
        };
        ask(&reach.submit, verb, request).await
    }
}

/// Why a request asks for nothing that there is.
enum NoVerb {
    Because(Reason),
    /// What is wrong with its query.
    Malformed(&'static str),
}

fn parse_verb(request: &Request<'_>) -> Result<ControlVerb, NoVerb> {
    let (method, verb) = match request.path.as_bytes() {
        b"/status" => (Method::Get, ControlVerb::Status),
        b"/explain" => (Method::Get, ControlVerb::Explain(explain_fields(request))),
        b"/reload" => {
            let confirm_within = parse_confirm(request.head.target.query)?;
            (Method::Post, ControlVerb::Reload { confirm_within })
        }
        b"/confirm" => (Method::Post, ControlVerb::Confirm),
        b"/upstream/drain" | b"/upstream/enable" => {
            let verb = ControlVerb::Drain {
                server: query_value(
                    request.head.target.query,
                    "server",
                    "no server is named; write ?server=UPSTREAM/ADDRESS",
                )?,
                drained: request.path.as_bytes() == b"/upstream/drain",
            };
            (Method::Post, verb)
        }
        b"/restart-app" => {
            let no_app = "no application is named; write ?app=NAME";
            let name = query_value(request.head.target.query, "app", no_app)?;
            (Method::Post, ControlVerb::RestartApp { name })
        }
        b"/acme/roll-key" => (Method::Post, ControlVerb::RollAccountKey),
        b"/upgrade" => (Method::Post, ControlVerb::Upgrade),
        b"/stop" => (Method::Post, ControlVerb::Stop { grace: None }),
        _ => return Err(NoVerb::Because(Reason::NoRoute)),
    };
    match request.head.method {
        asked if asked == method => Ok(verb),
        _ => Err(NoVerb::Because(Reason::MethodNotAllowed)),
    }
}

/// The fields that carry the question; see `control::question`.
fn explain_fields(request: &Request<'_>) -> Vec<(String, String)> {
    let asks = |name: &str| name.to_ascii_lowercase().starts_with("explain-");
    let fields = request.head.fields.iter().filter(|(name, _)| asks(name));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    fields
        .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
        .collect()
}

/// Parses `confirm=30s`. No time at all would take the reload back before any client could confirm it.
fn parse_confirm(query: Option<&[u8]>) -> Result<Option<Duration>, NoVerb> {
    let Some(query) = query else { return Ok(None) };
    let value = query
        .strip_prefix(b"confirm=")
        .ok_or(NoVerb::Malformed("a reload takes ?confirm=TIME alone"))?;
    let time = str::from_utf8(value).ok().and_then(parse_duration);
    let time = time.filter(|time| !time.is_zero());
    let why = "`confirm` is no time; write ?confirm=30s";
    time.map(Some).ok_or(NoVerb::Malformed(why))
}

/// The value of `wanted` in a query such as `server=shop%2F127.0.0.1%3A8000`; `lacking` says that it is missing.
fn query_value(
    query: Option<&[u8]>,
    wanted: &str,
    lacking: &'static str,
) -> Result<String, NoVerb> {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default());
    let found = pairs.find(|(name, _)| name == wanted);
    found
        .map(|(_, value)| value.into_owned())
        .ok_or(NoVerb::Malformed(lacking))
}
