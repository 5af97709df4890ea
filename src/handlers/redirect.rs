//! `redirect = TARGET`: the client is sent elsewhere, with what stood below the route's path and
//! with its query.
//!
//! `"/old" = { redirect = "/new" }` sends `/old/a?b` to `/new/a?b`.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::config::model::Redirect;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::request::Request;
use crate::message::response::Response;

/// What a path may not hold as it is (RFC 3986 §3.3), and `%` itself, for the path was decoded.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

pub(crate) struct RedirectHandler {
    target: String,
    status: Status,
}

impl RedirectHandler {
    pub(crate) fn new(redirect: &Redirect) -> Self {
        Self {
            target: redirect.target.clone(),
            status: redirect.status,
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Response<'static> {
        let below = &request.path.as_bytes()[request.matched..];
        let location = location(&self.target, below, request.head.target.query);
        Response::problem_with(self.status, FieldLines::new().with("Location", location))
    }
}

/// The target, then what is below the route's path, then the query: the client's, after the
/// target's own.
fn location(target: &str, below: &[u8], query: Option<&[u8]>) -> Vec<u8> {
    let (path, own_query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let below = if path.ends_with('/') {
        below.strip_prefix(b"/").unwrap_or(below)
    } else {
        below
    };
    let mut location = path.as_bytes().to_vec();
    location.extend(percent_encode(below, PATH).flat_map(str::bytes));
    let queries = [own_query.map(str::as_bytes), query];
    for (index, query) in queries.into_iter().flatten().enumerate() {
        location.push(if index == 0 { b'?' } else { b'&' });
        location.extend_from_slice(query);
    }
    location
}

/// A segment as it stands in a relative link: encoded, and never taken for a scheme.
pub(crate) fn relative_segment(segment: &[u8]) -> String {
    // RFC 3986 §4.2: a first segment with a colon would be one.
    let prefix = if segment.contains(&b':') { "./" } else { "" };
    format!("{prefix}{}", percent_encode(segment, PATH))
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
            ("/new", "/50%", Some("x=y"), "/new/50%25?x=y"),
            ("/new?k=v", "", Some("x=y"), "/new?k=v&x=y"),
            ("https://example.com", "/a", None, "https://example.com/a"),
            (
                "https://example.com/",
                "/é",
                None,
                "https://example.com/%C3%A9",
            ),
        ] {
            let found = location(target, below.as_bytes(), query.map(str::as_bytes));
            assert_eq!(
                String::from_utf8_lossy(&found),
                expected,
                "{target} {below}"
            );
        }
    }

    #[test]
    fn a_segment_is_never_a_scheme() {
        assert_eq!(relative_segment(b"a:b"), "./a:b");
        assert_eq!(relative_segment(b"a?b"), "a%3Fb");
    }
}
