//! `redirect = TARGET`: sends the client elsewhere, with what follows the route's path and with its
//! query.
//!
//! `"/old" = { redirect = "/new" }` sends `/old/a?b` to `/new/a?b`. Variables in the target stand for parts
//! of the request: `"/" = { redirect = "https://{host}{path}" }`.

use crate::config::model::{Redirect, RoutePattern};
use crate::http::path::encode_path;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::http::template::{Part, Template, has_empty_authority};
use crate::message::request::Request;
use crate::message::response::Response;
use crate::reason::Reason;

pub(crate) struct RedirectHandler {
    target: Template,
    status: Status,
    /// Whether what follows the route's path is appended. It is not if the route matches one path alone,
    /// or if the target has it already.
    takes_below: bool,
    /// Whether the query is appended: the target has it not already, and does not end in a `?`.
    takes_query: bool,
}

impl RedirectHandler {
    /// The handler of a route with that pattern, which has every parameter of the target.
    pub(crate) fn new(redirect: &Redirect, pattern: &RoutePattern) -> Self {
        let target = redirect.target.resolved(pattern);
        let has_below = target.has(&Part::Path) || target.has(&Part::Rest) || target.has_tail();
        Self {
            takes_below: !pattern.exact && !has_below,
            takes_query: !target.has(&Part::Query) && !drops_query(&redirect.target.written),
            status: redirect.status,
            target,
        }
    }

    /// The response; `None` if it is to be asked again when it is known how the request arrived.
    pub(crate) fn answer_now(&self, request: &Request<'_>) -> Option<Response<'static>> {
        let may_answer = request.arrival.is_some() || !self.target.has(&Part::Scheme);
        may_answer.then(|| self.answer(request))
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Response<'static> {
        // HTTP/1.0 requests may name no host: there is nowhere to lead them.
        if request.head.host.is_empty() && self.target.has(&Part::Host) {
            return Response::problem(Reason::RedirectWithoutHost);
        }
        // The final slash of `= /` and `= /a/` belongs to the path that the route matches.
        let below = if self.takes_below {
            request.path.below()
        } else {
            b""
        };
        let query = request.head.target.query.filter(|_| self.takes_query);
        let target = self.target.location(&request.values());
        let location = location(&target, below, query);
        Response::bare(self.status, FieldLines::new().with("Location", location))
    }
}

/// Whether a target asks for the query to be left out, by a `?` with nothing behind it, as nginx's `rewrite` has it.
fn drops_query(target: &str) -> bool {
    target
        .split('#')
        .next()
        .is_some_and(|target| target.ends_with('?'))
}

/// The target, then what follows the route's path, then the queries: the target's own, and the
/// client's; then the target's fragment.
fn location(target: &[u8], below: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let fragment = target.iter().position(|octet| *octet == b'#');
    let (target, fragment) = target.split_at(fragment.unwrap_or(target.len()));
    let (path, own_query) = match target.iter().position(|octet| *octet == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    let below = if path.ends_with(b"/") && !has_empty_authority(path) {
        below.strip_prefix(b"/").unwrap_or(below)
    } else {
        below
    };
    let mut location = path.to_vec();
    location.extend(encode_path(below).into_bytes());
    if location.is_empty() {
        // A reference without a path leads back to where the client is: to the same redirect (RFC 3986 §5.2.2).
        location.push(b'/');
    }
    let queries = [own_query, query];
    let queries = queries.into_iter().flatten();
    for (index, query) in queries.filter(|query| !query.is_empty()).enumerate() {
        location.push(if index == 0 { b'?' } else { b'&' });
        location.extend_from_slice(query);
    }
    location.extend_from_slice(fragment);
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_at_the_end_drops_the_query() {
        for (target, expected) in [
            ("/new?", true),
            ("https://example.com{path}?#top", true),
            ("/new", false),
            ("/new?a=b", false),
            ("/new?{query}", false),
            ("/new#?", false),
        ] {
            assert_eq!(drops_query(target), expected, "{target}");
        }
        assert_eq!(location(b"/new?", b"/a", None), b"/new/a");
    }

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
            ("/new?k=v", "", Some(""), "/new?k=v"),
            ("/new#top", "/a", Some("x=y"), "/new/a?x=y#top"),
            ("https://example.com", "/a", None, "https://example.com/a"),
            ("x-app://", "/a/b", None, "x-app:///a/b"),
            ("x-app://open/", "/a", None, "x-app://open/a"),
            ("/fetch/https://", "/a/b", None, "/fetch/https://a/b"),
            ("", "", None, "/"),
            ("", "", Some("x=1"), "/?x=1"),
            ("?k=v", "", None, "/?k=v"),
            ("#top", "/a", None, "/a#top"),
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
