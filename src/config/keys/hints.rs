//! The hints for keys at a wrong place and for other servers' names, out of the tables of keys.

use std::sync::LazyLock;

use super::TABLES;
use crate::config::complaint::vocabulary::Vocabulary;
use crate::config::tree::node::alternatives;

/// Names that a later version has.
const NOT_YET: &[&str] = &["upstreams", "tls", "user"];

/// What every key of the file is about.
pub(crate) fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: LazyLock<Vocabulary> =
        LazyLock::new(|| Vocabulary::new(homes(), translations(), NOT_YET));
    &VOCABULARY
}

/// Each key once, and the places that it belongs to.
fn homes() -> Vec<(&'static str, String)> {
    let mut homes: Vec<(&str, Vec<String>)> = Vec::new();
    for table in TABLES {
        for row in (table.rows)() {
            let home = (table.home)(row.key);
            match homes.iter_mut().find(|(key, _)| *key == row.key) {
                Some((_, places)) if places.contains(&home) => {}
                Some((_, places)) => places.push(home),
                None => homes.push((row.key, vec![home])),
            }
        }
    }
    let homes = homes.into_iter();
    homes
        .map(|(key, places)| (key, alternatives(places)))
        .collect()
}

/// What other servers call the keys, each name once: a table may have its rows at several levels.
fn translations() -> Vec<(&'static str, &'static str)> {
    let rows = TABLES.iter().flat_map(|table| (table.rows)());
    let mut translations: Vec<(&str, &str)> = Vec::new();
    for (name, text) in rows.flat_map(|row| row.translations) {
        if !translations.iter().any(|(other, _)| other == name) {
            translations.push((name, text));
        }
    }
    translations
}
