//! The form of a diagnostic: `2026-11-22T23:54:16Z warning: what is doubtful`.
//!
//! A message may hold text of a handler, a script, an upstream or a client. No such text can end the line
//! or move a terminal's cursor: [`Visible`] escapes it, here and nowhere else.

use std::fmt::{self, Arguments, Display, Write as _};
use std::time::SystemTime;

use crate::config::model::LogLevel;
use crate::http::date::iso;

/// A whole line, with its time.
pub(super) fn line(level: LogLevel, message: Arguments<'_>) -> String {
    written(level, &Visible(&message.to_string()))
}

/// A message of several lines, the second and later ones indented, so that none of them can be taken for
/// a message of its own.
pub(super) fn lines(level: LogLevel, message: &str) -> String {
    let lines = message.trim_end().lines();
    let lines: Vec<String> = lines.map(|line| Visible(line).to_string()).collect();
    written(level, &lines.join("\n    "))
}

/// Writes a message that is safe to show.
fn written(level: LogLevel, message: &dyn Display) -> String {
    let name = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    format!("{} {name}: {message}\n", iso(SystemTime::now()))
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
fn is_format(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

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
