//! One `[[server]]`: where it listens, the hosts it answers for, its routes.

use super::clash::{RouteClaims, ServerClaims};
use super::level::Level;
use super::refine::{refine, settings, show_policy};
use super::roots::warn_of_root;
use super::route::{self, resolve_verb};
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use super::target;
use super::verb::Answer;
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{HostPattern, Policy, Route, RoutePattern, Server, SocketAccess, Verb};
use crate::config::tree::node::Node;
use crate::config::tree::paths::unix;
use crate::config::tree::section::{Key, Section};
use crate::config::words::account::{parse_group, parse_mode, parse_user};
use crate::config::words::address::{parse_host, parse_listen};
use crate::config::words::pattern::parse_pattern;
use crate::config::words::written;
use crate::http::method::Method;

/// All servers, in the order of the files.
pub(super) fn resolve_servers(nodes: Vec<Node<'_>>, outer: &Policy) -> Vec<Server> {
    let mut claims = ServerClaims::default();
    nodes
        .into_iter()
        .filter_map(|node| server(node, outer, &mut claims))
        .collect()
}

/// A server's own keys while they are read.
struct Draft {
    listen: Vec<ListenAddress>,
    socket: SocketAccess,
    /// The hosts and where each is written. Empty: any host. `None`: there is a mistake.
    hosts: Option<Vec<(HostPattern, Spot)>>,
}

pub(super) const TABLE: Table = Table {
    title: "`[[server]]`",
    home: |key| {
        let detail = if key == ROUTES.key {
            ", as `[server.routes]`"
        } else {
            ""
        };
        format!("`[[server]]`{detail}")
    },
    rows: || {
        let policy = rows(settings(Level::Server));
        [rows(SETTINGS), policy, rows([&ROUTES])].concat()
    },
};

const SETTINGS: &[Setting<Draft, Server>] = &[
    Setting {
        key: "listen",
        kind: Kind::TEXTS,
        about: "addresses: \"127.0.0.1:8080\", \"localhost:8080\", \":8080\", \"unix:/run/a.sock\"",
        translations: &[
            (
                "port",
                "the port is part of `listen`: `listen = \"localhost:8080\"`",
            ),
            ("bind", "the setting is called `listen`"),
            ("address", "the setting is called `listen`"),
        ],
        read: |node, draft| set(&mut draft.listen, Some(listen(node))),
        show: |server| Some(written::array(server.listen.iter().map(written::address))),
        ..Setting::BLANK
    },
    Setting {
        key: "socket_mode",
        kind: Kind::Text,
        about: "the permissions of its Unix sockets; who may write may connect: \"0660\"",
        translations: &[("mode", "the setting is called `socket_mode`")],
        read: |node, draft| {
            set(
                &mut draft.socket.mode,
                node.text()?.parse(parse_mode).map(Some),
            )
        },
        show: |server| Some(written::shown(&format!("{:04o}", server.socket.mode?))),
        ..Setting::BLANK
    },
    Setting {
        key: "socket_owner",
        kind: Kind::Text,
        about: "the user that its Unix sockets belong to, by name or number",
        translations: &[(
            "user",
            "the setting is called `socket_owner`; the server runs as whoever starts it",
        )],
        read: |node, draft| {
            set(
                &mut draft.socket.owner,
                node.text()?.parse(parse_user).map(Some),
            )
        },
        show: |server| Some(written::shown(&server.socket.owner.as_ref()?.written)),
        ..Setting::BLANK
    },
    Setting {
        key: "socket_group",
        kind: Kind::Text,
        about: "the group that its Unix sockets belong to, by name or number",
        translations: &[("group", "the setting is called `socket_group`")],
        read: |node, draft| {
            set(
                &mut draft.socket.group,
                node.text()?.parse(parse_group).map(Some),
            )
        },
        show: |server| Some(written::shown(&server.socket.group.as_ref()?.written)),
        ..Setting::BLANK
    },
    Setting {
        key: "hosts",
        kind: Kind::TEXTS,
        about: "names it answers for, \"*.example.com\" among them; left out: any",
        translations: &[
            ("server_name", "the setting is called `hosts`"),
            ("domain", "the setting is called `hosts`"),
        ],
        read: |node, draft| {
            draft.hosts = hosts(node);
            Some(())
        },
        show: |server| {
            let hosts = server.hosts.iter().map(written::shown);
            (!server.hosts.is_empty()).then(|| written::array(hosts))
        },
        ..Setting::BLANK
    },
];

/// It is read and shown apart from the others, because routes inherit the policy of the server.
const ROUTES: Setting<(), Server> = Setting {
    key: "routes",
    kind: Kind::Map(&Kind::Route(&route::TABLE)),
    default: "{}",
    about: "what it answers, by `[METHOD ][= ]PATH`",
    translations: &[(
        "location",
        "routes stand in `[server.routes]`: `\"/docs\" = { files = \"docs\" }`",
    )],
    ..Setting::BLANK
};

fn server(node: Node<'_>, outer: &Policy, claims: &mut ServerClaims) -> Option<Server> {
    let mut section = node.section("`[[server]]`", None)?;
    let mut draft = Draft {
        listen: Vec::new(),
        socket: SocketAccess::default(),
        hosts: Some(Vec::new()),
    };
    walk(&mut section, SETTINGS, &mut draft);
    if !section.has("listen") {
        report_no_address(node);
    }
    let policy = refine(&mut section, Level::Server, outer);
    let routes = routes(node, section.take(ROUTES.key), &policy);
    section.close();
    if let Some(hosts) = &draft.hosts {
        claims.add(&draft.listen, hosts, node);
    }
    claims.add_sockets(&draft.listen, &draft.socket, node);
    let hosts = draft.hosts.unwrap_or_default().into_iter();
    Some(Server {
        listen: draft.listen,
        socket: draft.socket,
        hosts: hosts.map(|(host, _)| host).collect(),
        policy,
        routes,
    })
}

/// A server's own keys and its policy, but not its routes, in the terms of the file.
pub(crate) fn show_server(server: &Server) -> written::Table {
    let mut table = show(SETTINGS, server);
    table.extend(show_policy(&server.policy, Level::Server));
    table
}

/// Reports, at `node`, that a server has no address.
fn report_no_address(node: Node<'_>) {
    let help = "add listen = \"localhost:8080\"".to_owned();
    node.cx.report_absence(
        Diagnostic::error("this server listens nowhere")
            .at(node.spot(), "")
            .help(help),
    );
}

fn listen(node: Node<'_>) -> Vec<ListenAddress> {
    let elements = node.one_or_more();
    if elements.is_empty() {
        report_no_address(node);
    }
    let mut addresses = Vec::new();
    for element in elements {
        for address in listen_entry(element).unwrap_or_default() {
            if addresses.contains(&address) {
                warn_twice(element, &address.to_string());
            } else {
                addresses.push(address);
            }
        }
    }
    addresses
}

/// Reads an entry of `listen`: the addresses that it stands for.
pub(super) fn listen_entry(node: Node<'_>) -> Option<Vec<ListenAddress>> {
    if let Some(port) = node.value.get_ref().as_integer() {
        let help = format!(
            "write \"localhost:{port}\" for this machine alone, or \":{port}\" for every address"
        );
        return node.refuse_type("a string or an array of strings", Some(help));
    }
    let addresses = node.text()?.parse(parse_listen)?;
    match addresses.as_slice() {
        [ListenAddress::Unix(path)] => Some(vec![unix(node, path)?]),
        _ => Some(addresses),
    }
}

fn hosts(node: Node<'_>) -> Option<Vec<(HostPattern, Spot)>> {
    let elements = node.one_or_more();
    if elements.is_empty() {
        let help = "leave `hosts` out to answer for any host".to_owned();
        node.cx.report(
            Diagnostic::error("`hosts` names no host")
                .at(node.spot(), "")
                .help(help),
        );
        return None;
    }
    let mut hosts: Vec<(HostPattern, Spot)> = Vec::new();
    let mut is_sound = true;
    for element in elements {
        match element.text().and_then(|text| text.parse(parse_host)) {
            Some(host) if hosts.iter().any(|(other, _)| *other == host) => {
                warn_twice(element, &host.to_string())
            }
            Some(host) => hosts.push((host, element.spot())),
            None => is_sound = false,
        }
    }
    is_sound.then_some(hosts)
}

fn warn_twice(node: Node<'_>, entry: &str) {
    let message = format!("`{entry}` is listed twice in `{}`", node.name);
    node.cx
        .report(Diagnostic::warning(message).at(node.spot(), "the second time"));
}

fn routes(server: Node<'_>, node: Option<Node<'_>>, outer: &Policy) -> Vec<Route> {
    let help = "write [server.routes] and a line for each route: \"/\" = { files = \"www\" }";
    let entries = match node {
        Some(node) => node
            .section("`[server.routes]`", Some(help.into()))
            .map(|section| without_misplaced(&section)),
        None => Some(Vec::new()),
    };
    if entries.as_ref().is_some_and(Vec::is_empty) {
        let message = "this server has no routes, so it answers every request with 404";
        server.cx.report_absence(
            Diagnostic::warning(message)
                .at(server.spot(), "")
                .help(help.to_owned()),
        );
    }
    let mut claims = RouteClaims::new(server.cx);
    let entries = entries.unwrap_or_default().into_iter();
    let routes = entries
        .filter_map(|(key, value)| route(&key, value, outer, &mut claims))
        .collect();
    claims.warn_of_shadowed();
    routes
}

/// The entries of the table of routes, without keys of other tables, which are reported. TOML takes every
/// line below `[server.routes]` for a route, also one that was meant for the server.
fn without_misplaced<'c>(section: &Section<'c>) -> Vec<(Key<'c>, Node<'c>)> {
    let mut entries = section.entries();
    entries.retain(|(key, value)| {
        let is_path = key.name.contains('/');
        if is_path || route::has_verb(*value) || key.cx.vocabulary.explain(key.name).is_none() {
            return true;
        }
        section.report_unknown(key, None);
        false
    });
    entries
}

fn route(
    key: &Key<'_>,
    value: Node<'_>,
    outer: &Policy,
    claims: &mut RouteClaims<'_>,
) -> Option<Route> {
    let pattern = key.parse(parse_pattern);
    if let Some(pattern) = &pattern {
        claims.add(pattern, key);
    }
    // The value is checked even if the key has a mistake.
    let answer = resolve_verb(key, value, outer);
    let (pattern, (mut answer, policy)) = (pattern?, answer?);
    answer.verb.set_types(&policy.types);
    warn_of_root(key, value, &pattern, &answer);
    let Answer { verb, strip_prefix } = answer;
    warn_of_idle_method(key, &pattern, &verb);
    target::check_parameters(value, &pattern, &verb);
    let place = key.cx.source.place(key.span.start);
    Some(Route {
        pattern,
        verb,
        strip_prefix,
        policy,
        place,
    })
}

/// Warns of a method that never reaches the route, or that its verb always refuses.
fn warn_of_idle_method(key: &Key<'_>, pattern: &RoutePattern, verb: &Verb) {
    let message = match (pattern.method, verb) {
        (Some(method @ (Method::Trace | Method::Connect)), _) => {
            format!("this route never matches: {method} is refused before routes are looked at")
        }
        (Some(method), Verb::Files(_)) if !matches!(method, Method::Get | Method::Head) => {
            format!(
                "this route answers 405 to every request: `files` takes GET and HEAD, not {method}"
            )
        }
        _ => return,
    };
    key.cx
        .report(Diagnostic::warning(message).at(key.spot(), ""));
}
