//! `${NAME}` and `${NAME:-default}` in a string; `$$` is a dollar.
//!
//! A dollar before any other character stands for itself. As in a shell, the default is also used for
//! a variable that is empty. A default ends at the first `}`, and is not expanded.

use crate::config::complaint::fault::Fault;

/// Looks a variable up. The caller passes it in, so that tests do not depend on the process.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every variable in `text`.
pub(crate) fn expand(text: &str, environment: Environment<'_>) -> Result<String, Fault> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let start = text.len() - rest.len() + dollar;
        let after = &rest[dollar + 1..];
        rest = if let Some(reference) = after.strip_prefix('{') {
            let (reference, after) = reference
                .split_once('}')
                .ok_or_else(|| unclosed(start..text.len()))?;
            expanded.push_str(&value_of(reference, start, environment)?);
            after
        } else {
            expanded.push('$');
            after.strip_prefix('$').unwrap_or(after)
        };
    }
    Ok(expanded + rest)
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
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Fault::new(
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
    use super::*;
    use crate::config::complaint::fault::assert_faults;

    fn lookup(name: &str) -> Option<String> {
        [("HOME", "/home/a"), ("EMPTY", "")]
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| (*v).to_owned())
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
    fn refuses_what_has_no_value_and_says_where() {
        let cases = [
            ("a/${NONE}/b", 2..9, "`NONE` is not set"),
            ("${}", 0..3, "`` is not the name"),
            ("${1A}", 0..5, "`1A` is not the name"),
            ("x${HOME", 1..7, "without its `}`"),
        ];
        assert_faults(|text| expand(text, &lookup), &cases);
    }
}
