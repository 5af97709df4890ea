//! The changes from one configuration to another, in the terms of the file.
//!
//! Values are compared as the tables of `keys` show them, so a change of any key is found. A change of
//! an inherited value is told once, at the level that sets it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::address::ListenAddress;
use crate::config::keys::app::show_app;
use crate::config::keys::level::Level;
use crate::config::keys::limits::show_limits;
use crate::config::keys::log::access::{show_destination, show_log};
use crate::config::keys::own::show_condition;
use crate::config::keys::rate::show_rate_table;
use crate::config::keys::refine::show_policy;
use crate::config::keys::route::show_answer;
use crate::config::keys::server::show_own_keys;
use crate::config::keys::stream::show_stream;
use crate::config::keys::top::{needs_restart, show_tables, show_top};
use crate::config::keys::upstream::show_upstream;
use crate::config::model::{
    AccessLog, App, Config, Policy, Rate, Route, RoutePattern, Server, Stream, Upstream,
};
use crate::config::words::written::{Table, without_secrets};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// `route /docs: files docs → manual`; only the name of a setting that needs a restart.
    text: String,
    needs_restart: bool,
}

impl Change {
    /// Whether the change comes into force only when the process is started anew.
    pub(crate) fn needs_restart(&self) -> bool {
        self.needs_restart
    }

    /// The file that `what` describes holds something else than before.
    pub(crate) fn read_again(what: &str) -> Self {
        Self::new(format!("read again: {what}"))
    }

    fn new(text: String) -> Self {
        Self {
            text,
            needs_restart: false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.needs_restart {
            "needs a restart: "
        } else {
            ""
        };
        write!(f, "{prefix}{}", self.text)
    }
}

/// A policy, and the one that it inherits from.
type Refined<'c> = (&'c Policy, &'c Policy);

/// All changes from `old` to `new`; empty if they serve in the same way.
pub(crate) fn difference(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = settings("", &show_top(old), &show_top(new));
    let has_same_logs = has_same_logs(&old.log.access, &new.log.access);
    for ((name, old), (_, new)) in show_tables(old).into_iter().zip(show_tables(new)) {
        let [old, new] = [old, new].map(|table| without_if(has_same_logs, "access", table));
        changes.extend(settings(&format!("{name}."), &old, &new));
    }
    changes.extend(access_logs(&old.log.access, &new.log.access));
    changes.extend(listeners(old, new));
    changes.extend(servers(old, new));
    changes.extend(streams(old, new));
    changes.extend(named("upstream", &upstreams(old), &upstreams(new)));
    changes.extend(named("app", &apps(old), &apps(new)));
    changes.extend(named("rate", &rates(old), &rates(new)));
    changes
}

/// The settings of two tables that differ.
fn settings(prefix: &str, old: &Table, new: &Table) -> Vec<Change> {
    let mut changes = Vec::new();
    for (key, was) in old {
        let is = new.iter().find(|(other, _)| other == key);
        let is = is.map_or("none", |(_, value)| value.as_str());
        changes.extend((was != is).then(|| setting(prefix, key, was, is)));
    }
    for (key, is) in new {
        let is_new = !old.iter().any(|(other, _)| other == key);
        changes.extend(is_new.then(|| setting(prefix, key, "none", is)));
    }
    changes
}

fn setting(prefix: &str, key: &str, was: &str, is: &str) -> Change {
    let name = format!("{prefix}{key}");
    if needs_restart(&name) {
        return Change {
            text: name,
            needs_restart: true,
        };
    }
    let is_long = |value: &str| value.starts_with('{');
    if is_long(was) || is_long(is) {
        Change::new(format!("{name} changed"))
    } else {
        let shown = format!("{name} {} → {}", bare(was), bare(is));
        Change::new(without_secrets(&shown))
    }
}

/// A value without its quotes.
fn bare(value: &str) -> &str {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.unwrap_or(value)
}

/// Whether the access logs go to the same places. If not, that needs a restart.
fn has_same_logs(old: &[AccessLog], new: &[AccessLog]) -> bool {
    let is_in = |log: &AccessLog, others: &[AccessLog]| {
        let mut others = others.iter();
        others.any(|other| other.destination == log.destination)
    };
    old.len() == new.len() && old.iter().all(|log| is_in(log, new))
}

/// The changes of the access logs that stay: they hold at once.
fn access_logs(old: &[AccessLog], new: &[AccessLog]) -> Vec<Change> {
    let mut changes = Vec::new();
    for log in new {
        let mut before = old.iter();
        let before = before.find(|before| before.destination == log.destination);
        if let Some(before) = before.filter(|before| *before != log) {
            let place = show_destination(&log.destination);
            let title = format!("log.access {}: ", bare(&place));
            changes.extend(settings(&title, &show_log(before), &show_log(log)));
        }
    }
    changes
}

fn listeners(old: &Config, new: &Config) -> Vec<Change> {
    let all = |config: &Config| -> BTreeSet<ListenAddress> {
        let servers = config.servers.iter().map(|server| &server.listen);
        let streams = config.streams.iter().map(|stream| &stream.listen);
        servers.chain(streams).flatten().cloned().collect()
    };
    let (old, new) = (all(old), all(new));
    let added = new.difference(&old).map(|address| (address, "added"));
    let removed = old.difference(&new).map(|address| (address, "removed"));
    let change = |(address, what): (_, &str)| Change::new(format!("listener {address} {what}"));
    added.chain(removed).map(change).collect()
}

fn servers(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut left: Vec<&Server> = old.servers.iter().collect();
    let is_one_of_many = old.servers.len().max(new.servers.len()) > 1;
    for server in &new.servers {
        let Some(before) = take_counterpart(&mut left, server) else {
            changes.push(Change::new(format!("server {} added", name(server))));
            continue;
        };
        let outer = (&old.policy, &new.policy);
        let scope = if is_one_of_many {
            format!("server {}, ", name(server))
        } else {
            String::new()
        };
        changes.extend(server_changes(before, server, outer, &scope));
    }
    let removed = left.into_iter();
    changes.extend(removed.map(|server| Change::new(format!("server {} removed", name(server)))));
    changes
}

/// Takes the old form of `server` out of `left`: a server for the same hosts. If there are several,
/// one at the same addresses is preferred.
fn take_counterpart<'c>(left: &mut Vec<&'c Server>, server: &Server) -> Option<&'c Server> {
    let has_hosts = |other: &&Server| other.hosts == server.hosts;
    let same = |other: &&Server| has_hosts(other) && other.listen == server.listen;
    let at = left.iter().position(same);
    let at = at.or_else(|| left.iter().position(has_hosts))?;
    Some(left.remove(at))
}

/// The name of a server for the operator: its hosts, or its addresses.
fn name(server: &Server) -> String {
    let hosts: Vec<String> = server.hosts.iter().map(ToString::to_string).collect();
    if hosts.is_empty() {
        format!("at {}", addresses(&server.listen))
    } else {
        hosts.join(", ")
    }
}

fn addresses(listen: &[ListenAddress]) -> String {
    let addresses: Vec<String> = listen.iter().map(ToString::to_string).collect();
    addresses.join(", ")
}

fn server_changes(
    old: &Server,
    new: &Server,
    outer: (&Policy, &Policy),
    scope: &str,
) -> Vec<Change> {
    let title = format!("server {}: ", name(new));
    let mut changes = Vec::new();
    if old.listen != new.listen {
        let moved = format!(
            "{title}listen {} → {}",
            addresses(&old.listen),
            addresses(&new.listen)
        );
        changes.push(Change::new(moved));
    }
    let is_same = old.http_redirect == new.http_redirect;
    let own = [own_keys(old), own_keys(new)];
    let [was, is] = own.map(|keys| without_if(is_same, "http_redirect", keys));
    changes.extend(settings(&title, &was, &is));
    let policies = ((&old.policy, outer.0), (&new.policy, outer.1));
    changes.extend(policy(&title, Level::Server, policies.0, policies.1));
    changes.extend(routes(old, new, scope));
    changes
}

/// A server's own keys, but those that the difference tells in another way: `listen` has a line of its own, and
/// a server with other `hosts` is another server.
fn own_keys(server: &Server) -> Table {
    let mut table = show_own_keys(server);
    table.retain(|(key, _)| !matches!(key.as_str(), "listen" | "hosts"));
    table
}

/// `table` without `key` if addresses there are the same: the path of a Unix socket may be written in several ways.
fn without_if(is_same: bool, key: &str, mut table: Table) -> Table {
    table.retain(|(other, _)| !is_same || other != key);
    table
}

fn routes(old: &Server, new: &Server, scope: &str) -> Vec<Change> {
    let (old_routes, new_routes) = (by_key(old), by_key(new));
    let mut changes = Vec::new();
    for route in &new.routes {
        let title = format!("{scope}{}", name_of(route));
        let Some(before) = old_routes.get(&key_of(route)) else {
            changes.push(Change::new(format!("{title} added")));
            continue;
        };
        let title = format!("{title}: ");
        changes.extend(settings(&title, &show_answer(before), &show_answer(route)));
        let (was, is) = ((&before.policy, &old.policy), (&route.policy, &new.policy));
        changes.extend(policy(&title, Level::Route, was, is));
    }
    let is_gone = |route: &&Route| !new_routes.contains_key(&key_of(route));
    let gone = old.routes.iter().filter(is_gone);
    changes.extend(gone.map(|route| {
        let name = name_of(route);
        Change::new(format!("{scope}{name} removed"))
    }));
    let order = |server: &Server, other: &HashMap<Key<'_>, &Route>| -> Vec<String> {
        let arms = server.routes.iter().filter(|route| !route.when.is_always());
        let kept = arms.filter(|route| other.contains_key(&key_of(route)));
        let mut kept: Vec<&Route> = kept.collect();
        // Only the order of those at one path means anything, and this sort leaves it as it is.
        kept.sort_by_key(|route| route.pattern.to_string());
        kept.into_iter().map(name_of).collect()
    };
    let (was, is) = (order(old, &new_routes), order(new, &old_routes));
    if was != is {
        let first = was.iter().zip(&is).find(|(was, is)| was != is);
        let name = first.map_or_else(String::new, |(_, is)| is.clone());
        changes.push(Change::new(format!(
            "{scope}{name}: asked in another order"
        )));
    }
    changes
}

/// What a route is told by: its pattern, and its `when` in the terms of the file.
type Key<'c> = (&'c RoutePattern, Option<String>);

fn key_of(route: &Route) -> Key<'_> {
    (&route.pattern, show_condition(route))
}

/// What the operator calls a route.
fn name_of(route: &Route) -> String {
    match show_condition(route) {
        None => format!("route {}", route.pattern),
        Some(when) => format!("route {} when {when}", route.pattern),
    }
}

/// The routes of a server by what they are told by. A server may have thousands.
fn by_key(server: &Server) -> HashMap<Key<'_>, &Route> {
    let routes = server.routes.iter();
    routes.map(|route| (key_of(route), route)).collect()
}

/// The changes of streams. One is the same if it listens at one of the addresses of before.
fn streams(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut left: Vec<&Stream> = old.streams.iter().collect();
    let name = |stream: &Stream| format!("stream at {}", addresses(&stream.listen));
    for stream in &new.streams {
        let is_it = |other: &&Stream| {
            let mut listen = other.listen.iter();
            listen.any(|address| stream.listen.contains(address))
        };
        let Some(before) = left.iter().position(is_it) else {
            changes.push(Change::new(format!("{} added", name(stream))));
            continue;
        };
        let before = left.remove(before);
        let is_same = before.listen == stream.listen;
        let [was, is] =
            [before, stream].map(|stream| without_if(is_same, "listen", show_stream(stream)));
        changes.extend(settings(&format!("{}: ", name(stream)), &was, &is));
    }
    changes.extend(
        left.into_iter()
            .map(|stream| Change::new(format!("{} removed", name(stream)))),
    );
    changes
}

/// The upstreams that have a name. The others are told with their routes.
fn upstreams(config: &Config) -> BTreeMap<String, Table> {
    let upstreams = config.upstreams.iter();
    let named = upstreams.filter(|upstream| upstream.is_named());
    let entry = |upstream: &Upstream| (upstream.name.clone(), show_upstream(upstream));
    named.map(entry).collect()
}

fn apps(config: &Config) -> BTreeMap<String, Table> {
    let entry = |app: &App| (app.name().to_owned(), show_app(app));
    config.apps.iter().map(entry).collect()
}

fn rates(config: &Config) -> BTreeMap<String, Table> {
    let entry = |rate: &Rate| (rate.name.clone(), show_rate_table(rate));
    config.rates.iter().map(entry).collect()
}

/// The changes of tables that have names; `kind` is what the operator calls them.
fn named(kind: &str, old: &BTreeMap<String, Table>, new: &BTreeMap<String, Table>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, is) in new {
        match old.get(name) {
            Some(was) => changes.extend(settings(&format!("{kind} {name}: "), was, is)),
            None => changes.push(Change::new(format!("{kind} {name} added"))),
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    changes.extend(gone.map(|name| Change::new(format!("{kind} {name} removed"))));
    changes
}

/// The changes of a level's own settings, without those of inherited ones.
fn policy(title: &str, level: Level, old: Refined<'_>, new: Refined<'_>) -> Vec<Change> {
    // This holds for most routes, and there may be thousands.
    if old == new {
        return Vec::new();
    }
    let was = own_settings(level, old.0);
    let is = own_settings(level, new.0);
    let (outer_was, outer_is) = (own_settings(level, old.1), own_settings(level, new.1));
    let value = |table: &Table, key: &str| table.iter().find(|(other, _)| other == key).cloned();
    let is_own = |key: &str| {
        value(&was, key) != value(&outer_was, key) || value(&is, key) != value(&outer_is, key)
    };
    let own = |table: &Table| -> Table {
        let entries = table.iter().filter(|(key, _)| is_own(key));
        entries.cloned().collect()
    };
    settings(title, &own(&was), &own(&is))
}

/// The settings of a level's policy, with an entry for each limit.
fn own_settings(level: Level, policy: &Policy) -> Table {
    let limits = show_limits(&policy.limits, level).into_iter();
    let mut table: Table = limits
        .map(|(key, value)| (format!("limits.{key}"), value))
        .collect();
    let others = show_policy(policy, level).into_iter();
    table.extend(others.filter(|(key, _)| key != "limits"));
    table
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::api::Handlers;
    use crate::config::{Surroundings, parse};

    fn config(text: &str) -> Config {
        let directory = Path::new("tests/fixtures/config/a.toml");
        let handlers = Handlers::new();
        let loaded = parse(text, directory, Surroundings::of_process(&handlers)).finish();
        loaded.unwrap_or_else(|report| panic!("{report}")).config
    }

    #[test]
    fn a_field_for_the_collector_is_told_without_its_value() {
        let with = |fields: &str| {
            let tracing =
                format!("[tracing]\nendpoint = 'http://127.0.0.1:1'\nheaders = {{ {fields} }}\n");
            config(&BASE.replacen("[[server]]", &format!("{tracing}[[server]]"), 1))
        };
        let told = |old: &Config, new: &Config| -> Vec<String> {
            let changes = difference(old, new);
            changes.iter().map(ToString::to_string).collect()
        };
        let (old, new) = (with("A = 'first'"), with("A = 'second'"));
        assert_eq!(told(&old, &new), ["tracing.headers changed"]);
        assert_eq!(
            told(&old, &with("B = 'first'")),
            ["tracing.headers changed"]
        );
        assert_eq!(told(&old, &old), [""; 0]);
        let none = told(&config(BASE), &new);
        assert!(none.contains(&"tracing.endpoint none → http://127.0.0.1:1/v1/traces".to_owned()));
        assert!(
            !none.iter().any(|change| change.contains("second")),
            "{none:?}"
        );
    }

    /// A reload told that a stream listened elsewhere, from one spelling of the path to the other.
    #[test]
    fn a_path_of_a_socket_that_is_written_in_another_way_is_no_change() {
        let server = "[[server]]\nlisten = \"unix:/tmp/a\"\nhttp_redirect = \"unix:/tmp/b\"\n\
                      tls = { certificate = \"../tls/localhost.pem\", key = \"../tls/localhost.key\" }\n\
                      routes.\"/\" = { respond = \"a\" }\n";
        let stream = "[[stream]]\nlisten = \"unix:/tmp/c\"\nproxy = \"127.0.0.1:1\"\n";
        let text = format!("{server}{stream}");
        let respelled = text.replace("/tmp/", "/tmp/../tmp/./");
        assert_eq!(difference(&config(&text), &config(&respelled)), []);
        let moved = difference(&config(&text), &config(&text.replace("tmp/c", "tmp/d")));
        assert!(!moved.is_empty());
        let moved = difference(&config(&text), &config(&text.replace("tmp/b", "tmp/d")));
        let told: Vec<String> = moved.iter().map(Change::to_string).collect();
        let expected = "http_redirect [\"unix:/tmp/b\"] → [\"unix:/tmp/d\"]";
        assert!(told.iter().any(|told| told.ends_with(expected)), "{told:?}");
    }

    const BASE: &str = "\
workers = 2
limits.max_content = 1
[[server]]
listen = \"127.0.0.1:1\"
routes.\"/\" = { files = \"www\" }
routes.\"/a\" = { respond = \"a\" }
routes.\"/r\" = { respond = \"r\", rate = \"some\" }
[upstreams.shop]
servers = \"127.0.0.1:8000\"
[rates.some]
rate = \"1/s\"
[rates.more]
rate = \"1/s\"
";

    #[test]
    fn is_told_in_the_terms_of_the_file() {
        let another = "[[server]]\nlisten = \"127.0.0.1:2\"\nhosts = \"b.example\"\n";
        let tls =
            "tls = { certificate = \"../tls/localhost.pem\", key = \"../tls/localhost.key\" }\n";
        let asking = "tls = { certificate = \"../tls/localhost.pem\", key = \"../tls/localhost.key\", \
                      client_ca = \"../tls/ca.pem\", client = \"request\" }\n";
        let cases = [
            ("workers = 2", "\n".to_owned() + "workers = 2", &[][..]),
            ("workers = 2", "workers = 3".into(), &["workers 2 → 3"]),
            (
                "workers = 2",
                "workers = 2\ngrace = \"1s\"".into(),
                &["grace 10s → 1s"],
            ),
            (
                "workers = 2",
                "workers = 2\nblocking.threads = 1\nlog = { access = false, level = \"warn\" }"
                    .into(),
                &[
                    "needs a restart: blocking",
                    "needs a restart: log.access",
                    "log.level info → warn",
                ],
            ),
            (
                "workers = 2",
                "workers = 2\nlog.access = [{ path = \"-\", sample = 0.5 }, { path = \"a.log\" }]"
                    .into(),
                &[
                    "needs a restart: log.access",
                    "log.access -: sample none → 0.5",
                ],
            ),
            (
                "max_content = 1",
                "max_content = 2".into(),
                &["limits.max_content 1 B → 2 B"],
            ),
            (
                "127.0.0.1:1",
                "127.0.0.1:2".into(),
                &[
                    "listener 127.0.0.1:2 added",
                    "listener 127.0.0.1:1 removed",
                    "server at 127.0.0.1:2: listen 127.0.0.1:1 → 127.0.0.1:2",
                ],
            ),
            (
                "routes.\"/\" = { files",
                "socket_mode = \"0660\"\nroutes.\"/\" = { files".into(),
                &["server at 127.0.0.1:1: socket_mode none → 0660"],
            ),
            (
                "routes.\"/\" = { files",
                format!("{tls}http_redirect = \"127.0.0.1:3\"\nroutes.\"/\" = {{ files"),
                &[
                    "listener 127.0.0.1:3 added",
                    "server at 127.0.0.1:1: tls changed",
                    "server at 127.0.0.1:1: tls_default none → false",
                    "server at 127.0.0.1:1: http_redirect none → [\"127.0.0.1:3\"]",
                    "server at 127.0.0.1:3 added",
                ],
            ),
            (
                "[[server]]",
                format!("{another}routes.\"/\" = {{ echo = true }}\n[[server]]"),
                &["listener 127.0.0.1:2 added", "server b.example added"],
            ),
            (
                "respond = \"a\"",
                "respond = \"b\"".into(),
                &["route /a: respond a → b"],
            ),
            (
                "\"/a\"",
                "\"/b\"".into(),
                &["route /b added", "route /a removed"],
            ),
            (
                "respond = \"a\"",
                "respond = \"a\", limits.max_content = 5, headers = { X = \"1\" }, deny = \"::1\""
                    .into(),
                &[
                    "route /a: limits.max_content 1 B → 5 B",
                    "route /a: headers changed",
                    "route /a: deny [] → [\"::1\"]",
                ],
            ),
            (
                "listen = \"127.0.0.1:1\"",
                format!("{asking}client = \"require\"\nlisten = \"127.0.0.1:1\""),
                &[
                    "server at 127.0.0.1:1: tls changed",
                    "server at 127.0.0.1:1: tls_default none → false",
                    "server at 127.0.0.1:1: client request → require",
                ],
            ),
            (
                "listen = \"127.0.0.1:1\"\nroutes.\"/\" = { files = \"www\"",
                format!(
                    "{asking}listen = \"127.0.0.1:1\"\nroutes.\"/\" = {{ files = \"www\", client = \"require\""
                ),
                &[
                    "server at 127.0.0.1:1: tls changed",
                    "server at 127.0.0.1:1: tls_default none → false",
                    "route /: client request → require",
                ],
            ),
            (
                "127.0.0.1:8000\"",
                "127.0.0.1:8001\"\nbalance = \"random_two\"\nretry.tries = 1".into(),
                &[
                    "upstream shop: servers [\"127.0.0.1:8000\"] → [\"127.0.0.1:8001\"]",
                    "upstream shop: balance round_robin → random_two",
                    "upstream shop: retry changed",
                ],
            ),
            (
                "upstreams.shop",
                "upstreams.store".into(),
                &["upstream store added", "upstream shop removed"],
            ),
            (
                "rate = \"some\"",
                "rate = [\"some\", \"more\"]".into(),
                &["route /r: rate some → [\"some\", \"more\"]"],
            ),
            (
                "rate = \"1/s\"",
                "rate = \"2/m\"\nkey = [\"path\", \"client\"]".into(),
                &[
                    "rate some: rate 1/s → 2/m",
                    "rate some: burst 1 → 2",
                    "rate some: key [\"client\"] → [\"path\", \"client\"]",
                ],
            ),
        ];
        for (from, to, expected) in cases {
            let changes = difference(&config(BASE), &config(&BASE.replacen(from, &to, 1)));
            let told: Vec<String> = changes.iter().map(Change::to_string).collect();
            assert_eq!(told, expected, "{from} → {to}");
            let restarts = changes
                .iter()
                .filter(|change| change.needs_restart())
                .count();
            let told = told
                .iter()
                .filter(|text| text.starts_with("needs a restart"));
            assert_eq!(restarts, told.count());
        }
    }
}
