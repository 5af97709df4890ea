//! Diagnostics on standard error: what went wrong or has changed, and what the operator can do.

use std::fmt::Arguments;
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::model::LogLevel;

/// The least severe level that is written. The process has only one.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Info as u8);

/// Sets the least severe level that is written from now on.
pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Reports that something failed.
pub(crate) fn error(message: Arguments<'_>) {
    write(LogLevel::Error, message);
}

/// Reports that something may not be as the operator wants it.
pub(crate) fn warn(message: Arguments<'_>) {
    write(LogLevel::Warn, message);
}

/// Reports that something changed.
pub(crate) fn info(message: Arguments<'_>) {
    write(LogLevel::Info, message);
}

/// Reports a detail, for the search for a fault.
pub(crate) fn debug(message: Arguments<'_>) {
    write(LogLevel::Debug, message);
}

fn write(level: LogLevel, message: Arguments<'_>) {
    if level as u8 > LEVEL.load(Ordering::Relaxed) {
        return;
    }
    let name = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    // Each line is one write, so that lines of several threads do not mix. If it fails, there is no
    // other place to report that.
    let line = format!("{time} {name}: {message}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Returns `text` with its control characters escaped: text of other people's code must not end a line of
/// the log and begin one of its own, nor move the cursor of a terminal.
pub(crate) fn on_one_line(text: &str) -> String {
    let escaped = |character: char| {
        let is_control = character.is_control();
        let plain = (!is_control).then_some(character);
        let escape = is_control.then(|| character.escape_default());
        escape.into_iter().flatten().chain(plain)
    };
    text.chars().flat_map(escaped).collect()
}

/// Joins an error and its causes: `cannot read x: permission denied`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
