//! `rewrite`: from a request to the target that the handler of its route sees.

use crate::config::model::{RequestText, RoutePattern};
use crate::http::raw_path::has_dot_segments;
use crate::http::template::{Part, Place, Template, Values};

/// The target that a route's handler is asked for.
#[derive(Debug)]
pub(crate) struct Rewrite {
    template: Template,
}

impl Rewrite {
    /// The rewrite of a route with that pattern.
    pub(super) fn new(text: &RequestText, pattern: &RoutePattern) -> Self {
        Self {
            template: text.resolved(pattern),
        }
    }

    /// The path, and perhaps the query, for a request with these values, whose paths are as the client
    /// sent them. `None`: they make no path, because the client names no host, or because a value is a dot
    /// segment: it would lead to another path than the operator says. Whether the path has a normal form
    /// ([`NormalPath`](crate::http::path::NormalPath)) is for the caller to find out.
    pub(crate) fn target(&self, values: &Values<'_>) -> Option<String> {
        if values.host.is_empty() && self.template.has(&Part::Host) {
            return None;
        }
        let mut target = Vec::new();
        self.template.fill(values, Place::Uri, &mut target);
        let has_query = target.contains(&b'?');
        if let Some(query) = values.query.filter(|query| !query.is_empty())
            && !self.template.has(&Part::Query)
        {
            target.push(if has_query { b'&' } else { b'?' });
            target.extend_from_slice(query);
        }
        let path = target.split(|octet| *octet == b'?').next();
        let is_path = path.is_some_and(|path| path.starts_with(b"/") && !has_dot_segments(path));
        // A client's target is text, and so are its parts.
        String::from_utf8(target).ok().filter(|_| is_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rewrite;
    use crate::http::raw_path::behind_segments;

    /// What becomes of a request for `sent` at the route `/shop/{id}`, rewritten to `text`.
    fn target(text: &str, sent: &str) -> Option<String> {
        let (text, pattern) = rewrite(text, "/shop/{id}");
        let (path, query) = match sent.split_once('?') {
            Some((path, query)) => (path, Some(query.as_bytes())),
            None => (sent, None),
        };
        let path = path.as_bytes();
        Rewrite::new(&text, &pattern).target(&Values {
            path,
            rest: behind_segments(path, 2),
            matched: path,
            is_sent: true,
            query,
            host: b"..",
            is_https: false,
            method: "GET",
            client: None,
        })
    }

    #[test]
    fn a_target_is_made_of_what_the_client_sent() {
        for (text, sent, expected) in [
            ("/item?id={id}&{query}", "/shop/7", "/item?id=7"),
            ("/item?id={id}&{query}", "/shop/7?a=1", "/item?id=7&a=1"),
            ("/item?id={id}&{query}", "/shop/7?", "/item?id=7"),
            ("/item?id={id}", "/shop/7?a=1", "/item?id=7&a=1"),
            ("/item?id={id}", "/shop/7?", "/item?id=7"),
            ("/item/{id}", "/shop/a%2Fb?x=%00", "/item/a%2Fb?x=%00"),
            ("/item?id={id}", "/shop/a&admin=1", "/item?id=a%26admin%3D1"),
            ("/item?id={id}", "/shop/a+b%26", "/item?id=a%2Bb%26"),
            ("/item/{id}", "/shop/%0d%0aX:%201", "/item/%0d%0aX:%201"),
            ("/v2{path}", "//shop//7/x", "/v2//shop//7/x"),
            ("/v2/{rest}", "/shop/7/x/", "/v2/x/"),
            ("/v2{rest}", "/shop/7", "/v2"),
            ("{path}?{query}", "/shop/7", "/shop/7"),
            ("{path}?{query}&v=2", "/shop/7", "/shop/7?v=2"),
            ("/item/{id}", "/shop/\u{e9}", "/item/\u{e9}"),
        ] {
            assert_eq!(
                target(text, sent).as_deref(),
                Some(expected),
                "{text} {sent}"
            );
        }
    }

    #[test]
    fn a_long_name_is_one_segment_of_the_same_length() {
        let name = "%41".repeat(8 * 1024 / 3);
        let found = target("/item/{id}/x", &format!("/shop/{name}"));
        assert_eq!(found, Some(format!("/item/{name}/x")));
    }

    #[test]
    fn a_value_is_no_dot_segment() {
        for (text, sent) in [
            ("/{host}{path}", "/shop/7"),
            ("/a/{host}/b", "/shop/7"),
            ("/.{rest}", "/shop/7"),
        ] {
            assert_eq!(target(text, sent), None, "{text}");
        }
        assert_eq!(target("/a/{host}x", "/shop/7").as_deref(), Some("/a/..x"));
    }
}
