//! `status = true`: the server's counters, as JSON or as text. They do not tell where any file is.

use crate::control::ask::ask;
use crate::control::{ControlVerb, Submit};
use crate::message::request::Request;
use crate::message::response::Response;

/// The handler of a `status` route.
pub(crate) struct StatusHandler;

impl StatusHandler {
    /// The counters, which the supervisor adds up.
    pub(crate) async fn answer(&self, request: &Request<'_>, submit: &Submit) -> Response<'static> {
        ask(submit, ControlVerb::Counters, request).await
    }
}
