//! Values as TOML writes them, for the dump and the difference of reloads.
//!
//! The parsers read what is written here back to the same value. A dollar in a string is doubled,
//! because a single one could begin a variable.
//!
//! A secret stands between two marks, so that changes of it are found. [`without_secrets`] takes it out of
//! what the operator sees.

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use super::units::{show_duration, show_size};
use crate::address::{ListenAddress, UNIX, UpstreamAddress, UpstreamUrl};
use crate::config::model::{Secret, Template, TemplatePart};

/// Stand before and behind a secret. Nothing else that is written here has them: [`quoted`] escapes control
/// characters.
const SECRET: [char; 2] = ['\u{1}', '\u{2}'];

/// A table: keys, and values as TOML.
pub(crate) type Table = Vec<(String, String)>;

/// A string.
pub(crate) fn string(text: &str) -> String {
    quoted(&text.replace('$', "$$"))
}

/// A string that gives access to something.
pub(crate) fn secret(text: &str) -> String {
    format!("\"{}\"", hidden(text))
}

/// As [`template`], with secrets beside what stands for a socket or a port.
pub(crate) fn secret_template(template: &Template) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => hidden(text),
        TemplatePart::Own(endpoint) => format!("${{{}}}", endpoint.variable()),
    };
    let parts: String = template.0.iter().map(part).collect();
    format!("\"{parts}\"")
}

/// `text` as it stands within a string, between the marks of a secret.
fn hidden(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let [begin, end] = SECRET;
    format!("{begin}{}{end}", escaped(&text.replace('$', "$$")))
}

/// `written`, in which a word takes the place of each secret.
pub(crate) fn without_secrets(written: &str) -> String {
    let [begin, end] = SECRET;
    let mut pieces = written.split(begin);
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let behind = piece.split_once(end).map_or("", |(_, behind)| behind);
        shown.push_str(Secret::IN_PLACE);
        shown.push_str(behind);
    }
    shown
}

/// `written` with its secrets, and without their marks.
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) fn with_secrets(written: &str) -> String {
    written.replace(SECRET, "")
}

/// A string with what stands for a process's own socket or port.
pub(crate) fn template(template: &Template) -> String {
    quoted(&plain_template(template))
}

/// The words of a template, which are separated by spaces, as an array.
pub(crate) fn template_words(template: &Template) -> String {
    array(plain_template(template).split_whitespace().map(quoted))
}

fn plain_template(template: &Template) -> String {
    let part = |part: &TemplatePart| match part {
        TemplatePart::Text(text) => text.replace('$', "$$"),
        TemplatePart::Own(endpoint) => format!("${{{}}}", endpoint.variable()),
    };
    template.0.iter().map(part).collect()
}

/// A value in the form of its `Display`, as a string.
pub(crate) fn shown(value: &impl Display) -> String {
    string(&value.to_string())
}

/// A duration.
pub(crate) fn duration(duration: Duration) -> String {
    string(&show_duration(duration))
}

/// A size in bytes.
pub(crate) fn size(bytes: u64) -> String {
    string(&show_size(bytes))
}

/// A path, made absolute, because the text may be kept in another directory than its file.
pub(crate) fn path(path: &Path) -> String {
    string(&absolute(path))
}

/// Where something listens; the path of a socket is made absolute.
pub(crate) fn address(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Ip(address) => shown(address),
        ListenAddress::Unix(at) => string(&format!("{UNIX}{}", absolute(at.path()))),
    }
}

/// Where an upstream listens; the path of a socket is made absolute.
pub(crate) fn upstream(address: &UpstreamAddress) -> String {
    string(&plain_upstream(address))
}

/// As [`upstream`], without quotes.
pub(crate) fn plain_upstream(address: &UpstreamAddress) -> String {
    match address {
        UpstreamAddress::Unix(path) => format!("{UNIX}{}", absolute(path)),
        address => address.to_string(),
    }
}

/// As [`plain_upstream`], with what is spoken there.
pub(crate) fn plain_url(url: &UpstreamUrl) -> String {
    match &url.address {
        address @ UpstreamAddress::Unix(_) => plain_upstream(address),
        _ => url.to_string(),
    }
}

/// `path`, made absolute; unchanged if the working directory is unknown.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.to_string_lossy().into_owned()
}

/// An array of values that are TOML already.
pub(crate) fn array(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    format!("[{}]", values.join(", "))
}

/// An array of strings.
pub(crate) fn strings(texts: &[String]) -> String {
    array(texts.iter().map(|text| string(text)))
}

/// An inline table of strings.
pub(crate) fn pairs(pairs: &[(String, String)]) -> String {
    inline(pairs.iter().map(|(name, value)| (name, string(value))))
}

/// As [`pairs`], for values that give access to something.
pub(crate) fn secret_pairs(pairs: &[(String, String)]) -> String {
    inline(pairs.iter().map(|(name, value)| (name, secret(value))))
}

/// An inline table of values that are TOML already.
pub(crate) fn inline<N: AsRef<str>>(entries: impl IntoIterator<Item = (N, String)>) -> String {
    let entry = |(name, value): (N, String)| format!("{} = {value}", key(name.as_ref()));
    let entries: Vec<String> = entries.into_iter().map(entry).collect();
    if entries.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{ {} }}", entries.join(", "))
    }
}

/// A line for each key.
pub(crate) fn lines(table: &Table) -> String {
    let line = |(name, value): &(String, String)| format!("{} = {value}\n", key(name));
    table.iter().map(line).collect()
}

/// A value that `toml` holds. Its strings may give access to something.
fn value(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => secret(text),
        toml::Value::Array(values) => array(values.iter().map(self::value)),
        toml::Value::Table(values) => secret_table(values),
        other => other.to_string(),
    }
}

/// A table that `toml` holds. Its strings may give access to something.
pub(crate) fn secret_table(table: &toml::Table) -> String {
    inline(table.iter().map(|(name, element)| (name, value(element))))
}

/// A key, in quotes if it needs them.
pub(crate) fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A basic string (TOML 1.0, "String").
fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// `text` as it stands between the quotes of a basic string.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => escaped.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_read_back() {
        for text in ["", "a", "a\"b\\c", "a\nb\r\u{7f}", "${HOME} $", "\u{e9}"] {
            let parsed: toml::Table = format!("a = {}", quoted(text)).parse().expect("TOML");
            assert_eq!(parsed["a"].as_str(), Some(text));
        }
        assert_eq!((key("a-b"), key("= /a")), ("a-b".into(), "\"= /a\"".into()));
        assert_eq!(string("${A}"), "\"$${A}\"");
    }

    #[test]
    fn a_secret_is_written_and_not_shown() {
        for text in ["hunter2", "a\"b\\c$", "\u{1}\u{2}\u{1}", "[redacted]"] {
            let table = format!("{{ a = {}, b = \"c\" }}", secret(text));
            assert_eq!(without_secrets(&table), "{ a = \"[redacted]\", b = \"c\" }");
            assert_eq!(
                with_secrets(&table),
                format!("{{ a = {}, b = \"c\" }}", string(text))
            );
        }
        assert_eq!(without_secrets(&secret("")), "\"\"");
    }
}
