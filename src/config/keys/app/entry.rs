//! One `[apps.NAME]`. Beside its own keys it has those of an upstream that say how servers are asked.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::program::report_missing_program;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::keys::setting::{Kind, Row, Setting, Table, rows, set, show, walk};
use crate::config::keys::upstream;
use crate::config::model::{Account, App, AppProcess, Endpoint, Template, Upstream};
use crate::config::tree::node::Node;
use crate::config::tree::paths::{absolute, beside, directory};
use crate::config::tree::section::{Key, Section};
use crate::config::words::account::parse_user;
use crate::config::words::proxy::parse_sent_host;
use crate::config::words::units::WAIT;
use crate::config::words::upstream::parse_upstream_name;
use crate::config::words::values::parse_variable_name;
use crate::config::words::written;

/// Each instance is a process with memory of its own. A larger number is more likely a slip.
const INSTANCES: RangeInclusive<u64> = 1..=1000;

pub(crate) const TABLE: Table = Table {
    title: "`[apps.NAME]`",
    home: |_| "`[apps.NAME]`".to_owned(),
    rows: all_rows,
};

const HELP: &str = "write [apps.blog] and command = [\"gunicorn\", \"blog.wsgi\", \"--bind\", \
                    \"unix:${SOCKET}\"]";

const ENDPOINT_HELP: &str = "write `${SOCKET}` where the program is told the path of its Unix socket, or \
                             `${PORT}` where it is told its port of 127.0.0.1";

const SETTINGS: &[Setting<App>] = &[
    Setting {
        key: "command",
        kind: Kind::TEXTS,
        about: "the program and its arguments; no shell is asked. `${SOCKET}` is the path of a Unix \
                socket where the process has to listen, `${PORT}` a port of 127.0.0.1",
        translations: &[
            ("exec", "the setting is called `command`, in `[apps.NAME]`"),
            (
                "ExecStart",
                "the setting is called `command`, in `[apps.NAME]`: [\"PROGRAM\", \"ARGUMENT\"]",
            ),
        ],
        read: |node, app| set(&mut app.process.command, command(node)),
        show: |app| {
            let command = app.process.command.iter();
            Some(written::array(command.map(written::template)))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "directory",
        kind: Kind::Text,
        default: "\".\"",
        about: "where it is started",
        translations: &[(
            "WorkingDirectory",
            "the setting is called `directory`, in `[apps.NAME]`",
        )],
        read: |node, app| {
            let path = node.text().and_then(|text| directory(&text));
            set(&mut app.process.directory, path.map(|path| absolute(&path)))
        },
        show: |app| Some(written::path(&app.process.directory)),
        ..Setting::BLANK
    },
    Setting {
        key: "environment",
        kind: Kind::TEXT_MAP,
        default: "{}",
        about: "variables that it finds beside PATH, HOME, USER, LOGNAME, SHELL, LANG, LANGUAGE, LC_*, TZ \
                and TMPDIR; it finds no other variables of this server",
        read: |node, app| set(&mut app.process.environment, environment(node)),
        show: |app| {
            let variables = app.process.environment.iter();
            let entry = |(name, value): &(String, Template)| {
                (name.clone(), written::secret_template(value))
            };
            Some(written::inline(variables.map(entry)))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "user",
        kind: Kind::Text,
        about: "who runs it, by name or number, which only root may choose; left out: who runs this server",
        read: |node, app| set(&mut app.process.user, user(node).map(Some)),
        show: |app| {
            let user = app.process.user.as_ref();
            user.map(|user| written::string(&user.written))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "instances",
        kind: Kind::integer(&INSTANCES),
        default: "1",
        about: "how many processes of it run at a time",
        translations: &[(
            "processes",
            "the setting is called `instances`, in `[apps.NAME]`",
        )],
        read: |node, app| set(&mut app.instances, node.count(INSTANCES)),
        show: |app| Some(app.instances.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "ready",
        kind: Kind::Text,
        about: "a path that must answer 2xx or 3xx before a process is asked: \"/healthz\"; left out: it \
                takes a connection",
        read: |node, app| {
            let path = node.text()?.parse(upstream::parse_path);
            set(&mut app.ready, path.map(Some))
        },
        show: |app| app.ready.as_deref().map(written::string),
        ..Setting::BLANK
    },
    Setting {
        key: "ready_host",
        kind: Kind::Text,
        default: "\"localhost\"",
        about: "what `Host` says in the request for `ready`",
        read: |node, app| set(&mut app.ready_host, node.text()?.parse(parse_sent_host)),
        show: |app| Some(written::string(&app.ready_host)),
        ..Setting::BLANK
    },
    Setting {
        key: "ready_timeout",
        kind: Kind::Duration,
        default: "\"30s\"",
        about: "how long a process may take until it is ready; then it is ended, and counts as crashed",
        read: |node, app| set(&mut app.ready_timeout, node.duration(WAIT)),
        show: |app| Some(written::duration(app.ready_timeout)),
        ..Setting::BLANK
    },
    Setting {
        key: "stop_timeout",
        kind: Kind::Duration,
        default: "\"10s\"",
        about: "how long a process that is replaced may take for requests that it has, and how long it may \
                take to end after SIGTERM; then it is killed",
        translations: &[(
            "TimeoutStopSec",
            "the setting is called `stop_timeout`, in `[apps.NAME]`",
        )],
        read: |node, app| set(&mut app.stop_timeout, node.duration(WAIT)),
        show: |app| Some(written::duration(app.stop_timeout)),
        ..Setting::BLANK
    },
];

fn all_rows() -> Vec<Row> {
    [rows(SETTINGS), upstream::rows_of_apps()].concat()
}

/// Reads one application. `None`: there is a mistake, and it is reported.
pub(crate) fn app(key: &Key<'_>, node: Node<'_>) -> Option<App> {
    let name = key.parse(parse_upstream_name);
    let title = format!("`[apps.{}]`", key.name.escape_debug());
    let mut section = node.section(&*title, Some(HELP.to_owned()))?;
    let place = key.cx.source.place(key.span.start);
    let here = beside(key.cx.source, ".");
    let name_or_none = name.clone().unwrap_or_default();
    let mut upstream = Upstream::of(name_or_none, Vec::new(), place);
    let is_upstream_sound = upstream::read_for_app(&mut section, &mut upstream).is_some();
    let mut app = App {
        upstream,
        process: AppProcess {
            command: Vec::new(),
            directory: absolute(&here),
            environment: Vec::new(),
            user: None,
            endpoint: Endpoint::Socket,
        },
        instances: 1,
        ready: None,
        ready_host: "localhost".to_owned(),
        ready_timeout: Duration::from_secs(30),
        stop_timeout: Duration::from_secs(10),
    };
    let walked = walk(&mut section, SETTINGS, &mut app);
    if section.lacks("command") {
        let error = Diagnostic::error(format!("{title} has no command"));
        section.report_absence(error.at(key.spot(), "").help(HELP.to_owned()));
    }
    let is_sound = is_upstream_sound && walked.took("command") && walked.is_sound();
    let endpoint = is_sound.then(|| endpoint(&section, &app.process)).flatten();
    let command = section.peek("command").filter(|_| is_sound);
    let has_program = command.is_some_and(|node| report_missing_program(node, &app.process));
    section.close();
    app.process.endpoint = endpoint?;
    (has_program && name.is_some()).then_some(app)
}

/// An application in the terms of the file.
pub(crate) fn show_app(app: &App) -> written::Table {
    let mut table = show(SETTINGS, app);
    table.extend(upstream::show_for_app(&app.upstream));
    table
}

fn command(node: Node<'_>) -> Option<Vec<Template>> {
    let elements = node.one_or_more();
    let count = elements.len();
    let words: Vec<Template> = elements.into_iter().filter_map(Node::template).collect();
    if words.len() < count {
        return None;
    }
    let first = words.first().map(|first| first.fill(""));
    if first.as_deref().unwrap_or_default().is_empty() {
        let error = Diagnostic::error("`command` names no program").at(node.spot(), "");
        node.cx.report(error.help(HELP.to_owned()));
        return None;
    }
    let line = words[0].fill("…");
    if words.len() == 1 && line.contains(' ') && !Path::new(&line).exists() {
        let array = written::template_words(&words[0]);
        let message = "`command` is no command line: each argument is a string of its own";
        let error = Diagnostic::error(message).at(node.spot(), "");
        node.cx
            .report(error.help(format!("write command = {array}")));
        return None;
    }
    Some(words)
}

fn environment(node: Node<'_>) -> Option<Vec<(String, Template)>> {
    let help = "write { DJANGO_SETTINGS_MODULE = \"blog.settings\" }".to_owned();
    let section = node.section("`environment`", Some(help))?;
    let entry = |(key, value): (Key<'_>, Node<'_>)| {
        let name = key.parse(parse_variable_name)?;
        Some((name, value.template()?))
    };
    section.entries().into_iter().map(entry).collect()
}

/// Reads who runs the application. That this user may not choose is a warning, because a file may be
/// checked by another user than who runs it.
fn user(node: Node<'_>) -> Option<Account> {
    let user = node.text()?.parse(parse_user)?;
    let ours = rustix::process::geteuid();
    if !ours.is_root() && ours.as_raw() != user.number {
        let message = format!(
            "only root can run a program as `{}`, and this is user {}",
            user.written,
            ours.as_raw()
        );
        let warning = Diagnostic::warning(message).at(node.spot(), "");
        let help = "leave `user` out, or run the server as root".to_owned();
        node.cx.report(warning.help(help));
    }
    Some(user)
}

/// Where the instances listen: what the command and the environment say. It is reported if they say
/// nothing, or both.
fn endpoint(section: &Section<'_>, process: &AppProcess) -> Option<Endpoint> {
    let command = section.peek("command")?;
    let variables = process.environment.iter().map(|(_, value)| value);
    let templates = process.command.iter().chain(variables);
    let named: Vec<Endpoint> = templates.flat_map(Template::endpoints).collect();
    let first = named.first().copied();
    let message = match first {
        None => {
            "neither `${SOCKET}` nor `${PORT}` is named, so the program does not know where to listen"
        }
        Some(first) if named.iter().any(|other| *other != first) => {
            "both `${SOCKET}` and `${PORT}` are named, and an instance has one of them"
        }
        Some(_) => return first,
    };
    let error = Diagnostic::error(message).at(command.spot(), "");
    section.report(error.help(ENDPOINT_HELP.to_owned()));
    None
}
