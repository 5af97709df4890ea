//! The path of a request together with how much of it its route covers.

use crate::http::path::NormalPath;

/// A request's path, and the part of it that the route's pattern covers.
///
/// ```text
/// route "/docs", request /docs/a/b.html
///   as_bytes   /docs/a/b.html
///   covered    /docs
///   below           /a/b.html     empty, or from a slash on
///   stripped        /a/b.html     as below; `/` where nothing is below
/// ```
///
/// All of it is decoded and normal; an encoded slash stands as
/// [`ENCODED_SLASH`](crate::http::path::ENCODED_SLASH). A proxy must not decode: it finds the path as
/// the client sent it in the request-target. That form, and its part below the route, belong here once
/// a second handler needs them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoutedPath<'r> {
    whole: &'r NormalPath<'r>,
    /// Octets; ends on a segment boundary.
    covered: usize,
}

impl<'r> RoutedPath<'r> {
    /// The path `whole`, of which a pattern covers the first `covered` octets.
    pub(crate) fn new(whole: &'r NormalPath<'r>, covered: usize) -> Self {
        debug_assert!(covered <= whole.as_bytes().len(), "a part of the path");
        Self { whole, covered }
    }

    /// The whole path.
    pub(crate) fn whole(&self) -> &'r NormalPath<'r> {
        self.whole
    }

    /// The octets of the whole path.
    pub(crate) fn as_bytes(&self) -> &'r [u8] {
        self.whole.as_bytes()
    }

    /// The part that the route's pattern covers; empty for the route `/`.
    pub(crate) fn covered(&self) -> &'r [u8] {
        &self.as_bytes()[..self.covered]
    }

    /// What follows the part that the pattern covers: empty, or from a slash on.
    pub(crate) fn below(&self) -> &'r [u8] {
        &self.as_bytes()[self.covered..]
    }

    /// The path without the part that the pattern covers; `/` where nothing is left.
    pub(crate) fn stripped(&self) -> NormalPath<'r> {
        self.whole.strip_prefix(self.covered)
    }

    /// Whether it ends in `/`, and so names a directory.
    pub(crate) fn is_directory(&self) -> bool {
        self.whole.is_directory()
    }

    /// Whether it is the route's own path without a final slash. Where the route leads to a
    /// directory, relative links in an answer to it would go astray.
    pub(crate) fn is_route_without_slash(&self) -> bool {
        self.covered > 0 && self.below().is_empty() && !self.is_directory()
    }

    /// Its segments, without their slashes; the last is empty if the path names a directory.
    pub(crate) fn segments(&self) -> impl DoubleEndedIterator<Item = &'r [u8]> + use<'r> {
        self.as_bytes()[1..].split(|byte| *byte == b'/')
    }

    /// Its last segment; empty if the path names a directory.
    pub(crate) fn last_segment(&self) -> &'r [u8] {
        self.segments().next_back().unwrap_or_default()
    }

    /// The whole path, split `end` octets behind the part that the pattern covers.
    pub(crate) fn split_below(&self, end: usize) -> (&'r [u8], &'r [u8]) {
        self.as_bytes().split_at(self.covered + end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_splits_a_path() {
        for (path, route, below, stripped, is_route_without_slash, last) in [
            ("/docs/a/b", "/docs", "/a/b", "/a/b", false, "b"),
            ("/docs/", "/docs", "/", "/", false, ""),
            ("/docs", "/docs", "", "/", true, "docs"),
            ("/a", "", "/a", "/a", false, "a"),
            ("/", "", "/", "/", false, ""),
            ("/u/7", "/u/7", "", "/", true, "7"),
        ] {
            let whole = NormalPath::parse(path.as_bytes()).expect("a path");
            let routed = RoutedPath::new(&whole, route.len());
            assert_eq!(routed.covered(), route.as_bytes(), "{path}");
            assert_eq!(routed.below(), below.as_bytes(), "{path}");
            assert_eq!(routed.stripped().as_bytes(), stripped.as_bytes(), "{path}");
            assert_eq!(
                routed.is_route_without_slash(),
                is_route_without_slash,
                "{path}"
            );
            assert_eq!(routed.last_segment(), last.as_bytes(), "{path}");
        }
    }

    #[test]
    fn a_split_below_keeps_the_route_in_the_first_part() {
        let whole = NormalPath::parse(b"/cgi/x.py/info").expect("a path");
        let routed = RoutedPath::new(&whole, "/cgi".len());
        let (script, info) = routed.split_below("/x.py".len());
        assert_eq!((script, info), (&b"/cgi/x.py"[..], &b"/info"[..]));
        let segments: Vec<_> = routed.segments().collect();
        assert_eq!(segments, [&b"cgi"[..], b"x.py", b"info"]);
    }
}
