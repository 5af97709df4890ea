//! Reads values that go into a response, a script's environment or a file's name as they are.
//!
//! What the protocol forbids in a field is refused here. So no other code has to check it while
//! serving.

use crate::config::complaint::fault::Fault;
use crate::config::model::FilePattern;
use crate::http::fields::{is_token, is_token_byte};

/// Reads the name of a file that is tried in a directory.
pub(crate) fn parse_index_name(name: &str) -> Result<String, Fault> {
    match name {
        "" | "." | ".." => Err(Fault::new(
            0..name.len(),
            format!("`{name}` is not the name of a file"),
        )),
        _ if is_list_of_names(name) => {
            let names = name.split([',', ' ']).filter(|part| !part.is_empty());
            let names: Vec<String> = names.map(|part| format!("\"{part}\"")).collect();
            let fault = Fault::new(
                0..name.len(),
                format!("`{name}` is several names in one text"),
            );
            Err(fault.help(format!("write [{}]", names.join(", "))))
        }
        _ => match name.find(['/', '\0']) {
            Some(at) => Err(Fault::new(
                at..at + 1,
                "an index is the name of a file, not a path",
            )),
            None => Ok(name.to_owned()),
        },
    }
}

/// Whether this is the list of another server, `index.html index.htm`: names with blanks or commas between them. A
/// name may have a blank, but then not every part has an extension.
fn is_list_of_names(text: &str) -> bool {
    let mut parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    let is_name = |part: &str| {
        part.rsplit_once('.').is_some_and(|(name, end)| {
            !name.is_empty() && end.starts_with(|c: char| c.is_ascii_alphabetic())
        })
    };
    text.contains([',', ' ']) && parts.clone().count() > 1 && parts.all(is_name)
}

/// Reads the path of a script, relative to the root of its route. A slash at its start means the root.
/// It has no segment that a path of a request could not have, so that it leads to one file in one way.
pub(crate) fn parse_script_name(path: &str) -> Result<String, Fault> {
    let name = path.trim_start_matches('/');
    let start = path.len() - name.len();
    if name.is_empty() {
        return Err(Fault::new(0..path.len(), "the name of a script is missing"));
    }
    if let Some(at) = name.find('\0') {
        let at = start + at;
        return Err(Fault::new(at..at + 1, "the name of a script holds no NUL"));
    }
    if name
        .split('/')
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        let message = format!("`{path}` is not the path of a script beneath the root");
        let help =
            "write it from the root on, without `.`, `..` and empty segments: \"bin/app.fcgi\"";
        return Err(Fault::new(0..path.len(), message).help(help));
    }
    Ok(name.to_owned())
}

/// Reads a pattern over the paths beneath a root.
pub(crate) fn parse_file_pattern(pattern: &str) -> Result<FilePattern, Fault> {
    if pattern.is_empty() || pattern.starts_with('/') {
        return Err(Fault::new(
            0..pattern.len(),
            "a pattern over files is relative to the directory",
        )
        .help("\"*.css\" is every style sheet, \"assets/**\" all beneath `assets`"));
    }
    FilePattern::new(pattern).ok_or_else(|| {
        Fault::new(0..pattern.len(), "a pattern over files is not that long")
            .help("a few names and a few `*` are enough for most")
    })
}

/// Reads the name of a field, which is a token (RFC 9110 §5.1, §5.6.2).
pub(crate) fn parse_field_name(name: &str) -> Result<String, Fault> {
    if name.is_empty() {
        return Err(Fault::new(0..0, "a field without a name"));
    }
    match name.char_indices().find(|(_, c)| !is_token_character(*c)) {
        None => Ok(name.to_owned()),
        Some((at, c)) => {
            let message = format!("`{}` cannot stand in a field's name", c.escape_debug());
            let fault = Fault::new(at..at + c.len_utf8(), message);
            Err(match c {
                ':' if at > 0 => fault.help(format!("write the name alone: \"{}\"", &name[..at])),
                _ => fault,
            })
        }
    }
}

fn is_token_character(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_token_byte)
}

/// Reads a field's value (RFC 9110 §5.5): no control characters, no blanks at the ends.
pub(crate) fn parse_field_value(value: &str) -> Result<String, Fault> {
    let bytes = value.bytes();
    if let Some(at) = bytes
        .into_iter()
        .position(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        return Err(
            Fault::new(at..at + 1, "a field's value has no control characters")
                .help("write it on one line"),
        );
    }
    if value.trim_matches([' ', '\t']) != value || value.is_empty() {
        return Err(Fault::new(
            0..value.len(),
            "a field's value is not empty, and has no blanks at its ends",
        ));
    }
    Ok(value.to_owned())
}

/// Reads a media type (RFC 9110 §8.3.1): `type/subtype`, and perhaps parameters.
pub(crate) fn parse_media_type(text: &str) -> Result<String, Fault> {
    let essence = text.split(';').next().unwrap_or(text).trim_end();
    match essence.split_once('/') {
        Some((kind, subtype)) if is_token(kind.as_bytes()) && is_token(subtype.as_bytes()) => {
            parse_field_value(text)
        }
        _ => Err(
            Fault::new(0..essence.len(), format!("`{essence}` is not a media type"))
                .help("write \"text/html; charset=utf-8\""),
        ),
    }
}

/// Reads the name of an environment variable: letters, digits and `_`, so that every program can use
/// it.
pub(crate) fn parse_variable_name(name: &str) -> Result<String, Fault> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.char_indices().find(|(_, c)| !is_of_name(*c)) {
        None if name.is_empty() => Err(Fault::new(0..0, "a variable without a name")),
        None if name.starts_with(|c: char| c.is_ascii_digit()) => Err(Fault::new(
            0..1,
            "the name of a variable begins with no digit",
        )),
        None => Ok(name.to_owned()),
        Some((at, c)) => Err(Fault::new(
            at..at + c.len_utf8(),
            format!("`{}` cannot stand in a variable's name", c.escape_debug()),
        )),
    }
}

/// Reads the value of an environment variable: anything but NUL.
pub(crate) fn parse_variable_value(value: &str) -> Result<String, Fault> {
    match value.find('\0') {
        None => Ok(value.to_owned()),
        Some(at) => Err(Fault::new(at..at + 1, "a variable's value holds no NUL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parser = fn(&str) -> Result<String, Fault>;

    fn file_pattern(text: &str) -> Result<String, Fault> {
        parse_file_pattern(text).map(|pattern| pattern.to_string())
    }

    #[test]
    fn takes_values_as_they_are() {
        let cases: &[(Parser, &str)] = &[
            (parse_index_name, "index.html"),
            (parse_index_name, "my index, v1.html"),
            (parse_script_name, "app.fcgi"),
            (parse_script_name, "bin/.app"),
            (file_pattern, "*.css"),
            (file_pattern, "assets/**"),
            (parse_field_name, "X-Frame-Options"),
            (parse_field_value, "max-age=3600, public"),
            (parse_field_value, "a\tb"),
            (parse_media_type, "text/plain; charset=utf-8"),
            (parse_media_type, "application/vnd.api+json"),
            (parse_variable_name, "LANG"),
            (parse_variable_name, "_a1"),
            (parse_variable_value, ""),
            (parse_variable_value, "a = b\n"),
        ];
        for (parser, text) in cases {
            assert_eq!(parser(text).as_deref(), Ok(*text));
        }
    }

    #[test]
    fn refuses_what_must_not_leave_the_server_and_says_where() {
        let cases: &[(Parser, &str, std::ops::Range<usize>)] = &[
            (parse_index_name, "", 0..0),
            (parse_index_name, "..", 0..2),
            (parse_index_name, "a/b", 1..2),
            (parse_index_name, "index.html index.htm", 0..20),
            (parse_index_name, "index.html, index.htm", 0..21),
            (parse_index_name, "a\0", 1..2),
            (parse_script_name, "/", 0..1),
            (parse_script_name, "a\0", 1..2),
            (parse_script_name, "./a.php", 0..7),
            (parse_script_name, "../a.php", 0..8),
            (parse_script_name, "a//b", 0..4),
            (parse_script_name, "a/", 0..2),
            (file_pattern, "/a", 0..2),
            (file_pattern, "", 0..0),
            (parse_field_name, "", 0..0),
            (parse_field_name, "a: b", 1..2),
            (parse_field_name, "a\u{e9}", 1..3),
            (parse_field_value, "a\r\nb", 1..2),
            (parse_field_value, "a\u{7f}", 1..2),
            (parse_field_value, " a", 0..2),
            (parse_field_value, "", 0..0),
            (parse_media_type, "html", 0..4),
            (parse_media_type, "text/", 0..5),
            (parse_media_type, "te xt/html", 0..10),
            (parse_media_type, "text/html\n", 9..10),
            (parse_variable_name, "", 0..0),
            (parse_variable_name, "1A", 0..1),
            (parse_variable_name, "A=B", 1..2),
            (parse_variable_name, "a-b", 1..2),
            (parse_variable_value, "a\0", 1..2),
        ];
        for (parser, text, range) in cases {
            assert_eq!(
                parser(text).map_err(|fault| fault.range),
                Err(range.clone()),
                "{text:?}"
            );
        }
    }
}
