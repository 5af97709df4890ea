//! `status = true`: what the server has counted, as JSON or as text; nothing of it tells where
//! anything lies.

use std::sync::Arc;

use crate::control::ask::ask;
use crate::control::{ControlVerb, Submit};
use crate::message::request::Request;
use crate::message::response::Response;

pub(crate) struct StatusHandler {
    submit: Submit,
}

impl StatusHandler {
    pub(crate) fn new(submit: &Submit) -> Self {
        let submit = Arc::clone(submit);
        Self { submit }
    }

    pub(crate) async fn answer(&self, request: &Request<'_>) -> Response<'static> {
        ask(&self.submit, ControlVerb::Counters, request).await
    }
}
