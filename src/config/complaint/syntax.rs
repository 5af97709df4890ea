//! Mistakes of TOML's syntax, in the operator's terms.
//!
//! After a mistake `toml` continues with its best guess of what was meant. Its messages are exact, but
//! in the words of the grammar ("string values must be quoted, expected literal string"), and one slip
//! can cause several of them. Here a line gets one diagnostic. An array that is never closed gets one,
//! however many lines it takes in.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use super::diagnostic::{Diagnostic, Source, Spot};

const NOT_TOML: &str = "this is not TOML";
const SEMICOLON: &str = "a line of TOML ends without a semicolon";
/// How `toml` begins its message about what starts like a number with a fraction, such as an address.
const BAD_NUMBER: &str = "invalid float";
const UNCLOSED_TABLE: &str = "this table is not closed";

/// What is wrong with the syntax.
pub(crate) struct SyntaxFaults<'s> {
    source: &'s Arc<Source>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// Where the tree cannot be trusted: a diagnostic about a value there would be noise.
    pub(crate) shadows: Vec<Range<usize>>,
}

/// Translates the errors that `toml` found. `tree` is its result for the same text.
pub(crate) fn explain<'s>(
    source: &'s Arc<Source>,
    tree: &DeTable<'_>,
    errors: &[Error],
) -> SyntaxFaults<'s> {
    let mut errors: Vec<(Range<usize>, &str)> = errors
        .iter()
        .map(|error| (error.span().unwrap_or(0..0), error.message()))
        .collect();
    errors.sort_by_key(|(span, _)| span.start);
    let mut faults = SyntaxFaults {
        source,
        diagnostics: Vec::new(),
        shadows: Vec::new(),
    };
    faults.take_unclosed_array(&mut errors);
    for (span, message) in errors {
        faults.add(tree, span, message);
    }
    faults
}

impl<'s> SyntaxFaults<'s> {
    /// Reports an array that is not closed. `toml` takes the lines after it for elements, and has
    /// errors about them. All of these are one mistake, before the first line that has no comma
    /// before it.
    fn take_unclosed_array(&mut self, errors: &mut Vec<(Range<usize>, &str)>) {
        let is_end = |message: &str| {
            message.contains("unclosed array") || message.contains("in array, expected value")
        };
        let Some(last) = errors.iter().rposition(|(_, message)| is_end(message)) else {
            return;
        };
        let swallows = |(span, message): &(Range<usize>, &str)| {
            message.contains("array") && self.begins_line(span.start)
        };
        let first = errors.iter().position(swallows).unwrap_or(last).min(last);
        let start = errors[first].0.start;
        let end = errors[last].0.end.max(start);
        errors.drain(first..=last);
        errors.retain(|(span, _)| !(start..=end).contains(&span.start));
        self.push_unclosed(start, "this array is not closed", ']');
        self.shadows.push(self.source.lines_of(&(start..end)));
    }

    /// Reports something that should have been closed before `start`, where the next thing begins.
    fn push_unclosed(&mut self, start: usize, message: &str, bracket: char) {
        let at = self.source.text[..start].trim_end().len();
        let line = self.line_around(&(at..at));
        self.shadows.push(self.source.lines_of(&(at..at)));
        if line.starts_with('[') {
            let name = line.trim_matches(['[', ']', ' ']);
            let help = if line.starts_with("[[") {
                format!("write [[{name}]]")
            } else {
                format!("write [{name}]")
            };
            let label = "the closing `]` is missing";
            return self.push(
                Diagnostic::error("this header is not closed")
                    .at(self.spot(at..at), label)
                    .help(help),
            );
        }
        let label = format!("a `,` or the closing `{bracket}` is missing");
        self.push(Diagnostic::error(message).at(self.spot(at..at), label));
    }

    fn add(&mut self, tree: &DeTable<'_>, span: Range<usize>, message: &str) {
        if self.is_explained(&span, message) {
            return;
        }
        let is_unclosed = message.starts_with("unclosed")
            || message.starts_with("missing comma between key-value")
                && self.begins_line(span.start);
        let span = if message.starts_with(BAD_NUMBER) {
            self.with_beginning(span)
        } else {
            span
        };
        if message.starts_with("duplicate key") {
            self.push(self.duplicate(tree, span));
        } else if is_unclosed {
            self.push_unclosed(span.start, UNCLOSED_TABLE, '}');
        } else if let Some(diagnostic) = self.bad_value(&span, message) {
            self.push(diagnostic);
            self.shadows.push(span);
        } else {
            self.shadows.push(self.source.lines_of(&span));
            let diagnostic = self.bad_line(span, message);
            self.push_unless_repeated(diagnostic);
        }
    }

    /// Whether a diagnostic that was found before explains this error.
    fn is_explained(&self, span: &Range<usize>, message: &str) -> bool {
        let covers = |shadow: &Range<usize>| (shadow.start..=shadow.end).contains(&span.start);
        let is_unclosed = |earlier: &Diagnostic| earlier.message == UNCLOSED_TABLE;
        self.shadows.iter().any(covers)
            || message.starts_with("unclosed inline table")
                && self.diagnostics.iter().any(is_unclosed)
    }

    /// Whether only blanks stand between the start of the line and `at`.
    fn begins_line(&self, at: usize) -> bool {
        self.source.text[..at]
            .trim_end_matches([' ', '\t'])
            .ends_with('\n')
    }

    /// The whole token that ends with `span`. In `127.0.0.1:80` `toml` points at what follows `127.0`.
    fn with_beginning(&self, span: Range<usize>) -> Range<usize> {
        let is_inside = |c: char| !c.is_whitespace() && !"=[{,".contains(c);
        let before = self.source.text[..span.start].trim_end_matches(is_inside);
        before.len()..span.end
    }

    /// A value that is missing, without its quotes, or in the wrong case; the rest of its line is sound.
    fn bad_value(&self, span: &Range<usize>, message: &str) -> Option<Diagnostic> {
        let token = &self.source.text[span.clone()];
        let (message, help) = if message.starts_with("invalid boolean") {
            (
                "a boolean is written in lower case",
                token.to_ascii_lowercase(),
            )
        } else if !message.starts_with("string values must be quoted")
            && !message.starts_with(BAD_NUMBER)
        {
            return None;
        } else if token.is_empty() {
            (
                "a key without a value",
                "a value, or leave the key out".to_owned(),
            )
        } else if let Some(value) = meant_boolean(token) {
            (
                "a boolean is true or false, and a string needs quotes",
                format!("{value}, or \"{token}\" for a string"),
            )
        } else if self.source.hides(span) {
            ("a string needs quotes", "it in quotes".to_owned())
        } else if let Some(value) = token.strip_suffix(';') {
            (SEMICOLON, quoted(value))
        } else if token.contains(',') {
            let items: Vec<_> = token.split(',').map(|item| quoted(item.trim())).collect();
            (
                "a list stands in brackets, its strings in quotes",
                format!("[{}]", items.join(", ")),
            )
        } else {
            ("a string needs quotes", format!("\"{token}\""))
        };
        Some(
            Diagnostic::error(message)
                .at(self.spot(span.clone()), "")
                .help(format!("write {help}")),
        )
    }

    /// Any other error. It makes the whole line doubtful.
    fn bad_line(&self, span: Range<usize>, message: &str) -> Diagnostic {
        let line = self.line_around(&span);
        let lines = self.source.lines_of(&span);
        let indent = self.source.text[lines.clone()].find(|c: char| !c.is_whitespace());
        let start = lines.start + indent.unwrap_or(0);
        if let Some(help) = foreign(line) {
            let spot = self.spot(start..start + line.len());
            return Diagnostic::error(NOT_TOML)
                .at(spot, "")
                .help(help.to_owned());
        }
        let token = &self.source.text[span.clone()];
        let is_bad_key = message.starts_with("invalid unquoted key");
        if is_bad_key && line.starts_with('/') {
            let path = line.split(['=', ' ']).next().unwrap_or(line);
            let spot = self.spot(start..start + path.len());
            return Diagnostic::error("a route stands in quotes")
                .at(spot, "")
                .help(format!("write \"{path}\""));
        }
        if message.contains("expected `=`") || is_bad_key && token == ":" {
            return self.missing_equals(start, line, span);
        }
        self.bad_token(span, message)
    }

    /// A token that cannot stand where it does.
    fn bad_token(&self, span: Range<usize>, message: &str) -> Diagnostic {
        if self.source.text[span.start..].starts_with(';') {
            let spot = self.spot(span.start..span.start + 1);
            return Diagnostic::error(SEMICOLON)
                .at(spot, "")
                .help("leave it out".to_owned());
        }
        if message.contains("string, expected `") {
            let label = "the closing quote is missing";
            return Diagnostic::error("this string is not closed").at(self.spot(span), label);
        }
        let (message, expected) = message.split_once(", expected ").unwrap_or((message, ""));
        let label = if expected.is_empty() {
            String::new()
        } else {
            format!("expected {expected}")
        };
        Diagnostic::error(message).at(self.spot(span), label)
    }

    /// `key: value`, `key value`, `key`; `line` begins at `start`.
    fn missing_equals(&self, start: usize, line: &str, span: Range<usize>) -> Diagnostic {
        let message = "a key without `=` and a value";
        let is_plain = !line.starts_with(['"', '\'', '{']) && !line.contains('{');
        let before = self.source.text[start.min(span.start)..span.start].trim_end();
        match line.split_once([':', ' ']).filter(|_| is_plain) {
            Some((key, value)) => Diagnostic::error(message)
                .at(
                    self.spot(start + key.len()..start + key.len() + 1),
                    "expected `=`",
                )
                .help(format!("write {key} = {}", quoted(value.trim()))),
            None if before.ends_with(':') => {
                let colon = start + before.len() - 1;
                Diagnostic::error("a `:` in the place of `=`")
                    .at(self.spot(colon..colon + 1), "expected `=`")
            }
            None => Diagnostic::error(message)
                .at(self.spot(span), "expected `=`")
                .help("a setting is written `key = value`".to_owned()),
        }
    }

    /// A key that stands twice in one table. The first is the nearest key of that name before it.
    fn duplicate(&self, tree: &DeTable<'_>, span: Range<usize>) -> Diagnostic {
        let name = self.source.text[span.clone()].trim_matches(['"', '\'']);
        let mut earlier = Vec::new();
        collect_keys(tree, name, &mut earlier);
        let first = earlier
            .into_iter()
            .filter(|key| key.end <= span.start)
            .max_by_key(|key| key.start);
        let header = || self.same_line_before(&span);
        let mut diagnostic = Diagnostic::error(format!("`{name}` is set twice"))
            .at(self.spot(span.clone()), "the second time");
        if let Some(first) = first.or_else(header) {
            diagnostic = diagnostic.at(self.spot(first), "the first time");
        }
        diagnostic.help(
            (name == "server").then(|| "servers are a list: write `[[server]]` above each".into()),
        )
    }

    /// Finds the first of two equal headers. The tree holds only the place of the second one, so this
    /// looks for a line with the same text.
    fn same_line_before(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let line = self.line_around(span);
        let before = &self.source.text[..self.source.lines_of(span).start];
        let mut start = 0;
        for other in before.split_inclusive('\n') {
            if other.trim() == line {
                return Some(start..start + other.trim_end().len());
            }
            start += other.len();
        }
        None
    }

    /// The line at `span`, without blanks at its ends.
    fn line_around(&self, span: &Range<usize>) -> &'s str {
        self.source.text[self.source.lines_of(span)].trim()
    }

    fn spot(&self, span: Range<usize>) -> Spot {
        Spot {
            source: Arc::clone(self.source),
            span,
        }
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Adds a diagnostic, but not the same one for line after line of a file in another language.
    fn push_unless_repeated(&mut self, diagnostic: Diagnostic) {
        let says_the_same =
            |last: &Diagnostic| last.message == NOT_TOML && last.help == diagnostic.help;
        if diagnostic.message != NOT_TOML || !self.diagnostics.last().is_some_and(says_the_same) {
            self.push(diagnostic);
        }
    }
}

/// What to say about a line in another language; `None` if it looks like TOML.
fn foreign(line: &str) -> Option<&'static str> {
    let is_block = line.ends_with(['{', ';']) && !line.contains('=') || line == "}";
    match line {
        _ if line.starts_with("//") || line.starts_with(';') => Some("a comment begins with `#`"),
        _ if is_block => Some("a setting is written `key = value`, a table `[name]`"),
        _ => None,
    }
}

/// What a word means that other languages have for a boolean.
fn meant_boolean(word: &str) -> Option<bool> {
    match &*word.to_ascii_lowercase() {
        "yes" | "on" => Some(true),
        "no" | "off" => Some(false),
        _ => None,
    }
}

/// `value` as TOML writes it: numbers, booleans, and values with quotes or brackets stay as they are.
fn quoted(value: &str) -> String {
    let is_bare = value.starts_with(['"', '\'', '[', '{'])
        || matches!(value, "true" | "false")
        || value.parse::<f64>().is_ok();
    if is_bare {
        value.to_owned()
    } else {
        format!("\"{value}\"")
    }
}

/// Collects the places of keys called `name`, in `table` and below it.
fn collect_keys(table: &DeTable<'_>, name: &str, found: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        if key.get_ref() == name {
            found.push(key.span());
        }
        collect_below(value.get_ref(), name, found);
    }
}

fn collect_below(value: &DeValue<'_>, name: &str, found: &mut Vec<Range<usize>>) {
    match value {
        DeValue::Table(table) => collect_keys(table, name, found),
        DeValue::Array(elements) => elements
            .iter()
            .for_each(|element| collect_below(element.get_ref(), name, found)),
        _ => {}
    }
}
