//! `status = true`: what the server has counted, as JSON or as text; nothing of it tells where
//! anything lies.

use crate::control::ask::ask;
use crate::control::{ControlVerb, Submit};
use crate::message::request::Request;
use crate::message::response::Response;

/// The handler of a `status` route.
pub(crate) struct StatusHandler;

impl StatusHandler {
    /// The counts, asked of the supervisor.
    pub(crate) async fn answer(&self, request: &Request<'_>, submit: &Submit) -> Response<'static> {
        ask(submit, ControlVerb::Counters, request).await
    }
}
