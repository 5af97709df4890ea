//! A table, whose keys are taken out one by one, and what to say about those nobody asked for.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Context, Node, list};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::complaint::vocabulary::{explain_misspelt, is_not_yet};

/// A table whose keys are taken one by one; what nobody has asked for in the end is unknown.
pub(crate) struct Section<'c> {
    cx: &'c Context<'c>,
    title: String,
    table: &'c DeTable<'c>,
    known: Vec<&'static str>,
}

impl<'c> Section<'c> {
    /// `title` is how the operator would call it: `[log]`.
    pub(crate) fn new(cx: &'c Context<'c>, title: String, table: &'c DeTable<'c>) -> Self {
        Self {
            cx,
            title,
            table,
            known: Vec::new(),
        }
    }

    /// The value of `key`, which from now on is known.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Node<'c>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.peek(key)
    }

    /// The value of `key`, which does not become known by it.
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

    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.take(key)?.boolean()
    }

    pub(crate) fn integer(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.take(key)?.integer(range)
    }

    /// As [`Self::integer`], of what fits a `usize`: `range` must.
    pub(crate) fn count(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<usize> {
        self.integer(key, range)
            .and_then(|count| usize::try_from(count).ok())
    }

    pub(crate) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        self.take(key)?.size(range)
    }

    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.take(key)?.duration(range)
    }

    pub(crate) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.take(key)?.word(words)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
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

    /// The keys that nobody has taken.
    pub(crate) fn unknown(&self) -> Vec<Key<'c>> {
        let keys = self.entries().into_iter().map(|(key, _)| key);
        keys.filter(|key| !self.known.contains(&key.name)).collect()
    }

    /// Reports every key that nobody has taken; `explain` may know what one is about.
    pub(crate) fn close(self, explain: impl Fn(&str) -> Option<String>) {
        for key in self.unknown() {
            self.report_unknown(&key, explain(key.name));
        }
    }

    pub(crate) fn report_unknown(&self, key: &Key<'_>, help: Option<String>) {
        if is_not_yet(key.name) {
            let message = format!("this version of tidegate does not have `{}`", key.name);
            return self
                .cx
                .report(Diagnostic::error(message).at(key.spot(), ""));
        }
        let meant = nearest(key.name, self.known.iter().copied());
        let label = match (meant, &help) {
            (Some(meant), None) => format!("did you mean `{meant}`?"),
            _ => String::new(),
        };
        let message = format!(
            "unknown key `{}` in {}",
            key.name.escape_debug(),
            self.title
        );
        let all = || {
            format!(
                "{} takes {}",
                self.title,
                list(self.known.iter().map(|key| format!("`{key}`")), "and")
            )
        };
        let guess = || {
            meant
                .is_none()
                .then(|| explain_misspelt(key.name).unwrap_or_else(all))
        };
        let help = help.or_else(guess);
        self.cx
            .report(Diagnostic::error(message).at(key.spot(), label).help(help));
    }
}

impl<'c> Node<'c> {
    /// A table, called `title` in what is said about it.
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

    /// As [`super::decode::Text::parse`]; variables are not replaced in keys.
    pub(crate) fn parse<T>(&self, parser: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let fault = |fault| self.cx.report_fault(self.span.clone(), self.name, fault);
        parser(self.name).map_err(fault).ok()
    }
}
