//! Range requests (RFC 9110 §14): which bytes of a representation a client asks for.
//!
//! ```text
//! Range: bytes=0-499, 9500-, -500        asked for: first to last, from first on, the last n
//! Content-Range: bytes 0-499/10000       sent with 206, alone or with each part
//! Content-Range: bytes */10000           sent with 416
//! ```
//!
//! A server may ignore any `Range` (§14.2). This one ignores a `Range` that is malformed, that is in
//! a unit other than bytes, or whose response would be much larger than the whole representation. What
//! is limited is the cost of a response, not the number of ranges that are asked for: programs that
//! fetch the changed parts of a large file (zsync, zchunk) ask for hundreds at once.

use std::fmt;

use super::list;

/// The most parts of one response. Each costs some system calls, however short it is. A client that
/// asks for more gets the first of them, as §15.3.7 allows: `Content-Range` says which it got.
pub(crate) const MAX_PARTS: usize = 512;

/// Bytes that a part adds to the bytes of its range: a delimiter, `Content-Type`, `Content-Range`.
const PART_HEAD: u64 = 128;

/// By how many bytes the parts may be larger than the whole representation (§17.15).
const ALLOWANCE: u64 = 16 * 1024;

/// Bytes of a representation, from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByteRange {
    pub(crate) first: u64,
    /// At least `first`.
    pub(crate) last: u64,
}

/// Which part of a representation to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The whole representation, with 200: `Range` does not count.
    Whole,
    /// These ranges, with 206: at least one, at most [`MAX_PARTS`], each within the representation,
    /// with a gap between any two, in the order in which the client asked for them.
    Ranges(Vec<ByteRange>),
    /// No part, with 416.
    Unsatisfiable,
}

/// Selects the part of a representation of `length` bytes that the value of `Range` asks for.
///
/// Drops ranges that lie beyond the representation, unless all do. Ranges that overlap or adjoin
/// become one, in the place of the first of them (§15.3.7.2).
pub(crate) fn select(value: &[u8], length: u64) -> Selection {
    let Some(range_set) = byte_range_set(value) else {
        return Selection::Whole;
    };
    // No Content-Range can describe a part of an empty representation, and some clients always send
    // `bytes=0-`.
    if length == 0 {
        return Selection::Whole;
    }
    let mut asked = Vec::new();
    let mut is_empty = true;
    for element in list::elements(range_set) {
        let Some(spec) = RangeSpec::parse(element) else {
            return Selection::Whole;
        };
        is_empty = false;
        asked.extend(spec.within(length));
    }
    if is_empty {
        return Selection::Whole;
    }
    let mut ranges = merged(asked);
    ranges.truncate(MAX_PARTS);
    if ranges.is_empty() {
        Selection::Unsatisfiable
    } else if is_dearer_than_the_whole(&ranges, length) {
        Selection::Whole
    } else {
        Selection::Ranges(ranges)
    }
}

/// Whether several parts are so much larger than the whole representation that the whole is sent
/// instead.
fn is_dearer_than_the_whole(ranges: &[ByteRange], length: u64) -> bool {
    let part = |range: &ByteRange| range.len().saturating_add(PART_HEAD);
    let parts = ranges.iter().map(part);
    let cost = parts.fold(0, u64::saturating_add);
    ranges.len() > 1 && cost > length.saturating_add(ALLOWANCE)
}

impl ByteRange {
    /// The number of bytes, at least one.
    pub(crate) fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether the two ranges overlap or adjoin.
    fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    /// Returns the smallest range that contains both ranges.
    fn hull(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// The value of `Content-Range` (§14.4), in the unit bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// For a 206, or a part of one: the range in it, and the length of the whole representation.
    Satisfied {
        range: ByteRange,
        complete_length: u64,
    },
    /// For a 416: the length of the whole representation.
    Unsatisfied { complete_length: u64 },
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Satisfied {
                range: ByteRange { first, last },
                complete_length,
            } => {
                write!(f, "bytes {first}-{last}/{complete_length}")
            }
            Self::Unsatisfied { complete_length } => write!(f, "bytes */{complete_length}"),
        }
    }
}

/// A well-formed element of a range set (§14.1.1), not yet held against a representation.
#[derive(Clone, Copy)]
enum RangeSpec {
    /// `first-last`, or `first-`, whose `last` is the largest number.
    From { first: u64, last: u64 },
    /// `-length`: so many bytes at the end.
    Suffix { length: u64 },
}

impl RangeSpec {
    fn parse(element: &[u8]) -> Option<Self> {
        let dash = memchr::memchr(b'-', element)?;
        match (&element[..dash], &element[dash + 1..]) {
            (b"", length) => Some(Self::Suffix {
                length: parse_number(length)?,
            }),
            (first, b"") => Some(Self::From {
                first: parse_number(first)?,
                last: u64::MAX,
            }),
            (first, last) => {
                let (first, last) = (parse_number(first)?, parse_number(last)?);
                (first <= last).then_some(Self::From { first, last })
            }
        }
    }

    /// Returns the range in a representation of `complete` bytes, at least one. Returns `None` if the
    /// representation has none of these bytes (§14.1.2).
    fn within(self, complete: u64) -> Option<ByteRange> {
        let end = complete - 1;
        match self {
            Self::From { first, last } => (first <= end).then(|| ByteRange {
                first,
                last: last.min(end),
            }),
            Self::Suffix { length: 0 } => None,
            Self::Suffix { length } => Some(ByteRange {
                first: complete.saturating_sub(length),
                last: end,
            }),
        }
    }
}

/// Returns the octets behind `bytes=`. The case of a unit does not matter (§14.1).
fn byte_range_set(value: &[u8]) -> Option<&[u8]> {
    let (unit, range_set) = value.split_at_checked(b"bytes=".len())?;
    unit.eq_ignore_ascii_case(b"bytes=").then_some(range_set)
}

/// Reads digits as a number. A number too large for the type becomes the largest one, which lies
/// beyond the end of any representation as well.
fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

/// Returns `asked` with those ranges made one that touch each other. Each stands where the first of
/// its ranges stood. The time it takes grows little faster than the number of ranges.
fn merged(asked: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut by_start: Vec<(ByteRange, usize)> = asked.into_iter().zip(0..).collect();
    by_start.sort_unstable_by_key(|(range, _)| range.first);
    let mut merged: Vec<(ByteRange, usize)> = Vec::new();
    for (range, place) in by_start {
        match merged.last_mut() {
            Some((held, first_place)) if held.touches(range) => {
                *held = held.hull(range);
                *first_place = place.min(*first_place);
            }
            _ => merged.push((range, place)),
        }
    }
    merged.sort_unstable_by_key(|(_, place)| *place);
    merged.into_iter().map(|(range, _)| range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The selection of `value` from `length` bytes, as text: `0-9 20-29`, `whole` or `416`.
    fn selected(value: &str, length: u64) -> String {
        match select(value.as_bytes(), length) {
            Selection::Whole => "whole".to_owned(),
            Selection::Unsatisfiable => "416".to_owned(),
            Selection::Ranges(ranges) => {
                let ranges = ranges
                    .iter()
                    .map(|range| format!("{}-{}", range.first, range.last));
                ranges.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn selects_what_is_asked_for() {
        for (value, expected) in [
            ("bytes=0-0", "0-0"),
            ("bytes=0-499", "0-499"),
            ("BYTES=0-499", "0-499"),
            ("bytes=999-", "999-999"),
            ("bytes=-1", "999-999"),
            ("bytes=-1000", "0-999"),
            ("bytes=-5000", "0-999"),
            ("bytes=500-5000", "500-999"),
            ("bytes=5-99999999999999999999999", "5-999"),
            ("bytes=0-9,20-29", "0-9 20-29"),
            ("bytes= 0-9 ,\t20-29", "0-9 20-29"),
            ("bytes=,0-9,,", "0-9"),
            ("bytes=20-29, 0-9, -5", "20-29 0-9 995-999"),
        ] {
            assert_eq!(selected(value, 1000), expected, "{value}");
        }
    }

    #[test]
    fn merges_what_touches_and_keeps_the_order() {
        for (value, expected) in [
            ("bytes=0-9,5-14", "0-14"),
            ("bytes=0-9,10-19", "0-19"),
            ("bytes=0-9,11-19", "0-9 11-19"),
            ("bytes=50-59,0-9,60-69", "50-69 0-9"),
            ("bytes=50-59,0-9,30-39,5-55", "0-59"),
            ("bytes=80-89,0-9,30-39,5-35", "80-89 0-39"),
            ("bytes=0-,0-,-1", "0-999"),
        ] {
            assert_eq!(selected(value, 1000), expected, "{value}");
        }
    }

    #[test]
    fn ignores_what_is_malformed_or_foreign() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=2-1",
            "bytes=0-9,2-1",
            "bytes=--1",
            "bytes=0-9-",
            "bytes=+0-9",
            "bytes=0x0-9",
            "bytes=0 - 9",
            "bytes =0-9",
            " bytes=0-9",
            "lines=0-9",
            "byte=0-9",
            "bytes=0-9;10-19",
            "bytes=0-9,x",
        ] {
            assert_eq!(selected(value, 1000), "whole", "{value:?}");
        }
    }

    #[test]
    fn refuses_only_if_nothing_can_be_satisfied() {
        for (value, length, expected) in [
            ("bytes=1000-", 1000, "416"),
            ("bytes=1000-2000,5000-", 1000, "416"),
            ("bytes=-0", 1000, "416"),
            ("bytes=99999999999999999999999-", 1000, "416"),
            ("bytes=1000-,0-9,-0", 1000, "0-9"),
            ("bytes=0-", 0, "whole"),
            ("bytes=-5", 0, "whole"),
        ] {
            assert_eq!(selected(value, length), expected, "{value}");
        }
    }

    /// `count` ranges of `size` bytes, with as many bytes between any two.
    fn many(count: u64, size: u64) -> String {
        let range = |index: u64| format!("{}-{}", 2 * index * size, (2 * index + 1) * size - 1);
        let ranges: Vec<String> = (0..count).map(range).collect();
        format!("bytes={}", ranges.join(","))
    }

    fn parts(value: &str, length: u64) -> usize {
        match select(value.as_bytes(), length) {
            Selection::Ranges(ranges) => ranges.len(),
            _ => 0,
        }
    }

    /// zsync asks for twenty ranges and more at once, and gave up on a server that took sixteen at
    /// most.
    #[test]
    fn any_number_of_ranges_is_taken_that_costs_little() {
        for (count, size, length, expected) in [
            (20, 2048, 1 << 20, 20),
            (200, 2048, 1 << 20, 200),
            (256, 4096, 10 << 20, 256),
            (20, 1, 40, 20),
            (3000, 1, 1 << 30, MAX_PARTS),
        ] {
            assert_eq!(
                parts(&many(count, size), length),
                expected,
                "{count} {size}"
            );
        }
    }

    #[test]
    fn ignores_ranges_whose_parts_would_cost_much_more_than_the_whole() {
        assert_eq!(parts(&many(512, 1), 2000), 0);
        assert_eq!(parts(&many(2, 1000), u64::MAX), 2);
    }

    /// Merging took a time that grew with the square of the number of ranges.
    #[test]
    fn many_overlapping_ranges_become_one() {
        let value = format!("bytes={}", vec!["0-"; 200_000].join(","));
        assert_eq!(selected(&value, 1000), "0-999");
        let backwards: Vec<String> = (0..100_000_u64)
            .rev()
            .map(|n| format!("{}-{}", n, n + 1))
            .collect();
        let value = format!("bytes={}", backwards.join(","));
        assert_eq!(selected(&value, 1 << 20), "0-100000");
    }

    #[test]
    fn writes_content_range() {
        let range = ByteRange { first: 2, last: 5 };
        let complete_length = 10;
        let satisfied = ContentRange::Satisfied {
            range,
            complete_length,
        };
        assert_eq!(satisfied.to_string(), "bytes 2-5/10");
        let unsatisfied = ContentRange::Unsatisfied { complete_length };
        assert_eq!(unsatisfied.to_string(), "bytes */10");
        assert_eq!(range.len(), 4);
    }

    /// Values, most of them nearly well-formed.
    fn range_values() -> impl Strategy<Value = Vec<u8>> {
        let spec = prop_oneof![
            "[0-9]{1,2}-[0-9]{0,2}",
            "-[0-9]{1,2}",
            "[0-9]{18,22}-",
            "[-0-9 ]*"
        ];
        let specs = prop::collection::vec(spec, 0..40);
        prop_oneof![
            9 => specs.prop_map(|specs| format!("bytes={}", specs.join(",")).into_bytes()),
            1 => prop::collection::vec(any::<u8>(), 0..64),
        ]
    }

    proptest! {
        #[test]
        fn ranges_lie_within_and_apart(
            value in range_values(),
            length in prop_oneof![0..100_u64, Just(u64::MAX), any::<u64>()],
        ) {
            if let Selection::Ranges(ranges) = select(&value, length) {
                prop_assert!((1..=MAX_PARTS).contains(&ranges.len()));
                for (index, range) in ranges.iter().enumerate() {
                    prop_assert!(range.first <= range.last && range.last < length);
                    prop_assert!(ranges[..index].iter().all(|other| !range.touches(*other)));
                }
            }
        }
    }
}
