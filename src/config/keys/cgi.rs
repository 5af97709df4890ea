//! `cgi = DIR` and its options: a directory of scripts, and a word about those that cannot run.

use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::Cgi;
use crate::config::tree::node::{Node, Text, list};
use crate::config::tree::paths::directory;
use crate::config::tree::section::{Key, Section};
use crate::config::words::units::WAIT;
use crate::config::words::values::{parse_variable_name, parse_variable_value};

/// Each is a program with memory of its own; more than this is a slip of the finger.
const PROCESSES: RangeInclusive<u64> = 1..=10_000;

/// The scripts of a route.
pub(crate) fn cgi(section: &mut Section<'_>) -> Option<Cgi> {
    let text = section.take("cgi").and_then(Node::text);
    let root = text.as_ref().and_then(directory);
    if let (Some(text), Some(root)) = (&text, &root) {
        warn_of_scripts_that_cannot_run(text, root);
    }
    let default = Cgi::beneath(root.clone().unwrap_or_default());
    let cgi = Cgi {
        timeout: section.duration("timeout", WAIT).unwrap_or(default.timeout),
        max_processes: section
            .count("max_processes", PROCESSES)
            .unwrap_or(default.max_processes),
        environment: section
            .take("environment")
            .map(environment)
            .unwrap_or_default(),
        root: default.root,
    };
    root.and(Some(cgi))
}

fn environment(node: Node<'_>) -> Vec<(String, String)> {
    let help = "write { LANG = \"C.UTF-8\" }".to_owned();
    let Some(section) = node.section("`environment`", Some(help)) else {
        return Vec::new();
    };
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_variable_name)?;
        Some((name, value.text()?.parse(parse_variable_value)?))
    };
    section.entries().into_iter().filter_map(entry).collect()
}

/// A script without the executable bit is found out about by whoever asks for it. It may be meant
/// to be read by others alone, so this is a doubt.
fn warn_of_scripts_that_cannot_run(text: &Text<'_>, root: &Path) {
    const NAMED: usize = 3;
    let mut names = not_executable(root);
    names.sort();
    let Some(first) = names.first() else { return };
    let chmod = format!("chmod +x {}", root.join(first).display());
    let shown = names.iter().take(NAMED).map(|name| format!("`{name}`"));
    let others = names.len().saturating_sub(NAMED);
    let others = (others > 0).then(|| format!("{others} more"));
    let (have, it) = match names.len() {
        1 => ("has", "it"),
        _ => ("have", "they"),
    };
    let message = format!(
        "{} in `{}` {have} no executable bit, so {it} cannot be run",
        list(shown.chain(others), "and"),
        root.display()
    );
    let warning = Diagnostic::warning(message).at(text.node.spot(), "");
    text.node.cx.report(warning.help(chmod));
}

/// The files of a directory that nobody may execute, those apart that are never served.
fn not_executable(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let is_meant = |path: &Path| {
        let state = std::fs::metadata(path);
        state.is_ok_and(|state| state.is_file() && state.permissions().mode() & 0o111 == 0)
    };
    let files = entries.filter(|entry| is_meant(&entry.path()));
    let names = files.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with('.')).collect()
}
