//! The form of a subject's table: everything about one key in one entry.
//!
//! A subject's file holds a slice of [`Setting`]s. The walk through the file, the dump and the
//! difference of reloads loop over that slice. The schema, the tables in the documentation and the
//! hints loop over the [`Row`]s that are made from it. So one entry adds a key.
//!
//! ```text
//! Setting { key, kind, default, about, translations, restart,   → Row  → schema, key table, hints
//!           read: value in the file → draft,                    → walk
//!           show: model → TOML }                                → show → dump, difference
//! ```

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::written;

/// One key of a subject. `D` is the draft that the walk fills in, `M` is the checked value. They are
/// often the same type.
///
/// An entry names the fields that differ from [`Setting::BLANK`].
pub(crate) struct Setting<D: 'static, M: 'static = D> {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// As TOML; empty if there is none, or none that can be written down.
    pub(super) default: &'static str,
    pub(super) about: &'static str,
    /// What other servers call it, and what to say to an operator who writes that.
    pub(super) translations: &'static [(&'static str, &'static str)],
    /// Whether a change comes into force only when the process is started anew.
    pub(super) restart: bool,
    /// Reads the value in the file into the draft. `None`: there is a mistake, and it is reported.
    pub(super) read: fn(Node<'_>, &mut D) -> Option<()>,
    /// The value as TOML; `None`: the key is left out.
    pub(super) show: fn(&M) -> Option<String>,
}

impl<D, M> Setting<D, M> {
    /// The fields that an entry does not name.
    pub(super) const BLANK: Self = Self {
        key: "",
        kind: Kind::Any,
        default: "",
        about: "",
        translations: &[],
        restart: false,
        read: |_, _| Some(()),
        show: |_| None,
    };

    fn row(&self) -> Row {
        Row {
            key: self.key,
            kind: self.kind,
            default: self.default,
            about: Cow::Borrowed(self.about),
            translations: self.translations,
            needs_restart: self.restart,
        }
    }
}

/// What a key's entry says to the schema, the documentation and the hints.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) kind: Kind,
    /// As TOML; empty if there is none, or none that can be written down.
    pub(crate) default: &'static str,
    pub(crate) about: Cow<'static, str>,
    pub(crate) translations: &'static [(&'static str, &'static str)],
    pub(crate) needs_restart: bool,
}

/// A table of the file.
pub(crate) struct Table {
    /// The name of the table in the documentation.
    pub(crate) title: &'static str,
    /// Returns the words of a hint for the place of a key of this table.
    pub(crate) home: fn(&str) -> String,
    /// In the order in which the documentation lists them.
    pub(crate) rows: fn() -> Vec<Row>,
}

/// What a value may be.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Boolean,
    /// `true` or `false` alone.
    Only(bool),
    /// Within these bounds.
    Integer(u64, u64),
    /// A string, or a whole number of bytes.
    Size,
    Duration,
    Text,
    Word(fn() -> Vec<&'static str>),
    /// One, or an array of them.
    OneOrMore(&'static Kind),
    /// An array, of any length.
    Array(&'static Kind),
    Either(&'static [Kind]),
    /// A value that the server does not look at.
    Any,
    /// Keys of the operator's choice.
    Map(&'static Kind),
    Table(&'static Table),
    /// A table with exactly one of the verbs.
    Route(&'static Table),
    Tables(&'static Table),
}

impl Kind {
    /// One string, or several.
    pub(super) const TEXTS: Self = Self::OneOrMore(&Self::Text);
    /// Names of the operator's choice, a string for each.
    pub(super) const TEXT_MAP: Self = Self::Map(&Self::Text);

    /// A whole number in `range`.
    pub(super) const fn integer(range: &RangeInclusive<u64>) -> Self {
        Self::Integer(*range.start(), *range.end())
    }
}

/// Which keys [`walk`] found, and which of them have a mistake.
pub(super) struct Walked {
    taken: Vec<&'static str>,
    refused: Vec<&'static str>,
}

impl Walked {
    /// Whether `key` stands in the table and is without a mistake.
    pub(super) fn took(&self, key: &str) -> bool {
        self.taken.contains(&key)
    }

    /// Whether `key` is in `section`, which was walked, but with a mistake: in its value or in its name.
    pub(super) fn misread(&self, section: &Section<'_>, key: &str) -> bool {
        self.refused.contains(&key) || section.misspells(key)
    }

    /// Whether no key has a mistake.
    pub(super) fn is_sound(&self) -> bool {
        self.refused.is_empty()
    }
}

/// Reads the keys of `settings` from `section` into `draft`.
pub(super) fn walk<D: 'static, M: 'static>(
    section: &mut Section<'_>,
    settings: impl IntoIterator<Item = &'static Setting<D, M>>,
    draft: &mut D,
) -> Walked {
    let mut walked = Walked {
        taken: Vec::new(),
        refused: Vec::new(),
    };
    for setting in settings {
        let Some(node) = section.take(setting.key) else {
            continue;
        };
        let is_good = (setting.read)(node, draft).is_some();
        let keys = if is_good {
            &mut walked.taken
        } else {
            &mut walked.refused
        };
        keys.push(setting.key);
    }
    walked
}

/// Reads a table whose keys are `settings` into `draft`. `None`: there is a mistake, and it is reported.
/// `help` is for a value of another type.
pub(super) fn read_table<D: 'static, M: 'static>(
    node: Node<'_>,
    settings: &'static [Setting<D, M>],
    draft: &mut D,
    help: &str,
) -> Option<()> {
    let mut section = node.section(format!("`{}`", node.name), Some(help.to_owned()))?;
    let walked = walk(&mut section, settings, draft);
    section.close();
    walked.is_sound().then_some(())
}

/// `model` as a table: an entry for each setting that shows a value.
pub(super) fn show<D: 'static, M: 'static>(
    settings: impl IntoIterator<Item = &'static Setting<D, M>>,
    model: &M,
) -> written::Table {
    let entry = |setting: &Setting<D, M>| Some((setting.key.to_owned(), (setting.show)(model)?));
    settings.into_iter().filter_map(entry).collect()
}

/// The rows of `settings`, in their order.
pub(super) fn rows<D: 'static, M: 'static>(
    settings: impl IntoIterator<Item = &'static Setting<D, M>>,
) -> Vec<Row> {
    settings.into_iter().map(Setting::row).collect()
}

/// Puts a value that was read into its place. If `read` is `None`, the default stays.
pub(super) fn set<T>(place: &mut T, read: Option<T>) -> Option<()> {
    *place = read?;
    Some(())
}

/// The words without their meanings.
pub(super) fn words<T>(words: &[(&'static str, T)]) -> Vec<&'static str> {
    words.iter().map(|(word, _)| *word).collect()
}

/// The word for `meaning`, as TOML.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> Option<String> {
    let word = words.iter().find(|(_, other)| other == meaning);
    word.map(|(word, _)| written::string(word))
}
