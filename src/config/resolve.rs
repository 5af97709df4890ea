//! From the tree as written to the [`Config`]: the settings of the whole process.
//!
//! A mistake leaves a diagnostic and the default in its place, so that the walk always reaches the
//! end; `file` lets no `Config` out beside an error.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::access::networks;
use super::model::{
    AccessLog, Blocking, Cidr, Config, DEFAULT_GRACE, Log, LogFormat, LogLevel, Policy, Server,
    default_workers,
};
use super::refine::{Level, refine};
use super::route_test::resolve_tests;
use super::server::resolve_servers;
use super::words::units::WAIT_OR_NONE;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::vocabulary::{explain, is_at_top};
use crate::config::tree::node::{Context, Node};
use crate::config::tree::paths::beside;
use crate::config::tree::section::Section;

/// Each event loop is a thread with its own cache; more than this is a slip of the finger.
const WORKERS: RangeInclusive<u64> = 1..=1024;

/// A file: what its walk notes down, and its tree.
pub(super) type Part<'c> = (&'c Context<'c>, &'c DeTable<'c>);

/// Takes the trees of all files apart; the first is the main one.
pub(super) fn resolve(parts: Vec<Part<'_>>) -> Config {
    let mut parts = parts.into_iter();
    let (cx, tree) = parts.next().expect("there is a main file");
    let mut root = Section::new(cx, "the configuration".into(), tree);
    root.take("include");
    let mut shared = Shared::of(&mut root);
    for part in parts {
        let included = included(part);
        shared.servers.extend(included.servers);
        shared.tests.extend(included.tests);
    }
    let policy = refine(&mut root, Level::Top, &Policy::default());
    let servers = servers(&root, shared.servers, &policy);
    let config = Config {
        workers: root
            .take("workers")
            .and_then(workers)
            .unwrap_or_else(default_workers),
        blocking: root.take("blocking").map(blocking).unwrap_or_default(),
        grace: root
            .duration("grace", WAIT_OR_NONE)
            .unwrap_or(DEFAULT_GRACE),
        server_field: root.boolean("server_field").unwrap_or(true),
        log: root.take("log").map(log).unwrap_or_default(),
        trusted_proxies: root
            .take("trusted_proxies")
            .map(trusted_proxies)
            .unwrap_or_default(),
        tests: resolve_tests(shared.tests, &servers),
        servers,
        policy,
    };
    root.close(explain);
    config
}

/// `"auto"` is `None`, as is a mistake.
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

fn blocking(node: Node<'_>) -> Blocking {
    let default = Blocking::default();
    let help = Some("write blocking = { threads = 32, queue = 1024 }".into());
    let Some(mut section) = node.section("`blocking`", help) else {
        return default;
    };
    let blocking = Blocking {
        threads: section
            .count("threads", 1..=1024)
            .unwrap_or(default.threads),
        queue: section
            .count("queue", 1..=1_000_000)
            .unwrap_or(default.queue),
    };
    section.close(explain);
    blocking
}

fn log(node: Node<'_>) -> Log {
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

fn trusted_proxies(node: Node<'_>) -> Vec<Cidr> {
    let networks = networks(node).into_iter();
    networks.map(|(network, _)| network).collect()
}

/// What any of the files may hold.
struct Shared<'c> {
    servers: Vec<Node<'c>>,
    tests: Vec<Node<'c>>,
}

impl<'c> Shared<'c> {
    fn of(section: &mut Section<'c>) -> Self {
        Self {
            servers: list("server", section.take("server")),
            tests: list("test", section.take("test")),
        }
    }
}

/// What an included file holds; settings of the process are refused there.
fn included<'c>((cx, tree): Part<'c>) -> Shared<'c> {
    let mut section = Section::new(cx, "an included file".into(), tree);
    section.take("include");
    let shared = Shared::of(&mut section);
    section.close(|key| {
        let is_of_main = is_at_top(key);
        let help = format!("`{key}` is said once for the whole server, in the main file");
        is_of_main.then_some(help).or_else(|| explain(key))
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

/// The servers of all files, the main one's first.
fn servers<'c>(root: &Section<'c>, nodes: Vec<Node<'c>>, outer: &Policy) -> Vec<Server> {
    if nodes.is_empty() && !root.has("server") && !root.has("servers") {
        let help = "begin with\n[[server]]\nlisten = \"localhost:8080\"\n[server.routes]\n\"/\" = { files = \"www\" }";
        let message = "there is no `[[server]]`, so nothing would be served";
        root.report_absence(Diagnostic::error(message).help(help.to_owned()));
    }
    resolve_servers(nodes, outer)
}
