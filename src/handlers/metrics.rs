//! `metrics = true`: what the server counts, in a form of Prometheus.

use crate::control::reach::Reach;
use crate::control::scrape;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::runtime::BlockingPool;

/// The handler of a `metrics` route.
pub(crate) struct MetricsHandler;

impl MetricsHandler {
    /// The metrics, which a thread of `pool` writes.
    pub(crate) async fn answer(
        &self,
        request: &Request<'_>,
        reach: &Reach,
        pool: &BlockingPool,
    ) -> Response<'static> {
        scrape::answer(request, &reach.scrape, pool).await
    }
}
