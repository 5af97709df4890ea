//! A mistake or a doubt in a configuration file, and how it is shown to the operator.
//!
//! ```text
//! error: unknown key `acess` in `[log]`          message
//!  --> config.toml:2:1                           place
//!   |
//! 2 | acess = "-"
//!   | ^^^^^ did you mean `access`?               label
//!   |
//!   = help: …                                    help
//! ```
//!
//! Only this file knows `annotate-snippets`. The rest of the room says what is wrong and where.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::unclosed::Repair;
use crate::config::model::Place;

/// The text of a file, under the name by which the operator knows it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: Arc<PathBuf>,
    /// The text that is read: as the operator wrote it, with the repairs.
    pub(crate) text: String,
    /// The text as the operator wrote it, if it is another.
    written: Option<String>,
    /// What was added to the text, so that it can be read, at its place in `text`.
    pub(super) repairs: Vec<Repair>,
    /// Takes secrets out of a text, in which all places stay the same.
    hide: fn(&str) -> String,
    /// The text without secrets, once a line of it has been shown.
    shown: OnceLock<String>,
}

impl Source {
    /// A file with that `text`; `hide` takes secrets out of a text, in which all places stay the same.
    pub(crate) fn new(path: Arc<PathBuf>, text: String, hide: fn(&str) -> String) -> Self {
        let shown = OnceLock::new();
        Self {
            path,
            text,
            written: None,
            repairs: Vec::new(),
            hide,
            shown,
        }
    }

    /// The same file with `repairs`, which are in the order of the text.
    pub(crate) fn repaired(&self, mut repairs: Vec<Repair>) -> Self {
        let mut text = self.text.clone();
        let added: Vec<_> = repairs.iter().map(|it| (it.at, it.added.len())).collect();
        // How far what stands at `at` moves.
        let moved = |at: usize, with_own: bool| -> usize {
            let before = added
                .iter()
                .take_while(|(other, _)| *other < at || with_own && *other == at);
            before.map(|(_, length)| length).sum()
        };
        let mut before = 0;
        for repair in &mut repairs {
            repair.setting.start += moved(repair.setting.start, false);
            repair.setting.end += moved(repair.setting.end, true);
            repair.opener = repair.opener.map(|opener| opener + moved(opener, true));
            repair.at += before;
            before += repair.added.len();
            text.insert_str(repair.at, &repair.added);
        }
        Self {
            repairs,
            written: Some(self.text.clone()),
            ..Self::new(Arc::clone(&self.path), text, self.hide)
        }
    }

    /// The same file without the settings that are repaired and still have one of `errors`, for what follows them
    /// could not be read.
    pub(crate) fn without_hopeless(&self, errors: &[Range<usize>]) -> Self {
        let mut text = self.text.clone();
        for repair in &self.repairs {
            let lines = self.lines_of(&repair.setting);
            if errors
                .iter()
                .any(|error| (lines.start..=lines.end).contains(&error.start))
            {
                let blank: String = text[lines.clone()]
                    .bytes()
                    .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
                    .collect();
                text.replace_range(lines, &blank);
            }
        }
        Self {
            repairs: self.repairs.clone(),
            written: self.written.clone(),
            ..Self::new(Arc::clone(&self.path), text, self.hide)
        }
    }

    /// Whether something was added to the text.
    pub(crate) fn is_repaired(&self) -> bool {
        !self.repairs.is_empty()
    }

    /// The text as the operator wrote it.
    pub(crate) fn written(&self) -> &str {
        self.written.as_deref().unwrap_or(&self.text)
    }

    /// Where in the operator's text stands what is at `offset` of the text that is read.
    fn written_offset(&self, offset: usize) -> usize {
        let before = self.repairs.iter().take_while(|it| it.at < offset);
        let added = before.map(|it| it.added.len().min(offset - it.at));
        offset - added.sum::<usize>()
    }

    fn written_span(&self, span: &Range<usize>) -> Range<usize> {
        self.written_offset(span.start)..self.written_offset(span.end)
    }

    /// Whether what stands at that place is not shown.
    pub(crate) fn hides(&self, span: &Range<usize>) -> bool {
        let span = self.written_span(span);
        self.shown()[span.clone()] != self.written()[span]
    }

    /// The text as the operator sees it.
    fn shown(&self) -> &str {
        self.shown.get_or_init(|| (self.hide)(self.written()))
    }

    /// The line and column of the byte at `offset`.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let before = &self.written()[..self.written_offset(offset)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: Arc::clone(&self.path),
            line: memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    /// The bytes of the whole lines that `span` touches, without the last line's end.
    pub(super) fn lines_of(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.text[..span.start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let end = self.text[span.end..]
            .find('\n')
            .map_or(self.text.len(), |newline| span.end + newline);
        start..end
    }
}

/// A run of bytes in a source.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) source: Arc<Source>,
    /// On character boundaries, within the text. May be empty: a place between two characters.
    pub(crate) span: Range<usize>,
}

/// What a diagnostic does to the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration is taken as it is.
    Warning,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing to tell the operator.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostic {
    severity: Severity,
    /// What is wrong; one sentence, lower case, no full stop.
    pub(crate) message: String,
    /// Where it is, the place at fault first; empty if it is not in the text of a file.
    marks: Vec<Mark>,
    /// What would be right.
    pub(crate) help: Option<String>,
}

#[derive(Clone, Debug)]
struct Mark {
    spot: Spot,
    label: String,
}

impl Diagnostic {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message.into())
    }

    pub(crate) fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message.into())
    }

    fn new(severity: Severity, message: String) -> Self {
        Self {
            severity,
            message,
            marks: Vec::new(),
            help: None,
        }
    }

    /// Marks a place. The first mark is the place at fault. An empty label draws only carets.
    pub(crate) fn at(mut self, spot: Spot, label: impl Into<String>) -> Self {
        self.marks.push(Mark {
            spot,
            label: label.into(),
        });
        self
    }

    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The place at fault.
    pub(crate) fn spot(&self) -> Option<&Spot> {
        self.marks.first().map(|mark| &mark.spot)
    }

    /// Every place that it names.
    pub(crate) fn spots(&self) -> impl Iterator<Item = &Spot> {
        self.marks.iter().map(|mark| &mark.spot)
    }

    fn offset(&self) -> usize {
        self.spot().map_or(0, |spot| spot.span.start)
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group =
            Group::with_title(level.primary_title(&*self.message)).elements(self.snippets());
        let help = self.help.iter().map(|help| Level::HELP.message(&**help));
        renderer.render(&[group.elements(help)])
    }

    fn to_json(&self) -> serde_json::Value {
        let mark = self.marks.first();
        let spot = mark.map(|mark| &mark.spot);
        let place = spot.map(|spot| spot.source.place(spot.span.start));
        let end = spot.map(|spot| spot.source.place(spot.span.end));
        let position =
            |place: &Place| serde_json::json!({ "line": place.line, "column": place.column });
        serde_json::json!({
            "severity": self.severity.as_str(),
            "message": self.message,
            "file": place.as_ref().map(|place| place.file.to_string_lossy()),
            "line": place.as_ref().map(|place| place.line),
            "column": place.as_ref().map(|place| place.column),
            "end": end.as_ref().map(position),
            "label": mark.map(|mark| &mark.label).filter(|label| !label.is_empty()),
            "help": self.help,
        })
    }

    /// A snippet for each source that has marks, the one at fault first.
    fn snippets(&self) -> Vec<Snippet<'_, annotate_snippets::Annotation<'_>>> {
        let mut sources: Vec<&Arc<Source>> = Vec::new();
        for mark in &self.marks {
            if !sources
                .iter()
                .any(|source| Arc::ptr_eq(source, &mark.spot.source))
            {
                sources.push(&mark.spot.source);
            }
        }
        sources
            .into_iter()
            .map(|source| self.snippet(source))
            .collect()
    }

    fn snippet<'a>(
        &'a self,
        source: &'a Arc<Source>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let here = |(_, mark): &(usize, &Mark)| Arc::ptr_eq(&mark.spot.source, source);
        let annotations = self
            .marks
            .iter()
            .enumerate()
            .filter(here)
            .map(|(index, mark)| {
                let kind = if index == 0 {
                    AnnotationKind::Primary
                } else {
                    AnnotationKind::Context
                };
                let label = Some(&*mark.label).filter(|label| !label.is_empty());
                kind.span(source.written_span(&mark.spot.span)).label(label)
            });
        Snippet::source(source.shown())
            .path(source.path.to_string_lossy())
            .annotations(annotations)
    }
}

/// Everything there is to say about a configuration, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    file: PathBuf,
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// `file` is the file that the operator named; diagnostics may also be in others.
    /// `sources` gives the order of the files.
    pub(crate) fn new(
        file: PathBuf,
        mut diagnostics: Vec<Diagnostic>,
        sources: &[Arc<Source>],
    ) -> Self {
        let rank = |diagnostic: &Diagnostic| {
            let source = &diagnostic.spot()?.source.path;
            sources.iter().position(|other| other.path == *source)
        };
        diagnostics.sort_by_key(|diagnostic| (rank(diagnostic), diagnostic.offset()));
        Self { file, diagnostics }
    }

    /// Turns every warning into an error.
    pub(crate) fn into_strict(mut self) -> Self {
        for diagnostic in &mut self.diagnostics {
            diagnostic.severity = Severity::Error;
        }
        self
    }

    /// Whether the configuration is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// All diagnostics, and how many there are: `2 errors in config.toml`. Ends with a newline
    /// unless there is nothing to say. `colour` adds the terminal's escape sequences.
    pub(crate) fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(diagnostic.render(&renderer).trim_end());
            text.push_str("\n\n");
        }
        text + &self.summary()
    }

    /// Every diagnostic as a message of its own, without the word of its severity, and whether it is an error.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (bool, String)> {
        let renderer = Renderer::plain();
        self.diagnostics.iter().map(move |diagnostic| {
            let text = diagnostic.render(&renderer);
            let word = format!("{}: ", diagnostic.severity.as_str());
            let text = text.strip_prefix(&word).unwrap_or(&text).to_owned();
            (diagnostic.severity == Severity::Error, text)
        })
    }

    /// Every diagnostic as an object, for programs. Lines and columns count from 1. They and the file
    /// are null if the fault is not in the text of a file. `end` is the first place after the fault.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.diagnostics.iter().map(Diagnostic::to_json).collect()
    }

    fn summary(&self) -> String {
        let counts = [Severity::Error, Severity::Warning]
            .map(|severity| plural(self.count(severity), severity.as_str()));
        let counts = counts
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" and ");
        if counts.is_empty() {
            return counts;
        }
        format!("{counts} in {}\n", self.file.display())
    }

    fn count(&self, severity: Severity) -> usize {
        self.diagnostics
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }
}

/// `1 error`, `2 errors`; `None` if `count` is 0.
fn plural(count: usize, noun: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {noun}")),
        _ => Some(format!("{count} {noun}s")),
    }
}

/// As [`Report::render`] without colour.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        let path = Arc::new("a.toml".into());
        Arc::new(Source::new(path, text.into(), str::to_owned))
    }

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = source("ä = 1\nb = 2\n");
        for (offset, line, column) in [(0, 1, 1), (2, 1, 2), (7, 2, 1), (13, 3, 1)] {
            let place = source.place(offset);
            assert_eq!((place.line, place.column), (line, column), "byte {offset}");
        }
        assert_eq!(source.lines_of(&(8..9)), 7..12);
        assert_eq!(source.lines_of(&(3..9)), 0..12);
    }

    #[test]
    fn a_report_is_in_file_order_and_counts() {
        let source = source("a = 1\nb = 2\n");
        let spot = |span| Spot {
            source: Arc::clone(&source),
            span,
        };
        let second = Diagnostic::warning("second").at(spot(6..7), "here");
        let first = Diagnostic::error("first")
            .at(spot(0..1), "")
            .help("do `b`".to_owned());
        let report = Report::new("a.toml".into(), vec![second, first], &[source]);
        assert!(report.has_errors());
        let text = report.to_string();
        assert!(
            text.find("error: first").expect("shown")
                < text.find("warning: second").expect("shown")
        );
        assert!(
            text.ends_with("\n\n1 error and 1 warning in a.toml\n"),
            "{text}"
        );
        assert!(report.render(true).contains('\u{1b}') && !text.contains('\u{1b}'));
    }

    #[test]
    fn a_report_is_an_array_of_objects_for_programs() {
        let source = source("a = 1\nb = 22\n");
        let spot = Spot {
            source: Arc::clone(&source),
            span: 10..12,
        };
        let placed = Diagnostic::warning("placed").at(spot, "here");
        let nowhere = Diagnostic::error("nowhere").help("help".to_owned());
        let report = Report::new("a.toml".into(), vec![placed, nowhere], &[source]);
        let expected = serde_json::json!([
            {
                "severity": "error", "message": "nowhere", "file": null, "line": null, "column": null,
                "end": null, "label": null, "help": "help",
            },
            {
                "severity": "warning", "message": "placed", "file": "a.toml", "line": 2, "column": 5,
                "end": { "line": 2, "column": 7 }, "label": "here", "help": null,
            },
        ]);
        assert_eq!(report.to_json(), expected);
    }

    #[test]
    fn each_diagnostic_is_a_message_without_the_word_of_its_severity() {
        let source = source("a = 1\n");
        let spot = Spot { source, span: 0..1 };
        let doubt = Diagnostic::warning("doubtful").at(spot, "here");
        let report = Report::new(
            "a.toml".into(),
            vec![Diagnostic::error("wrong"), doubt],
            &[],
        );
        let messages: Vec<_> = report.messages().collect();
        assert_eq!(messages[0], (true, "wrong".to_owned()));
        let (is_error, text) = &messages[1];
        assert!(!is_error && text.starts_with("doubtful\n"), "{text}");
        assert!(text.contains("a.toml:1:1"), "{text}");
    }

    #[test]
    fn an_empty_report_says_nothing() {
        assert_eq!(
            Report::new("a.toml".into(), Vec::new(), &[]).to_string(),
            ""
        );
    }
}
