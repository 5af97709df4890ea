//! How `run` tells the operator what keeps it from starting, and what is doubtful about its file.
//!
//! A person at a terminal, or who reads a pipe, gets it as `check` prints it, with the file's lines. Where programs
//! read standard error (the journal of systemd, or anything with `diagnostics = "json"`), each error and each
//! warning is a diagnostic with its level, as all that the server writes later.

use std::io::IsTerminal as _;

use super::starting::describe;
use crate::config::Report;
use crate::config::model::LogLevel;
use crate::log::diagnostic;
use crate::supervisor::SupervisorError;

/// Why `run` does not start, or why the server has failed.
pub(super) enum Failure {
    /// The file has mistakes.
    File(Report),
    /// Tests of the file fail: a sentence about each.
    Tests(Vec<String>),
    /// A sentence, which begins with `error: `.
    Other(String),
}

impl From<SupervisorError> for Failure {
    fn from(error: SupervisorError) -> Self {
        Self::Other(describe(&error))
    }
}

impl Failure {
    /// Tells the operator.
    pub(super) fn report(&self) {
        match self {
            Self::File(report) => report_file(report),
            Self::Tests(failures) => failures.iter().for_each(|failure| report_error(failure)),
            Self::Other(sentence) => {
                report_error(sentence.strip_prefix("error: ").unwrap_or(sentence));
            }
        }
    }
}

/// Tells the operator what is wrong with the file, and what is doubtful about it.
pub(super) fn report_file(report: &Report) {
    if !diagnostic::is_for_programs() {
        let use_colour = std::io::stderr().is_terminal();
        return diagnostic::print(&report.render(use_colour));
    }
    for (is_error, text) in report.messages() {
        let level = if is_error {
            LogLevel::Error
        } else {
            LogLevel::Warn
        };
        diagnostic::report(level, &text);
    }
}

fn report_error(message: &str) {
    if diagnostic::is_for_programs() {
        diagnostic::report(LogLevel::Error, message);
    } else {
        diagnostic::print(&format!("error: {}\n", message.trim_end()));
    }
}
