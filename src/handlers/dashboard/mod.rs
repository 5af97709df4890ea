//! `dashboard = true`: the live page, and the stream of events that it is made from.
//!
//! ```text
//! GET /dash           the page, one document
//! GET /dash?events    server-sent events, a snapshot each second
//! ```
//!
//! The stream is told from the page by its query, so that a page finds it at its own address, whatever the
//! route is called and whether or not that ends in a slash.
//!
//! A reload ends no stream, unless it takes the route out or changes who may open it ([`Presence`]).

mod page;

use std::sync::Arc;

use crate::control::live::{Live, Way, answer};
use crate::message::presence::Presence;
use crate::message::request::Request;
use crate::message::response::Response;

/// The handler of a `dashboard` route.
pub(crate) struct DashboardHandler {
    /// Whether the route is still there, for the same clients, as it was when its streams began.
    life: Arc<Presence>,
}

impl DashboardHandler {
    pub(crate) fn new(life: Arc<Presence>) -> Self {
        Self { life }
    }

    /// The page, or the stream of `live`.
    pub(crate) fn answer(&self, request: &Request<'_>, live: &Arc<Live>) -> Response<'static> {
        if !asks_for_events(request.head.target.query) {
            return page::answer(request);
        }
        let life = Arc::clone(&self.life);
        answer::stream(request, (live, Way::Route), move || life.is_there())
    }
}

/// Whether `query` has the parameter `events`.
fn asks_for_events(query: Option<&[u8]>) -> bool {
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default());
    pairs.any(|(name, _)| name == "events")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_asks_for_events() {
        for (query, expected) in [
            (None, false),
            (Some(""), false),
            (Some("events"), true),
            (Some("events="), true),
            (Some("a=1&events"), true),
            (Some("event"), false),
            (Some("a=events"), false),
        ] {
            assert_eq!(
                asks_for_events(query.map(str::as_bytes)),
                expected,
                "{query:?}"
            );
        }
    }
}
