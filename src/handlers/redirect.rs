//! `redirect = TARGET`: sends the client elsewhere, with what follows the route's path and with its
//! query.
//!
//! `"/old" = { redirect = "/new" }` sends `/old/a?b` to `/new/a?b`.

use crate::config::model::Redirect;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::message::location::encode_path;
use crate::message::request::Request;
use crate::message::response::Response;

pub(crate) struct RedirectHandler {
    target: String,
    status: Status,
    /// Whether the route matches one path alone, so that nothing follows it.
    is_exact: bool,
}

impl RedirectHandler {
    /// The handler of a route that leads to one path alone if it `is_exact`.
    pub(crate) fn new(redirect: &Redirect, is_exact: bool) -> Self {
        Self {
            target: redirect.target.clone(),
            status: redirect.status,
            is_exact,
        }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Response<'static> {
        // The final slash of `= /` and `= /a/` belongs to the path that the route matches.
        let below = if self.is_exact {
            b""
        } else {
            request.path.below()
        };
        let location = location(&self.target, below, request.head.target.query);
        Response::problem_with(self.status, FieldLines::new().with("Location", location))
    }
}

/// The target, then what follows the route's path, then the queries: the target's own, and the
/// client's.
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
    location.extend(encode_path(below).into_bytes());
    let queries = [own_query.map(str::as_bytes), query];
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
            let found = location(target, below.as_bytes(), query.map(str::as_bytes));
            assert_eq!(
                String::from_utf8_lossy(&found),
                expected,
                "{target} {below}"
            );
        }
    }
}
