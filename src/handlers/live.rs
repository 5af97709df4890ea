//! `live = true`: whether the event loops turn, for orchestrators that start a process anew which hangs.

use std::time::Duration;

use crate::control::reach::Reach;
use crate::http::status::Status;
use crate::message::response::Response;
use crate::runtime::{self, channel};

/// How long an event loop may take to answer. Orchestrators wait for a second unless told otherwise.
const PATIENCE: Duration = Duration::from_millis(750);

/// The handler of a `live` route.
pub(crate) struct LiveHandler;

impl LiveHandler {
    /// 200 when every event loop has answered, or 503.
    pub(crate) async fn answer(&self, reach: &Reach) -> Response<'static> {
        let (reply, mut replies) = channel();
        let asked = (reach.probe)(&reply);
        drop(reply);
        let mut answered = 0;
        // It ends when each loop has sent its reply, or has dropped the sender: that one is about to end.
        let all = runtime::timeout(PATIENCE, async {
            while replies.receive().await.is_some() {
                answered += 1;
            }
        });
        if all.await.is_ok() {
            return Response::line(Status::OK, "live");
        }
        let text = format!("{} of {asked} event loops do not turn", asked - answered);
        Response::line(Status::SERVICE_UNAVAILABLE, &text)
    }
}
