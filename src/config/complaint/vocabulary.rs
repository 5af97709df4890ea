//! What to say about a key that is real, but not here: it belongs elsewhere in the file, another
//! server calls it so, or a later version has it.
//!
//! The words come from the tables of `keys`, which hands them in.

use super::suggest::nearest;

/// The keys of the whole file, and what other servers call them.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Each key of ours once, and the places that it belongs to.
    homes: Vec<(&'static str, String)>,
    /// Names of other servers, and what we do.
    translations: Vec<(&'static str, &'static str)>,
    /// Names that a later version has.
    not_yet: &'static [&'static str],
}

impl Vocabulary {
    /// No key of `homes` or `translations` may stand there twice.
    pub(crate) fn new(
        homes: Vec<(&'static str, String)>,
        translations: Vec<(&'static str, &'static str)>,
        not_yet: &'static [&'static str],
    ) -> Self {
        Self {
            homes,
            translations,
            not_yet,
        }
    }

    /// What to say about `key`, where it is not known. A name that is ours in one place and another
    /// server's in another is explained as the other server's.
    pub(crate) fn explain(&self, key: &str) -> Option<String> {
        let mut translations = self.translations.iter();
        let translation = translations.find(|(name, _)| *name == key);
        let home = || Some(format!("`{key}` belongs in {}", self.home(key)?));
        translation
            .map(|(_, text)| (*text).to_owned())
            .or_else(home)
    }

    /// What to say about a `key` that resembles no key that could stand there, and may be a slip for
    /// one that stands elsewhere.
    pub(crate) fn explain_misspelt(&self, key: &str) -> Option<String> {
        let meant = nearest(key, self.homes.iter().map(|(name, _)| *name))?;
        let home = self.home(meant)?;
        Some(format!("did you mean `{meant}`? It belongs in {home}"))
    }

    /// Whether a later version has `key`.
    pub(crate) fn is_not_yet(&self, key: &str) -> bool {
        self.not_yet.contains(&key)
    }

    fn home(&self, key: &str) -> Option<&str> {
        let home = self.homes.iter().find(|(name, _)| *name == key);
        home.map(|(_, home)| home.as_str())
    }
}
