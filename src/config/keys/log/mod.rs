//! `[log]`: what is logged, and where.
//!
//! ```toml
//! [log]
//! access = "-"                     # or a path, false, or several: [[log.access]]
//! format = "json"
//! redact = { query = ["token"] }
//! level = "info"
//! debug_clients = ["127.0.0.1"]
//! ```

pub(crate) mod access;
mod condition;
mod format;
mod redact;

use super::access::{bare, networks, show_networks};
use super::setting::{Kind, Setting, Table, rows, set, show, walk, word, words};
use crate::config::model::{Config, DiagnosticForm, Log, LogLevel};
use crate::config::tree::node::Node;
use crate::config::words::written;

/// The key of the table at the top of the file. The dump shows it by [`show_log`], as a table.
pub(super) const LOG: Setting<Config> = Setting {
    key: "log",
    kind: Kind::Table(&TABLE),
    about: "what is written down",
    read: |node, config| read(node, &mut config.log),
    ..Setting::BLANK
};

pub(super) const TABLE: Table = Table {
    title: "`[log]`",
    home: |_| "`[log]`".to_owned(),
    rows: || rows(SETTINGS),
};

pub(super) use access::TABLE as ACCESS_TABLE;
pub(super) use condition::{TABLE as CONDITION_TABLE, warn_of_unknown_routes};
pub(crate) use format::parse_format;
pub(super) use redact::TABLE as REDACT_TABLE;

const SETTINGS: &[Setting<Log>] = &[
    access::ACCESS,
    Setting {
        key: "format",
        kind: format::KIND,
        default: "\"combined\"",
        about: format::ABOUT,
        translations: &[(
            "log_format",
            "the format of the access log is `format` in `[log]`: \"combined\", \"json\", or a template",
        )],
        read: |node, log| set(&mut log.format, format::read(node)),
        show: |log| Some(format::show(&log.format)),
        ..Setting::BLANK
    },
    redact::REDACT,
    Setting {
        key: "level",
        kind: Kind::Word(|| words(LEVELS)),
        default: "\"info\"",
        about: "the least severe diagnostic that is written",
        translations: &[(
            "error_log",
            "diagnostics go to standard error; how many is `level` in `[log]`",
        )],
        read: |node, log| set(&mut log.level, node.word(LEVELS)),
        show: |log| word(LEVELS, &log.level),
        ..Setting::BLANK
    },
    Setting {
        key: "diagnostics",
        kind: Kind::Word(|| words(FORMS)),
        default: "\"text\"",
        about: "how diagnostics are written: as lines of text, which have their priority for the journal of \
                systemd where standard error is one, or as JSON",
        read: |node, log| set(&mut log.diagnostics, node.word(FORMS)),
        show: |log| word(FORMS, &log.diagnostics),
        ..Setting::BLANK
    },
    Setting {
        key: "debug_clients",
        kind: Kind::TEXTS,
        default: "[]",
        about: "networks of clients of whose exchanges and streams every step is told, whatever `level` says",
        translations: &[(
            "debug_connection",
            "the setting is called `debug_clients`, in `[log]`: debug_clients = [\"192.0.2.7\"]",
        )],
        read: |node, log| {
            log.debug_clients = bare(&networks(node));
            Some(())
        },
        show: |log| Some(show_networks(&log.debug_clients)),
        ..Setting::BLANK
    },
];

const FORMS: &[(&str, DiagnosticForm)] = &[
    ("text", DiagnosticForm::Text),
    ("json", DiagnosticForm::Json),
];

const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
];

/// Reads the settings of the log. A mistake leaves the default.
fn read(node: Node<'_>, log: &mut Log) -> Option<()> {
    let text = node.value.get_ref().as_str();
    let help = text.map(|text| format!("write log.access = {}", written::string(text)));
    let mut section = node.section("`[log]`", help)?;
    walk(&mut section, SETTINGS, log);
    section.close();
    Some(())
}

/// The settings of the log in the terms of the file.
pub(crate) fn show_log(log: &Log) -> written::Table {
    show(SETTINGS, log)
}
