//! `redirect = TARGET`: sends the client elsewhere, with what follows the route's path and with its
//! query.
//!
//! `"/old" = { redirect = "/new" }` sends `/old/a?b` to `/new/a?b`. Variables in the target stand for parts
//! of the request: `"/" = { redirect = "https://{host}{path}" }`.

use crate::config::model::{Redirect, ResolvedPart, RoutePattern, TargetPart};
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::location::encode_path;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::reason::Reason;

pub(crate) struct RedirectHandler {
    parts: Vec<ResolvedPart>,
    status: Status,
    /// Whether what follows the route's path is appended. It is not if the route matches one path alone,
    /// or if the target has it already.
    takes_below: bool,
    /// Whether the query is appended: the target has it not already.
    takes_query: bool,
}

impl RedirectHandler {
    /// The handler of a route with that pattern, which has every parameter of the target.
    pub(crate) fn new(redirect: &Redirect, pattern: &RoutePattern) -> Self {
        let has = |part: &TargetPart| redirect.target.parts.contains(part);
        Self {
            takes_below: !pattern.exact && !has(&TargetPart::Path) && !has(&TargetPart::Rest),
            takes_query: !has(&TargetPart::Query),
            parts: redirect.target.resolved(|name| pattern.parameter(name)),
            status: redirect.status,
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Response<'static> {
        let is_host = |part: &ResolvedPart| matches!(part, ResolvedPart::Host);
        // HTTP/1.0 requests may name no host: there is nowhere to lead them.
        if request.head.host.is_empty() && self.parts.iter().any(is_host) {
            return Response::problem(Reason::RedirectWithoutHost);
        }
        // The final slash of `= /` and `= /a/` belongs to the path that the route matches.
        let below = if self.takes_below {
            request.path.below()
        } else {
            b""
        };
        let query = request.head.target.query.filter(|_| self.takes_query);
        let location = location(&self.target(request), below, query);
        Response::bare(self.status, FieldLines::new().with("Location", location))
    }

    /// The target, with the request's values in the place of variables.
    fn target(&self, request: &Request<'_>) -> Vec<u8> {
        let mut target = Vec::new();
        for part in &self.parts {
            match part {
                ResolvedPart::Text(text) => target.extend_from_slice(text.as_bytes()),
                ResolvedPart::Host => target.extend_from_slice(request.head.host),
                ResolvedPart::Path => {
                    target.extend(encode_path(request.path.as_bytes()).into_bytes())
                }
                ResolvedPart::Rest => target.extend(encode_path(request.path.below()).into_bytes()),
                ResolvedPart::Query => {
                    target.extend_from_slice(request.head.target.query.unwrap_or_default())
                }
                ResolvedPart::Segment(index) => {
                    let segment = request.path.segments().nth(*index).unwrap_or_default();
                    target.extend(encode_path(segment).into_bytes());
                }
            }
        }
        if !self.takes_query && target.ends_with(b"?") {
            target.pop();
        }
        target
    }
}

/// The target, then what follows the route's path, then the queries: the target's own, and the
/// client's.
fn location(target: &[u8], below: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let (path, own_query) = match target.iter().position(|octet| *octet == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    let below = if path.ends_with(b"/") {
        below.strip_prefix(b"/").unwrap_or(below)
    } else {
        below
    };
    let mut location = path.to_vec();
    location.extend(encode_path(below).into_bytes());
    let queries = [own_query, query];
    for (index, query) in queries.into_iter().flatten().enumerate() {
        location.push(if index == 0 { b'?' } else { b'&' });
        location.extend_from_slice(query);
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_locations() {
        for (target, below, query, expected) in [
            ("/new", "", None, "/new"),
            ("/new", "/a b", None, "/new/a%20b"),
            ("/new/", "/a", None, "/new/a"),
            ("/", "old/path", None, "/old/path"),
            ("/", "/\\example.com", None, "/%5Cexample.com"),
            ("/new", "/50%", Some("x=y"), "/new/50%25?x=y"),
            ("/new", "/AC\0DC", None, "/new/AC%2FDC"),
            ("/new?k=v", "", Some("x=y"), "/new?k=v&x=y"),
            ("https://example.com", "/a", None, "https://example.com/a"),
            (
                "https://example.com/",
                "/é",
                None,
                "https://example.com/%C3%A9",
            ),
        ] {
            let found = location(
                target.as_bytes(),
                below.as_bytes(),
                query.map(str::as_bytes),
            );
            assert_eq!(
                String::from_utf8_lossy(&found),
                expected,
                "{target} {below}"
            );
        }
    }
}
