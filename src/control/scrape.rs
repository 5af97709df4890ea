//! The metrics as a response, in the form that the client prefers.

use std::sync::Arc;

use super::reach::Scrape;
use crate::http::fields::Known;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::content::{Content, Octets};
use crate::message::request::Request;
use crate::message::response::{CommonFields, Response};
use crate::metrics::exposition::Form;
use crate::reason::Reason;
use crate::runtime::BlockingPool;

/// Has a thread of `pool` write the metrics, and returns them as a response. If the pool is full, that is
/// 503.
pub(crate) async fn answer(
    request: &Request<'_>,
    scrape: &Scrape,
    pool: &BlockingPool,
) -> Response<'static> {
    let accept = request.head.fields.combined(Known::Accept);
    let form = Form::preferred(accept.as_deref());
    let scrape = Arc::clone(scrape);
    let Ok(text) = pool.run(move || scrape(form)).await else {
        return Response::busy(Reason::ThreadsBusy);
    };
    let fields = FieldLines::new()
        .with("Content-Type", form.content_type())
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept");
    Response {
        status: Status::OK,
        fields: fields.into(),
        content: Content::Octets(Octets::Owned(text.into_bytes())),
        common: CommonFields::DateAndServer,
    }
}
