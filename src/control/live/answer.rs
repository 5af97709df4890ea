//! Snapshots as responses: one, or a stream of them.

use std::sync::Arc;

use super::{EventReader, Live, Refusal, Way};
use crate::http::fields::Known;
use crate::http::negotiation;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{
    BrokenOff, Content, ContentSource, ContentStream, LocalFuture, Octets,
};
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::reason::Reason;
use crate::runtime::BlockingPool;

const EVENT_STREAM: &str = "text/event-stream";

/// The stream of snapshots if `Accept` names it, and otherwise one snapshot, which a thread of `pool` makes.
pub(crate) async fn negotiated(
    request: &Request<'_>,
    live: &Arc<Live>,
    pool: &BlockingPool,
) -> Response<'static> {
    let accept = request.head.fields.combined(Known::Accept);
    let accept = accept.as_deref().unwrap_or_default();
    if negotiation::names_type(accept, EVENT_STREAM.as_bytes()) {
        return stream(request, (live, Way::ControlSocket), || true);
    }
    let live = Arc::clone(live);
    let Ok(snapshot) = pool.run(move || live.snapshot()).await else {
        return Response::busy(Reason::ThreadsBusy);
    };
    let fields = FieldLines::new()
        .with("Content-Type", "application/json")
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept");
    let text = format!("{snapshot}\n");
    Response {
        status: Status::OK,
        fields: fields.into(),
        content: Content::Octets(Octets::Owned(text.into_bytes())),
        common: CommonFields::DateAndServer,
    }
}

/// The stream of snapshots for a viewer who has come that `way`, as server-sent events. It ends when the server
/// stops, and in the place of the first event for which `goes_on` returns `false`.
pub(crate) fn stream(
    request: &Request<'_>,
    (live, way): (&Arc<Live>, Way),
    goes_on: impl Fn() -> bool + 'static,
) -> Response<'static> {
    let stream = if request.head.is_head() {
        ContentStream::unsent(None)
    } else {
        match live.subscribe(way) {
            Ok(reader) => ContentStream::new(None, Box::new(Events { reader, goes_on })),
            Err(Refusal::TooMany) => return Response::busy(Reason::TooManyViewers),
            Err(Refusal::NoThread) => return Response::busy(Reason::ThreadsBusy),
            Err(Refusal::Stopping) => {
                return Response::problem_of(Status::SERVICE_UNAVAILABLE, Reason::Stopped);
            }
        }
    };
    let fields = FieldLines::new()
        .with("Content-Type", EVENT_STREAM)
        .with("Cache-Control", "no-store")
        // Has nginx, if it stands in front, pass events on as they come.
        .with("X-Accel-Buffering", "no");
    Response {
        status: Status::OK,
        fields: fields.into(),
        content: Content::Stream(stream),
        common: CommonFields::DateAndServer,
    }
}

/// The events of one viewer.
struct Events<F> {
    reader: EventReader,
    goes_on: F,
}

impl<F: Fn() -> bool> ContentSource for Events<F> {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move {
            let start = into.len();
            let read = self.reader.read(into).await;
            if !(self.goes_on)() {
                into.truncate(start);
                return Ok(false);
            }
            read.map_err(|_| BrokenOff::Maker("the thread of the live page panicked".to_owned()))
        })
    }
}
