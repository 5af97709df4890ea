//! One `[upstreams.NAME]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::balance::{self, STICKY_TABLE, WAYS, Way};
use super::failures::{
    FAILURES_SETTINGS, FAILURES_TABLE, QUEUE_SETTINGS, QUEUE_TABLE, RETRY_SETTINGS, RETRY_TABLE,
    TIMEOUTS_SETTINGS, TIMEOUTS_TABLE, retry,
};
use super::{health, server, tls};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::keys::setting::{
    Kind, Row, Setting, Table, read_table, rows, set, show, walk, words,
};
use crate::config::model::{HashKey, Upstream, UpstreamServer};
use crate::config::tree::named_connector::NamedConnector;
use crate::config::tree::node::{Context, Node};
use crate::config::tree::section::{Key, Section};
use crate::config::words::balance::parse_hash_key;
use crate::config::words::units::WAIT;
use crate::config::words::upstream::parse_upstream_name;
use crate::config::words::written;

/// Looking a name up more often would be a burden for the name server.
const RESOLVE: RangeInclusive<Duration> = Duration::from_secs(1)..=*WAIT.end();

/// No system has more ports than that for connections to one server.
const KEPT: RangeInclusive<u64> = 0..=65_535;

pub(crate) const TABLE: Table = Table {
    title: "`[upstreams.NAME]`",
    home: |_| "`[upstreams.NAME]`".to_owned(),
    rows: || rows(SETTINGS),
};

/// An upstream while its keys are read.
struct Draft {
    upstream: Upstream,
    /// Where each of its servers stands.
    spots: Vec<Spot>,
    way: Option<Way>,
    hash: Option<HashKey>,
    /// Where `queue` stands.
    queue: Option<Spot>,
    tls: Option<NamedConnector>,
}

/// An upstream, and where each of its servers stands in the files.
pub(super) struct Placed {
    pub(super) upstream: Upstream,
    pub(super) spots: Vec<Spot>,
}

const SETTINGS: &[Setting<Draft, Upstream>] = &[
    Setting {
        key: "servers",
        kind: Kind::OneOrMore(&Kind::Either(&[Kind::Text, Kind::Table(&server::TABLE)])),
        about: "its servers: addresses, or tables with an `address`",
        translations: &[
            (
                "to",
                "the setting is called `servers`: `servers = [\"127.0.0.1:8000\"]`",
            ),
            (
                "zone",
                "all workers share what is known of servers, by themselves",
            ),
            (
                "slow_start",
                "a server that comes back gets its requests little by little, by itself",
            ),
        ],
        read: |node, draft| {
            let servers: Vec<(UpstreamServer, Spot)> = server::servers(node)?;
            (draft.upstream.servers, draft.spots) = servers.into_iter().unzip();
            Some(())
        },
        show: |upstream| Some(server::show_servers(&upstream.servers)),
        ..Setting::BLANK
    },
    Setting {
        key: "tls",
        kind: Kind::Table(&tls::TABLE),
        about: "for servers with `https://` or `tls://`: the CAs that may have issued their certificates, and the certificate \
                that they are shown; left out: the CAs that the system trusts, and none",
        translations: &[
            (
                "tls_insecure",
                "write `tls = { ca = \"internal.pem\" }` in `[upstreams.NAME]`, and servers with `https://`",
            ),
            (
                "serversTransport",
                "write `tls = { ca = \"internal.pem\" }` in `[upstreams.NAME]`, and servers with `https://`",
            ),
        ],
        read: |node, draft| set(&mut draft.tls, tls::tls(node).map(Some)),
        show: |upstream| upstream.is_secure().then(|| tls::show_tls(&upstream.tls)),
        ..Setting::BLANK
    },
    Setting {
        key: "balance",
        kind: Kind::Word(|| words(WAYS)),
        default: "\"round_robin\"",
        about: "who is asked: one after the other, the one with the fewest requests for its weight, the \
                less busy of two picked at random, or for the same `hash` always the same one",
        translations: &[
            (
                "least_conn",
                "write balance = \"least_connections\" in `[upstreams.NAME]`",
            ),
            (
                "ip_hash",
                "write balance = \"hash\" and hash = \"client\" in `[upstreams.NAME]`",
            ),
            (
                "random",
                "write balance = \"random_two\" in `[upstreams.NAME]`",
            ),
            (
                "lb_policy",
                "the setting is called `balance`, in `[upstreams.NAME]`",
            ),
        ],
        read: |node, draft| set(&mut draft.way, node.word(WAYS).map(Some)),
        show: |upstream| balance::show_way(&upstream.balance),
        ..Setting::BLANK
    },
    Setting {
        key: "hash",
        kind: Kind::Text,
        about: "with balance = \"hash\": what is hashed: \"client\", \"path\", \"header NAME\" or \
                \"cookie NAME\"; when servers come or go, only their share moves",
        read: |node, draft| {
            set(
                &mut draft.hash,
                node.text()?.parse(parse_hash_key).map(Some),
            )
        },
        show: |upstream| balance::show_hash(&upstream.balance),
        ..Setting::BLANK
    },
    Setting {
        key: "sticky",
        kind: Kind::Either(&[Kind::Word(|| vec!["cookie"]), Kind::Table(&STICKY_TABLE)]),
        about: "\"cookie\": a signed cookie names the server that a client had, which is asked again while \
                it can be",
        read: |node, draft| {
            let sticky = balance::sticky(node, &draft.upstream.name);
            set(&mut draft.upstream.sticky, sticky.map(Some))
        },
        show: |upstream| upstream.sticky.as_ref().map(balance::show_sticky),
        ..Setting::BLANK
    },
    Setting {
        key: "failures",
        kind: Kind::Table(&FAILURES_TABLE),
        default: "{ max = 3, within = \"10s\", pause = \"5s\" }",
        about: "when a server counts as failed by what becomes of requests; it begins again with few",
        translations: &[(
            "fail_duration",
            "write `failures = { max = 3, within = \"10s\", pause = \"5s\" }` in `[upstreams.NAME]`",
        )],
        read: |node, draft| {
            let help = "write failures = { max = 3, within = \"10s\", pause = \"5s\" }";
            read_table(node, FAILURES_SETTINGS, &mut draft.upstream.failures, help)
        },
        show: |upstream| Some(written::inline(show(FAILURES_SETTINGS, &upstream.failures))),
        ..Setting::BLANK
    },
    Setting {
        key: "health",
        kind: Kind::Table(&health::TABLE),
        about: "a request that each server is asked again and again; who does not answer it well is not \
                asked others",
        translations: &[
            (
                "httpchk",
                "write `health = { path = \"/healthz\" }` in `[upstreams.NAME]`",
            ),
            (
                "health_check",
                "write `health = { path = \"/healthz\" }` in `[upstreams.NAME]`",
            ),
            (
                "healthCheck",
                "write `health = { path = \"/healthz\" }` in `[upstreams.NAME]`",
            ),
        ],
        read: |node, draft| set(&mut draft.upstream.health, health::health(node).map(Some)),
        show: |upstream| upstream.health.as_ref().map(health::show_health),
        ..Setting::BLANK
    },
    Setting {
        key: "timeouts",
        kind: Kind::Table(&TIMEOUTS_TABLE),
        default: "{ connect = \"3s\", head = \"1m\", read = \"1m\" }",
        about: "how long a server may take",
        read: |node, draft| {
            let help = "write timeouts = { connect = \"3s\", head = \"60s\", read = \"60s\" }";
            read_table(node, TIMEOUTS_SETTINGS, &mut draft.upstream.timeouts, help)
        },
        show: |upstream| Some(written::inline(show(TIMEOUTS_SETTINGS, &upstream.timeouts))),
        ..Setting::BLANK
    },
    Setting {
        key: "retry",
        kind: Kind::Table(&RETRY_TABLE),
        default: "{ tries = 3, within = \"10s\", statuses = [] }",
        about: "what is asked again, of another server: what no server has begun to act upon, and of \
                idempotent requests what failed",
        translations: &[(
            "proxy_next_upstream",
            "the setting is called `retry`, in `[upstreams.NAME]`: \
             `retry = { tries = 3, within = \"10s\", statuses = [502, 503] }`",
        )],
        read: |node, draft| retry(node, &mut draft.upstream.retry),
        show: |upstream| Some(written::inline(show(RETRY_SETTINGS, &upstream.retry))),
        ..Setting::BLANK
    },
    Setting {
        key: "queue",
        kind: Kind::Table(&QUEUE_TABLE),
        default: "{ max = 100, within = \"10s\" }",
        about: "what waits while every server has as many requests as its `max_connections`; a stream's \
                connections wait as well",
        translations: &[
            (
                "maxqueue",
                "write `queue = { max = 100, within = \"10s\" }` in `[upstreams.NAME]`, for all its servers",
            ),
            (
                "timeout_queue",
                "write `queue = { max = 100, within = \"10s\" }` in `[upstreams.NAME]`",
            ),
        ],
        read: |node, draft| {
            draft.queue = Some(node.spot());
            let help = "write queue = { max = 100, within = \"10s\" }";
            read_table(node, QUEUE_SETTINGS, &mut draft.upstream.queue, help)
        },
        show: |upstream| {
            let shown = || written::inline(show(QUEUE_SETTINGS, &upstream.queue));
            upstream.is_bounded().then(shown)
        },
        ..Setting::BLANK
    },
    Setting {
        key: "keep",
        kind: Kind::integer(&KEPT),
        default: "512",
        about: "how many connections to each server a worker keeps open for further requests, for a minute at \
                most; fewer where the process may open few files; 0: none",
        translations: &[
            (
                "keepalive",
                "the setting is called `keep`, in `[upstreams.NAME]`: connections to each server, 512 as it is",
            ),
            (
                "pool_max_conn",
                "the setting is called `keep`, in `[upstreams.NAME]`: connections to each server, 512 as it is",
            ),
            (
                "keepalive_idle_conns_per_host",
                "the setting is called `keep`, in `[upstreams.NAME]`: connections to each server, 512 as it is",
            ),
            (
                "maxIdleConnsPerHost",
                "the setting is called `keep`, in `[upstreams.NAME]`: connections to each server, 512 as it is",
            ),
        ],
        read: |node, draft| set(&mut draft.upstream.keep, node.count(KEPT)),
        show: |upstream| Some(upstream.keep.to_string()),
        ..Setting::BLANK
    },
    Setting {
        key: "resolve",
        kind: Kind::Duration,
        default: "\"30s\"",
        about: "how often names are looked up again; while that fails, the last answer stays",
        translations: &[(
            "resolver",
            "names are looked up as the system does it; how often is `resolve`, in `[upstreams.NAME]`",
        )],
        read: |node, draft| set(&mut draft.upstream.resolve, node.duration(RESOLVE)),
        show: |upstream| Some(written::duration(upstream.resolve)),
        ..Setting::BLANK
    },
];

/// Reads one upstream. `None`: there is a mistake, and it is reported.
pub(super) fn upstream(key: &Key<'_>, node: Node<'_>) -> Option<Placed> {
    let help = "write [upstreams.shop] and servers = [\"127.0.0.1:8000\"]".to_owned();
    let name = key.parse(parse_upstream_name);
    let title = format!("`[upstreams.{}]`", key.name.escape_debug());
    let mut section = node.section(&*title, Some(help))?;
    let place = key.cx.source.place(key.span.start);
    let mut draft = Draft {
        upstream: Upstream::of(name.clone().unwrap_or_default(), Vec::new(), place),
        spots: Vec::new(),
        way: None,
        hash: None,
        queue: None,
        tls: None,
    };
    let walked = walk(&mut section, SETTINGS, &mut draft);
    if section.lacks("servers") {
        let help = "add servers = [\"127.0.0.1:8000\"]".to_owned();
        let error = Diagnostic::error(format!("{title} has no servers"));
        section.report_absence(error.at(key.spot(), "").help(help));
    }
    draft.upstream.balance = balance::balance(&section, draft.way, draft.hash.take());
    let is_sound = walked.took("servers") && walked.is_sound();
    if let Some(spot) = draft.queue.take()
        && is_sound
        && !draft.upstream.is_bounded()
    {
        let error = Diagnostic::error("`queue` without `max_connections`: no request ever waits");
        let help = "give a server `max_connections`, or leave `queue` out".to_owned();
        key.cx.report(error.at(spot, "").help(help));
    }
    let is_sound = is_sound & complete_tls(key.cx, &mut draft);
    section.close();
    (is_sound && name.is_some()).then_some(Placed {
        upstream: draft.upstream,
        spots: draft.spots,
    })
}

/// Has the files of `tls` read, if a server is asked with it. Returns whether `tls` fits the servers; that
/// it does not is reported.
fn complete_tls(cx: &Context<'_>, draft: &mut Draft) -> bool {
    let is_secure = draft.upstream.is_secure();
    match draft.tls.take() {
        Some(named) if is_secure => {
            draft.upstream.tls = named.tls.clone();
            cx.connectors.borrow_mut().push(named);
        }
        Some(named) if !draft.upstream.servers.is_empty() => {
            let message = "`tls` is for servers that TLS is spoken to, and here is none";
            let help = "write servers = [\"https://127.0.0.1:8443\"], or \"tls://127.0.0.1:5433\" for a stream";
            let error = Diagnostic::error(message).at(named.whole, "");
            cx.report(error.help(help.to_owned()));
            return false;
        }
        None if is_secure => {
            let spot = draft.spots[0].clone();
            let named = NamedConnector::plain(spot);
            cx.connectors.borrow_mut().push(named);
        }
        _ => {}
    }
    true
}

/// The settings that applications have as well. Their servers are processes, and no names, and have no
/// `max_connections` for which a request would have to wait.
fn settings_of_apps() -> impl Iterator<Item = &'static Setting<Draft, Upstream>> {
    let is_of_apps =
        |setting: &&Setting<_, _>| !matches!(setting.key, "servers" | "tls" | "queue" | "resolve");
    SETTINGS.iter().filter(is_of_apps)
}

/// The rows of the keys that applications have as well.
pub(crate) fn rows_of_apps() -> Vec<Row> {
    rows(settings_of_apps())
}

/// Reads how the instances of an application are asked into `upstream`. `None`: there is a mistake, and it
/// is reported.
pub(crate) fn read_for_app(section: &mut Section<'_>, upstream: &mut Upstream) -> Option<()> {
    let mut draft = Draft {
        upstream: upstream.clone(),
        spots: Vec::new(),
        way: None,
        hash: None,
        queue: None,
        tls: None,
    };
    let walked = walk(section, settings_of_apps(), &mut draft);
    draft.upstream.balance = balance::balance(section, draft.way, draft.hash);
    *upstream = draft.upstream;
    walked.is_sound().then_some(())
}

/// How the instances of an application are asked, in the terms of the file.
pub(crate) fn show_for_app(upstream: &Upstream) -> written::Table {
    show(settings_of_apps(), upstream)
}

/// An upstream in the terms of the file.
pub(crate) fn show_upstream(upstream: &Upstream) -> written::Table {
    show(SETTINGS, upstream)
}
