//! `access`: the access log, or several.
//!
//! ```toml
//! [[log.access]]
//! path = "errors.log"
//! format = "json"
//! when = { status = "5xx" }
//!
//! [[log.access]]
//! path = "-"
//! sample = 0.01
//! ```

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::{condition, format};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::keys::setting::{Kind, Setting, Table, rows, set, show, walk};
use crate::config::model::{AccessLog, Log, LogDestination, WHOLE_SAMPLE};
use crate::config::tree::node::{Node, Text};
use crate::config::tree::paths::{beside, is_one_file};
use crate::config::words::written;

pub(super) const ACCESS: Setting<Log> = Setting {
    key: "access",
    kind: Kind::Either(&[Kind::Text, Kind::Only(false), Kind::Tables(&TABLE)]),
    default: "\"-\"",
    about: "the access log: \"-\" is standard output, else a file; false is none; several: [[log.access]]",
    translations: &[
        ("access_log", "the access log is `access` in `[log]`"),
        (
            "file",
            "the file of the access log is `access` in `[log]`; the files of a directory are a \
             route: `\"/\" = { files = \"www\" }`",
        ),
    ],
    restart: true,
    read: |node, log| set(&mut log.access, read(node)),
    show: |log| Some(show_logs(&log.access)),
};

pub(crate) const TABLE: Table = Table {
    title: "`[[log.access]]`",
    home: |_| "`[[log.access]]`".to_owned(),
    rows: || rows(SETTINGS),
};

const SETTINGS: &[Setting<AccessLog>] = &[
    Setting {
        key: "path",
        kind: Kind::Text,
        default: "\"-\"",
        about: "\"-\" is standard output, else a file",
        read: |node, log| set(&mut log.destination, destination(node)),
        show: |log| Some(show_destination(&log.destination)),
        ..Setting::BLANK
    },
    Setting {
        key: "format",
        kind: format::KIND,
        about: "how its lines look; left out: as `[log]` says",
        read: |node, log| {
            log.format = Some(format::read(node)?);
            Some(())
        },
        show: |log| log.format.as_ref().map(format::show),
        ..Setting::BLANK
    },
    Setting {
        key: "when",
        kind: Kind::Table(&condition::TABLE),
        about: "which exchanges it has: those for which all of it holds; left out: every one",
        read: |node, log| set(&mut log.when, condition::read(node)),
        show: |log| condition::show_condition(&log.when),
        ..Setting::BLANK
    },
    Setting {
        key: "sample",
        kind: Kind::Any,
        default: "1",
        about: "the part of them that is written: 0.01 is one of a hundred",
        read: |node, log| set(&mut log.sample, sample(node)),
        show: |log| (log.sample != WHOLE_SAMPLE).then(|| show_sample(log.sample)),
        ..Setting::BLANK
    },
];

fn read(node: Node<'_>) -> Option<Vec<AccessLog>> {
    match node.value.get_ref() {
        DeValue::Boolean(false) => Some(Vec::new()),
        DeValue::String(_) => Some(vec![AccessLog::at(destination(node)?)]),
        DeValue::Array(elements) if !elements.is_empty() => several(node),
        _ => node.refuse_type(
            "\"-\" for standard output, the path of a file, false, or tables [[log.access]]",
            None,
        ),
    }
}

fn several(node: Node<'_>) -> Option<Vec<AccessLog>> {
    let mut logs: Vec<AccessLog> = Vec::new();
    let mut is_sound = true;
    for node in node.one_or_more() {
        let help = "write [[log.access]], and path = \"access.log\" below it";
        let mut section = node.section("`[[log.access]]`", Some(help.to_owned()))?;
        let mut log = AccessLog::at(LogDestination::StandardOutput);
        let walked = walk(&mut section, SETTINGS, &mut log);
        let has_place = !walked.misread(&section, "path");
        section.close();
        is_sound &= walked.is_sound();
        let mut others = logs.iter();
        if has_place && others.any(|other| is_same_place(&other.destination, &log.destination)) {
            let message = "two access logs have the same `path`, and their lines would mix";
            let help = "give each a file of its own".to_owned();
            node.cx
                .report(Diagnostic::error(message).at(node.spot(), "").help(help));
            is_sound = false;
        }
        if has_place {
            logs.push(log);
        }
    }
    is_sound.then_some(logs)
}

/// Whether both logs go to the same place, however its path is written.
fn is_same_place(one: &LogDestination, other: &LogDestination) -> bool {
    match (one, other) {
        (LogDestination::StandardOutput, LogDestination::StandardOutput) => true,
        (LogDestination::File(one), LogDestination::File(other)) => is_one_file(one, other),
        _ => false,
    }
}

fn destination(node: Node<'_>) -> Option<LogDestination> {
    let text = node.text()?;
    match text.value.as_str() {
        "-" => Some(LogDestination::StandardOutput),
        "" => {
            let help =
                "write access = \"-\" for standard output, or false for no access log".to_owned();
            let error = Diagnostic::error(format!("`{}` names no file", node.name));
            node.cx.report(error.at(node.spot(), "").help(help));
            None
        }
        path => match no_file(node.name, path) {
            Some((message, help)) => {
                let error = Diagnostic::error(message).at(node.spot(), "");
                node.cx.report(error.help(help));
                None
            }
            None => {
                warn_of_braces(&text);
                file(node, beside(node.cx.source, Path::new(path)))
            }
        },
    }
}

/// Why a path is none: other servers say by this word that there is no log, or where it goes. With what to write.
fn no_file(key: &str, path: &str) -> Option<(String, String)> {
    const OFF: &[&str] = &["off", "no", "none", "false", "disabled", "discard", "null"];
    let is_one_of = |words: &[&str]| words.iter().any(|word| path.eq_ignore_ascii_case(word));
    let help = if is_one_of(OFF) && key == "path" {
        "leave this log out; access = false is no access log at all"
    } else if is_one_of(OFF) {
        "write access = false for no access log"
    } else if is_one_of(&["stdout", "stderr", "console"]) {
        "write \"-\" for standard output"
    } else if path.starts_with("syslog:") || path == "syslog" || path == "journald" {
        "write \"-\" for standard output, which the service manager or `| logger` takes on"
    } else if path.starts_with('|') {
        "write \"-\" for standard output, and pass that on to the program"
    } else {
        return None;
    };
    let message = format!("`{}` would be the name of a file", path.escape_debug());
    Some((
        message,
        format!("{help}; for a file write \"./{}\"", path.escape_debug()),
    ))
}

/// Warns of a variable in the name of the file, which is the same for all requests.
fn warn_of_braces(text: &Text<'_>) {
    let value = &*text.value;
    let open = value.find(['{', '$']);
    let Some(at) = open.filter(|at| value[*at..].starts_with('$') || value[*at..].contains('}'))
    else {
        return;
    };
    let end = value[at..]
        .find('}')
        .map_or(value.len(), |end| at + end + 1);
    let message = format!(
        "`{}` is a part of the file's name: it has no variables",
        value[at..end].escape_debug()
    );
    let help = match environment_variable(&value[at..]) {
        Some(name) => format!("a variable of the environment is written `${{{name}}}`"),
        None => "all hosts are in one log; `format` may have `{host}`".to_owned(),
    };
    text.warn(at..end, message, help);
}

/// The name behind the `$` that `text` begins with, if it is in capitals, as a shell's variables are.
fn environment_variable(text: &str) -> Option<&str> {
    let text = text.strip_prefix('$')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = &text[..text.len() - text.trim_start_matches(is_name).len()];
    let is_capital = |c: char| !c.is_ascii_lowercase();
    (name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(is_capital))
        .then_some(name)
}

/// The log that is a file, unless that is the one that says so.
fn file(node: Node<'_>, path: PathBuf) -> Option<LogDestination> {
    if !is_one_file(&path, &node.cx.source.path) {
        return Some(LogDestination::File(path));
    }
    let message = "the access log would be written into this configuration file";
    let help = format!("let `{}` name a file of its own", node.name);
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), "").help(help));
    None
}

/// Reads a part of the whole, as millionths.
fn sample(node: Node<'_>) -> Option<u32> {
    let part = match node.value.get_ref() {
        DeValue::Float(float) => float.as_str().replace('_', "").parse::<f64>().ok(),
        DeValue::Integer(_) => node.number().map(|number| number as f64),
        _ => return node.refuse_type("a number such as 0.01", None),
    };
    let millionths = part.map(|part| (part * f64::from(WHOLE_SAMPLE)).round());
    let is_part = |millionths: &f64| (1.0..=f64::from(WHOLE_SAMPLE)).contains(millionths);
    if let Some(millionths) = millionths.filter(is_part) {
        return Some(millionths as u32);
    }
    let message = "`sample` must be a part of the whole: more than 0, and at most 1";
    let help = "0.01 is one record of a hundred; false in place of the log is none".to_owned();
    node.cx
        .report(Diagnostic::error(message).at(node.spot(), "").help(help));
    None
}

fn show_sample(millionths: u32) -> String {
    let digits = format!("{:.6}", f64::from(millionths) / f64::from(WHOLE_SAMPLE));
    digits.trim_end_matches('0').to_owned()
}

/// The settings of one log.
pub(crate) fn show_log(log: &AccessLog) -> written::Table {
    show(SETTINGS, log)
}

/// Where a log goes, as the file has it.
pub(crate) fn show_destination(destination: &LogDestination) -> String {
    match destination {
        LogDestination::StandardOutput => written::string("-"),
        LogDestination::File(file) => written::path(file),
    }
}

fn show_logs(logs: &[AccessLog]) -> String {
    match logs {
        [] => "false".to_owned(),
        [only] if *only == AccessLog::at(only.destination.clone()) => {
            show_destination(&only.destination)
        }
        several => written::array(several.iter().map(|log| written::inline(show_log(log)))),
    }
}
