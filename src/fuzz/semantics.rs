//! The fields with which a client chooses what it gets: ranges, conditions, negotiation. And those of traces.

use crate::http::compression::Compression;
use crate::http::date::HttpDate;
use crate::http::method::Method;
use crate::http::multipart::Multipart;
use crate::http::negotiation::{ContentCoding, prefer, select_coding};
use crate::http::precondition::{Conditions, Verdict, evaluate, range_applies};
use crate::http::range::{ByteRange, Selection, select};
use crate::http::trace_context::{TraceParent, trace_state};
use crate::http::validator::{EntityTag, Validators};

/// Lengths of representations: none, short, one whose ends are near to overflow.
const LENGTHS: [u64; 4] = [0, 1, 1000, u64::MAX / 2];

/// The value of `Range`: each selected range lies within the representation, no two touch.
pub fn ranges(input: &[u8]) {
    for length in LENGTHS {
        if let Selection::Ranges(ranges) = select(input, length) {
            check_ranges(&ranges, length);
        }
    }
}

fn check_ranges(ranges: &[ByteRange], length: u64) {
    assert!(!ranges.is_empty());
    let mut sorted: Vec<_> = ranges
        .iter()
        .map(|range| (range.first, range.last))
        .collect();
    sorted.sort_unstable();
    for (first, last) in &sorted {
        assert!(first <= last && *last < length, "{ranges:?} of {length}");
    }
    for pair in sorted.windows(2) {
        assert!(pair[0].1 + 1 < pair[1].0, "{ranges:?} touch");
    }
    let sum: u64 = ranges.iter().map(|range| range.len()).sum();
    assert!(sum <= length, "more than there is");
}

/// `multipart/byteranges`: its length is the one announced, and a recipient finds the same parts.
///
/// The input is the value of `Range`; the representation has 1,000 octets.
pub fn multipart(input: &[u8]) {
    let whole: Vec<u8> = (0..1000u32).map(|place| place as u8).collect();
    let Selection::Ranges(ranges) = select(input, whole.len() as u64) else {
        return;
    };
    let parts = Multipart::new(0x5eed, "text/plain", whole.len() as u64, ranges);
    let mut content = Vec::new();
    for (index, range) in parts.ranges().iter().enumerate() {
        content.extend_from_slice(parts.part_head(index).as_bytes());
        content.extend_from_slice(octets_of(&whole, *range));
    }
    content.extend_from_slice(parts.closing_delimiter().as_bytes());
    assert_eq!(content.len() as u64, parts.content_length());
    let mut rest = &content[..];
    for range in parts.ranges() {
        let head_end = memchr::memmem::find(rest, b"\r\n\r\n").expect("a part has a head") + 4;
        let head = str::from_utf8(&rest[..head_end]).expect("a head is ASCII");
        let place = format!(
            "Content-Range: bytes {}-{}/1000\r\n",
            range.first, range.last
        );
        assert!(head.contains(&place), "{head:?} lacks {place:?}");
        let part = octets_of(&whole, *range);
        assert!(rest[head_end..].starts_with(part));
        rest = &rest[head_end + part.len()..];
    }
    assert_eq!(rest, parts.closing_delimiter().as_bytes());
}

fn octets_of(whole: &[u8], range: ByteRange) -> &[u8] {
    &whole[range.first as usize..=range.last as usize]
}

/// The conditional fields, a line of input for each: only GET and HEAD are answered 304, and a
/// client that sends back what it was given is believed.
pub fn conditions(input: &[u8]) {
    let mut lines = input.split(|octet| *octet == b'\n');
    let mut next = || lines.next().filter(|line| !line.is_empty());
    let conditions = Conditions {
        if_match: next(),
        if_none_match: next(),
        if_modified_since: next(),
        if_unmodified_since: next(),
        if_range: next(),
    };
    let tag = EntityTag::parse(b"\"v1\"");
    let date = HttpDate::parse(b"Sun, 06 Nov 1994 08:49:37 GMT");
    for (entity_tag, last_modified) in [(None, None), (tag, None), (None, date), (tag, date)] {
        let current = Validators {
            entity_tag,
            last_modified,
        };
        let year = HttpDate::parse(b"Wed, 06 Nov 2024 08:49:37 GMT").expect("a date");
        range_applies(&conditions, &current, || year);
        for method in [Method::Get, Method::Head, Method::Put, Method::Options] {
            let verdict = evaluate(method, &conditions, Some(&current));
            let may_be_304 = matches!(method, Method::Get | Method::Head);
            assert!(verdict != Verdict::NotModified || may_be_304, "{method:?}");
            if method == Method::Options {
                assert_eq!(verdict, Verdict::Proceed);
            }
        }
    }
    if let Some(value) = conditions.if_none_match
        && let Some(sent) = EntityTag::parse(value)
    {
        let current = Validators {
            entity_tag: Some(sent),
            last_modified: None,
        };
        let only = Conditions {
            if_none_match: Some(value),
            ..Conditions::default()
        };
        let verdict = evaluate(Method::Get, &only, Some(&current));
        assert_eq!(verdict, Verdict::NotModified, "it was sent back");
    }
}

/// `Accept-Encoding` and `Accept`: the result is one of the offers, whatever the client writes.
pub fn negotiation(input: &[u8]) {
    let every = &Compression::CODINGS;
    for available in [&every[..], &every[1..], &every[..1], &[]] {
        let coding = select_coding(Some(input), available);
        assert!(coding == ContentCoding::Identity || available.contains(&coding));
    }
    let best = select_coding(Some(input), every);
    assert_eq!(select_coding(Some(input), &[best]), best, "it is the best");
    let offers = ["text/html", "application/json", "text/plain"];
    assert!(offers.contains(&prefer(Some(input), &offers)));
}

/// `traceparent`, and from the second line of input on `tracestate`: what is read is passed on in a form that
/// is read to the same, and is not longer than it may be.
pub fn trace_context(input: &[u8]) {
    let mut lines = input.split(|octet| *octet == b'\n');
    if let Some(parent) = TraceParent::parse(lines.next().unwrap_or_default()) {
        let written = parent.to_string();
        assert_eq!(written.len(), 55, "{written}");
        assert_eq!(TraceParent::parse(written.as_bytes()), Some(parent));
    }
    if let Some(state) = trace_state(lines) {
        assert!((1..=512).contains(&state.len()));
        assert!(state.iter().all(|octet| matches!(octet, b' '..=b'~')));
        assert_eq!(trace_state([&state[..]].into_iter()), Some(state));
    }
}
