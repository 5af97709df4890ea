//! From the tree as written to the [`Config`]: the settings of the whole process.
//!
//! A mistake leaves a diagnostic and the default in its place, so that the walk always reaches the
//! end; `file` lets no `Config` out beside an error.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::access::networks;
use super::blocking::blocking;
use super::level::Level;
use super::log::log;
use super::refine::refine;
use super::server::resolve_servers;
use super::test::resolve_tests;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::complaint::vocabulary::{explain, is_at_top};
use crate::config::model::{Cidr, Config, DEFAULT_GRACE, Policy, Server, default_workers};
use crate::config::tree::node::{Context, Node};
use crate::config::tree::section::Section;
use crate::config::words::units::WAIT_OR_NONE;

/// Each event loop is a thread with its own cache; more than this is a slip of the finger.
const WORKERS: RangeInclusive<u64> = 1..=1024;

/// A file: what its walk notes down, and its tree.
pub(crate) type Part<'c> = (&'c Context<'c>, &'c DeTable<'c>);

/// Takes the trees of all files apart; the first is the main one.
pub(crate) fn resolve(parts: Vec<Part<'_>>) -> Config {
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
