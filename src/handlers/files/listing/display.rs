//! How a listing shows a name, a size and a time.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::entry::{Entry, EntryKind};
use crate::log::line::is_format;

/// The characters that a link encodes: all but `pchar` (RFC 3986 §3.3), and `&` and `'` as well, so
/// that a link needs no escaping in HTML.
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A name of any octets, as text that stays on its line and sends nothing to a terminal.
///
/// Invalid UTF-8 becomes U+FFFD; a control character becomes its picture (U+2400 and on), or
/// U+FFFD if there is none, and so do the controls that turn the direction of text around.
pub(super) fn name_characters(name: &[u8]) -> impl Iterator<Item = char> + '_ {
    name.utf8_chunks().flat_map(|chunk| {
        let broken = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().map(visible).chain(broken)
    })
}

fn visible(character: char) -> char {
    match character {
        '\0'..' ' => char::from_u32(0x2400 + u32::from(character))
            .expect("U+2400 to U+241F are the pictures of the C0 controls"),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' => char::REPLACEMENT_CHARACTER,
        _ if is_format(character) => char::REPLACEMENT_CHARACTER,
        _ => character,
    }
}

/// The relative reference from the listing to what an entry names. The `./` keeps a colon in the name
/// from ending a scheme (RFC 3986 §4.2).
pub(super) struct Link<'a>(pub(super) &'a Entry);

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = match self.0.kind {
            EntryKind::Directory => "/",
            EntryKind::File | EntryKind::Other => "",
        };
        write!(f, "./{}{slash}", percent_encode(&self.0.name, ENCODED))
    }
}

/// A size as `612 B`, `1.5 KiB`, `3.0 MiB`: ten characters at most.
pub(super) struct HumanSize(pub(super) u64);

impl fmt::Display for HumanSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let (size, unit) = scale(self.0);
        f.pad(&format!("{size:.1} {unit}"))
    }
}

/// `bytes`, at least 1024, in the unit that leaves it below 1024 when rounded to one decimal.
fn scale(bytes: u64) -> (f64, &'static str) {
    const LARGER: [&str; 5] = ["MiB", "GiB", "TiB", "PiB", "EiB"];
    let (mut size, mut unit) = (bytes as f64 / 1024.0, "KiB");
    for larger in LARGER {
        if size < 1023.95 {
            break;
        }
        (size, unit) = (size / 1024.0, larger);
    }
    (size, unit)
}

/// A time in UTC, in the years 0 to 9999.
#[derive(Clone, Copy)]
pub(super) struct UtcTime(DateTime);

impl UtcTime {
    pub(super) fn from_system(time: SystemTime) -> Option<Self> {
        let civil = Offset::UTC.to_datetime(Timestamp::try_from(time).ok()?);
        (civil.year() >= 0).then_some(Self(civil))
    }

    /// `2026-11-22T23:54:10Z`: ISO 8601, for JSON and `<time datetime>`.
    pub(super) fn iso(self) -> String {
        format!("{}T{}:{:02}Z", self.date(), self.clock(), self.0.second())
    }

    /// `2026-11-22`
    pub(super) fn date(self) -> String {
        self.0.date().to_string()
    }

    /// `23:54`
    pub(super) fn clock(self) -> String {
        format!("{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn names_of_any_octets_stay_on_their_line() {
        for (name, expected) in [
            (&b"plain.txt"[..], "plain.txt"),
            ("gr\u{fc}\u{df}e".as_bytes(), "gr\u{fc}\u{df}e"),
            (b"a\xffb\xe2\x82", "a\u{fffd}b\u{fffd}"),
            (b"a\nb\x1b[31m\x7f", "a\u{240a}b\u{241b}[31m\u{2421}"),
            (
                "\u{9b}\u{202e}gpj.exe".as_bytes(),
                "\u{fffd}\u{fffd}gpj.exe",
            ),
        ] {
            assert_eq!(name_characters(name).collect::<String>(), expected);
        }
    }

    #[test]
    fn sizes_keep_one_decimal_and_never_reach_1024_of_a_unit() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_575, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(HumanSize(bytes).to_string(), expected, "{bytes}");
        }
        assert_eq!(format!("{:>10}|", HumanSize(1536)), "   1.5 KiB|");
    }

    #[test]
    fn times_are_shown_in_utc() {
        for (seconds, iso, short) in [
            (0, "1970-01-01T00:00:00Z", "1970-01-01 00:00"),
            (1_795_391_650, "2026-11-22T23:54:10Z", "2026-11-22 23:54"),
            (951_782_399, "2000-02-28T23:59:59Z", "2000-02-28 23:59"),
        ] {
            let time =
                UtcTime::from_system(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 999));
            let time = time.expect("the year has four digits");
            assert_eq!(time.iso(), iso);
            assert_eq!(format!("{} {}", time.date(), time.clock()), short);
        }
    }

    #[test]
    fn a_time_without_a_four_digit_year_is_not_shown() {
        let before = |seconds| UNIX_EPOCH.checked_sub(Duration::from_secs(seconds));
        let after = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        for (time, shown) in [
            (before(1), true),
            (before(70_000_000_000), false),
            (before(1 << 40), false),
            (after(1 << 40), false),
        ] {
            let time = time.expect("the system counts in 64 bits");
            assert_eq!(UtcTime::from_system(time).is_some(), shown, "{time:?}");
        }
    }
}
