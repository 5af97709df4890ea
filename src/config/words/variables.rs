//! `${NAME}` and `${NAME:-default}` in a string; `$$` is a dollar.
//!
//! A dollar before any other character stands for itself. As in a shell, the default is also used for
//! a variable that is empty. A default ends at the first `}`, and is not expanded: another variable in it is a mistake.

use std::env::VarError;

use crate::config::complaint::fault::Fault;
use crate::config::model::{Endpoint, Template, TemplatePart};

/// Looks a variable up, as [`std::env::var`] does. The caller passes it in, so that tests do not depend on the process.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// Replaces every variable in `text`.
pub(crate) fn expand(text: &str, environment: Environment<'_>) -> Result<String, Fault> {
    let mut expanded = String::with_capacity(text.len());
    each_piece(text, |piece| {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Reference { name, start } => {
                expanded.push_str(&value_of(name, start, environment)?);
            }
        }
        Ok(())
    })?;
    Ok(expanded)
}

/// As [`expand`], but `${SOCKET}` and `${PORT}` stay: they mean what each process of an application gets
/// as its own.
pub(crate) fn expand_template(text: &str, environment: Environment<'_>) -> Result<Template, Fault> {
    let mut parts: Vec<TemplatePart> = Vec::new();
    each_piece(text, |piece| {
        match piece {
            Piece::Text(text) => push_text(&mut parts, text),
            Piece::Reference { name, start } => match Endpoint::of_variable(name) {
                Some(endpoint) => parts.push(TemplatePart::Own(endpoint)),
                None => push_text(&mut parts, &value_of(name, start, environment)?),
            },
        }
        Ok(())
    })?;
    Ok(Template(parts))
}

fn push_text(parts: &mut Vec<TemplatePart>, more: &str) {
    match parts.last_mut() {
        _ if more.is_empty() => {}
        Some(TemplatePart::Text(text)) => text.push_str(more),
        _ => parts.push(TemplatePart::Text(more.to_owned())),
    }
}

/// A piece of a string with variables.
enum Piece<'t> {
    Text(&'t str),
    /// What stands between the braces. `start` is where the dollar is.
    Reference {
        name: &'t str,
        start: usize,
    },
}

/// Calls `take` with the pieces of `text`, one after the other.
fn each_piece<'t>(
    text: &'t str,
    mut take: impl FnMut(Piece<'t>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        take(Piece::Text(&rest[..dollar]))?;
        let start = text.len() - rest.len() + dollar;
        let after = &rest[dollar + 1..];
        rest = if let Some(reference) = after.strip_prefix('{') {
            let (name, after) = reference
                .split_once('}')
                .ok_or_else(|| unclosed(start..text.len()))?;
            take(Piece::Reference { name, start })?;
            after
        } else {
            take(Piece::Text("$"))?;
            after.strip_prefix('$').unwrap_or(after)
        };
    }
    take(Piece::Text(rest))
}

/// The value of a reference, which is the text between the braces. `start` is where its dollar is.
fn value_of(reference: &str, start: usize, environment: Environment<'_>) -> Result<String, Fault> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let range = start..start + "${}".len() + reference.len();
    if !is_name(name) {
        return Err(Fault::new(
            range,
            format!("`{name}` is not the name of an environment variable"),
        )
        .help("write `${NAME}` or `${NAME:-default}`; for a dollar write `$$`"));
    }
    if default.is_some_and(|default| default.contains("${")) {
        let message = "a default is text, and holds no variable";
        return Err(Fault::new(range, message)
            .help("write `${NAME:-default}` with a default that is no variable itself"));
    }
    match (environment(name), default) {
        (Ok(value), None) => Ok(value),
        (Ok(value), Some(_)) if !value.is_empty() => Ok(value),
        // A default in its place would hide the mistake.
        (Err(VarError::NotUnicode(_)), _) => Err(Fault::new(
            range,
            format!("the value of the environment variable `{name}` is not UTF-8"),
        )
        .help("set it to text in UTF-8")),
        (_, Some(default)) => Ok(default.to_owned()),
        (Err(VarError::NotPresent), None) => Err(Fault::new(
            range,
            format!("the environment variable `{name}` is not set"),
        )
        .help(format!("set it, or give a default: `${{{name}:-default}}`"))),
    }
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}

fn unclosed(range: std::ops::Range<usize>) -> Fault {
    Fault::new(range, "`${` without its `}`")
        .help("write `${NAME}` or `${NAME:-default}`; for a dollar write `$$`")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;
    use crate::config::complaint::fault::assert_faults;

    fn lookup(name: &str) -> Result<String, VarError> {
        match name {
            "HOME" => Ok("/home/a".to_owned()),
            "EMPTY" => Ok(String::new()),
            "LATIN" => Err(VarError::NotUnicode(OsString::from_vec(b"\xe9".to_vec()))),
            _ => Err(VarError::NotPresent),
        }
    }

    #[test]
    fn replaces_variables() {
        let cases = [
            ("plain", "plain"),
            ("${HOME}/www", "/home/a/www"),
            ("a${HOME}${HOME}b", "a/home/a/home/ab"),
            ("${NONE:-x y}", "x y"),
            ("${NONE:-}", ""),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("$$", "$"),
            ("$${HOME}", "${HOME}"),
            ("5$ or $HOME", "5$ or $HOME"),
            ("$", "$"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_a_process_s_own_stays() {
        let text = |text: &str| TemplatePart::Text(text.to_owned());
        let (socket, port) = (Endpoint::Socket, Endpoint::Port);
        for (written, expected) in [
            ("plain", vec![text("plain")]),
            ("", vec![]),
            ("${HOME}/$$x", vec![text("/home/a/$x")]),
            ("${SOCKET}", vec![TemplatePart::Own(socket)]),
            (
                "unix:${SOCKET}${HOME}:${PORT}",
                vec![
                    text("unix:"),
                    TemplatePart::Own(socket),
                    text("/home/a:"),
                    TemplatePart::Own(port),
                ],
            ),
            ("$${SOCKET}", vec![text("${SOCKET}")]),
            ("${PORT:-80}", vec![text("80")]),
        ] {
            let template = expand_template(written, &lookup);
            assert_eq!(template, Ok(Template(expected)), "{written}");
        }
        assert!(expand_template("${NONE}", &lookup).is_err());
    }

    #[test]
    fn refuses_what_has_no_value_and_says_where() {
        let cases = [
            ("a/${NONE}/b", 2..9, "`NONE` is not set"),
            (
                "a/${LATIN}",
                2..10,
                "value of the environment variable `LATIN` is not UTF-8",
            ),
            (
                "${LATIN:-x}",
                0..11,
                "value of the environment variable `LATIN` is not UTF-8",
            ),
            ("${}", 0..3, "`` is not the name"),
            ("${1A}", 0..5, "`1A` is not the name"),
            ("x${HOME", 1..7, "without its `}`"),
            ("${NONE:-${HOME}}", 0..15, "holds no variable"),
            ("${HOME:-${NONE:-c}}", 0..18, "holds no variable"),
        ];
        assert_faults(|text| expand(text, &lookup), &cases);
    }
}
