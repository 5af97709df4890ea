//! `[log]`: what is logged, and where.

use toml::de::DeValue;

use super::setting::{Kind, Setting, Table, rows, set, show, walk, word, words};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{AccessLog, Config, Log, LogFormat, LogLevel};
use crate::config::tree::node::Node;
use crate::config::tree::paths::beside;
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

const SETTINGS: &[Setting<Log>] = &[
    Setting {
        key: "access",
        kind: Kind::Either(&[Kind::Text, Kind::Only(false)]),
        default: "\"-\"",
        about: "the access log: \"-\" is standard output, else a file; false is none",
        translations: &[
            ("access_log", "the access log is `access` in `[log]`"),
            (
                "file",
                "the file of the access log is `access` in `[log]`; the files of a directory are a \
                 route: `\"/\" = { files = \"www\" }`",
            ),
        ],
        restart: true,
        read: |node, log| set(&mut log.access, access_log(node)),
        show: |log| Some(show_access_log(&log.access)),
    },
    Setting {
        key: "format",
        kind: Kind::Word(|| words(FORMATS)),
        default: "\"combined\"",
        about: "how a line of the access log looks",
        read: |node, log| set(&mut log.format, node.word(FORMATS)),
        show: |log| word(FORMATS, &log.format),
        ..Setting::BLANK
    },
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
];

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

/// Reads the settings of the log. A mistake leaves the default.
fn read(node: Node<'_>, log: &mut Log) -> Option<()> {
    let mut section = node.section("`[log]`", None)?;
    walk(&mut section, SETTINGS, log);
    section.close();
    Some(())
}

/// The settings of the log in the terms of the file.
pub(crate) fn show_log(log: &Log) -> written::Table {
    show(SETTINGS, log)
}

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

fn show_access_log(access: &AccessLog) -> String {
    match access {
        AccessLog::Off => "false".to_owned(),
        AccessLog::StandardOutput => written::string("-"),
        AccessLog::File(file) => written::path(file),
    }
}
