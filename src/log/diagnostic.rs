//! Diagnostics on standard error: what went wrong or changed, and what the operator can do.

use std::fmt::Arguments;
use std::io::Write as _;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::config::model::LogLevel;

/// The least severe level written; the process has one.
static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Info as u8);

pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

pub(crate) fn error(message: Arguments<'_>) {
    write(LogLevel::Error, message);
}

pub(crate) fn warn(message: Arguments<'_>) {
    write(LogLevel::Warn, message);
}

pub(crate) fn info(message: Arguments<'_>) {
    write(LogLevel::Info, message);
}

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
    // One write a line, so that lines of several threads do not mix. Nobody can be told if it fails.
    let line = format!("{time} {name}: {message}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// An error and the causes behind it, joined once: `cannot read x: permission denied`.
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
