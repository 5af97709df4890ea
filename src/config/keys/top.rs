//! The top of the file: the settings of the whole process, and the way to all other tables.
//!
//! A mistake leaves a diagnostic, and the default stays. So the walk always reaches the end.
//! `load::file` returns no [`Config`] if there is an error.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::access::{read_trusted, show_trusted};
use super::acme::{self, ACME};
use super::blocking::BLOCKING;
use super::issue::Issuer;
use super::level::Level;
use super::listen_claims::ListenClaims;
use super::log::{LOG, show_log};
use super::server::{self, resolve_servers};
use super::setting::{Kind, Row, Setting, Table, rows, set, show, walk, word, words};
use super::stream::{self, resolve_streams};
use super::test::{self, resolve_tests};
use super::tracing::{self, TRACING};
use super::{app, issue, limits, log, rate, refine, upstream};
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Config, Policy};
use crate::config::tree::node::{Context, Node};
use crate::config::tree::section::Section;
use crate::config::words::units::WAIT_OR_NONE;
use crate::config::words::written;
use crate::http::forwarded::ForwardedField;

/// Each event loop is a thread with its own cache. A larger number is more likely a slip.
const WORKERS: RangeInclusive<u64> = 1..=1024;

pub(super) const TABLE: Table = Table {
    title: "The top of the file",
    home: |_| "the top of the file".to_owned(),
    rows: all_rows,
};

const SETTINGS: &[Setting<Config>] = &[
    Setting {
        key: "workers",
        kind: Kind::Either(&[Kind::Word(|| vec!["auto"]), Kind::integer(&WORKERS)]),
        default: "\"auto\"",
        about: "event loops; \"auto\" is one for each CPU that this process may use",
        translations: &[
            ("worker_processes", "the setting is called `workers`"),
            (
                "threads",
                "the event loops are called `workers`; `blocking = { threads = 32 }` is for what \
                 may wait",
            ),
        ],
        read: |node, config| set(&mut config.workers, workers(node)),
        show: |config| Some(config.workers.to_string()),
        ..Setting::BLANK
    },
    BLOCKING,
    Setting {
        key: "grace",
        kind: Kind::Duration,
        default: "\"10s\"",
        about: "how long exchanges in flight may take once the server is told to stop",
        read: |node, config| set(&mut config.grace, node.duration(WAIT_OR_NONE)),
        show: |config| Some(written::duration(config.grace)),
        ..Setting::BLANK
    },
    Setting {
        key: "drain_delay",
        kind: Kind::Duration,
        default: "\"0s\"",
        about: "how long the server goes on as before once it is told to stop, while routes with `ready` say \
                503: as long as balancers take to notice that",
        read: |node, config| set(&mut config.drain_delay, node.duration(WAIT_OR_NONE)),
        show: |config| Some(written::duration(config.drain_delay)),
        ..Setting::BLANK
    },
    Setting {
        key: "server_field",
        kind: Kind::Boolean,
        default: "true",
        about: "whether answers say `Server: tidegate`",
        translations: &[(
            "server_tokens",
            "the setting is called `server_field`: true or false, at the top of the file",
        )],
        read: |node, config| set(&mut config.server_field, node.boolean()),
        show: |config| Some(config.server_field.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "trusted_proxies",
        kind: Kind::TEXTS,
        default: "[]",
        about: "networks of peers whose word about the client's address is believed; \"unix:\": peers at Unix sockets",
        translations: &[(
            "set_real_ip_from",
            "the setting is called `trusted_proxies`, at the top of the file",
        )],
        read: |node, config| read_trusted(node, &mut config.proxies),
        show: |config| Some(show_trusted(&config.proxies)),
        ..Setting::BLANK
    },
    Setting {
        key: "forwarded_field",
        kind: Kind::Word(|| words(FORWARDED_FIELDS)),
        default: "\"X-Forwarded-For\"",
        about: "the field in which trusted proxies say who the client is; the other is not believed",
        translations: &[(
            "real_ip_header",
            "the setting is called `forwarded_field`, at the top of the file",
        )],
        read: |node, config| set(&mut config.proxies.field, node.word(FORWARDED_FIELDS)),
        show: |config| word(FORWARDED_FIELDS, &config.proxies.field),
        ..Setting::BLANK
    },
];

const FORWARDED_FIELDS: &[(&str, ForwardedField)] = &[
    ("X-Forwarded-For", ForwardedField::XForwardedFor),
    ("Forwarded", ForwardedField::Forwarded),
];

/// The keys that every file may have. They are read apart from the others: `include` before the walk,
/// `server`, `stream`, `upstreams`, `apps`, `rates` and `test` from all files together.
const OF_EVERY_FILE: [Setting<Config>; 7] = [
    Setting {
        key: "include",
        kind: Kind::TEXTS,
        default: "[]",
        about: "further files with servers, streams, upstreams, apps, rates and tests; `*` and `?` stand for characters of a name",
        ..Setting::BLANK
    },
    Setting {
        key: "server",
        kind: Kind::Tables(&server::TABLE),
        about: "a server: where it listens, and what it answers",
        ..Setting::BLANK
    },
    Setting {
        key: "stream",
        kind: Kind::Tables(&stream::TABLE),
        about: "connections that are passed on as they are: to databases, mail servers and the like",
        ..Setting::BLANK
    },
    Setting {
        key: "upstreams",
        kind: Kind::Map(&Kind::Table(&upstream::TABLE)),
        default: "{}",
        about: "servers that routes with `proxy` and streams ask, by a name of yours",
        translations: &[
            (
                "backend",
                "several servers that are asked are `[upstreams.NAME]`, with servers = [\"127.0.0.1:8000\"]",
            ),
            (
                "loadBalancer",
                "several servers that are asked are `[upstreams.NAME]`, with servers = [\"127.0.0.1:8000\"]",
            ),
            (
                "services",
                "several servers that are asked are `[upstreams.NAME]`, with servers = [\"127.0.0.1:8000\"]",
            ),
        ],
        ..Setting::BLANK
    },
    Setting {
        key: "apps",
        kind: Kind::Map(&Kind::Table(&app::TABLE)),
        default: "{}",
        about: "applications that this server runs, and that routes with `proxy` ask, by a name of yours",
        ..Setting::BLANK
    },
    Setting {
        key: "rates",
        kind: Kind::Map(&Kind::Table(&rate::TABLE)),
        default: "{}",
        about: "how many requests may be made, by a name of yours, which `rate` of servers and routes says",
        translations: &[(
            "limit_req_zone",
            "write [rates.login] with rate = \"10/m\" and burst = 5, and rate = \"login\" at a route",
        )],
        ..Setting::BLANK
    },
    Setting {
        key: "test",
        kind: Kind::Tables(&test::TABLE),
        about: "a request and what is expected of its answer",
        ..Setting::BLANK
    },
];

/// In the order of the documentation: the tables come after the single values.
fn all_rows() -> Vec<Row> {
    let [include, server, stream, upstreams, apps, rates, test] = &OF_EVERY_FILE;
    let (tables, values): (Vec<Row>, Vec<Row>) = rows(refine::settings(Level::Top))
        .into_iter()
        .partition(|row| row.key == limits::AT_TOP.key);
    [
        rows(SETTINGS),
        rows([include]),
        values,
        rows([&LOG]),
        rows([&ACME]),
        rows([&TRACING]),
        tables,
        rows([server, stream, upstreams, apps, rates, test]),
    ]
    .concat()
}

/// A file: the context of its walk, and its tree.
pub(crate) type Part<'c> = (&'c Context<'c>, &'c DeTable<'c>);

/// Reads the trees of all files. The first is the main file.
pub(crate) fn resolve(parts: Vec<Part<'_>>) -> Config {
    let contexts: Vec<&Context<'_>> = parts.iter().map(|(cx, _)| *cx).collect();
    let mut parts = parts.into_iter();
    let (cx, tree) = parts.next().expect("there is a main file");
    let mut root = Section::new(cx, "the configuration".into(), tree);
    let mut shared = Shared::of(&mut root);
    for part in parts {
        let included = included(part);
        shared.servers.extend(included.servers);
        shared.streams.extend(included.streams);
        shared.upstreams.extend(included.upstreams);
        shared.apps.extend(included.apps);
        shared.rates.extend(included.rates);
        shared.tests.extend(included.tests);
    }
    let mut config = Config::default();
    let walked = walk(&mut root, SETTINGS, &mut config);
    walk(&mut root, [&LOG], &mut config);
    walk(&mut root, [&ACME], &mut config);
    walk(&mut root, [&TRACING], &mut config);
    config.policy = refine::refine(&mut root, Level::Top, &Policy::default());
    let upstreams = upstream::Known::read(shared.upstreams, shared.apps);
    let rates = rate::Known::read(shared.rates);
    let is_misread = walked.misread(&root, "trusted_proxies");
    let mut listeners = ListenClaims::new(&config.proxies, is_misread);
    if shared.streams.is_empty() {
        report_no_server(&root, &shared.servers);
    }
    let errors = || -> usize { contexts.iter().map(|cx| cx.errors()).sum() };
    let errors_before = errors();
    let issuer = Issuer::of(config.acme.as_ref(), &root);
    let shared_by_servers = (issuer, &rates);
    config.servers = resolve_servers(
        shared.servers,
        &config.policy,
        shared_by_servers,
        &mut listeners,
    );
    if let (Issuer::Known(acme), false) = (issuer, listeners.has_misread()) {
        issue::warn_of_unanswered(&root, acme, &config.servers);
    }
    config.streams = resolve_streams(shared.streams, &mut listeners);
    for cx in &contexts {
        cx.has_misread_servers.set(errors() > errors_before);
    }
    let servers = config.servers.iter().map(|server| &server.listen);
    let streams = config.streams.iter().map(|stream| &stream.listen);
    let listen: Vec<&ListenAddress> = servers.chain(streams).flatten().collect();
    (config.upstreams, config.apps) = upstreams.complete(&contexts, &listen);
    config.tests = resolve_tests(shared.tests, &config.servers);
    config.rates = rates.complete(&contexts);
    log::warn_of_unknown_routes(&contexts, &config.servers);
    root.close();
    config
}

/// The keys at the top of the file, in its terms, without the tables that follow them.
pub(crate) fn show_top(config: &Config) -> written::Table {
    let mut table = show(SETTINGS, config);
    table.extend(refine::show_policy(&config.policy, Level::Top));
    table
}

/// The tables that follow the top of the file, by their names. One that the file need not have is empty.
pub(crate) fn show_tables(config: &Config) -> [(&'static str, written::Table); 4] {
    [
        (LOG.key, show_log(&config.log)),
        (ACME.key, acme::show_acme(config.acme.as_ref())),
        (TRACING.key, tracing::show_tracing(config.tracing.as_ref())),
        (
            limits::AT_TOP.key,
            limits::show_limits(&config.policy.limits, Level::Top),
        ),
    ]
}

/// Whether a change of `name`, a key of the top or `TABLE.KEY`, needs the process to start anew.
pub(crate) fn needs_restart(name: &str) -> bool {
    let (table, key) = name.split_once('.').unwrap_or(("", name));
    let rows = match table {
        "" => all_rows(),
        "log" => (log::TABLE.rows)(),
        _ => return false,
    };
    rows.iter().any(|row| row.key == key && row.needs_restart)
}

/// Reads a number of workers. `None` for `"auto"` and for a mistake.
fn workers(node: Node<'_>) -> Option<NonZeroUsize> {
    match node.value.get_ref() {
        DeValue::Integer(_) => {
            let count = node.integer(WORKERS)?;
            usize::try_from(count).ok().and_then(NonZeroUsize::new)
        }
        DeValue::String(text) if text == "auto" => None,
        DeValue::String(text) if text.parse::<u64>().is_ok() => node.integer(WORKERS).and(None),
        _ => node.refuse_type("\"auto\" or a whole number", None),
    }
}

/// The servers, streams, upstreams, apps, rates and tests of one file, or of all.
struct Shared<'c> {
    servers: Vec<Node<'c>>,
    streams: Vec<Node<'c>>,
    upstreams: Vec<Node<'c>>,
    apps: Vec<Node<'c>>,
    rates: Vec<Node<'c>>,
    tests: Vec<Node<'c>>,
}

impl<'c> Shared<'c> {
    fn of(section: &mut Section<'c>) -> Self {
        let [include, server, stream, upstreams, apps, rates, test] = &OF_EVERY_FILE;
        section.take(include.key);
        Self {
            servers: list(server.key, section.take(server.key)),
            streams: list(stream.key, section.take(stream.key)),
            upstreams: section.take(upstreams.key).into_iter().collect(),
            apps: section.take(apps.key).into_iter().collect(),
            rates: section.take(rates.key).into_iter().collect(),
            tests: list(test.key, section.take(test.key)),
        }
    }
}

/// Reads an included file. Settings of the process are refused there.
fn included<'c>((cx, tree): Part<'c>) -> Shared<'c> {
    let mut section = Section::new(cx, "an included file".into(), tree);
    let shared = Shared::of(&mut section);
    section.close_with(|key| {
        let is_of_main = all_rows().iter().any(|row| row.key == key);
        let help = format!("`{key}` is said once for the whole server, in the main file");
        is_of_main.then_some(help)
    });
    shared
}

/// The tables of `[[name]]`.
fn list<'c>(name: &str, node: Option<Node<'c>>) -> Vec<Node<'c>> {
    let Some(node) = node else {
        return Vec::new();
    };
    if matches!(node.value.get_ref(), DeValue::Table(_)) {
        let message = format!("{name}s are a list, even if there is one");
        let help = format!("write `[[{name}]]`, with two brackets");
        let diagnostic = Diagnostic::error(message).at(node.spot(), "").help(help);
        node.cx.report_absence(diagnostic);
    }
    node.one_or_more()
}

/// Reports that there is neither a server nor a stream, at the end of the file.
fn report_no_server(root: &Section<'_>, servers: &[Node<'_>]) {
    if servers.is_empty() && !root.has("server") && !root.has("servers") {
        let help = "begin with\n[[server]]\nlisten = \"localhost:8080\"\n[server.routes]\n\"/\" = { files = \"www\" }";
        let message = "there is no `[[server]]`, so nothing would be served";
        root.report_absence(Diagnostic::error(message).help(help.to_owned()));
    }
}
