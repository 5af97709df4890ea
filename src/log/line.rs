//! The form of a diagnostic: `2026-11-22T23:54:16Z warning: what is doubtful`.

use std::fmt::Arguments;
use std::time::SystemTime;

use crate::config::model::LogLevel;
use crate::http::date::iso;

/// A whole line, with its time.
pub(super) fn line(level: LogLevel, message: Arguments<'_>) -> String {
    let name = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warning",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    format!("{} {name}: {message}\n", iso(SystemTime::now()))
}
