//! The pattern of a route: which paths it matches, and what its parameters stand for.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::http::method::Method;
use crate::http::path::ENCODED_SLASH;

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

    /// What of a path the parameter `name` stands for.
    pub(crate) fn parameter(&self, name: &str) -> Option<Capture> {
        let mut parameters = self.parameters();
        parameters.find_map(|(other, capture)| (other == name).then_some(capture))
    }

    /// How many segments of a path it covers; `{name...}` covers none.
    pub(crate) fn covered_segments(&self) -> usize {
        let is_one = |segment: &&PatternSegment| !matches!(segment, PatternSegment::Tail(_));
        self.segments.iter().filter(is_one).count()
    }

    /// The names of its parameters, and what of a path each stands for.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&str, Capture)> {
        let segments = self.segments.iter().enumerate();
        segments.filter_map(|(index, segment)| match segment {
            PatternSegment::Static(_) => None,
            PatternSegment::Parameter(name, _) => Some((&**name, Capture::Segment(index))),
            PatternSegment::Tail(name) => Some((&**name, Capture::Tail(index))),
        })
    }
}

/// What a parameter stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capture {
    /// The segment with that index.
    Segment(usize),
    /// Every segment from that index on, with the slashes between them.
    Tail(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PatternSegment {
    /// Decoded octets; an encoded slash stands as [`ENCODED_SLASH`].
    Static(Vec<u8>),
    /// `{name}` or `{name:shape}`: exactly one segment, which is not empty.
    Parameter(String, Shape),
    /// `{name...}`: all segments that are left, at least one; it is the last of the pattern.
    Tail(String),
}

/// What a segment must look like for a parameter to match it. Of two that match, the earlier one here is
/// the more exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// `int`: digits.
    Int,
    /// `uuid`: 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12 (RFC 9562 §4).
    Uuid,
    /// `hex`: hexadecimal digits.
    Hex,
    /// `slug`: letters and digits of ASCII, `-` and `_`.
    Slug,
    /// Any segment.
    #[default]
    Any,
}

impl Shape {
    /// Those that have a name.
    pub(crate) const NAMED: [(&'static str, Self); 4] = [
        ("int", Self::Int),
        ("uuid", Self::Uuid),
        ("hex", Self::Hex),
        ("slug", Self::Slug),
    ];

    /// The name; `None` for any segment.
    pub(crate) fn name(self) -> Option<&'static str> {
        let mut named = Self::NAMED.iter();
        named.find_map(|(name, shape)| (*shape == self).then_some(*name))
    }

    /// Whether `segment`, which is not empty, has the shape.
    pub(crate) fn has(self, segment: &[u8]) -> bool {
        let is_slug = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        match self {
            Self::Int => segment.iter().all(u8::is_ascii_digit),
            Self::Hex => segment.iter().all(u8::is_ascii_hexdigit),
            Self::Slug => segment.iter().all(is_slug),
            Self::Any => true,
            Self::Uuid => {
                let mut octets = segment.iter().enumerate();
                segment.len() == 36
                    && octets.all(|(index, octet)| match index {
                        8 | 13 | 18 | 23 => *octet == b'-',
                        _ => octet.is_ascii_hexdigit(),
                    })
            }
        }
    }
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
                PatternSegment::Parameter(name, shape) => match shape.name() {
                    None => write!(f, "/{{{name}}}")?,
                    Some(shape) => write!(f, "/{{{name}:{shape}}}")?,
                },
                PatternSegment::Tail(name) => write!(f, "/{{{name}...}}")?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_says_what_a_segment_looks_like() {
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
        for (segment, shapes) in [
            ("7", &[Shape::Int, Shape::Hex, Shape::Slug][..]),
            ("00", &[Shape::Int, Shape::Hex, Shape::Slug]),
            ("-7", &[Shape::Slug]),
            ("7.0", &[]),
            ("fF0", &[Shape::Hex, Shape::Slug]),
            ("g", &[Shape::Slug]),
            ("a-b_C", &[Shape::Slug]),
            ("a\0b", &[]),
            ("\u{663}", &[]),
            (uuid, &[Shape::Uuid, Shape::Slug]),
            (&uuid[1..], &[Shape::Slug]),
            (&uuid.replace('-', "0"), &[Shape::Hex, Shape::Slug]),
        ] {
            let named = Shape::NAMED.iter().map(|(_, shape)| *shape);
            let found: Vec<Shape> = named
                .filter(|shape| shape.has(segment.as_bytes()))
                .collect();
            assert_eq!(found, shapes, "{segment}");
            assert!(Shape::Any.has(segment.as_bytes()));
        }
    }
}
