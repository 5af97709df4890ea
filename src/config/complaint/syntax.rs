//! Mistakes of TOML's syntax, in the operator's terms.
//!
//! After a mistake `toml` continues with its best guess of what was meant. Its messages are exact, but
//! in the words of the grammar ("string values must be quoted, expected literal string"), and one slip
//! can cause several of them. Here a line gets one diagnostic. What is not closed is found by `unclosed`,
//! and gets one diagnostic, however many lines it takes in.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue, Error};

use super::diagnostic::{Diagnostic, Source, Spot};
use super::unclosed::{Missing, OTHER_FOLLOWS, Repair};

/// How many further commas that are missing are shown.
const MAX_COMMAS: usize = 9;
const NOT_TOML: &str = "this is not TOML";
const FOREIGN_COMMENT: &str = "a comment begins with `#`";
const SEMICOLON: &str = "a line of TOML ends without a semicolon";
/// Quotes that word processors write in place of `"`.
const TYPOGRAPHIC: [char; 8] = ['“', '”', '„', '‟', '‘', '’', '«', '»'];
/// How `toml` begins its message about what starts like a number with a fraction, such as an address.
const BAD_NUMBER: &str = "invalid float";

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
    faults.take_repairs();
    for (span, message) in errors {
        faults.add(tree, span, message);
    }
    faults
}

impl<'s> SyntaxFaults<'s> {
    /// Reports what is missing and was added to the text that was read. What stands in the same setting
    /// may be meant otherwise.
    fn take_repairs(&mut self) {
        let mut settings = HashSet::new();
        for (index, repair) in self.source.repairs.iter().enumerate() {
            let shadow = self.source.lines_of(&repair.setting);
            if settings.insert(repair.setting.start) {
                let diagnostic = self.missing(repair);
                self.push(self.with_further_commas(diagnostic, &self.source.repairs[index..]));
            }
            self.shadows.push(shadow);
        }
    }

    /// Adds to `diagnostic`, about the first of `repairs`, the other commas that are missing in the same setting, as far
    /// as nothing else is.
    fn with_further_commas(&self, mut diagnostic: Diagnostic, repairs: &[Repair]) -> Diagnostic {
        let first = repairs[0].setting.start;
        let is_further =
            |repair: &&Repair| repair.missing == Missing::Comma && repair.setting.start == first;
        let commas: Vec<_> = repairs.iter().take_while(is_further).skip(1).collect();
        for comma in commas.iter().take(MAX_COMMAS) {
            diagnostic = diagnostic.at(self.spot(comma.at..comma.at), "here, too");
        }
        match commas.len().saturating_sub(MAX_COMMAS) {
            0 => diagnostic,
            more => diagnostic.help(format!("{more} more are missing below")),
        }
    }

    /// What to say about something that is missing.
    fn missing(&self, repair: &Repair) -> Diagnostic {
        let (message, label) = match repair.missing {
            Missing::OpeningQuote => ("this string needs quotes", "the opening quote is missing"),
            Missing::ClosingQuote => ("this string is not closed", "the closing quote is missing"),
            Missing::Opening => ("a bracket is missing", "the opening"),
            Missing::HeaderOpening => ("a bracket is missing", "the opening `[` is missing"),
            Missing::Array => ("this array is not closed", ""),
            Missing::Table => ("this table is not closed", ""),
            Missing::Header => ("this header is not closed", "the closing `]` is missing"),
            Missing::Comma => ("a comma is missing", "expected `,`"),
        };
        let follows_comma = self.source.text[..repair.at].ends_with(',');
        let label = match &*repair.added {
            added if label.is_empty() && added.len() == 1 && !follows_comma => {
                format!("a `,` or the closing `{added}` is missing")
            }
            added if label.is_empty() => format!("the closing `{added}` is missing"),
            added if repair.missing == Missing::Opening => format!("{label} `{added}` is missing"),
            _ => label.to_owned(),
        };
        let mut diagnostic = Diagnostic::error(message).at(self.spot(repair.at..repair.at), label);
        let is_on_line = |opener: &usize| !self.source.text[*opener..repair.at].contains('\n');
        if let Some(opener) = repair.opener.filter(|opener| !is_on_line(opener)) {
            diagnostic = diagnostic.at(self.spot(opener..opener + 1), "it begins here");
        }
        if matches!(repair.missing, Missing::Header | Missing::HeaderOpening) {
            let header = self.source.text[repair.setting.clone()].trim();
            let header = header.split(OTHER_FOLLOWS).next().unwrap_or(header);
            diagnostic = diagnostic.help(format!("write {header}"));
        }
        diagnostic
    }

    fn add(&mut self, tree: &DeTable<'_>, span: Range<usize>, message: &str) {
        if self.is_explained(&span) {
            return;
        }
        let span = if message.starts_with(BAD_NUMBER) {
            self.with_beginning(span)
        } else {
            span
        };
        if message.starts_with("duplicate key") {
            self.push(self.duplicate(tree, span));
        } else if let Some(diagnostic) = self.bad_value(&span, message) {
            self.push(diagnostic);
            self.shadows.push(span);
        } else {
            self.shadows.push(self.source.lines_of(&span));
            let diagnostic = self.bad_line(span, message);
            self.push_unless_repeated(diagnostic);
        }
    }

    /// Whether a diagnostic that was found before explains an error there.
    fn is_explained(&self, span: &Range<usize>) -> bool {
        let covers = |shadow: &Range<usize>| (shadow.start..=shadow.end).contains(&span.start);
        self.shadows.iter().any(covers)
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
        } else if token.starts_with(TYPOGRAPHIC) {
            let plain = token.replace(TYPOGRAPHIC, "\"");
            ("these are typographic quotes", plain)
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
        if self.source.text[span.start..].starts_with("//") {
            return Diagnostic::error(NOT_TOML)
                .at(self.spot(span), "")
                .help(FOREIGN_COMMENT.to_owned());
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
        _ if line.starts_with("//") || line.starts_with(';') => Some(FOREIGN_COMMENT),
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
