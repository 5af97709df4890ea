//! A table of the file, and what is reported about keys that it does not know.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Context, Node, list};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::{is_one_slip, nearest};

/// A table. The caller takes its keys one by one. Keys that are not taken in the end are unknown.
pub(crate) struct Section<'c> {
    cx: &'c Context<'c>,
    title: String,
    table: &'c DeTable<'c>,
    known: Vec<&'static str>,
}

impl<'c> Section<'c> {
    /// `title` is the name of the table for the operator: `[log]`.
    pub(crate) fn new(cx: &'c Context<'c>, title: String, table: &'c DeTable<'c>) -> Self {
        Self {
            cx,
            title,
            table,
            known: Vec::new(),
        }
    }

    /// The value of `key`, if it is there. From now on the key is known.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node<'c>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.peek(key)
    }

    /// The value of `key`, if it is there. The key does not become known.
    pub(crate) fn peek(&self, key: &'static str) -> Option<Node<'c>> {
        self.table.get(key).map(|value| Node {
            cx: self.cx,
            name: key,
            value,
        })
    }

    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.cx.report(diagnostic);
    }

    pub(crate) fn report_absence(&self, diagnostic: Diagnostic) {
        self.cx.report_absence(diagnostic);
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the table neither has `key` nor a misspelling of it, nor another server's name of it. Those are
    /// reported as such, and need not be reported as an absence, too. To be asked when the keys of the table have been taken.
    pub(crate) fn lacks(&self, key: &str) -> bool {
        !self.has(key) && !self.misspells(key)
    }

    /// Whether a key that was not taken seems to mean `key`, which was: a misspelling, or another server's name.
    pub(crate) fn misspells(&self, key: &str) -> bool {
        let mut unknown = self.unknown().into_iter();
        let vocabulary = self.cx.vocabulary;
        unknown.any(|other| {
            self.meant(other.name) == Some(key) || vocabulary.is_foreign_name(other.name, key)
        })
    }

    /// The key that was taken and that `name` seems to mean: one that resembles it, or that it ends or begins.
    fn meant(&self, name: &str) -> Option<&'static str> {
        let known = || self.known.iter().copied();
        let end = format!("_{name}");
        let ends = || known().find(|known| known.ends_with(&end));
        let begins = || known().find(|known| known.starts_with(name));
        let part = || ends().or_else(begins).filter(|_| name.len() > 3);
        nearest(name, known()).or_else(part)
    }

    /// All keys and values, in the order of the file.
    pub(crate) fn entries(&self) -> Vec<(Key<'c>, Node<'c>)> {
        let cx = self.cx;
        let entry = |(key, value): (&'c Spanned<_>, &'c Spanned<DeValue<'c>>)| {
            let name: &'c std::borrow::Cow<'c, str> = key.get_ref();
            (
                Key {
                    cx,
                    name,
                    span: key.span(),
                },
                Node { cx, name, value },
            )
        };
        let mut entries: Vec<_> = self.table.iter().map(entry).collect();
        entries.sort_by_key(|(key, _)| key.span.start);
        entries
    }

    /// The keys that were not taken.
    pub(crate) fn unknown(&self) -> Vec<Key<'c>> {
        let keys = self.entries().into_iter().map(|(key, _)| key);
        keys.filter(|key| !self.known.contains(&key.name)).collect()
    }

    /// Reports every key that was not taken.
    pub(crate) fn close(self) {
        self.close_with(|_| None);
    }

    /// As [`Self::close`]. `explain` may return the help for a key that is special in this table.
    pub(crate) fn close_with(self, explain: impl Fn(&str) -> Option<String>) {
        for key in self.unknown() {
            self.report_unknown(&key, explain(key.name));
        }
    }

    /// As [`Self::close`]. `guess` may return the help for a key that resembles none of this table.
    pub(crate) fn close_or(self, guess: impl Fn(&str) -> Option<String>) {
        for key in self.unknown() {
            let is_misspelt = self.meant(key.name).is_some();
            let help = if is_misspelt { None } else { guess(key.name) };
            self.report_unknown(&key, help);
        }
    }

    /// Reports a key that this table does not know. Without `help` the report suggests what was meant,
    /// or lists the keys of the table.
    pub(crate) fn report_unknown(&self, key: &Key<'_>, help: Option<String>) {
        let vocabulary = self.cx.vocabulary;
        let meant = self.meant(key.name);
        let is_slip = meant.is_some_and(|meant| is_one_slip(key.name, meant));
        let explained = || vocabulary.explain(key.name).filter(|_| !is_slip);
        let guess = || {
            let misspelt = || vocabulary.explain_misspelt(key.name);
            meant
                .is_none()
                .then(|| misspelt().unwrap_or_else(|| self.all_keys()))
        };
        let help = help.or_else(explained);
        let label = match (meant, &help) {
            (Some(meant), None) => format!("did you mean `{meant}`?"),
            _ => String::new(),
        };
        let message = format!(
            "unknown key `{}` in {}",
            key.name.escape_debug(),
            self.title
        );
        self.cx.report(
            Diagnostic::error(message)
                .at(key.spot(), label)
                .help(help.or_else(guess)),
        );
    }

    fn all_keys(&self) -> String {
        let known = self.known.iter().map(|key| format!("`{key}`"));
        format!("{} takes {}", self.title, list(known, "and"))
    }
}

impl<'c> Node<'c> {
    /// Where the value of `key` stands; `None` if this is no table with that key.
    pub(crate) fn spot_of(self, key: &str) -> Option<Spot> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return None;
        };
        Some(self.cx.spot(table.get(key)?.span()))
    }

    /// The value as a table, called `title` in diagnostics. `help` is for a value of another type.
    pub(crate) fn section(
        self,
        title: impl Into<String>,
        help: Option<String>,
    ) -> Option<Section<'c>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.cx, title.into(), table)),
            _ => self.refuse_type("a table", help),
        }
    }
}

/// A key as it stands in the file.
#[derive(Clone)]
pub(crate) struct Key<'c> {
    pub(crate) cx: &'c Context<'c>,
    pub(crate) name: &'c str,
    pub(crate) span: Range<usize>,
}

impl Key<'_> {
    pub(crate) fn spot(&self) -> Spot {
        self.cx.spot(self.span.clone())
    }

    /// As [`super::node::Text::parse`]. Variables are not replaced in keys.
    pub(crate) fn parse<T>(&self, parser: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let fault = |fault| self.cx.report_fault(self.span.clone(), self.name, fault);
        parser(self.name).map_err(fault).ok()
    }
}
