//! `cache_control` and `expires`: how long the files of a route are fresh.

use std::path::Path;

use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{CacheControl, Expiry};
use crate::config::tree::node::Node;
use crate::config::tree::section::Key;
use crate::config::tree::section::Section;
use crate::config::tree::survey::Survey;
use crate::config::words::expiry::{
    is_type, media_type_of, parse_cache_control, parse_expiry, parse_file_class,
};
use crate::config::words::file_key::{is_known_extension, refuse_other_syntax};
use crate::config::words::values::parse_file_pattern;
use crate::config::words::written;

/// Reads `cache_control`.
pub(super) fn cache_control(node: Node<'_>) -> Option<Vec<CacheControl>> {
    let help = "write { \"*.css\" = \"max-age=3600\" }".to_owned();
    let section = node.section("`cache_control`", Some(help))?;
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let pattern = |text: &str| {
            refuse_other_syntax(text)?;
            parse_file_pattern(text)
        };
        let pattern = key.parse(pattern);
        let value = value
            .text()
            .and_then(|text| text.parse(parse_cache_control));
        let (pattern, value) = (pattern?, value?);
        Some(CacheControl { pattern, value })
    };
    Some(section.entries().into_iter().filter_map(entry).collect())
}

/// Reads `expires`. It warns of an entry for the files of an earlier one, which counts.
pub(super) fn expires(node: Node<'_>) -> Option<Vec<Expiry>> {
    let help = "write { \"*.css\" = \"1y immutable\", html = \"no-cache\" }".to_owned();
    let section = node.section("`expires`", Some(help))?;
    let mut expires: Vec<Expiry> = Vec::new();
    let mut spots: Vec<Spot> = Vec::new();
    for (key, value) in section.entries() {
        let class = key.parse(parse_file_class);
        let read = |text: &str| parse_expiry(text).map(|value| (text.to_owned(), value));
        let value = value.text().and_then(|text| text.parse(read));
        let (Some(class), Some((written, value))) = (class, value) else {
            continue;
        };
        let mut others = expires.iter().zip(&spots);
        if let Some((other, spot)) = others.find(|(other, _)| other.class.is_same(&class)) {
            warn_of_same_kind(&key, other.class.as_str(), spot);
            continue;
        }
        spots.push(key.spot());
        expires.push(Expiry {
            class,
            written,
            value,
        });
    }
    Some(expires)
}

/// Warns of `key`, which is the kind `other` in other letters.
fn warn_of_same_kind(key: &Key<'_>, other: &str, spot: &Spot) {
    let message = format!("`{}` and `{other}` are the same kind of files", key.name);
    let help = "the case of a kind means nothing".to_owned();
    key.cx.report(
        Diagnostic::warning(message)
            .at(key.spot(), "left out")
            .at(spot.clone(), "this one counts")
            .help(help),
    );
}

pub(super) fn show_expires(expires: &[Expiry]) -> String {
    let entry = |expiry: &Expiry| {
        let key = expiry.class.as_str().to_owned();
        (key, written::string(&expiry.written))
    };
    written::inline(expires.iter().map(entry))
}

pub(super) fn show_cache_control(rules: &[CacheControl]) -> String {
    let entry = |rule: &CacheControl| {
        (
            rule.pattern.as_str().to_owned(),
            written::string(&rule.value),
        )
    };
    written::inline(rules.iter().map(entry))
}

/// Warns of keys of `cache_control` and `expires` that no file beneath `root` can ever match: they are right in the
/// other one of the two, or name a directory.
pub(super) fn warn_of_vain_keys(section: &Section<'_>, root: &Path) {
    for name in ["cache_control", "expires"] {
        let Some(node) = section
            .peek(name)
            .filter(|node| node.value.get_ref().is_table())
        else {
            continue;
        };
        let survey = node.cx.surveys.of(root);
        // The files of an empty root are still to come.
        if !root.is_dir() || survey.is_empty {
            continue;
        }
        let keys = node.section("", None).map(|section| section.entries());
        for (key, _) in keys.into_iter().flatten() {
            let is_kind = name == "expires";
            if let Some((message, help)) = why_vain(key.name, is_kind, root, &survey) {
                let warning = Diagnostic::warning(message).at(key.spot(), "");
                key.cx.report(warning.help(help));
            }
        }
    }
}

/// Why `key` matches no file, and what to write. `takes_kinds`: it is one of `expires`, and may be a kind of files.
fn why_vain(
    key: &str,
    takes_kinds: bool,
    root: &Path,
    survey: &Survey,
) -> Option<(String, String)> {
    let path = root.join(key);
    let has_wildcard = key.contains(['*', '?']);
    if let Some(kind) = media_type_of(key)
        && !root.join(kind).exists()
        && (has_wildcard || !takes_kinds)
    {
        let message = format!(
            "`{key}` is a pattern over paths here, and there is no `{}`",
            root.join(kind).display()
        );
        let help = match (takes_kinds, has_wildcard) {
            (true, _) => format!("for files of this type write `{kind}`"),
            (false, true) => {
                format!("`expires` knows media types: expires = {{ {kind} = \"1h\" }}")
            }
            (false, false) => {
                format!("`expires` knows media types: expires = {{ \"{key}\" = \"1h\" }}")
            }
        };
        return Some((message, help));
    }
    if has_wildcard {
        return None;
    }
    // Of files that the survey did not see, nothing is known.
    let is_kind = takes_kinds
        && (is_type(key)
            || is_known_extension(key)
            || !survey.is_complete
            || survey.extensions.contains(&key.to_ascii_lowercase()));
    if path.is_dir() && !is_kind {
        let directory = key.trim_end_matches('/');
        let meant = if takes_kinds && !key.contains('/') {
            format!(
                "files whose names end in `.{}`",
                key.trim_start_matches('.')
            )
        } else {
            "a file of that name".to_owned()
        };
        let message = format!(
            "`{}` is a directory, and this key is for {meant}",
            path.display()
        );
        return Some((
            message,
            format!("for all files beneath it write \"{directory}/**\""),
        ));
    }
    let end = key.strip_prefix('.').unwrap_or(key);
    let is_extension = !end.contains(['.', '/'])
        && (end != key
            || survey.extensions.contains(&end.to_ascii_lowercase())
            || is_known_extension(end));
    if !takes_kinds && is_extension && !path.is_file() {
        let message = format!("`{key}` is the name of a file here, and not what names end in");
        return Some((message, format!("write \"*.{end}\"")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn a_directory_named_as_a_kind_of_files_makes_no_key_vain() {
        let root = TemporaryDirectory::new("vain");
        for name in ["css", "fonts"] {
            std::fs::create_dir(root.path().join(name)).expect("a directory");
        }
        let seen = Survey {
            is_complete: true,
            ..Survey::default()
        };
        let is_vain = |key, survey| why_vain(key, true, root.path(), survey).is_some();
        assert!(!is_vain("css", &seen), "a known extension");
        assert!(is_vain("fonts", &seen));
        assert!(!is_vain("fonts", &Survey::default()), "not all was seen");
    }
}
