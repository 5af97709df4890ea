//! From the tree as written to the [`Config`]: the settings of the whole process.
//!
//! A mistake leaves a diagnostic and the default in its place, so that the walk always reaches the
//! end; `file` lets no `Config` out beside an error.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::access::networks;
use super::decode::{Context, Node};
use super::diagnostic::Diagnostic;
use super::file::beside;
use super::refine::{Level, refine};
use super::section::Section;
use super::server::resolve_servers;
use super::vocabulary::explain;
use super::{
    AccessLog, Blocking, Cidr, Config, DEFAULT_GRACE, Log, LogFormat, LogLevel, Policy, Server,
    default_workers,
};

/// The longest wait that can be asked for. What waits longer is not waiting but forgotten.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// A wait that must pass: a limit of zero would end every exchange at once.
pub(super) const WAIT: RangeInclusive<Duration> = Duration::from_millis(1)..=LONGEST_WAIT;

/// A wait that may be none at all.
pub(super) const WAIT_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=LONGEST_WAIT;

/// Each event loop is a thread with its own cache; more than this is a slip of the finger.
const WORKERS: RangeInclusive<u64> = 1..=1024;

/// Takes the whole tree apart.
pub(super) fn resolve<'c>(cx: &'c Context<'c>, tree: &'c DeTable<'c>) -> Config {
    let mut root = Section::new(cx, "the configuration".into(), tree);
    let policy = refine(&mut root, Level::Top, &Policy::default());
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
        servers: servers(cx, &mut root, &policy),
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

fn servers<'c>(cx: &'c Context<'c>, root: &mut Section<'c>, outer: &Policy) -> Vec<Server> {
    let Some(node) = root.take("server") else {
        let help = "begin with\n[[server]]\nlisten = \"localhost:8080\"\n[server.routes]\n\"/\" = { files = \"www\" }".to_owned();
        if !root.has("servers") {
            cx.report_absence(
                Diagnostic::error("there is no `[[server]]`, so nothing would be served")
                    .help(help),
            );
        }
        return Vec::new();
    };
    if matches!(node.value.get_ref(), DeValue::Table(_)) {
        let message = "servers are a list, even if there is one";
        let help = "write `[[server]]`, with two brackets".to_owned();
        cx.report_absence(Diagnostic::error(message).at(node.spot(), "").help(help));
    }
    resolve_servers(cx, node.one_or_more(), outer)
}
