//! `cgi = DIR`, and the options beside it. Scripts that cannot run get a warning.

use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::links;
use super::script_variables::warn_of_variable;
use super::setting::{Kind, Setting, rows, set, show, walk};
use super::verb::{Answer, VerbKeys, script_name};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Cgi, Route, Verb};
use crate::config::tree::node::{Node, Text, list};
use crate::config::tree::paths::{absolute, beside, directory, report_path};
use crate::config::tree::section::{Key, Section};
use crate::config::words::units::WAIT;
use crate::config::words::values::{parse_variable_name, parse_variable_value};
use crate::config::words::written;

/// Each script is a process with memory of its own. A larger number is more likely a slip.
const PROCESSES: RangeInclusive<u64> = 1..=10_000;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "cgi",
    usage: "cgi = \"DIR\"",
    example: "\"/cgi-bin\" = { cgi = \"cgi-bin\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

const SETTINGS: &[Setting<Cgi>] = &[
    Setting {
        key: "cgi",
        kind: Kind::Text,
        about: "the scripts of a directory, a process for each request",
        read: |node, cgi| set(&mut cgi.root, root(&node.text()?)),
        show: |cgi| Some(written::path(&cgi.root)),
        ..Setting::BLANK
    },
    Setting {
        show: |cgi| cgi.script.as_deref().map(written::string),
        ..Setting::SCRIPT
    },
    Setting {
        read: |node, cgi| set(&mut cgi.timeout, node.duration(WAIT)),
        show: |cgi| Some(written::duration(cgi.timeout)),
        ..Setting::TIMEOUT
    },
    Setting {
        read: |node, cgi| set(&mut cgi.stream, node.boolean()),
        show: |cgi| Some(cgi.stream.to_string()),
        ..Setting::STREAM
    },
    Setting {
        key: "max_processes",
        kind: Kind::integer(&PROCESSES),
        default: "32",
        about: "scripts of the route that run at once; past it, 503 with Retry-After",
        read: |node, cgi| set(&mut cgi.max_processes, node.count(PROCESSES)),
        show: |cgi| Some(cgi.max_processes.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "environment",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "variables that scripts find beside those of the request",
        read: |node, cgi| set(&mut cgi.environment, environment(node)),
        show: |cgi| Some(written::secret_pairs(&cgi.environment)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, cgi| set(&mut cgi.links, links::read(node)),
        show: |cgi| Some(links::show(&cgi.links)),
        ..Setting::LINKS
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut cgi = Cgi::beneath(PathBuf::new());
    let walked = walk(section, SETTINGS, &mut cgi);
    let script = script_name(section);
    if !walked.took("cgi") {
        return None;
    }
    match script {
        Some((name, text)) => {
            check_script(&text, &cgi.root, &name);
            cgi.script = Some(name);
        }
        None if section.has("script") => {}
        None => warn_of_scripts_that_cannot_run(section, &cgi.root),
    }
    cgi.root = absolute(&cgi.root);
    Some(Verb::Cgi(cgi).into())
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Cgi(cgi) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, cgi))
}

/// Reads the directory of the scripts.
fn root(text: &Text<'_>) -> Option<PathBuf> {
    let path = beside(text.node.cx.source, &text.value);
    let written = Path::new(&text.value);
    if let (true, Some(parent), Some(name)) =
        (path.is_file(), written.parent(), written.file_name())
    {
        let message = format!("`{}` is a script, and not a directory", path.display());
        let parent = match parent.to_string_lossy() {
            here if here.is_empty() => ".".into(),
            parent => parent,
        };
        let help = format!(
            "write cgi = {}, script = {}: it answers everything beneath the route",
            written::string(&parent),
            written::string(&name.to_string_lossy()),
        );
        let error = Diagnostic::error(message).at(text.node.spot(), "");
        text.node.cx.report(error.help(help));
        return None;
    }
    directory(text)
}

/// Reports that the one script of a route is not there, and warns if it cannot be run.
fn check_script(text: &Text<'_>, root: &Path, name: &str) {
    let path = root.join(name);
    match std::fs::metadata(&path) {
        Ok(state) if !state.is_file() => {
            report_path(
                text,
                Path::new("/"),
                format!("`{}` is not a file", path.display()),
            );
        }
        Ok(state) if state.permissions().mode() & 0o111 == 0 => {
            let message = format!(
                "`{}` has no executable bit, so it cannot be run",
                path.display()
            );
            let warning = Diagnostic::warning(message).at(text.node.spot(), "");
            let help = format!("chmod +x {}", path.display());
            text.node.cx.report(warning.help(help));
        }
        Ok(_) => {}
        Err(_) => {
            let message = format!("there is no file `{}`", path.display());
            text.node.cx.note_if_missing(&path);
            report_path(text, Path::new("/"), message);
        }
    }
}

fn environment(node: Node<'_>) -> Option<Vec<(String, String)>> {
    let help = "write { LANG = \"C.UTF-8\" }".to_owned();
    let section = node.section("`environment`", Some(help))?;
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_variable_name)?;
        let text = value.text()?;
        warn_of_variable("environment", &name, &text);
        Some((name, text.parse(parse_variable_value)?))
    };
    Some(section.entries().into_iter().filter_map(entry).collect())
}

/// Warns of files without the executable bit: otherwise only the client that asks for one would find
/// out. It is no error, because a file may be there for scripts to read.
fn warn_of_scripts_that_cannot_run(section: &Section<'_>, root: &Path) {
    const NAMED: usize = 3;
    let Some(node) = section.peek("cgi") else {
        return;
    };
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
    let warning = Diagnostic::warning(message).at(node.spot(), "");
    section.report(warning.help(chmod));
}

/// The files of a directory that no user may execute. Dotfiles are left out, as they are never served.
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
