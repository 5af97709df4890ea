//! The path of a request-target as the client wrote it, for a gateway to pass on.
//!
//! A gateway must not decode a path and encode it again: `%2F` would become a separator, and two
//! spellings of one path would become one. Only dot segments are resolved, because routing has resolved
//! them too: what matched a route is what its upstream is asked for.
//!
//! ```text
//! /a/%2e%2e/b%2Fc//d     as the client wrote it
//! /b/c/d                 the normal path, which routing saw, with an encoded slash behind `b`
//! /b%2Fc//d              what the upstream is asked for
//! ```

use std::borrow::Cow;

/// Returns `raw`, a path that has a [normal form](super::path::NormalPath), without its dot segments.
/// `..` takes the segment away that it takes away from the normal form, which has no empty segments.
#[inline]
pub(crate) fn without_dot_segments(raw: &[u8]) -> Cow<'_, [u8]> {
    if !has_dot_segments(raw) {
        return Cow::Borrowed(raw);
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_directory = false;
    for segment in segments(raw) {
        ends_in_directory = is_dot(segment) || is_dot_dot(segment);
        if is_dot_dot(segment) {
            while kept.pop_if(|last| last.is_empty()).is_some() {}
            kept.pop();
        } else if !is_dot(segment) {
            kept.push(segment);
        }
    }
    let mut path = Vec::with_capacity(raw.len());
    for segment in &kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if ends_in_directory || kept.is_empty() {
        path.push(b'/');
    }
    Cow::Owned(path)
}

/// Whether a segment of `path` is `.` or `..`, however it is encoded.
#[inline]
pub(crate) fn has_dot_segments(path: &[u8]) -> bool {
    segments(path).any(|segment| is_dot(segment) || is_dot_dot(segment))
}

/// Returns what is left of `path` behind its first `count` segments that are not empty: nothing, or
/// from a slash on.
pub(crate) fn behind_segments(path: &[u8], count: usize) -> &[u8] {
    let mut rest = path;
    for _ in 0..count {
        let start = rest.iter().position(|byte| *byte != b'/');
        let segment = &rest[start.unwrap_or(rest.len())..];
        let end = memchr::memchr(b'/', segment).unwrap_or(segment.len());
        rest = &segment[end..];
    }
    rest
}

/// The segments of `path`, which begins with a slash.
fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.get(1..)
        .unwrap_or_default()
        .split(|byte| *byte == b'/')
}

fn is_dot(segment: &[u8]) -> bool {
    strip_dot(segment).is_some_and(<[u8]>::is_empty)
}

fn is_dot_dot(segment: &[u8]) -> bool {
    strip_dot(segment)
        .and_then(strip_dot)
        .is_some_and(<[u8]>::is_empty)
}

/// What follows a dot, written in either way.
fn strip_dot(segment: &[u8]) -> Option<&[u8]> {
    match segment {
        [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::path::NormalPath;

    #[test]
    fn resolves_dot_segments_and_nothing_else() {
        for (raw, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a%2Fb/%41//c/", "/a%2Fb/%41//c/"),
            ("/a/../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a//../b", "/b"),
            ("/a/b//%2e%2e//c", "/a//c"),
            ("/a/..", "/"),
            ("/...", "/..."),
            ("/.a/..b", "/.a/..b"),
        ] {
            let resolved = without_dot_segments(raw.as_bytes());
            assert_eq!(String::from_utf8_lossy(&resolved), expected, "{raw}");
        }
    }

    #[test]
    fn finds_what_is_behind_a_prefix() {
        for (path, count, expected) in [
            ("/a/b", 0, "/a/b"),
            ("/a/b", 1, "/b"),
            ("//a//b%2Fc/", 1, "//b%2Fc/"),
            ("/a/b/", 2, "/"),
            ("/a", 1, ""),
        ] {
            let rest = behind_segments(path.as_bytes(), count);
            assert_eq!(String::from_utf8_lossy(rest), expected, "{path} {count}");
        }
    }

    proptest! {
        /// A route must not be reached by one path, and its upstream asked for another.
        #[test]
        fn has_the_normal_form_that_routing_saw(raw in "/((a|b|%2F|%2e|\\.|%61)?(/|\\.|%2E)?){0,8}") {
            if let Ok(normal) = NormalPath::parse(raw.as_bytes()) {
                let resolved = without_dot_segments(raw.as_bytes());
                let again = NormalPath::parse(&resolved).expect("it has no dot segment");
                prop_assert_eq!(again.as_bytes(), normal.as_bytes());
                prop_assert_eq!(without_dot_segments(&resolved), resolved.clone());
            }
        }
    }
}
