//! One route: its key, its verb, and its policy.

use std::{fmt, slice};

use super::{Place, Policy, RequestText, RoutePattern, Verb, When};
use crate::http::method::Method;

/// A key of `[server.routes]` and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) pattern: RoutePattern,
    /// What else a request must have for the route to answer it. Several routes of one pattern differ
    /// in it, and stand in the order in which they are asked.
    pub(crate) when: When,
    pub(crate) verb: Verb,
    /// The request-target that the handler sees in place of the client's, where it is another. The query is
    /// appended unless it says `{query}`. It does not stand beside `strip_prefix`.
    pub(crate) rewrite: Option<RequestText>,
    /// Whether the part of the path that matched is removed before the verb sees the path.
    pub(crate) strip_prefix: bool,
    pub(crate) policy: Policy,
    pub(crate) place: Place,
}

impl Route {
    /// The methods that its pattern or its `when` names; none: it names none.
    pub(crate) fn methods(&self) -> &[Method] {
        match &self.pattern.method {
            Some(method) => slice::from_ref(method),
            None => self.when.methods(),
        }
    }
}

/// As diagnostics name it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe_route(&self.pattern, &self.place, f)
    }
}

/// Writes a route's key and its place: ``route `/a` (config.toml:7)``.
pub(crate) fn describe_route(
    pattern: &RoutePattern,
    place: &Place,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let Place { file, line, .. } = place;
    write!(f, "route `{pattern}` ({}:{line})", file.display())
}
