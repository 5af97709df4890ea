//! `ready = true`: whether clients may be sent to this server, for balancers and orchestrators.

use std::sync::Arc;

use crate::control::reach::{Phase, Reach};
use crate::http::status::Status;
use crate::message::response::Response;
use crate::runtime;
use crate::upstream::Group;

/// The handler of a `ready` route.
pub(crate) struct ReadyHandler {
    /// Each has to have a server that is asked.
    upstreams: Vec<Arc<Group>>,
}

impl ReadyHandler {
    pub(crate) fn new(upstreams: Vec<Arc<Group>>) -> Self {
        Self { upstreams }
    }

    /// 200, or 503 with the reason.
    pub(crate) fn answer(&self, reach: &Reach) -> Response<'static> {
        match reach.readiness.phase() {
            Phase::Starting => return Response::line(Status::SERVICE_UNAVAILABLE, "starting"),
            Phase::Stopping => return Response::line(Status::SERVICE_UNAVAILABLE, "stopping"),
            Phase::Ready => {}
        }
        let now = runtime::now();
        let without = self.upstreams.iter().find(|group| !group.has_server(now));
        match without {
            None => Response::line(Status::OK, "ready"),
            Some(group) => {
                let name = &group.options().name;
                let text = format!("upstream {name} has no server left");
                Response::line(Status::SERVICE_UNAVAILABLE, &text)
            }
        }
    }
}
