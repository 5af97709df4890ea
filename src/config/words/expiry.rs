//! How long files are fresh, as `expires` has it: `1y immutable`, `1h 30m public`, `no-cache`.

use std::ops::Range;

use super::file_key::refuse_other_syntax;
use super::units::parse_lifetime;
use super::values::{parse_field_value, parse_file_pattern};
use crate::config::complaint::fault::Fault;
use crate::config::model::FileClass;
use crate::http::fields::is_token;

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
    let words = words(text);
    let begins_time = |word: &Range<usize>| text.as_bytes()[word.start].is_ascii_digit();
    let mut count = words.iter().take_while(|word| begins_time(word)).count();
    // `30 days`: the unit may stand apart.
    let lacks_unit = |word: &Range<usize>| text[word.clone()].bytes().all(|b| b.is_ascii_digit());
    let is_unit = |word: &Range<usize>| !DIRECTIVES.contains(&&text[word.clone()]);
    if words[..count].last().is_some_and(lacks_unit) && words.get(count).is_some_and(is_unit) {
        count += 1;
    }
    let (time, directives) = words.split_at(count);
    let mut members = Vec::new();
    if let ([first, ..], [.., last]) = (time, time) {
        members.push(max_age(text, first.start..last.end)?);
    }
    for (nth, word) in directives.iter().enumerate() {
        let directive = &text[word.clone()];
        if !DIRECTIVES.contains(&directive) {
            return Err(unknown(directive, word.clone()));
        }
        if directives[..nth]
            .iter()
            .any(|other| text[other.clone()] == *directive)
        {
            let message = format!("`{directive}` stands here twice");
            return Err(Fault::new(word.clone(), message));
        }
        if let Some(other) = contradicted(directive)
            && directives[..nth]
                .iter()
                .any(|word| &text[word.clone()] == other)
        {
            let message = format!("`{directive}` contradicts `{other}`");
            let help =
                "`public` lets caches that many clients share keep it, `private` forbids that";
            return Err(Fault::new(word.clone(), message).help(help));
        }
        if directive == "no-store" && !time.is_empty() {
            let message = "what no cache may store has no time for which it is fresh";
            return Err(Fault::new(0..text.len(), message).help("leave the time out"));
        }
        members.push(directive.to_owned());
    }
    if members.is_empty() {
        return Err(Fault::new(0..text.len(), "neither a time nor a directive").help(HELP));
    }
    Ok(members.join(", "))
}

/// Reads a value of `Cache-Control`. A time as in `expires` is refused: it would be a directive that no cache knows.
pub(crate) fn parse_cache_control(text: &str) -> Result<String, Fault> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return parse_field_value(text);
    }
    let message = format!(
        "`{}` is no directive of `Cache-Control`",
        text.escape_debug()
    );
    let help = match parse_expiry(text) {
        Ok(value) => format!(
            "write \"{value}\", or have `expires` in place of `cache_control`, which takes times"
        ),
        Err(_) => "write \"max-age=3600\", in seconds".to_owned(),
    };
    Err(Fault::new(0..text.len(), message).help(help))
}

/// The directive that says the opposite.
fn contradicted(directive: &str) -> Option<&'static str> {
    match directive {
        "public" => Some("private"),
        "private" => Some("public"),
        _ => None,
    }
}

/// The places of the words.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut end = 0;
    let place = |word: &str| {
        let start = end + text[end..].find(word).unwrap_or(0);
        end = start + word.len();
        start..end
    };
    text.split_whitespace().map(place).collect()
}

/// The directive for the time that stands at `range`.
fn max_age(text: &str, range: Range<usize>) -> Result<String, Fault> {
    let lifetime = parse_lifetime(&text[range.clone()]).map_err(|fault| Fault {
        range: range.start + fault.range.start..range.start + fault.range.end,
        ..fault
    })?;
    match lifetime.as_secs() {
        seconds if seconds <= LONGEST => Ok(format!("max-age={seconds}")),
        _ => Err(Fault::new(range, "no cache keeps anything that long").help(HELP)),
    }
}

fn unknown(word: &str, range: Range<usize>) -> Fault {
    if word.starts_with(|first: char| first.is_ascii_digit()) {
        return Fault::new(range, "the time stands before the directives").help(HELP);
    }
    let message = format!("`{word}` is neither a time nor a directive of `Cache-Control`");
    let help = format!("the directives are {}", DIRECTIVES.join(", "));
    Fault::new(range, message).help(help)
}

/// The types that a media type may begin with (RFC 6838 §4.2, and the registry of IANA). Another word before a
/// slash is a directory.
const TYPES: &[&str] = &[
    "application",
    "audio",
    "example",
    "font",
    "haptics",
    "image",
    "message",
    "model",
    "multipart",
    "text",
    "video",
];

/// The type that a media type in a key begins with: `text` for `text/html` and `text/*`.
pub(crate) fn media_type_of(key: &str) -> Option<&str> {
    let (kind, _) = key.split_once('/')?;
    is_type(kind).then_some(kind)
}

/// Whether media types begin with `text`.
pub(crate) fn is_type(text: &str) -> bool {
    TYPES.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Reads which files are meant: the name of a kind, a media type, or a pattern over their paths.
pub(crate) fn parse_file_class(key: &str) -> Result<FileClass, Fault> {
    refuse_other_syntax(key)?;
    // A star is of tokens too, but here it makes a pattern.
    let is_name = |text: &str| is_token(text.as_bytes()) && !text.contains('*');
    // As in `types`, an extension may be written with its dot.
    let bare = key.strip_prefix('.').unwrap_or(key);
    match key.split_once('/') {
        None if is_name(bare) => Ok(FileClass::Kind(bare.to_owned())),
        Some((kind, subtype)) if is_type(kind) && is_name(subtype) => {
            Ok(FileClass::MediaType(key.to_owned()))
        }
        _ => parse_file_pattern(key).map(FileClass::Paths),
    }
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
            ("1y immutable 2d", 13..15),
            ("30m 1h", 5..6),
            ("max-age=5", 0..9),
            ("5", 0..1),
            ("1M", 1..2),
            ("99y", 0..3),
            ("99999999999999999999y", 0..20),
            ("60y 60w 500w", 11..12),
            ("1d no-store", 0..11),
            ("public public", 7..13),
            ("1d public private", 10..17),
            ("private no-cache public", 17..23),
        ] {
            let fault = parse_expiry(text).expect_err(text);
            assert_eq!(fault.range, place, "{text}: {}", fault.message);
        }
    }

    #[test]
    fn a_time_is_no_directive_of_cache_control() {
        assert_eq!(parse_cache_control("max-age=5").as_deref(), Ok("max-age=5"));
        for (text, help) in [
            ("30d", "write \"max-age=2592000\", or"),
            ("1y immutable", "write \"max-age=31536000, immutable\", or"),
            ("3600", "write \"max-age=3600\""),
        ] {
            let fault = parse_cache_control(text).expect_err(text);
            assert!(
                fault.help.is_some_and(|found| found.starts_with(help)),
                "{text}"
            );
        }
    }

    #[test]
    fn tells_kinds_and_media_types_from_patterns() {
        for (key, expected) in [
            ("html", "kind"),
            ("LICENSE", "kind"),
            ("svg+xml", "kind"),
            ("vnd.ms-excel", "kind"),
            ("tar.gz", "kind"),
            (".html", "kind"),
            ("text/html", "media type"),
            ("image/svg+xml", "media type"),
            ("Application/JSON", "media type"),
            ("*.css", "pattern"),
            ("a?", "pattern"),
            ("image/*", "pattern"),
            ("assets/app.js", "pattern"),
            ("text/a/b", "pattern"),
            ("a b", "pattern"),
        ] {
            let found = match parse_file_class(key).expect(key) {
                FileClass::Kind(_) => "kind",
                FileClass::MediaType(_) => "media type",
                FileClass::Paths(_) => "pattern",
            };
            assert_eq!(found, expected, "{key}");
        }
    }
}
