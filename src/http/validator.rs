//! Validators: values that tell two states of a representation apart (RFC 9110 §8.8).
//!
//! `http::precondition` compares the conditions of a request with the [`Validators`] of the current
//! representation.

use super::date::HttpDate;
use super::list;

/// The validators of the selected representation, as the fields of its response tell them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators<'a> {
    pub(crate) entity_tag: Option<EntityTag<'a>>,
    pub(crate) last_modified: Option<HttpDate>,
}

/// An entity tag (§8.8.3): `"opaque"` or `W/"opaque"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag<'a> {
    pub(crate) weak: bool,
    /// The octets between the quotes.
    pub(crate) opaque: &'a [u8],
}

/// How two entity tags are compared (§8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// Two tags match if they are the same and neither is weak.
    Strong,
    /// Two tags match if their opaque parts are the same, even if one or both are weak.
    Weak,
}

impl<'a> EntityTag<'a> {
    /// Parses an entity tag without white space around it. Returns `None` if `value` is not one.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let (weak, quoted) = match value {
            [b'W', b'/', quoted @ ..] => (true, quoted),
            quoted => (false, quoted),
        };
        match quoted {
            [b'"', opaque @ .., b'"'] if opaque.iter().all(is_etagc) => Some(Self { weak, opaque }),
            _ => None,
        }
    }

    /// Whether the two tags match in `comparison`.
    pub(crate) fn matches(self, other: EntityTag<'_>, comparison: Comparison) -> bool {
        let comparable = match comparison {
            Comparison::Strong => !self.weak && !other.weak,
            Comparison::Weak => true,
        };
        comparable && self.opaque == other.opaque
    }
}

/// Whether the value of `If-Match` or `If-None-Match` (§13.1.1, §13.1.2) matches a representation
/// that exists and has the entity tag `tag`.
///
/// `*` alone matches every such representation, with a tag or without. An element that is not an
/// entity tag matches none, nor does a `*` among other elements.
pub(crate) fn matches_list(
    value: &[u8],
    tag: Option<EntityTag<'_>>,
    comparison: Comparison,
) -> bool {
    if list::trim(value) == b"*" {
        return true;
    }
    let Some(tag) = tag else { return false };
    list::elements(value)
        .filter_map(EntityTag::parse)
        .any(|listed| listed.matches(tag, comparison))
}

/// Whether an octet may stand in an opaque tag (§8.8.3): visible ASCII other than the quote, or
/// anything beyond ASCII.
fn is_etagc(byte: &u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..=0xff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_strong_and_weak_tags() {
        let strong = |opaque| {
            Some(EntityTag {
                weak: false,
                opaque,
            })
        };
        let weak = |opaque| Some(EntityTag { weak: true, opaque });
        let cases: &[(&[u8], Option<EntityTag<'_>>)] = &[
            (b"\"a\"", strong(b"a")),
            (b"\"\"", strong(b"")),
            (b"W/\"a\"", weak(b"a")),
            (b"\"a,b\\\"", strong(b"a,b\\")),
            (b"\"\xe9\"", strong(b"\xe9")),
            (b"w/\"a\"", None),
            (b"W/a", None),
            (b"a", None),
            (b"\"", None),
            (b"\"a", None),
            (b"a\"", None),
            (b"\"a\"b\"", None),
            (b"\"a b\"", None),
            (b"\"\x7f\"", None),
            (b" \"a\"", None),
            (b"", None),
        ];
        for (value, tag) in cases {
            assert_eq!(EntityTag::parse(value), *tag, "{}", value.escape_ascii());
        }
    }

    /// The table of §8.8.3.2.
    #[test]
    fn compares_strongly_and_weakly() {
        for (one, other, strongly, weakly) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let one = EntityTag::parse(one.as_bytes()).expect("a tag");
            let other = EntityTag::parse(other.as_bytes()).expect("a tag");
            assert_eq!(one.matches(other, Comparison::Strong), strongly);
            assert_eq!(other.matches(one, Comparison::Weak), weakly);
        }
    }

    #[test]
    fn finds_a_tag_in_a_list() {
        let tag = EntityTag::parse(b"\"b\"");
        let comma = EntityTag::parse(b"\"a,b\"");
        for (value, tag, matches) in [
            ("\"b\"", tag, true),
            ("\"a\", W/\"b\"", tag, true),
            ("\"a\",,\"b\"", tag, true),
            ("\"a,b\"", tag, false),
            ("\"a,b\"", comma, true),
            ("*", tag, true),
            (" * ", None, true),
            ("*, \"a\"", tag, false),
            ("\"*\"", tag, false),
            ("b", tag, false),
            ("\"a\" \"b\"", tag, false),
            ("nonsense, \"b\"", tag, true),
            ("\"a, \"b\"", tag, false),
            ("\"b\"", None, false),
            ("", tag, false),
        ] {
            assert_eq!(
                matches_list(value.as_bytes(), tag, Comparison::Weak),
                matches,
                "{value}"
            );
        }
        assert!(!matches_list(b"W/\"b\"", tag, Comparison::Strong));
    }

    proptest! {
        #[test]
        fn a_tag_is_found_among_any_well_formed_others(
            before in prop::collection::vec("(W/)?\"[!#-~]{0,4}\"", 0..4),
            opaque in "[!#-~]{0,8}",
        ) {
            let value = format!("{}, \"{opaque}\"", before.join(" , "));
            let tag = EntityTag { weak: false, opaque: opaque.as_bytes() };
            prop_assert!(matches_list(value.as_bytes(), Some(tag), Comparison::Strong));
        }
    }
}
