//! Sizes and durations, written as words: `16 KiB`, `1 MB`; `10s`, `1h 30m`.
//!
//! A unit is never optional where the number alone could mean two things: a bare number of bytes
//! is a size, but a bare number is no duration (seconds? milliseconds?).

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::complaint::fault::Fault;

/// Bytes of each unit. KB is a thousand bytes, KiB is 1024 (IEC 80000-13).
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("TB", 1000 * 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Milliseconds of each unit, the longest first.
const DURATIONS: &[(&str, u64)] = &[
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Milliseconds of the units in which the time is written for which something is fresh.
const LIFETIMES: &[(&str, u64)] = &[
    ("y", 365 * 24 * 60 * 60 * 1000),
    ("w", 7 * 24 * 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
];

/// The longest wait that can be configured. A longer one is more likely a slip.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A wait that is not zero: a limit of zero would end every exchange at once.
pub(crate) const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST_WAIT;

/// A wait that may be zero.
pub(crate) const WAIT_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=LONGEST_WAIT;

/// Reads a size: a whole number and a unit, or a number of bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, Fault> {
    let (number, rest) = leading_number(text, 0, SIZE_HELP)?;
    let unit = rest.trim();
    let start = text.len() - rest.trim_start().len();
    let range = start..start + unit.len();
    let bytes = match unit {
        "" => 1,
        _ => factor(SIZES, unit).ok_or_else(|| unknown_size_unit(number, unit, range))?,
    };
    number.checked_mul(bytes).ok_or_else(|| too_large(text))
}

const SIZE_HELP: &str = "a size is written \"16 KiB\", \"10 MB\", or as a whole number of bytes";

/// Reads a duration: whole numbers with units, the longest unit first, each unit once.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Fault> {
    parse_time(text, DURATIONS)
}

/// Reads a duration as [`parse_duration`] does, which may have years of 365 days, and weeks: whole seconds.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, Fault> {
    parse_time(text, LIFETIMES)
}

/// Reads a duration in these units, the longest first.
fn parse_time(text: &str, known: &'static [(&'static str, u64)]) -> Result<Duration, Fault> {
    let mut total: u64 = 0;
    let (mut units, mut rest) = (known, text);
    loop {
        let (part, after) = duration_part(text, rest, &mut units, known)?;
        total = total.checked_add(part).ok_or_else(|| too_large(text))?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_millis(total));
        }
    }
}

const DURATION_HELP: &str = "a duration is written \"500ms\", \"10s\", \"2m\", \"1h 30m\"";

/// Milliseconds of the first number and unit of `rest`, and the rest after them. `units` becomes the
/// units of those `known` that may still follow.
fn duration_part<'a>(
    text: &str,
    rest: &'a str,
    units: &mut &'static [(&'static str, u64)],
    known: &[(&str, u64)],
) -> Result<(u64, &'a str), Fault> {
    let offset = text.len() - rest.len();
    let (number, after) = leading_number(rest, offset, DURATION_HELP)?;
    let after = after.trim_start();
    let length = after.bytes().take_while(u8::is_ascii_alphabetic).count();
    let start = text.len() - after.len();
    let unit = &after[..length];
    let Some(index) = units.iter().position(|(name, _)| *name == unit) else {
        return Err(bad_duration_unit((number, unit), known, offset, start));
    };
    let part = number
        .checked_mul(units[index].1)
        .ok_or_else(|| too_large(text))?;
    *units = &units[index + 1..];
    Ok((part, &after[length..]))
}

/// The digits at the start of `text`, as a number, and the rest. `offset` is where `text` begins
/// in what the operator wrote.
fn leading_number<'a>(text: &'a str, offset: usize, help: &str) -> Result<(u64, &'a str), Fault> {
    let trimmed = text.trim_start();
    let length = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let start = offset + text.len() - trimmed.len();
    if length == 0 || trimmed[length..].starts_with(['.', ',']) {
        let range = start..offset + text.trim_end().len().max(start - offset);
        return Err(Fault::new(range, "expected a whole number and its unit").help(help));
    }
    let number = trimmed[..length].parse();
    let number =
        number.map_err(|_| Fault::new(start..start + length, "this number is too large"))?;
    Ok((number, &trimmed[length..]))
}

fn factor(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)
}

fn too_large(text: &str) -> Fault {
    Fault::new(0..text.len(), "this number is too large")
}

/// The fault for `16k` or `16 kb`: the letter tells the magnitude, but not whether 1000 or 1024.
fn unknown_size_unit(number: u64, unit: &str, range: std::ops::Range<usize>) -> Fault {
    let letter = unit.chars().next().map(|c| c.to_ascii_uppercase());
    let help = match letter.filter(|c| "KMGT".contains(*c)) {
        Some(letter) => format!(
            "write \"{number} {letter}iB\" (a power of 1024) or \"{number} {letter}B\" (a power of 1000)"
        ),
        None => SIZE_HELP.to_owned(),
    };
    Fault::new(range, format!("`{unit}` is not a unit of size")).help(help)
}

fn bad_duration_unit(
    (number, unit): (u64, &str),
    known: &[(&str, u64)],
    offset: usize,
    start: usize,
) -> Fault {
    if unit.is_empty() {
        return Fault::new(offset..start, "the unit is missing").help(format!(
            "for seconds write \"{number}s\", for minutes \"{number}m\""
        ));
    }
    let range = start..start + unit.len();
    if factor(known, unit).is_some() {
        return Fault::new(
            range,
            format!("`{unit}` comes after a unit that is not longer"),
        )
        .help("the longest unit comes first and each one once: \"1h 30m\"");
    }
    let meant = match unit.to_ascii_lowercase().as_str() {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "msec" | "millis" | "milliseconds" => "ms",
        _ => {
            return Fault::new(range, format!("`{unit}` is not a unit of time"))
                .help(DURATION_HELP);
        }
    };
    Fault::new(range, format!("`{unit}` is not a unit of time"))
        .help(format!("write \"{number}{meant}\""))
}

/// A duration as an operator would write it: `1h 30m`, `500ms`, `0s`.
pub(crate) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut parts = Vec::new();
    for (name, factor) in DURATIONS {
        if rest >= *factor {
            parts.push(format!("{}{name}", rest / factor));
            rest %= factor;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

/// A size as an operator would write it: `16 KiB`, `1000 B`. Only binary units, and only exact ones.
pub(crate) fn show_size(bytes: u64) -> String {
    let exact = |(_, factor): &&(&str, u64)| {
        factor.is_power_of_two() && bytes >= *factor && bytes.is_multiple_of(*factor)
    };
    match SIZES.iter().rev().find(exact) {
        Some((name, factor)) => format!("{} {name}", bytes / factor),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    #[test]
    fn reads_sizes() {
        let cases = [
            ("0", 0),
            ("512", 512),
            ("16 KiB", 16 << 10),
            ("16KiB", 16 << 10),
            (" 1 MB ", 1_000_000),
            ("3 GiB", 3 << 30),
            ("2 TB", 2_000_000_000_000),
            ("7 B", 7),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_size_and_says_where() {
        let cases = [
            ("", 0..0, "expected a whole number"),
            ("KiB", 0..3, "expected a whole number"),
            ("1.5 MiB", 0..7, "expected a whole number"),
            ("-1", 0..2, "expected a whole number"),
            ("16k", 2..3, "`k` is not a unit"),
            ("16 apples", 3..9, "`apples` is not a unit"),
            ("99999999999999999999", 0..20, "too large"),
            ("99999999999 TiB", 0..15, "too large"),
        ];
        assert_faults(parse_size, &cases);
    }

    #[test]
    fn reads_durations() {
        let cases = [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("2m", 120_000),
            ("1h 30m", 5_400_000),
            ("1h30m", 5_400_000),
            ("1d 1ms", 86_400_001),
            (" 3 s ", 3000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_duration_and_says_where() {
        let cases = [
            ("", 0..0, "expected a whole number"),
            ("10", 0..2, "the unit is missing"),
            ("1m 30", 3..5, "the unit is missing"),
            ("1.5s", 0..4, "expected a whole number"),
            ("-1s", 0..3, "expected a whole number"),
            ("30m 1h", 5..6, "comes after"),
            ("1s 1s", 4..5, "comes after"),
            ("10 sec", 3..6, "`sec` is not a unit"),
            ("10 parsecs", 3..10, "`parsecs` is not a unit"),
            ("999999999999999999d", 0..19, "too large"),
        ];
        assert_faults(parse_duration, &cases);
    }

    #[test]
    fn shows_what_it_reads() {
        for text in ["0s", "500ms", "10s", "1h 30m", "1d"] {
            assert_eq!(show_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["0 B", "1000 B", "16 KiB", "1 MiB", "3 GiB"] {
            assert_eq!(show_size(parse_size(text).expect(text)), text);
        }
    }
}
