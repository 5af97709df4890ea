//! Fields that a route has its clients not get from an upstream: those that `headers` removes or sets, those of
//! `cors`, and the id of an exchange where this server gives it one. The head of a final response is changed where
//! responses are finished; interim responses and trailer sections do not come by there.

use crate::config::model::{Policy, Route};
use crate::message::request_id::REQUEST_ID;

/// Fields that are taken off interim responses and trailer sections.
#[derive(Default)]
pub(super) struct Withheld {
    names: Vec<String>,
    /// Whether the server itself says what scripts of other origins may do.
    has_cors: bool,
}

impl Withheld {
    /// Those of `route`.
    pub(super) fn of(route: &Route) -> Self {
        let Policy {
            headers,
            cors,
            request_id,
            ..
        } = &route.policy;
        let set = headers.set.iter().map(|(name, _)| name);
        let id = request_id.then(|| REQUEST_ID.to_owned());
        let changed = headers.remove.iter().chain(set).cloned();
        Self {
            names: changed.chain(id).collect(),
            has_cors: cors.is_some(),
        }
    }

    /// Whether the field of that name is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        let mut names = self.names.iter();
        names.any(|withheld| withheld.eq_ignore_ascii_case(name))
            || self.has_cors && begins_with(name, "Access-Control-")
    }
}

/// Whether `name` begins with `prefix`, in any case.
pub(super) fn begins_with(name: &str, prefix: &str) -> bool {
    let start = name.get(..prefix.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
