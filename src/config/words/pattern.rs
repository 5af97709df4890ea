//! The key of a route: `[METHOD ]["= "]PATH`.
//!
//! ```text
//! /docs              /docs and all below it
//! = /health          /health alone
//! GET /users/{id}    one segment of any name; GET, and with it HEAD
//! /users/{id:int}    one segment of digits
//! /dl/{file...}      all segments that are left, at least one
//! ```
//!
//! The path is written as it stands in a request-target (RFC 9112 §3.2.1), percent-encoded or not,
//! and kept decoded.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::method::parse_method;
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::model::{PatternSegment, RoutePattern, Shape};
use crate::http::method::Method;
use crate::http::path::ENCODED_SLASH;

/// Reads a route's key.
pub(crate) fn parse_pattern(text: &str) -> Result<RoutePattern, Fault> {
    let (method, rest) = split_method(text)?;
    let (exact, path) = match rest.strip_prefix("= ") {
        Some(path) => (true, path),
        None => (false, rest),
    };
    let start = text.len() - path.len();
    check_path(path, &text[..start])?;
    let segments = parse_segments(path, start)?;
    let trailing_slash = path.len() > 1 && path.ends_with('/');
    if matches!(segments.last(), Some(PatternSegment::Tail(_))) && (exact || trailing_slash) {
        let message = "`{name...}` stands for all that is left of the path";
        let help = if exact {
            "leave the `=` out"
        } else {
            "leave the slash at the end out"
        };
        return Err(Fault::new(start..text.len(), message).help(help));
    }
    Ok(RoutePattern {
        method,
        exact,
        segments,
        trailing_slash,
    })
}

/// The key `text` of a route in the form in which logs and metrics name the route; a text that is no key stays as it
/// is.
pub(crate) fn route_key(text: &str) -> String {
    parse_pattern(text).map_or_else(|_| text.to_owned(), |pattern| pattern.to_string())
}

/// The method, if the key begins with one, and what comes after it.
fn split_method(text: &str) -> Result<(Option<Method>, &str), Fault> {
    let word = text.split(' ').next().unwrap_or(text);
    if word.starts_with(['/', '=']) || word.len() == text.len() {
        return Ok((None, text));
    }
    let help = if word.starts_with(['~', '^']) {
        "routes are paths, not regular expressions; `{name}` stands for any one segment"
    } else {
        "a route is `PATH`, `METHOD PATH`, `= PATH` or `METHOD = PATH`"
    };
    let method = parse_method(word).map_err(|fault| fault.or_help(help))?;
    Ok((Some(method), &text[word.len() + 1..]))
}

/// Checks the path as a whole. `before` is what stands before it in the key.
fn check_path(path: &str, before: &str) -> Result<(), Fault> {
    let start = before.len();
    let fault = |range: Range<usize>, message: &str| {
        Fault::new(start + range.start..start + range.end, message)
    };
    if path.starts_with(' ') {
        let help = format!("write \"{before}{}\"", path.trim_start());
        return Err(fault(0..1, "a blank too many").help(help));
    }
    if let Some(written) = path.strip_prefix('=') {
        return Err(fault(0..1, "a space belongs between `=` and the path")
            .help(format!("write \"{before}= {}\"", written.trim_start())));
    }
    if let Some((_, rest)) = path.split_once("://").filter(|_| !path.starts_with('/')) {
        let meant = rest.find('/').map_or("/", |slash| &rest[slash..]);
        let meant = meant.split(['?', '#']).next().unwrap_or(meant);
        let help = format!("write \"{before}{meant}\"; the host goes into `hosts` of the server");
        let message = "a route is a path, and no URL";
        return Err(fault(0..path.len(), message).help(help));
    }
    if !path.starts_with('/') && path.contains('*') {
        return Err(fault(
            0..path.len(),
            "a route's path begins with `/`, and has no wildcards",
        )
        .help(WILDCARD_HELP));
    }
    if !path.starts_with('/') {
        let help = match path.split_once(' ') {
            Some((word, rest)) if parse_method(word).is_ok() => {
                format!("write \"{word} {before}{}\"", rest.trim_start())
            }
            _ => format!("write \"{before}/{path}\""),
        };
        return Err(fault(0..path.len(), "a route's path begins with `/`").help(help));
    }
    if let Some(at) = path.find(['?', '#']) {
        let help = match query_parameter(&path[at..]) {
            Some((name, value)) => format!(
                "a route matches the path alone; write when = {{ query.{name} = \"{value}\" }} in the route"
            ),
            None => "a route matches the path alone, whatever the query".to_owned(),
        };
        return Err(fault(at..path.len(), "a route has no query and no fragment").help(help));
    }
    if let Some((at, blank)) = path
        .char_indices()
        .find(|(_, c)| c.is_control() || *c == ' ')
    {
        if blank == '\0' {
            return Err(fault(at..at + 1, "a NUL in a route's path").help(NO_SUCH_PATH));
        }
        let help = format!(
            "write `%{:02X}` if it is part of the path",
            u32::from(blank)
        );
        return Err(fault(
            at..at + blank.len_utf8(),
            "a blank or a control character in a route's path",
        )
        .help(help));
    }
    Ok(())
}

fn parse_segments(path: &str, start: usize) -> Result<Vec<PatternSegment>, Fault> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = Vec::new();
    let mut at = start + 1;
    if path.is_empty() {
        return Ok(segments);
    }
    for written in path.split('/') {
        let range = at..at + written.len();
        let segment = parse_segment(written, range.clone())?;
        if let Some(name) = name_of(&segment)
            && segments.iter().any(|other| name_of(other) == Some(name))
        {
            return Err(
                Fault::new(range, format!("`{{{name}}}` stands twice in one route"))
                    .help("give each parameter a name of its own"),
            );
        }
        if matches!(segments.last(), Some(PatternSegment::Tail(_))) {
            let message = "nothing follows `{name...}`, which stands for all that is left";
            return Err(Fault::new(range, message).help("write `{name}` for one segment"));
        }
        segments.push(segment);
        at += written.len() + 1;
    }
    Ok(segments)
}

fn parse_segment(written: &str, range: Range<usize>) -> Result<PatternSegment, Fault> {
    if written.contains(['{', '}']) {
        return parse_parameter(written, range);
    }
    refuse_foreign_pattern(written, &range)?;
    let decoded = decode(written, &range)?;
    let message = match &*decoded {
        b"" => "an empty segment in a route's path",
        b"." | b".." => "a dot segment in a route's path",
        octets if octets.contains(&0) => "an encoded NUL in a route's path",
        octets => return Ok(PatternSegment::Static(encoded_slashes_apart(octets))),
    };
    Err(Fault::new(range, message).help(NO_SUCH_PATH))
}

/// Returns the octets of a decoded segment, as requests have them: every slash was encoded.
fn encoded_slashes_apart(octets: &[u8]) -> Vec<u8> {
    let octet = |octet: &u8| {
        if *octet == b'/' {
            ENCODED_SLASH
        } else {
            *octet
        }
    };
    octets.iter().map(octet).collect()
}

const NO_SUCH_PATH: &str =
    "no request has a path like this once it is resolved, so the route could never match";

const WILDCARD_HELP: &str = "a path matches all below it, without a wildcard: \"/static\"; `{name}` stands for one whole segment; for an \
     asterisk write `%2A`";

/// Refuses what other servers take for a pattern and what would be taken literally here: `*`, `:id`, `<id>`,
/// `$id`. Percent-encoded, each can be part of a path.
fn refuse_foreign_pattern(written: &str, range: &Range<usize>) -> Result<(), Fault> {
    if let Some(at) = written.find('*') {
        let at = range.start + at;
        return Err(
            Fault::new(at..at + 1, "there are no wildcards in a route's path").help(WILDCARD_HELP),
        );
    }
    let Some(sign) = written
        .chars()
        .next()
        .filter(|first| ":<$".contains(*first))
    else {
        return Ok(());
    };
    let name = written.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let name = if name.is_empty() { "name" } else { name };
    let help = format!(
        "a segment of any name is `{{{name}}}`; for a literal `{sign}` write `%{:02X}`",
        u32::from(sign)
    );
    Err(Fault::new(range.clone(), format!("`{written}` is not a parameter")).help(help))
}

/// Reads `{name}`, `{name:shape}` or `{name...}`.
fn parse_parameter(written: &str, range: Range<usize>) -> Result<PatternSegment, Fault> {
    let inner = written
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or_default();
    let (name, shape) = match (inner.strip_suffix("..."), inner.split_once(':')) {
        (Some(name), _) => (name, None),
        (None, Some((name, shape))) => (name, Some(parse_shape(shape, &range)?)),
        (None, None) => (inner, Some(Shape::Any)),
    };
    if !is_name(name) {
        return Err(Fault::new(range, format!("`{written}` is not a parameter"))
            .help("`{name}` stands for a whole segment; a name is letters, digits and `_`"));
    }
    Ok(match shape {
        Some(shape) => PatternSegment::Parameter(name.to_owned(), shape),
        None => PatternSegment::Tail(name.to_owned()),
    })
}

fn parse_shape(written: &str, range: &Range<usize>) -> Result<Shape, Fault> {
    let mut named = Shape::NAMED.iter();
    if let Some((_, shape)) = named.find(|(name, _)| *name == written) {
        return Ok(*shape);
    }
    let names = Shape::NAMED.map(|(name, _)| name);
    let fault = Fault::new(
        range.clone(),
        format!("`{written}` is no shape of a segment"),
    );
    Err(match nearest(written, names) {
        Some(name) => fault.help(format!("did you mean `{name}`?")),
        None => fault.help(format!(
            "shapes are {}; there are no regular expressions",
            names.map(|name| format!("`{name}`")).join(", ")
        )),
    })
}

/// Whether `name` can be that of a parameter.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

/// The name of a parameter; `None` for a segment that is none.
fn name_of(segment: &PatternSegment) -> Option<&str> {
    match segment {
        PatternSegment::Static(_) => None,
        PatternSegment::Parameter(name, _) | PatternSegment::Tail(name) => Some(name),
    }
}

/// Decodes the percent-encoding. A `%` without two hexadecimal digits after it is a fault.
fn decode<'a>(written: &'a str, range: &Range<usize>) -> Result<Cow<'a, [u8]>, Fault> {
    for (at, _) in written.match_indices('%') {
        let digits = written.as_bytes().get(at + 1..at + 3).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            let at = range.start + at;
            return Err(Fault::new(at..at + 1, "`%` without two hexadecimal digits")
                .help("for a per cent sign write `%25`"));
        }
    }
    Ok(Cow::from(percent_decode_str(written)))
}

/// The first parameter of a query from its `?` on, if its name can be a key as it is.
fn query_parameter(query: &str) -> Option<(&str, &str)> {
    let first = query.strip_prefix('?')?.split(['&', '#']).next()?;
    let (name, value) = first.split_once('=').unwrap_or((first, "*"));
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let is_key = !name.is_empty() && name.chars().all(is_bare);
    (is_key && !value.contains(['"', '\\'])).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    fn shape(pattern: &RoutePattern) -> String {
        let mut text = pattern
            .method
            .map_or(String::new(), |method| format!("{method} "));
        text.push_str(if pattern.exact { "= " } else { "" });
        for segment in &pattern.segments {
            match segment {
                PatternSegment::Static(octets) => {
                    text.push_str(&format!("/{}", octets.escape_ascii()))
                }
                PatternSegment::Parameter(name, shape) => {
                    let shape = shape
                        .name()
                        .map_or(String::new(), |shape| format!(" {shape}"));
                    text.push_str(&format!("/<{name}{shape}>"));
                }
                PatternSegment::Tail(name) => text.push_str(&format!("/<{name} ...>")),
            }
        }
        text + if pattern.trailing_slash || pattern.segments.is_empty() {
            "/"
        } else {
            ""
        }
    }

    /// Some keys that were advised were none, and one opened the route to every method.
    #[test]
    fn what_is_advised_is_the_key_that_is_meant() {
        for (written, meant) in [
            ("a", "/a"),
            ("GET  /a", "GET /a"),
            ("GET a", "GET /a"),
            ("= a", "= /a"),
            ("=  /a", "= /a"),
            ("= GET /a", "GET = /a"),
            ("=/b", "= /b"),
            ("GET =/b", "GET = /b"),
            ("GET  = /b", "GET = /b"),
        ] {
            let fault = parse_pattern(written).expect_err(written);
            let help = fault.help.unwrap_or_default();
            assert_eq!(help, format!("write \"{meant}\""), "{written}");
            assert!(parse_pattern(meant).is_ok(), "{meant}");
        }
    }

    #[test]
    fn the_path_of_a_url_is_the_key_that_is_meant() {
        for (written, meant) in [
            ("http://x/", "/"),
            ("https://*.x", "/"),
            ("GET https://x:8080/a/b?c=d", "GET /a/b"),
            ("= http://x/a", "= /a"),
        ] {
            let fault = parse_pattern(written).expect_err(written);
            assert!(fault.message.contains("a path, and no URL"), "{written}");
            let help = fault.help.unwrap_or_default();
            let expected = format!("write \"{meant}\"; the host goes into `hosts` of the server");
            assert_eq!(help, expected, "{written}");
            assert!(parse_pattern(meant).is_ok(), "{meant}");
        }
        assert!(parse_pattern("/go/http:").is_ok());
    }

    #[test]
    fn no_way_to_write_a_nul_is_advised() {
        for written in ["/a\0", "/a%00"] {
            let help = parse_pattern(written).expect_err(written).help;
            assert_eq!(help.as_deref(), Some(NO_SUCH_PATH), "{written:?}");
        }
    }

    #[test]
    fn reads_patterns() {
        let cases = [
            ("/", "/"),
            ("= /", "= /"),
            ("/docs", "/docs"),
            ("/docs/", "/docs/"),
            ("= /health", "= /health"),
            ("GET /users/{id}", "GET /users/<id>"),
            ("POST = /a/{b}/{c_1}", "POST = /a/<b>/<c_1>"),
            ("/u/{id:int}/x", "/u/<id int>/x"),
            ("= /u/{id:uuid}/", "= /u/<id uuid>/"),
            ("GET /dl/{v:slug}/{file...}", "GET /dl/<v slug>/<file ...>"),
            ("/{all...}", "/<all ...>"),
            ("/a%20b/%7Bx%7D", "/a b/{x}"),
            ("/é", "/\\xc3\\xa9"),
            ("/@types%2fnode", "/@types\\x00node"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                parse_pattern(text)
                    .map(|pattern| shape(&pattern))
                    .as_deref(),
                Ok(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_pattern_and_says_where() {
        let cases = [
            ("", 0..0, "begins with `/`"),
            ("docs", 0..4, "begins with `/`"),
            ("GET docs", 4..8, "begins with `/`"),
            ("get /", 0..3, "`get` is not a method"),
            ("~ ^/x", 0..1, "`~` is not a method"),
            ("=/a", 0..1, "a space belongs"),
            ("/a?b=c", 2..6, "no query"),
            ("/a b", 2..3, "a blank"),
            ("/a/*", 3..4, "no wildcards"),
            ("/a*b", 2..3, "no wildcards"),
            ("*.php", 0..5, "has no wildcards"),
            ("/:id", 1..4, "`:id` is not a parameter"),
            ("/a/$id/b", 3..6, "`$id` is not a parameter"),
            ("/a//b", 3..3, "an empty segment"),
            ("/a/..", 3..5, "a dot segment"),
            ("/%2e/b", 1..4, "a dot segment"),
            ("/a%00", 1..5, "an encoded NUL"),
            ("/a%2", 2..3, "`%` without"),
            ("/a%zz", 2..3, "`%` without"),
            ("/x{id}", 1..6, "`x{id}` is not a parameter"),
            ("/{}", 1..3, "`{}` is not a parameter"),
            ("/{a}/{a}", 5..8, "stands twice"),
            ("/{a}/{a:int}", 5..12, "stands twice"),
            ("/{a}/{a...}", 5..11, "stands twice"),
            ("/{a:}", 1..5, "`` is no shape"),
            ("/{a:[0-9]+}", 1..11, "`[0-9]+` is no shape"),
            ("/{:int}", 1..7, "`{:int}` is not a parameter"),
            ("/{...}", 1..6, "`{...}` is not a parameter"),
            ("/{a...}/b", 8..9, "nothing follows"),
            ("/{a...}/", 0..8, "all that is left"),
            ("= /{a...}", 2..9, "all that is left"),
        ];
        assert_faults(parse_pattern, &cases);
    }

    #[test]
    fn shows_what_it_reads() {
        for text in [
            "/",
            "= /",
            "/a/",
            "/a%2Fb%25",
            "GET = /a/{id}/c",
            "/a/{id:int}/{b:hex}/{rest...}",
            "HEAD /%7Bx%7D/%2A%20%25/a.b-c",
            "/%3Aid/%24id",
        ] {
            assert_eq!(parse_pattern(text).expect(text).to_string(), text);
        }
    }
}
