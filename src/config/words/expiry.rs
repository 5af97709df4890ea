//! How long files are fresh, as `expires` has it: `1y immutable`, `1h 30m public`, `no-cache`.

use super::values::parse_file_pattern;
use crate::config::complaint::fault::Fault;
use crate::config::model::FileClass;

/// Seconds of each unit. A year has 365 days: the longest that caches are likely to keep anything.
const UNITS: &[(&str, u64)] = &[
    ("y", 365 * 24 * 60 * 60),
    ("w", 7 * 24 * 60 * 60),
    ("d", 24 * 60 * 60),
    ("h", 60 * 60),
    ("m", 60),
    ("s", 1),
];

/// The longest time that every cache understands (RFC 9111 §1.2.2).
const LONGEST: u64 = i32::MAX as u64;

/// The directives that take no argument (RFC 9111 §5.2.2, RFC 8246).
const DIRECTIVES: &[&str] = &[
    "immutable",
    "public",
    "private",
    "no-cache",
    "no-store",
    "no-transform",
    "must-revalidate",
    "proxy-revalidate",
    "must-understand",
];

const HELP: &str = "write \"1y immutable\", \"1h 30m\", or \"no-cache\"";

/// Reads a time and directives, either of which may be missing, and returns the value of `Cache-Control`.
pub(crate) fn parse_expiry(text: &str) -> Result<String, Fault> {
    let mut seconds: Option<u64> = None;
    let mut directives: Vec<&str> = Vec::new();
    let mut end = 0;
    for word in text.split_whitespace() {
        let start = end + text[end..].find(word).unwrap_or(0);
        end = start + word.len();
        let range = start..end;
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            let part = parse_time(word, range.clone())?;
            let sum = seconds.unwrap_or(0).checked_add(part);
            let sum = sum.filter(|sum| *sum <= LONGEST);
            seconds = Some(sum.ok_or_else(|| {
                Fault::new(range, "no cache keeps anything that long").help(HELP)
            })?);
        } else if directives.contains(&word) {
            return Err(Fault::new(range, format!("`{word}` stands here twice")));
        } else if DIRECTIVES.contains(&word) {
            directives.push(word);
        } else {
            let message = format!("`{word}` is neither a time nor a directive of `Cache-Control`");
            let known = DIRECTIVES.join(", ");
            return Err(Fault::new(range, message).help(format!("the directives are {known}")));
        }
    }
    if seconds.is_some() && directives.contains(&"no-store") {
        let message = "what no cache may store has no time for which it is fresh";
        return Err(Fault::new(0..text.len(), message).help("leave the time out"));
    }
    let time = seconds.map(|seconds| format!("max-age={seconds}"));
    let members = time.iter().map(String::as_str).chain(directives);
    let value = members.collect::<Vec<_>>().join(", ");
    if value.is_empty() {
        return Err(Fault::new(0..text.len(), "neither a time nor a directive").help(HELP));
    }
    Ok(value)
}

/// Reads which files are meant: a pattern over their paths, or the name of a kind.
pub(crate) fn parse_file_class(key: &str) -> Result<FileClass, Fault> {
    if !key.is_empty() && key.bytes().all(|octet| octet.is_ascii_alphanumeric()) {
        return Ok(FileClass::Kind(key.to_owned()));
    }
    parse_file_pattern(key).map(FileClass::Paths)
}

/// Reads a number and its unit, which stand at `range`: seconds.
fn parse_time(word: &str, range: std::ops::Range<usize>) -> Result<u64, Fault> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let Some((_, factor)) = unit else {
        let units = UNITS.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let message = format!("`{word}` is no time");
        let help = format!("a time is a whole number and one of {}", units.join(", "));
        return Err(Fault::new(range, message).help(help));
    };
    let seconds = number.parse::<u64>().ok();
    let seconds = seconds.and_then(|number| number.checked_mul(*factor));
    seconds.ok_or_else(|| Fault::new(range, "no cache keeps anything that long").help(HELP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times_and_directives() {
        for (text, expected) in [
            ("1y immutable", "max-age=31536000, immutable"),
            ("1h 30m public", "max-age=5400, public"),
            ("no-cache", "no-cache"),
            ("0s must-revalidate", "max-age=0, must-revalidate"),
            ("2w", "max-age=1209600"),
            ("private no-cache", "private, no-cache"),
        ] {
            assert_eq!(parse_expiry(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_says_nothing_or_too_much() {
        for (text, place) in [
            ("", 0..0),
            ("  ", 0..2),
            ("1y forever", 3..10),
            ("max-age=5", 0..9),
            ("5", 0..1),
            ("1M", 0..2),
            ("99y", 0..3),
            ("99999999999999999999y", 0..21),
            ("60y 60y", 4..7),
            ("1d no-store", 0..11),
            ("public public", 7..13),
        ] {
            let fault = parse_expiry(text).expect_err(text);
            assert_eq!(fault.range, place, "{text}: {}", fault.message);
        }
    }
}
