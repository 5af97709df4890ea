//! Validators: values that tell two states of a representation apart (RFC 9110 §8.8).
//!
//! `http::precondition` compares the conditions of a request with the [`Validators`] of the current
//! representation.

use super::date::HttpDate;
use super::fields::is_token;
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

/// The codings that a mark may name when it is taken off: those that are registered (RFC 9110 §8.4.1
/// and IANA's list). A name that is not among them could as well belong to the tag.
const REGISTERED_CODINGS: [&str; 12] = [
    "aes128gcm",
    "br",
    "compress",
    "dcb",
    "dcz",
    "deflate",
    "exi",
    "gzip",
    "pack200-gzip",
    "x-compress",
    "x-gzip",
    "zstd",
];

/// Returns the mark that tells the tag of content in some codings from the tag of the content without
/// them (RFC 9110 §8.8.3.3): `-gzip`, or `-gzip-br` for two. `lines` are the values of
/// `Content-Encoding`. Returns `None` if they name no coding.
pub(crate) fn coding_mark<'l>(lines: impl Iterator<Item = &'l [u8]>) -> Option<Vec<u8>> {
    let codings = lines.flat_map(list::elements);
    let codings =
        codings.filter(|coding| is_token(coding) && !coding.eq_ignore_ascii_case(b"identity"));
    let mark: Vec<u8> = codings
        .flat_map(|coding| [b"-", &coding.to_ascii_lowercase()[..]].concat())
        .collect();
    (!mark.is_empty()).then_some(mark)
}

/// Returns the field value `tag` with `mark`: `"7"` becomes `"7-gzip"`. Returns `None` if it stays as it
/// is: a weak tag, because it may stand for several representations, a tag that ends in the mark
/// already, and what is no tag.
pub(crate) fn with_mark(tag: &[u8], mark: &[u8]) -> Option<Vec<u8>> {
    let EntityTag { weak, opaque } = EntityTag::parse(tag)?;
    let is_marked = weak || opaque.ends_with(mark);
    (!is_marked).then(|| [b"\"", opaque, mark, b"\""].concat())
}

/// Returns the value of `If-Match` or `If-None-Match` in which each tag that is `current` with a mark is
/// `current` itself. A client that was sent content in a coding names the marked tag.
pub(crate) fn without_marks(value: &[u8], current: EntityTag<'_>) -> Vec<u8> {
    let unmarked = list::elements(value).map(|element| match EntityTag::parse(element) {
        Some(tag) if is_marked(tag.opaque, current.opaque) => {
            let weak: &[u8] = if tag.weak { b"W/" } else { b"" };
            [weak, b"\"", current.opaque, b"\""].concat()
        }
        _ => element.to_vec(),
    });
    unmarked.collect::<Vec<_>>().join(&b", "[..])
}

/// Whether `opaque` is `bare` with the mark of one coding or of several.
fn is_marked(opaque: &[u8], bare: &[u8]) -> bool {
    opaque.strip_prefix(bare).is_some_and(is_mark)
}

/// Whether `mark` is that of one coding or of several.
fn is_mark(mark: &[u8]) -> bool {
    let Some(codings) = mark.strip_prefix(b"-") else {
        return false;
    };
    REGISTERED_CODINGS.iter().any(|coding| {
        let rest = codings.strip_prefix(coding.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || is_mark(rest))
    })
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

    #[test]
    fn a_mark_names_every_coding_and_is_always_part_of_a_tag() {
        for (lines, expected) in [
            (&["gzip"][..], Some("-gzip")),
            (&["GZip"], Some("-gzip")),
            (&["gzip, br"], Some("-gzip-br")),
            (&["gzip", "identity,br"], Some("-gzip-br")),
            (&["x-gzip"], Some("-x-gzip")),
            (&["identity"], None),
            (&["not a coding, \"neither\""], None),
            (&[""], None),
            (&[], None),
        ] {
            let found = coding_mark(lines.iter().map(|line| line.as_bytes()));
            let expected = expected.map(|mark| mark.as_bytes().to_vec());
            assert_eq!(found, expected, "{lines:?}");
            if let Some(mark) = found {
                let marked = with_mark(b"\"7\"", &mark).expect("it is marked");
                assert!(EntityTag::parse(&marked).is_some(), "{lines:?}");
                assert_eq!(with_mark(&marked, &mark), None, "once is enough");
                let current = EntityTag::parse(b"\"7\"").expect("a tag");
                assert_eq!(without_marks(&marked, current), b"\"7\"", "{lines:?}");
            }
        }
        for tag in ["W/\"7\"", "7", ""] {
            assert_eq!(with_mark(tag.as_bytes(), b"-gzip"), None, "{tag}");
        }
    }

    #[test]
    fn a_mark_is_taken_off_the_current_tag_alone() {
        let current = EntityTag::parse(b"\"7\"").expect("a tag");
        for (value, expected) in [
            ("\"7-gzip\"", "\"7\""),
            ("W/\"7-gzip\"", "W/\"7\""),
            ("\"7-x-gzip\",\"7-gzip-br\"", "\"7\", \"7\""),
            ("\"7-zstd-x-compress-gzip\"", "\"7\""),
            ("\"7\"", "\"7\""),
            ("\"8-gzip\"", "\"8-gzip\""),
            ("\"7-1\"", "\"7-1\""),
            ("\"7-\"", "\"7-\""),
            ("\"7-gzip-1\"", "\"7-gzip-1\""),
            ("\"7gzip\"", "\"7gzip\""),
            ("*", "*"),
            ("nonsense, \"a, b\"", "nonsense, \"a, b\""),
        ] {
            let found = without_marks(value.as_bytes(), current);
            assert_eq!(String::from_utf8_lossy(&found), expected, "{value}");
        }
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
