//! The form of a diagnostic: `2026-11-22T23:54:16Z warning: what is doubtful`.
//!
//! As JSON it is `{"time":"…","level":"warning","message":"what is doubtful"}`. Where standard error leads to
//! the journal of systemd, each line begins with its priority (`<4>`), and text has no time, because the
//! journal has its own (sd-daemon(3)).
//!
//! A message may hold text of a handler, a script, an upstream or a client. No such text can end the line
//! or move a terminal's cursor: [`Visible`] escapes it, here and nowhere else.

use std::fmt::{self, Arguments, Display, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::json;

use crate::config::model::{DiagnosticForm, LogLevel};
use crate::http::date::iso;

/// Whether lines are JSON.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Whether standard error leads to the journal: systemd says its device and inode.
static IS_JOURNAL: LazyLock<bool> = LazyLock::new(|| {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let state = std::fs::metadata("/proc/self/fd/2");
    state.is_ok_and(|state| stream == format!("{}:{}", state.dev(), state.ino()))
});

/// Has lines be written in that form from now on.
pub(super) fn set_form(form: DiagnosticForm) {
    IS_JSON.store(form == DiagnosticForm::Json, Ordering::Relaxed);
}

/// Whether lines are JSON, or are read by the journal.
pub(super) fn is_for_programs() -> bool {
    let form = Form::of_process();
    form.is_json || form.is_journal
}

/// A whole line, with its time.
pub(super) fn line(level: LogLevel, message: Arguments<'_>) -> String {
    Form::of_process().written(level, &Visible(&message.to_string()).to_string())
}

/// A message of several lines, the second and later ones indented, so that none of them can be taken for
/// a message of its own.
pub(super) fn lines(level: LogLevel, message: &str) -> String {
    let lines = message.trim_end().lines();
    let lines: Vec<String> = lines.map(|line| Visible(line).to_string()).collect();
    Form::of_process().written(level, &lines.join("\n    "))
}

/// How lines are written.
#[derive(Clone, Copy)]
struct Form {
    is_json: bool,
    is_journal: bool,
}

impl Form {
    fn of_process() -> Self {
        Self {
            is_json: IS_JSON.load(Ordering::Relaxed),
            is_journal: *IS_JOURNAL,
        }
    }

    /// Writes a message that is safe to show.
    fn written(self, level: LogLevel, message: &str) -> String {
        let name = name(level);
        let now = || iso(SystemTime::now());
        let text = match (self.is_json, self.is_journal) {
            (true, _) => json!({ "time": now(), "level": name, "message": message }).to_string(),
            (false, true) => format!("{name}: {message}"),
            (false, false) => format!("{} {name}: {message}", now()),
        };
        if !self.is_journal {
            return text + "\n";
        }
        let priority = priority(level);
        let lines = text.split('\n');
        lines.map(|line| format!("<{priority}>{line}\n")).collect()
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

/// The priority of syslog (syslog(3)).
fn priority(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        LogLevel::Warn => 4,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    }
}

/// A text in which characters that would change how a terminal or a reader of lines sees it are escaped:
/// `\n`, `\x1b`, `\u{202e}`. A backslash is left as it is, because paths of other systems are full of
/// them.
struct Visible<'a>(&'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                _ if character.is_ascii_control() => write!(f, "\\x{:02x}", u32::from(character))?,
                _ if character.is_control() || is_format(character) => {
                    write!(f, "{}", character.escape_unicode())?;
                }
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Whether a character ends a line, or turns the direction of the text that follows.
pub(crate) fn is_format(character: char) -> bool {
    matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_has_a_priority_for_each_line_and_no_time() {
        let form = Form {
            is_json: false,
            is_journal: true,
        };
        let text = form.written(LogLevel::Warn, "first\n    second");
        assert_eq!(text, "<4>warning: first\n<4>    second\n");
    }

    #[test]
    fn json_is_one_line_whatever_the_message_is() {
        for (is_journal, start) in [(false, "{"), (true, "<3>{")] {
            let form = Form {
                is_json: true,
                is_journal,
            };
            let text = form.written(LogLevel::Error, "a \"b\"\n    c");
            assert!(text.starts_with(start), "{text}");
            let (line, rest) = text.split_once('\n').expect("a line");
            assert_eq!(rest, "");
            let object = line.trim_start_matches("<3>");
            let value: serde_json::Value = serde_json::from_str(object).expect("JSON");
            assert_eq!(value["message"], "a \"b\"\n    c");
            assert_eq!(value["level"], "error");
        }
    }

    /// The text of a handler's error forged lines, and moved the cursor.
    #[test]
    fn no_text_can_forge_a_line() {
        for (text, shown) in [
            ("plain \\ é", "plain \\ é"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[2J\u{7f}\0", "\\x1b[2J\\x7f\\x00"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}txt\u{2028}", "\\u{202e}txt\\u{2028}"),
        ] {
            assert_eq!(Visible(text).to_string(), shown);
        }
    }
}
