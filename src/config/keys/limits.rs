//! `limits`: every wait and every size, at the levels where it can take effect.
//!
//! A connection is counted before the server reads from it, so `max_connections` stands only at the
//! top. The head is read before its route is known, so a route has only the limits of content and of
//! sending.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::level::{Level, Refinement};
use super::setting::{Kind, Row, Setting, Table, rows, set, show, walk};
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Limits, Policy, Server};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::pace::{parse_pace, show_pace};
use crate::config::words::units::WAIT;
use crate::config::words::written;
use crate::http::fields::FIELD_CAPACITY;

/// `[limits]` at the top of the file. The dump shows it there by [`show_limits`], as a table.
pub(super) const AT_TOP: Setting<Refinement, Policy> = Setting {
    kind: Kind::Table(&TABLE_AT_TOP),
    about: "every wait and every size",
    read: |node, refinement| read(node, Level::Top, &mut refinement.policy.limits),
    show: |_| None,
    ..AT_SERVER
};

pub(super) const AT_SERVER: Setting<Refinement, Policy> = Setting {
    key: "limits",
    kind: Kind::Table(&TABLE_AT_SERVER),
    about: "limits of this server",
    read: |node, refinement| read(node, Level::Server, &mut refinement.policy.limits),
    show: |policy| Some(written::inline(show_limits(&policy.limits, Level::Server))),
    ..Setting::BLANK
};

pub(super) const AT_ROUTE: Setting<Refinement, Policy> = Setting {
    kind: Kind::Table(&TABLE_AT_ROUTE),
    about: "limits of this route",
    read: |node, refinement| read(node, Level::Route, &mut refinement.policy.limits),
    show: |policy| Some(written::inline(show_limits(&policy.limits, Level::Route))),
    ..AT_SERVER
};

pub(super) const TABLE_AT_TOP: Table = Table {
    title: "`[limits]`",
    home,
    rows: || rows_at(Level::Top),
};

pub(super) const TABLE_AT_SERVER: Table = Table {
    title: "`limits` of a server",
    home,
    rows: || rows_at(Level::Server),
};

pub(super) const TABLE_AT_ROUTE: Table = Table {
    title: "`limits` of a route",
    home,
    rows: || rows_at(Level::Route),
};

/// A limit, and the innermost level where it may stand.
struct Limit {
    innermost: Level,
    setting: Setting<Limits>,
}

const MAX_HEAD: RangeInclusive<u64> = 1024..=1024 * 1024;
const MAX_FIELDS: RangeInclusive<u64> = 1..=FIELD_CAPACITY as u64;
const MAX_CONTENT: RangeInclusive<u64> = 0..=1 << 50;
pub(super) const MAX_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

const LIMITS: &[Limit] = &[
    Limit {
        innermost: Level::Server,
        setting: Setting {
            key: "handshake_timeout",
            kind: Kind::Duration,
            default: "\"10s\"",
            about: "from a connection to the end of the handshake of TLS: close",
            translations: &[(
                "ssl_handshake_timeout",
                "the setting is called `handshake_timeout`, in `[limits]`",
            )],
            read: |node, limits| set(&mut limits.handshake_timeout, node.duration(WAIT)),
            show: |limits| Some(written::duration(limits.handshake_timeout)),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Server,
        setting: Setting {
            key: "head_timeout",
            kind: Kind::Duration,
            default: "\"10s\"",
            about: "from the first byte of a request to the end of its head: 408",
            translations: &[(
                "client_header_timeout",
                "the setting is called `head_timeout`, in `[limits]`",
            )],
            read: |node, limits| set(&mut limits.head_timeout, node.duration(WAIT)),
            show: |limits| Some(written::duration(limits.head_timeout)),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Server,
        setting: Setting {
            key: "idle_timeout",
            kind: Kind::Duration,
            default: "\"75s\"",
            about: "between requests: close",
            translations: &[(
                "keepalive_timeout",
                "the setting is called `idle_timeout`, in `[limits]`",
            )],
            read: |node, limits| set(&mut limits.idle_timeout, node.duration(WAIT)),
            show: |limits| Some(written::duration(limits.idle_timeout)),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Route,
        setting: Setting {
            key: "body_timeout",
            kind: Kind::Duration,
            default: "\"30s\"",
            about: "between two reads of content: 408",
            translations: &[(
                "client_body_timeout",
                "the setting is called `body_timeout`, in `[limits]`",
            )],
            read: |node, limits| set(&mut limits.body_timeout, node.duration(WAIT)),
            show: |limits| Some(written::duration(limits.body_timeout)),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Route,
        setting: Setting {
            key: "send_timeout",
            kind: Kind::Duration,
            default: "\"30s\"",
            about: "how long a client may take nothing of a response: close",
            read: |node, limits| set(&mut limits.send_timeout, node.duration(WAIT)),
            show: |limits| Some(written::duration(limits.send_timeout)),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Server,
        setting: Setting {
            key: "max_head",
            kind: Kind::Size,
            default: "\"16 KiB\"",
            about: "bytes of a request's head: 431, or 414 for its line alone",
            read: |node, limits| set(&mut limits.max_head, size_in_memory(node, MAX_HEAD)),
            show: |limits| Some(written::size(limits.max_head as u64)),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Server,
        setting: Setting {
            key: "max_fields",
            kind: Kind::integer(&MAX_FIELDS),
            default: "100",
            about: "field lines of a request: 431",
            read: |node, limits| set(&mut limits.max_fields, node.count(MAX_FIELDS)),
            show: |limits| Some(limits.max_fields.to_string()),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Route,
        setting: Setting {
            key: "max_content",
            kind: Kind::Either(&[Kind::Size, Kind::Only(false)]),
            default: "\"16 MiB\"",
            about: "bytes of a request's content: 413; 0: none at all, false: no limit",
            translations: &[
                (
                    "client_max_body_size",
                    "the setting is called `max_content`, in `[limits]`; no limit, nginx's 0, is false",
                ),
                (
                    "max_body",
                    "the setting is called `max_content`, in `[limits]`",
                ),
            ],
            read: |node, limits| {
                let max = match node.value.get_ref().as_bool() {
                    Some(false) => Some(*MAX_CONTENT.end()),
                    _ => node.size(MAX_CONTENT),
                };
                set(&mut limits.max_content, max)
            },
            show: |limits| match limits.max_content {
                max if max == *MAX_CONTENT.end() => Some("false".to_owned()),
                max => Some(written::size(max)),
            },
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Top,
        setting: Setting {
            key: "max_connections",
            kind: Kind::integer(&MAX_CONNECTIONS),
            default: "10000",
            about: "open connections of clients: one more has the oldest idle one closed, or is answered 503",
            translations: &[(
                "worker_connections",
                "the setting is called `max_connections`, in `[limits]`",
            )],
            read: |node, limits| set(&mut limits.max_connections, node.count(MAX_CONNECTIONS)),
            show: |limits| Some(limits.max_connections.to_string()),
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Server,
        setting: Setting {
            key: "connections_per_client",
            kind: Kind::Either(&[Kind::integer(&MAX_CONNECTIONS), Kind::Only(false)]),
            default: "false",
            about: "open connections of one client (of IPv6, of a network of 64 bits): one more is answered 429, or \
                    over TLS closed; trusted proxies are not counted",
            translations: &[
                (
                    "limit_conn",
                    "the setting is called `connections_per_client`, in `limits` of a server",
                ),
                (
                    "limit_conn_zone",
                    "the setting is called `connections_per_client`, in `limits` of a server",
                ),
            ],
            read: |node, limits| {
                let max = or_false(node, "a whole number", |node| node.small(MAX_CONNECTIONS));
                set(&mut limits.connections_per_client, max)
            },
            show: |limits| {
                let max = limits.connections_per_client;
                Some(max.map_or_else(|| "false".to_owned(), |max| max.to_string()))
            },
            ..Setting::BLANK
        },
    },
    Limit {
        innermost: Level::Route,
        setting: Setting {
            key: "max_rate_out",
            kind: Kind::Either(&[Kind::Text, Kind::Only(false)]),
            default: "false",
            about: "how fast responses, and what a tunnel carries, are sent on a connection, as in \"2 MiB/s\"; \
                    false: as fast as the client reads",
            translations: &[(
                "limit_rate",
                "the setting is called `max_rate_out`, in `limits`: \"500 KiB/s\"",
            )],
            read: |node, limits| set(&mut limits.max_rate_out, read_pace(node)),
            show: |limits| Some(show_pace_or_false(limits.max_rate_out)),
            ..Setting::BLANK
        },
    },
];

const NO_PACE: &str = "write a pace, \"2 MiB/s\", or false for as fast as it is read";

/// Reads a pace or false.
pub(super) fn read_pace(node: Node<'_>) -> Option<Option<NonZeroU64>> {
    or_false(node, "a pace", |node| match node.value.get_ref() {
        DeValue::String(_) => node.text()?.parse(parse_pace),
        _ => node.refuse_type("a pace or false", Some(NO_PACE.to_owned())),
    })
}

/// A pace in the terms of the file.
pub(super) fn show_pace_or_false(octets_a_second: Option<NonZeroU64>) -> String {
    let pace = octets_a_second.map(show_pace);
    pace.map_or_else(|| "false".to_owned(), |pace| written::string(&pace))
}

/// The limits that may stand at `level`.
fn settings(level: Level) -> impl Iterator<Item = &'static Setting<Limits>> {
    let limits = LIMITS.iter().filter(move |limit| level <= limit.innermost);
    limits.map(|limit| &limit.setting)
}

fn rows_at(level: Level) -> Vec<Row> {
    rows(settings(level))
}

/// Reads the limits of one level into `limits`, which holds the inherited ones.
fn read(node: Node<'_>, level: Level, limits: &mut Limits) -> Option<()> {
    let help = "write limits = { max_content = \"1 MiB\" }".to_owned();
    let mut section = node.section("`limits`", Some(help))?;
    walk(&mut section, settings(level), limits);
    warn_of_pointless_limits(&section, limits);
    section.close_with(|key| explain_place(key, level));
    Some(())
}

/// The limits that may stand at `level`, in the terms of the file.
pub(crate) fn show_limits(limits: &Limits, level: Level) -> written::Table {
    show(settings(level), limits)
}

/// Reads what `read` does, which is `expected`, or false. The outer `None`: there is a mistake.
fn or_false<'c, T>(
    node: Node<'c>,
    expected: &str,
    read: impl Fn(Node<'c>) -> Option<T>,
) -> Option<Option<T>> {
    if node.number() == Some(0) {
        let error = Diagnostic::error(format!("`{}` cannot be 0", node.name)).at(node.spot(), "");
        let help = format!("for no limit write {} = false", node.name);
        node.cx.report(error.help(help));
        return None;
    }
    match node.value.get_ref().as_bool() {
        Some(false) => Some(None),
        Some(true) => node.refuse_type(&format!("{expected} or false"), None),
        None => read(node).map(Some),
    }
}

/// Reads a size of something that is held in memory. `range` must fit into a `usize`.
fn size_in_memory(node: Node<'_>, range: RangeInclusive<u64>) -> Option<usize> {
    usize::try_from(node.size(range)?).ok()
}

/// How a hint calls the place of the limit `key`.
fn home(key: &str) -> String {
    match innermost(key) {
        Some(Level::Route) => "`limits`".to_owned(),
        _ => "`[limits]`".to_owned(),
    }
}

fn innermost(key: &str) -> Option<Level> {
    let limit = LIMITS.iter().find(|limit| limit.setting.key == key)?;
    Some(limit.innermost)
}

/// Why a limit that exists cannot stand at `level`.
fn explain_place(key: &str, level: Level) -> Option<String> {
    let reason = match innermost(key).filter(|innermost| *innermost < level)? {
        Level::Top => {
            "connections are counted before anything is read of them: write it in `[limits]` at the top of the file"
        }
        Level::Server => {
            "it is looked at before a route is known: write it in `limits` of the server or at the top of the file"
        }
        Level::Route => return None,
    };
    Some(reason.to_owned())
}

/// Warns of limits in `section` that are never reached, because of the resulting `limits`.
fn warn_of_pointless_limits(section: &Section<'_>, limits: &Limits) {
    let most = most_fields(limits.max_head);
    let fields =
        format!("`max_fields` is never reached: `max_head` has room for {most} fields at most");
    let body = "`body_timeout` is never reached: `max_content` lets no content in".to_owned();
    let connections = limits.max_connections;
    let clients = format!(
        "`connections_per_client` is never reached: `max_connections` lets {connections} in at most"
    );
    let is_beyond_all = limits
        .connections_per_client
        .is_some_and(|max| max as usize > connections);
    let pointless = [
        ("connections_per_client", is_beyond_all, clients),
        ("max_fields", limits.max_fields > most, fields),
        ("body_timeout", limits.max_content == 0, body),
    ];
    for (key, is_pointless, message) in pointless {
        if let Some(node) = section.peek(key).filter(|_: &Node<'_>| is_pointless) {
            let diagnostic = Diagnostic::warning(message).at(node.spot(), "");
            node.cx.report(diagnostic);
        }
    }
}

/// Warns, at `node`, if `server` alone says how many connections a client may have, and listens only where
/// clients have no address: they are not counted there. `outer` is what all servers inherit.
pub(super) fn warn_of_no_address(node: Node<'_>, server: &Server, outer: &Policy) {
    let max = server.policy.limits.connections_per_client;
    let is_own = max.is_some() && max != outer.limits.connections_per_client;
    let mut listen = server.listen.iter();
    if !is_own || server.accept_proxy_protocol || listen.any(|address| address.unix().is_none()) {
        return;
    }
    let message =
        "`connections_per_client` counts nothing: this server listens at Unix sockets alone";
    let help = "peers there have no address, unless the server says accept_proxy_protocol = true";
    let warning = Diagnostic::warning(message).at(node.spot(), "");
    node.cx.report_absence(warning.help(help.to_owned()));
}

/// How many field lines the smallest request of `max_head` bytes can have: the shortest one is a
/// letter, a colon and CRLF.
fn most_fields(max_head: usize) -> usize {
    const REQUEST_LINE_AND_END: usize = "GET / HTTP/1.1\r\n\r\n".len();
    const SHORTEST_FIELD_LINE: usize = "a:\r\n".len();
    max_head.saturating_sub(REQUEST_LINE_AND_END) / SHORTEST_FIELD_LINE
}
