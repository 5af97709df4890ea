//! One route: its key, its verb, and its policy.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{Place, Policy, Verb};
use crate::http::method::Method;
use crate::http::path::ENCODED_SLASH;

/// A key of `[server.routes]` and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) pattern: RoutePattern,
    pub(crate) verb: Verb,
    /// Whether the part of the path that matched is removed before the verb sees the path.
    pub(crate) strip_prefix: bool,
    pub(crate) policy: Policy,
    pub(crate) place: Place,
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

/// `[METHOD ]["= "]PATH`, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoutePattern {
    /// `None`: any method. `Some(Get)` matches HEAD, too.
    pub(crate) method: Option<Method>,
    /// `= `: only the path itself, not the paths below it.
    pub(crate) exact: bool,
    /// `/` has none; `/users/{id}` has two.
    pub(crate) segments: Vec<PatternSegment>,
    /// The path was written with a slash at its end (and is not `/`).
    pub(crate) trailing_slash: bool,
}

impl RoutePattern {
    /// `/`: every path, by any method.
    pub(crate) fn everything() -> Self {
        Self {
            method: None,
            exact: false,
            segments: Vec::new(),
            trailing_slash: false,
        }
    }

    /// Which segment, from 0, the parameter `name` stands for.
    pub(crate) fn parameter(&self, name: &str) -> Option<usize> {
        let is_it = |segment: &PatternSegment| matches!(segment, PatternSegment::Parameter(other) if other == name);
        self.segments.iter().position(is_it)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PatternSegment {
    /// Decoded octets; an encoded slash stands as [`ENCODED_SLASH`].
    Static(Vec<u8>),
    /// `{name}`: exactly one segment, which is not empty.
    Parameter(String),
}

/// As the operator could have written it. `config::words::pattern` reads it back.
impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(method) = self.method {
            write!(f, "{method} ")?;
        }
        f.write_str(if self.exact { "= " } else { "" })?;
        for segment in &self.segments {
            match segment {
                PatternSegment::Static(octets) => {
                    let parts = octets.split(|octet| *octet == ENCODED_SLASH);
                    let parts = parts.map(|part| percent_encode(part, ENCODED).to_string());
                    write!(f, "/{}", parts.collect::<Vec<_>>().join("%2F"))?;
                }
                PatternSegment::Parameter(name) => write!(f, "/{{{name}}}")?,
            }
        }
        let has_slash = self.trailing_slash || self.segments.is_empty();
        f.write_str(if has_slash { "/" } else { "" })
    }
}

/// The octets that have to be encoded in a segment (RFC 3986 §3.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@')
    .remove(b'=')
    .remove(b'+')
    .remove(b',');
