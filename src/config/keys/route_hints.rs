//! What to write in a route in place of a key that its verb does not take: the same key, or the same name of another
//! server, has another answer with each verb.

/// A verb, a key that it does not take, and the remedy.
const HINTS: &[(&str, &[&str], &str)] = &[
    (
        "fastcgi",
        &["try", "try_files"],
        "write fallback = \"index.php\", the script for every path that leads to no file; the query reaches it by itself",
    ),
    (
        "proxy",
        &["try", "try_files", "fallback"],
        "no route looks for a file before it asks an upstream; give what is a file a route of its own: \
         `\"/assets\" = { files = \"public\" }`",
    ),
    (
        "proxy",
        &["expires", "cache_control"],
        "write headers = { Cache-Control = \"max-age=3600\" }, which stands on no error",
    ),
];

/// The remedy for `key` in a route whose verb is `verb`.
pub(super) fn hint(verb: &str, key: &str) -> Option<&'static str> {
    let mut hints = HINTS.iter();
    let found = hints.find(|(its_verb, keys, _)| *its_verb == verb && keys.contains(&key));
    found.map(|(_, _, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::super::route::VERBS;
    use super::*;

    #[test]
    fn hints_are_for_verbs_that_do_not_take_the_key() {
        for (verb, keys, _) in HINTS {
            let known = VERBS.iter().find(|known| known.key == *verb).expect(verb);
            for key in *keys {
                assert!(hint(verb, key).is_some());
                assert!(!(known.rows)().iter().any(|row| row.key == *key), "{key}");
            }
        }
    }
}
