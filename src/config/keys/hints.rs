//! Makes the hints for keys at a wrong place, and for other servers' names, from the tables of keys.

use std::sync::LazyLock;

use super::TABLES;
use super::foreign_names::NAMES;
use super::setting::Row;
use crate::config::complaint::vocabulary::{Translation, Vocabulary};
use crate::config::tree::node::alternatives;

/// The keys of all tables, made once for the process.
pub(crate) fn vocabulary() -> &'static Vocabulary {
    static VOCABULARY: LazyLock<Vocabulary> =
        LazyLock::new(|| Vocabulary::new(homes(), translations()));
    &VOCABULARY
}

/// Each key once, and the places where it belongs.
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

/// The names that other servers use, in the order of our tables.
fn translations() -> Vec<Translation> {
    let rows = TABLES.iter().flat_map(|table| (table.rows)());
    let of_row = |row: Row| {
        let translation = move |(name, text): &(&'static str, &'static str)| Translation {
            name,
            key: row.key,
            text,
        };
        row.translations.iter().map(translation)
    };
    let further = NAMES.iter();
    let further = further.map(|(name, key, text)| Translation { name, key, text });
    rows.flat_map(of_row).chain(further).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_servers_stand_for_keys_that_there_are() {
        let homes = homes();
        for (name, key, _) in NAMES {
            let is_key = |key: &str| homes.iter().any(|(known, _)| *known == key);
            assert!(key.is_empty() || is_key(key), "{name}: {key}");
            assert!(!is_key(name), "{name} is a key of ours");
        }
    }
}
