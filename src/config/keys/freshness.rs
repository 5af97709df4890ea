//! `cache_control` and `expires`: how long the files of a route are fresh.

use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{CacheControl, Expiry};
use crate::config::tree::node::Node;
use crate::config::tree::section::Key;
use crate::config::words::expiry::{parse_expiry, parse_file_class};
use crate::config::words::values::{parse_field_value, parse_file_pattern};
use crate::config::words::written;

/// Reads `cache_control`.
pub(super) fn cache_control(node: Node<'_>) -> Option<Vec<CacheControl>> {
    let help = "write { \"*.css\" = \"max-age=3600\" }".to_owned();
    let section = node.section("`cache_control`", Some(help))?;
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let pattern = key.parse(parse_file_pattern)?;
        let value = value.text()?.parse(parse_field_value)?;
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
