//! `[log]`: what is written down, and where.

use toml::de::DeValue;

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::vocabulary::explain;
use crate::config::model::{AccessLog, Log, LogFormat, LogLevel};
use crate::config::tree::node::Node;
use crate::config::tree::paths::beside;

/// The settings of the log; where there is a mistake, the default.
pub(super) fn log(node: Node<'_>) -> Log {
    let default = Log::default();
    let Some(mut section) = node.section("`[log]`", None) else {
        return default;
    };
    let log = Log {
        access: section
            .take("access")
            .and_then(access_log)
            .unwrap_or(default.access),
        format: section.word("format", FORMATS).unwrap_or(default.format),
        level: section.word("level", LEVELS).unwrap_or(default.level),
    };
    section.close(explain);
    log
}

const FORMATS: &[(&str, LogFormat)] = &[
    ("combined", LogFormat::Combined),
    ("common", LogFormat::Common),
    ("json", LogFormat::Json),
];

const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

fn access_log(node: Node<'_>) -> Option<AccessLog> {
    match node.value.get_ref() {
        DeValue::Boolean(false) => return Some(AccessLog::Off),
        DeValue::String(_) => {}
        _ => {
            return node.refuse_type(
                "\"-\" for standard output, the path of a file, or false",
                None,
            );
        }
    }
    let text = node.text()?;
    match text.value.as_str() {
        "-" => Some(AccessLog::StandardOutput),
        "" => {
            let help =
                "write access = \"-\" for standard output, or false for no access log".to_owned();
            node.cx.report(
                Diagnostic::error("`access` names no file")
                    .at(node.spot(), "")
                    .help(help),
            );
            None
        }
        path => Some(AccessLog::File(beside(node.cx.source, path))),
    }
}
