//! Values of the tree, as typed values. Every mistake is reported.
//!
//! This does not use serde's derive: serde stops at the first mistake, and loses the spans of keys.
//! Here each step that fails leaves a [`Diagnostic`] in the [`Context`] and returns `None`. The caller
//! continues with the default, so that one run finds every mistake.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::asked_upstream::AskedUpstream;
use super::named_buckets::NamedBuckets;
use super::named_certificate::NamedCertificate;
use super::named_connector::NamedConnector;
use super::named_handler::NamedHandler;
use super::named_passwords::NamedPasswords;
use super::named_rate::NamedRate;
use super::named_route::NamedRoute;
use super::surroundings::Surroundings;
use super::survey::Surveys;
use crate::config::complaint::diagnostic::{Diagnostic, Source, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::complaint::suggest::nearest;
use crate::config::complaint::vocabulary::Vocabulary;
use crate::config::model::Template;
use crate::config::words::units::{parse_duration, parse_size, show_duration, show_size};
use crate::config::words::variables::{expand, expand_template};

/// What a walk through one file needs, and the diagnostics that it has found.
pub(crate) struct Context<'c> {
    pub(crate) source: &'c Arc<Source>,
    pub(crate) surroundings: Surroundings<'c>,
    /// What there is to say about keys at a wrong place.
    pub(crate) vocabulary: &'c Vocabulary,
    /// Whether the tree holds all of the text. If not, no key can be called missing.
    pub(crate) complete: bool,
    /// Whether a server or a stream of the files has a mistake, so that it may be another than what was read.
    pub(crate) has_misread_servers: Cell<bool>,
    /// What was seen beneath the roots of routes.
    pub(crate) surveys: &'c Surveys,
    pub(crate) diagnostics: RefCell<Vec<Diagnostic>>,
    /// The handlers that are named, and that there are.
    pub(crate) handlers: RefCell<Vec<NamedHandler>>,
    /// The files of TLS that servers name.
    pub(crate) certificates: RefCell<Vec<NamedCertificate>>,
    /// The TLS that other servers are asked with.
    pub(crate) connectors: RefCell<Vec<NamedConnector>>,
    /// The files of passwords that are named.
    pub(crate) passwords: RefCell<Vec<NamedPasswords>>,
    /// Files and directories that are named and that are not there.
    pub(crate) missing: RefCell<Vec<PathBuf>>,
    /// The buckets of the rates that there are.
    pub(crate) buckets: RefCell<Vec<NamedBuckets>>,
    /// The upstreams that routes ask, and that there may be.
    pub(crate) asked: RefCell<Vec<AskedUpstream>>,
    /// The rates that are named, and that there may be.
    pub(crate) rates: RefCell<Vec<NamedRate>>,
    /// The routes that access logs name, and that there may be.
    pub(crate) logged: RefCell<Vec<NamedRoute>>,
    /// The names of hosts that were looked up, because a name that is not found takes long.
    pub(crate) hosts: RefCell<HashMap<String, Vec<SocketAddr>>>,
}

impl<'c> Context<'c> {
    /// The context of a tree of which nothing is read yet.
    pub(crate) fn new(
        source: &'c Arc<Source>,
        surroundings: Surroundings<'c>,
        vocabulary: &'c Vocabulary,
        complete: bool,
        surveys: &'c Surveys,
    ) -> Self {
        Self {
            source,
            surroundings,
            vocabulary,
            complete,
            has_misread_servers: Cell::new(false),
            surveys,
            diagnostics: RefCell::default(),
            handlers: RefCell::default(),
            certificates: RefCell::default(),
            connectors: RefCell::default(),
            passwords: RefCell::default(),
            missing: RefCell::default(),
            buckets: RefCell::default(),
            asked: RefCell::default(),
            rates: RefCell::default(),
            logged: RefCell::default(),
            hosts: RefCell::default(),
        }
    }
}

impl Context<'_> {
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.borrow_mut().push(diagnostic);
    }

    /// Takes note of a `path` that the file names, if nothing is there: once something is, the file may be good.
    pub(crate) fn note_if_missing(&self, path: &Path) {
        let state = std::fs::metadata(path);
        if state.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            self.missing.borrow_mut().push(path.to_owned());
        }
    }

    /// The addresses that the name of a host leads to, with the port; none if it is not found.
    pub(crate) fn look_up(&self, name: &str, port: u16) -> Vec<SocketAddr> {
        let mut hosts = self.hosts.borrow_mut();
        let found = hosts
            .entry(name.to_owned())
            .or_insert_with(|| (self.surroundings.look_up)(name, port));
        let with_port = |address: &SocketAddr| SocketAddr::new(address.ip(), port);
        found.iter().map(with_port).collect()
    }

    /// Reports that something is missing, if the tree is complete.
    pub(crate) fn report_absence(&self, diagnostic: Diagnostic) {
        if self.complete {
            self.report(diagnostic);
        }
    }

    /// How many mistakes have been found.
    pub(crate) fn errors(&self) -> usize {
        let diagnostics = self.diagnostics.borrow();
        diagnostics.iter().filter(|it| it.is_error()).count()
    }

    /// Reports that nothing in the servers and streams of the files is what is named somewhere, if all of these could
    /// be read.
    pub(crate) fn report_unknown_name(&self, diagnostic: Diagnostic) {
        if !self.has_misread_servers.get() {
            self.report_absence(diagnostic);
        }
    }

    pub(crate) fn spot(&self, span: Range<usize>) -> Spot {
        Spot {
            source: Arc::clone(self.source),
            span,
        }
    }

    /// Reports a fault in `text`, which is the value of the token at `span`.
    pub(super) fn report_fault(&self, span: Range<usize>, text: &str, fault: Fault) {
        let span = self.part(span, text, fault.range);
        self.report(
            Diagnostic::error(fault.message)
                .at(self.spot(span), "")
                .help(fault.help),
        );
    }

    /// Where `range` of `text` stands in the file. If escapes or variables have moved it, the result
    /// is the whole token.
    fn part(&self, token: Range<usize>, text: &str, range: Range<usize>) -> Range<usize> {
        let raw = &self.source.text[token.clone()];
        let is_quoted = raw.len() == text.len() + 2 && raw.get(1..raw.len() - 1) == Some(text);
        match (raw == text, is_quoted) {
            (true, _) => token.start + range.start..token.start + range.end,
            // An empty range at a quote would point at nothing visible.
            (_, true) if !range.is_empty() => {
                token.start + 1 + range.start..token.start + 1 + range.end
            }
            _ => token,
        }
    }
}

/// A value, and its name for diagnostics.
#[derive(Clone, Copy)]
pub(crate) struct Node<'c> {
    pub(crate) cx: &'c Context<'c>,
    pub(crate) name: &'c str,
    pub(crate) value: &'c Spanned<DeValue<'c>>,
}

impl<'c> Node<'c> {
    pub(crate) fn spot(&self) -> Spot {
        self.cx.spot(self.value.span())
    }

    pub(crate) fn boolean(self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.refuse_type(
                "true or false",
                self.without_quotes(|text| matches!(text, "true" | "false")),
            ),
        }
    }

    /// A string, with its variables replaced.
    pub(crate) fn text(self) -> Option<Text<'c>> {
        let DeValue::String(written) = self.value.get_ref() else {
            return self.refuse_type("a string", None);
        };
        match expand(written, self.cx.surroundings.environment) {
            Ok(value) => Some(Text { value, node: self }),
            Err(fault) => {
                self.cx.report_fault(self.value.span(), written, fault);
                None
            }
        }
    }

    /// A string for a process of an application, with its variables replaced.
    pub(crate) fn template(self) -> Option<Template> {
        let DeValue::String(written) = self.value.get_ref() else {
            return self.refuse_type("a string", None);
        };
        let template = expand_template(written, self.cx.surroundings.environment);
        let has_nul = |template: &Template| template.fill("").contains('\0');
        let template = template.and_then(|template| {
            if has_nul(&template) {
                return Err(Fault::new(0..written.len(), "a program gets no NUL"));
            }
            Ok(template)
        });
        let fault = |fault| self.cx.report_fault(self.value.span(), written, fault);
        template.map_err(fault).ok()
    }

    pub(crate) fn integer(self, range: RangeInclusive<u64>) -> Option<u64> {
        let Some(number) = self.number() else {
            let is_number =
                |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return self.refuse_type("a whole number", self.without_quotes(is_number));
        };
        self.within(u64::try_from(number).ok(), range, |number| {
            number.to_string()
        })
    }

    /// As [`Self::integer`], as a `usize`. `range` must fit into it.
    pub(crate) fn count(self, range: RangeInclusive<u64>) -> Option<usize> {
        usize::try_from(self.integer(range)?).ok()
    }

    /// As [`Self::integer`], as a `u32`. `range` must fit into it.
    pub(crate) fn small(self, range: RangeInclusive<u64>) -> Option<u32> {
        u32::try_from(self.integer(range)?).ok()
    }

    /// A size in bytes: `"16 KiB"`, or a number.
    pub(crate) fn size(self, range: RangeInclusive<u64>) -> Option<u64> {
        let size = match (self.value.get_ref(), self.number()) {
            (_, Some(number)) => u64::try_from(number).ok(),
            (DeValue::String(_), _) => Some(self.text()?.parse(parse_size)?),
            _ => {
                return self.refuse_type(
                    "a size",
                    Some("write \"16 KiB\", \"10 MB\", or a whole number of bytes".into()),
                );
            }
        };
        self.within(size, range, show_size)
    }

    /// A duration: `"10s"`.
    pub(crate) fn duration(self, range: RangeInclusive<Duration>) -> Option<Duration> {
        match (self.value.get_ref(), self.number()) {
            (DeValue::String(_), _) => {
                let duration = self.text()?.parse(parse_duration)?;
                self.within(Some(duration), range, show_duration)
            }
            (_, Some(number)) => self.refuse_type(
                "a duration",
                Some(format!("for seconds write \"{number}s\"")),
            ),
            _ => self.refuse_type(
                "a duration",
                Some("write \"500ms\", \"10s\", \"2m\" or \"1h 30m\"".into()),
            ),
        }
    }

    /// One of a set of words.
    pub(crate) fn word<T: Copy>(self, words: &[(&str, T)]) -> Option<T> {
        let all = alternatives(words.iter().map(|(word, _)| format!("\"{word}\"")));
        if !matches!(self.value.get_ref(), DeValue::String(_)) {
            return self.refuse_type(&all, None);
        }
        let text = self.text()?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(*meaning);
        }
        let meant = nearest(&text.value, words.iter().map(|(word, _)| *word));
        let label = meant.map_or(String::new(), |word| format!("did you mean \"{word}\"?"));
        self.cx.report(
            Diagnostic::error(format!("`{}` must be {all}", self.name)).at(self.spot(), label),
        );
        None
    }

    /// The elements of an array, or the value itself: `"a"` is `["a"]`.
    pub(crate) fn one_or_more(self) -> Vec<Node<'c>> {
        match self.value.get_ref() {
            DeValue::Array(elements) => elements
                .iter()
                .map(|value| Node { value, ..self })
                .collect(),
            _ => vec![self],
        }
    }

    /// As [`one_or_more`](Self::one_or_more), where an empty array is a mistake: it is reported with `message`
    /// and `help`, and the result is `None`.
    pub(crate) fn at_least_one(
        self,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<Vec<Node<'c>>> {
        let nodes = self.one_or_more();
        if nodes.is_empty() {
            let error = Diagnostic::error(message).at(self.spot(), "");
            self.cx.report(error.help(help.into()));
            return None;
        }
        Some(nodes)
    }

    pub(crate) fn number(&self) -> Option<i128> {
        let integer = self.value.get_ref().as_integer()?;
        Some(i128::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(i128::MAX))
    }

    /// Checks a range. `None` stands for a number that its type cannot hold.
    pub(crate) fn within<T: PartialOrd + Copy>(
        self,
        value: Option<T>,
        range: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        if let Some(value) = value.filter(|value| range.contains(value)) {
            return Some(value);
        }
        let (low, high) = (show(*range.start()), show(*range.end()));
        let message = format!("`{}` must be from {low} to {high}", self.name);
        self.cx
            .report(Diagnostic::error(message).at(self.spot(), "out of range"));
        None
    }

    /// Reports that the value has the wrong type.
    pub(crate) fn refuse_type<T>(self, expected: &str, help: Option<String>) -> Option<T> {
        let message = format!("`{}` must be {expected}", self.name);
        let label = format!("found {}", kind(self.value.get_ref()));
        self.cx
            .report(Diagnostic::error(message).at(self.spot(), label).help(help));
        None
    }

    /// The help for a string whose text would be right without quotes.
    fn without_quotes(&self, is_meant: impl Fn(&str) -> bool) -> Option<String> {
        let text = self
            .value
            .get_ref()
            .as_str()
            .filter(|text| is_meant(text))?;
        Some(format!("write it without quotes: {} = {text}", self.name))
    }
}

/// What a value is, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(crate) fn alternatives(words: impl IntoIterator<Item = String>) -> String {
    list(words, "or")
}

/// `a, b and c`, for the conjunction "and".
pub(crate) fn list(words: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let words: Vec<String> = words.into_iter().collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("{} {conjunction} {last}", rest.join(", "))
        }
        _ => words.concat(),
    }
}

/// A string that stands in the file.
pub(crate) struct Text<'c> {
    /// With its variables replaced.
    pub(crate) value: String,
    pub(crate) node: Node<'c>,
}

impl Text<'_> {
    /// Gives the string to a parser. A fault is reported at its bytes in the file.
    pub(crate) fn parse<T>(&self, parser: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        let fault = |fault| {
            self.node
                .cx
                .report_fault(self.node.value.span(), &self.value, fault)
        };
        parser(&self.value).map_err(fault).ok()
    }

    /// Warns of the part of the text at `range`.
    pub(crate) fn warn(&self, range: Range<usize>, message: String, help: String) {
        let cx = self.node.cx;
        let span = cx.part(self.node.value.span(), &self.value, range);
        cx.report(
            Diagnostic::warning(message)
                .at(cx.spot(span), "")
                .help(help),
        );
    }
}
