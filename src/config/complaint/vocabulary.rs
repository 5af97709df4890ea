//! What to say about a key that is real, but not here: it belongs elsewhere in the file, or another
//! server calls it so.
//!
//! The words come from the tables of `keys`.

use super::suggest::nearest;

/// The keys of the whole file, and what other servers call them.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    /// Each of our keys once, and the places where it belongs.
    homes: Vec<(&'static str, String)>,
    translations: Vec<Translation>,
}

/// A name that other servers use.
#[derive(Debug)]
pub(crate) struct Translation {
    pub(crate) name: &'static str,
    /// The key of ours that stands for it.
    pub(crate) key: &'static str,
    /// What the operator can write here.
    pub(crate) text: &'static str,
}

impl Vocabulary {
    /// Makes a vocabulary. No name may stand twice in `homes`. One that stands twice in `translations` is explained
    /// by the first.
    pub(crate) fn new(homes: Vec<(&'static str, String)>, translations: Vec<Translation>) -> Self {
        Self {
            homes,
            translations,
        }
    }

    /// What to say about `key` in a table that does not know it: what the other servers' key of that
    /// name is called here, and where our own one belongs.
    pub(crate) fn explain(&self, key: &str) -> Option<String> {
        let mut translations = self.translations.iter();
        let translation = translations.find(|translation| translation.name == key);
        let home = self.home(key);
        let home = home.map(|home| format!("`{key}` belongs in {home}"));
        match (translation, home) {
            (Some(Translation { text, .. }), Some(home)) => Some(format!("{text}; {home}")),
            (Some(Translation { text, .. }), None) => Some((*text).to_owned()),
            (None, home) => home,
        }
    }

    /// Whether other servers call `key`, one of ours, by that `name`.
    pub(crate) fn is_foreign_name(&self, name: &str, key: &str) -> bool {
        let mut translations = self.translations.iter();
        translations.any(|translation| translation.name == name && translation.key == key)
    }

    /// What to say about a `key` that resembles no key of its table, but one of another table.
    pub(crate) fn explain_misspelt(&self, key: &str) -> Option<String> {
        let meant = nearest(key, self.homes.iter().map(|(name, _)| *name))?;
        let home = self.home(meant)?;
        Some(format!("did you mean `{meant}`? It belongs in {home}"))
    }

    fn home(&self, key: &str) -> Option<&str> {
        let home = self.homes.iter().find(|(name, _)| *name == key);
        home.map(|(_, home)| home.as_str())
    }
}
