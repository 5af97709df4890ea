//! Trace Context of the W3C, level 2: the fields `traceparent` and `tracestate`, by which servers that
//! take part in one request find the parts of its trace together.
//!
//! ```text
//! traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03
//!              │  └ trace id, 16 octets            └ parent id        └ flags: 01 sampled,
//!              └ version                                                       02 random
//! tracestate: vendor=value,other@vendor=value
//! ```
//!
//! A traceparent that is not valid is none: the trace begins anew (§3.2.2, §4.3).

use std::fmt;

use super::list::trim;

/// The id of a trace: not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 16]);

/// The id of a span, one part of a trace: not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanId([u8; 8]);

/// What `traceparent` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace: TraceId,
    /// The span that the sender is in.
    pub(crate) span: SpanId,
    /// Whether the sender may have recorded its part.
    pub(crate) is_sampled: bool,
    /// Whether the last seven octets of the trace's id are random (level 2, §3.2.2.5.2).
    pub(crate) is_random: bool,
}

/// The names of the fields.
pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// Octets of a traceparent of version 00.
pub(crate) const LENGTH: usize = 55;

/// Octets of a `tracestate` that are passed on: as many as a vendor has to (§3.3.1.5).
const MAX_STATE: usize = 512;

/// Members of a `tracestate` (§3.3.1.1).
const MAX_MEMBERS: usize = 32;

impl TraceId {
    /// `octets`, or another id in place of zeros.
    pub(crate) fn new(octets: [u8; 16]) -> Self {
        Self(if octets == [0; 16] { [1; 16] } else { octets })
    }
}

impl SpanId {
    /// `octets`, or another id in place of zeros.
    pub(crate) fn new(octets: [u8; 8]) -> Self {
        Self(if octets == [0; 8] { [1; 8] } else { octets })
    }
}

/// In lower case, as the field, logs and collectors write it.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// In lower case, as the field and collectors write it.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl TraceParent {
    /// Reads the value of the field; `None` if it is not valid.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let is_separated = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let [version] = octets(&known[..2])?;
        // §3.2.4: a version to come may append something, and begins as this one does.
        let is_ended = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let trace = octets(&known[3..35])?;
        let span = octets(&known[36..52])?;
        let [flags] = octets(&known[53..])?;
        let is_valid = is_separated && is_ended && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            is_sampled: flags & SAMPLED != 0,
            is_random: flags & RANDOM != 0,
        })
    }

    /// The flags as an octet.
    pub(crate) fn flags(&self) -> u8 {
        let flag = |flag, is_set| if is_set { flag } else { 0 };
        flag(SAMPLED, self.is_sampled) | flag(RANDOM, self.is_random)
    }

    /// The same trace, for the receiver of a request that is sent in `span`.
    pub(crate) fn within(self, span: SpanId) -> Self {
        Self { span, ..self }
    }
}

/// The value of the field, of version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, self.flags())
    }
}

/// Reads so many octets from their digits, which are in lower case.
fn octets<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    };
    let mut read = [0; N];
    for (octet, pair) in read.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(read)
}

/// The `tracestate` of these lines, in one line, of at most 512 octets; `None` if there is none, or one
/// that is not valid, none of which may be passed on (§3.3.1, §4.3). Members are left out at the end.
pub(crate) fn trace_state<'v>(lines: impl Iterator<Item = &'v [u8]>) -> Option<Vec<u8>> {
    let mut state: Vec<u8> = Vec::new();
    let (mut members, mut is_full) = (0, false);
    // A quote means nothing here.
    let all = lines.flat_map(|line| line.split(|octet| *octet == b','));
    for member in all.map(trim).filter(|member| !member.is_empty()) {
        members += 1;
        if !is_member(member) || members > MAX_MEMBERS {
            return None;
        }
        let length = state.len() + usize::from(!state.is_empty()) + member.len();
        is_full |= length > MAX_STATE;
        if is_full {
            continue;
        }
        if !state.is_empty() {
            state.push(b',');
        }
        state.extend_from_slice(member);
    }
    Some(state).filter(|state| !state.is_empty())
}

/// Whether `member` is `key=value` (§3.3.1.3).
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = memchr::memchr(b'=', member) else {
        return false;
    };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let begins = |octet: &u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
    let is_of_key = |octet: &u8| begins(octet) || b"_-*/@".contains(octet);
    let is_of_value = |octet: &u8| matches!(octet, b' '..=b'~') && !b",=".contains(octet);
    key.first().is_some_and(begins)
        && key.len() <= 256
        && key.iter().all(is_of_key)
        && (1..=256).contains(&value.len())
        && value.iter().all(is_of_value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_is_valid_is_read_and_written_again() {
        for (value, expected) in [
            (format!("00-{TRACE}-{SPAN}-01"), "01"),
            (format!("00-{TRACE}-{SPAN}-00"), "00"),
            (format!("00-{TRACE}-{SPAN}-03"), "03"),
            // Flags that have no meaning yet are not passed on.
            (format!("00-{TRACE}-{SPAN}-ff"), "03"),
            (format!("01-{TRACE}-{SPAN}-01"), "01"),
            (format!("cc-{TRACE}-{SPAN}-01-what-follows"), "01"),
            (format!("cc-{TRACE}-{SPAN}-01-"), "01"),
        ] {
            let read = TraceParent::parse(value.as_bytes()).expect(&value);
            assert_eq!(read.to_string(), format!("00-{TRACE}-{SPAN}-{expected}"));
            assert_eq!(read.is_sampled, expected != "00", "{value}");
            assert_eq!(read.to_string().len(), LENGTH);
        }
    }

    #[test]
    fn what_is_not_valid_is_no_traceparent() {
        let zeros = "0".repeat(32);
        for value in [
            String::new(),
            "00".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00 {TRACE} {SPAN} 01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!("00-{}-{SPAN}-01", TRACE.replace('a', "g")),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value:?}");
        }
    }

    fn state(lines: &[&str]) -> Option<String> {
        let read = trace_state(lines.iter().map(|line| line.as_bytes()));
        read.map(|state| String::from_utf8(state).expect("ASCII"))
    }

    #[test]
    fn a_state_is_passed_on_in_one_line() {
        for (lines, expected) in [
            (&["a=1"][..], "a=1"),
            (&["a=1, b@c=x y", "d=3"], "a=1,b@c=x y,d=3"),
            (&["a=1,,b=2,"], "a=1,b=2"),
        ] {
            assert_eq!(state(lines).as_deref(), Some(expected), "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["a"],
            &["a="],
            &["=1"],
            &["A=1"],
            &["a=1=2"],
            &["a=1", "b"],
            &["a=\u{e4}"],
        ] {
            assert_eq!(state(lines), None, "{lines:?}");
        }
        let many: Vec<String> = (0..33).map(|nth| format!("k{nth}=v")).collect();
        assert_eq!(state(&[&many.join(",")]), None);
        assert!(state(&[&many[1..].join(",")]).is_some());
    }

    #[test]
    fn no_more_than_512_octets_of_a_state_are_passed_on() {
        let long = |key: char, length: usize| format!("{key}={}", "v".repeat(length - 2));
        let (first, second) = (long('a', 255), long('b', 256));
        let fits = format!("{first},{second}");
        assert_eq!(fits.len(), 512);
        assert_eq!(state(&[&fits]), Some(fits.clone()));
        let over = format!("{fits},c=1");
        assert_eq!(state(&[&over]), Some(fits.clone()));
        // What follows a member that is left out would have changed its place.
        let over = format!("{first},{},c=1", long('b', 257));
        assert_eq!(state(&[&over]), Some(first));
    }
}
