//! One `[[server]]`: where it listens, the hosts it answers for, its routes.

use toml::de::DeValue;

use super::auth;
use super::certificate::{self, Handshakes};
use super::circle::{self, PlacedRoute};
use super::clash::{RouteClaims, ServerClaims};
use super::exposure;
use super::http_redirect::{self, OverTls};
use super::issue::{self, Issuer};
use super::level::Level;
use super::limits;
use super::listen_claims::{ListenClaims, Misread};
use super::listening::{
    listen, read_group, read_mode, read_owner, report_no_address, show_group, show_listen,
    show_mode, show_owner, warn_twice,
};
use super::rate;
use super::refine::{refine, settings, show_policy};
use super::roots::warn_of_root;
use super::route::{self, resolve_verb};
use super::setting::{Kind, Setting, Table, rows, set, show, walk};
use super::target;
use super::tls;
use super::verb::Answer;
use super::when;
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{
    Auth, HostPattern, Policy, Route, RoutePattern, Server, SocketAccess, Tls, Verb, When,
};
use crate::config::tree::named_certificate::NamedCertificate;
use crate::config::tree::node::{Node, list};
use crate::config::tree::section::{Key, Section};
use crate::config::words::address::parse_host;
use crate::config::words::pattern::parse_pattern;
use crate::config::words::written;
use crate::http::method::Method;

/// All servers, in the order of the files.
pub(super) fn resolve_servers(
    nodes: Vec<Node<'_>>,
    outer: &Policy,
    (issuer, rates): (Issuer<'_>, &rate::Known<'_>),
    listeners: &mut ListenClaims<'_>,
) -> Vec<Server> {
    let mut claims = ServerClaims::default();
    let read = |node| Some((node, server(node, outer, issuer, &mut claims)?));
    let mut read: Vec<(Node<'_>, ReadServer)> = nodes.into_iter().filter_map(read).collect();
    let plain = plain_addresses(&read);
    for ((node, read), plain) in read.iter_mut().zip(plain) {
        read.server.http_redirect = plain;
        if let (Some(hosts), Some(_)) = (&read.hosts, &read.server.tls) {
            claims.add(&read.server.http_redirect, hosts, *node);
        }
    }
    let mut servers = Vec::new();
    for (node, read) in read {
        let companion = http_redirect::companion(node, &read.server, outer);
        let companion = companion.map(|server| (server, read.misread.of_companion()));
        let itself = (read.server, read.misread);
        for (server, misread) in [Some(itself), companion].into_iter().flatten() {
            if !misread.tls && !listeners.may_trust_a_proxy() {
                auth::warn_of_plain_passwords(node, &server);
            }
            if !listeners.may_trust_unix() {
                rates.warn_of_no_address(node, &server);
            }
            limits::warn_of_no_address(node, &server, outer);
            listeners.add_server(&server, misread, node);
            servers.push(server);
        }
    }
    servers
}

/// A server, and what is needed to compare it with the others.
struct ReadServer {
    server: Server,
    /// The hosts and where each is written. `None`: there is a mistake.
    hosts: Option<Vec<(HostPattern, Spot)>>,
    misread: Misread,
}

/// `http_redirect` of each server, without the addresses at which TLS is spoken, which are reported.
fn plain_addresses(read: &[(Node<'_>, ReadServer)]) -> Vec<Vec<ListenAddress>> {
    let over_tls: Vec<OverTls<'_>> = read
        .iter()
        .filter(|(_, read)| read.server.tls.is_some())
        .map(|(node, read)| OverTls {
            listen: &read.server.listen,
            spot: http_redirect::key_spot(*node, "listen"),
        })
        .collect();
    let plain = |(node, ReadServer { server, .. }): &(Node<'_>, ReadServer)| {
        http_redirect::without_tls(*node, server, &over_tls)
    };
    read.iter().map(plain).collect()
}

/// A server's own keys while they are read.
struct Draft {
    listen: Vec<ListenAddress>,
    socket: SocketAccess,
    accept_proxy_protocol: bool,
    tls: Option<NamedCertificate>,
    is_tls_default: bool,
    http_redirect: Vec<ListenAddress>,
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
        read: |node, draft| addresses(node, "server", &mut draft.listen),
        show: |server| Some(show_listen(&server.listen)),
        ..Setting::LISTEN
    },
    Setting {
        read: |node, draft| read_mode(node, &mut draft.socket),
        show: |server| show_mode(&server.socket),
        ..Setting::SOCKET_MODE
    },
    Setting {
        read: |node, draft| read_owner(node, &mut draft.socket),
        show: |server| show_owner(&server.socket),
        ..Setting::SOCKET_OWNER
    },
    Setting {
        read: |node, draft| read_group(node, &mut draft.socket),
        show: |server| show_group(&server.socket),
        ..Setting::SOCKET_GROUP
    },
    Setting {
        read: |node, draft| set(&mut draft.accept_proxy_protocol, node.boolean()),
        show: |server| Some(server.accept_proxy_protocol.to_string()),
        ..Setting::ACCEPT_PROXY_PROTOCOL
    },
    Setting {
        key: "tls",
        kind: Kind::Either(&[Kind::Word(|| vec!["acme"]), Kind::Table(&tls::TABLE)]),
        about: "clients come over TLS: the certificate, and what is asked of them; \"acme\": it is \
                issued as `[acme]` says",
        translations: &[
            (
                "ssl",
                "write tls = { certificate = \"example.pem\", key = \"example.key\" }",
            ),
            (
                "https",
                "write tls = { certificate = \"example.pem\", key = \"example.key\" }",
            ),
        ],
        read: |node, draft| set(&mut draft.tls, tls::tls(node).map(Some)),
        show: |server| server.tls.as_ref().map(tls::show_tls),
        ..Setting::BLANK
    },
    Setting {
        key: "tls_default",
        kind: Kind::Boolean,
        default: "false",
        about: "its certificate is shown to clients that name no server, or one that is not there; \
                without it such clients are refused, unless a server answers for any host",
        translations: &[(
            "ssl_reject_handshake",
            "clients that name an unknown server are refused, unless a server says `tls_default = true`",
        )],
        read: |node, draft| set(&mut draft.is_tls_default, node.boolean()),
        show: |server| {
            server
                .tls
                .as_ref()
                .map(|_| server.is_tls_default.to_string())
        },
        ..Setting::BLANK
    },
    Setting {
        key: "http_redirect",
        kind: Kind::TEXTS,
        about: "where plain HTTP is taken and led to `https` (308): \":80\"",
        translations: &[
            (
                "https_redirect",
                "the setting is called `http_redirect`: \":80\"",
            ),
            (
                "redirect_scheme",
                "the setting is called `http_redirect`, in `[[server]]`: \":80\"",
            ),
        ],
        read: |node, draft| addresses(node, "redirect", &mut draft.http_redirect),
        show: |server| {
            let listen = &server.http_redirect;
            (!listen.is_empty()).then(|| show_listen(listen))
        },
        ..Setting::BLANK
    },
    Setting {
        key: "hosts",
        kind: Kind::TEXTS,
        about: "names it answers for, \"*.example.com\" among them; left out: any",
        translations: &[
            (
                "server_name",
                "the setting is called `hosts`; leave it out to answer for any host, as nginx's only server does",
            ),
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
    kind: Kind::Map(&Kind::Either(&[
        Kind::Route(&route::TABLE),
        Kind::Array(&Kind::Route(&route::TABLE)),
    ])),
    default: "{}",
    about: "what it answers, by `[METHOD ][= ]PATH`; several answers to one path, with `when`, are an array",
    translations: &[(
        "location",
        "routes stand in `[server.routes]`: `\"/docs\" = { files = \"docs\" }`",
    )],
    ..Setting::BLANK
};

fn server(
    node: Node<'_>,
    outer: &Policy,
    issuer: Issuer<'_>,
    claims: &mut ServerClaims,
) -> Option<ReadServer> {
    let mut section = node.section("`[[server]]`", None)?;
    let mut draft = Draft {
        listen: Vec::new(),
        socket: SocketAccess::default(),
        accept_proxy_protocol: false,
        tls: None,
        is_tls_default: false,
        http_redirect: Vec::new(),
        hosts: Some(Vec::new()),
    };
    let walked = walk(&mut section, SETTINGS, &mut draft);
    let routes_take = |key: &str| section.peek(ROUTES.key).and_then(|node| node.spot_of(key));
    if section.lacks("listen") && routes_take("listen").is_none() {
        report_no_address(node, "server");
    }
    let policy = refine(&mut section, Level::Server, outer);
    let has_tls = !section.lacks("tls");
    let mut misread = Misread::of(&walked, &section);
    let handshakes = Handshakes::of(has_tls, draft.tls.as_ref().map(|named| &named.tls));
    certificate::check(node, &policy, handshakes);
    let outer = Outer {
        policy: &policy,
        handshakes,
        public: exposure::public_listener(&draft.listen),
    };
    let routes = routes(node, section.take(ROUTES.key), outer);
    if section.misspells("hosts") {
        // Reported as such: it is no server for any host.
        draft.hosts = None;
    }
    section.close();
    if let Some(hosts) = &draft.hosts {
        claims.add(&draft.listen, hosts, node);
    }
    let has_hosts = draft.hosts.is_some();
    let placed = draft.hosts.iter().flatten();
    let hosts: Vec<HostPattern> = placed.map(|(host, _)| host.clone()).collect();
    let tls = draft.tls.and_then(|named| {
        let unread = named.unread.clone();
        let complete = match named.tls.issue {
            // A mistake in `hosts` has been reported, and one in `[acme]` need not be twice.
            Some(_) if !has_hosts => None,
            Some(_) => issue::complete(node, named, &hosts, issuer),
            None => return Some(named),
        };
        if complete.is_none() {
            // Its files are not read later.
            unread.into_iter().for_each(|error| node.cx.report(error));
        }
        complete
    });
    let tls = tls.map(|named| name_certificate(node, named, &hosts));
    if draft.is_tls_default && !has_tls {
        report_no_tls(node);
    }
    misread.tls = has_tls && tls.is_none();
    let server = Server {
        listen: draft.listen,
        socket: draft.socket,
        accept_proxy_protocol: draft.accept_proxy_protocol,
        is_tls_default: draft.is_tls_default,
        // A mistake in `tls` has been reported.
        http_redirect: match (has_tls, &tls) {
            (true, None) => Vec::new(),
            _ => draft.http_redirect,
        },
        tls,
        is_companion: false,
        hosts,
        policy,
        routes,
    };
    Some(ReadServer {
        server,
        hosts: draft.hosts,
        misread,
    })
}

/// Reports `tls_default` of a server that has no `tls`.
fn report_no_tls(server: Node<'_>) {
    let message = "`tls_default` is for a server with `tls`, and this one has none";
    let error = Diagnostic::error(message).at(server.spot(), "");
    server.cx.report_absence(error);
}

/// Has the files of the certificate read for a server that answers for `hosts`.
fn name_certificate(node: Node<'_>, named: NamedCertificate, hosts: &[HostPattern]) -> Tls {
    let tls = named.tls.clone();
    let hosts = hosts.to_vec();
    let mut certificates = node.cx.certificates.borrow_mut();
    certificates.push(NamedCertificate { hosts, ..named });
    tls
}

/// A server's own keys and its policy, but not its routes, in the terms of the file.
pub(crate) fn show_server(server: &Server) -> written::Table {
    let mut table = show_own_keys(server);
    table.extend(show_policy(&server.policy, Level::Server));
    table
}

/// A server's own keys in the terms of the file, without its policy and its routes.
pub(crate) fn show_own_keys(server: &Server) -> written::Table {
    show(SETTINGS, server)
}

/// Reads addresses into `found`. `None`: none could be read.
fn addresses(node: Node<'_>, what: &str, found: &mut Vec<ListenAddress>) -> Option<()> {
    *found = listen(node, what);
    (!found.is_empty()).then_some(())
}

fn hosts(node: Node<'_>) -> Option<Vec<(HostPattern, Spot)>> {
    let help = "leave `hosts` out to answer for any host";
    let elements = node.at_least_one("`hosts` names no host", help)?;
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

/// What the server of a route says.
#[derive(Clone, Copy)]
struct Outer<'s> {
    policy: &'s Policy,
    /// What its handshakes ask of clients.
    handshakes: Handshakes,
    /// An address that others than this machine's users can reach, if it listens at one.
    public: Option<&'s ListenAddress>,
}

fn routes(server: Node<'_>, node: Option<Node<'_>>, outer: Outer<'_>) -> Vec<Route> {
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
    let mut routes = Vec::new();
    for (key, value) in entries.unwrap_or_default() {
        routes.extend(routes_of(&key, value, outer, &mut claims));
    }
    claims.warn_of_shadowed();
    circle::warn(server.cx, &routes);
    routes.into_iter().map(|(route, _)| route).collect()
}

/// Reads the route, or the routes, of one key.
fn routes_of(
    key: &Key<'_>,
    value: Node<'_>,
    outer: Outer<'_>,
    claims: &mut RouteClaims<'_>,
) -> Vec<PlacedRoute> {
    let pattern = key.parse(parse_pattern);
    if let Some(pattern) = &pattern {
        claims.add(pattern, key);
    }
    let values = value
        .at_least_one(
            format!("route `{}` has no answer", key.name),
            "write a table for each, with `when`: [{ when = { … }, proxy = \"a\" }, { proxy = \"b\" }]",
        )
        .unwrap_or_default();
    let has_several = matches!(value.value.get_ref(), DeValue::Array(_));
    let mut routes: Vec<(Route, Node<'_>)> = Vec::new();
    // Those without a mistake: a condition with one may be missing in its route.
    let mut sound = Vec::new();
    for value in values {
        let at = if has_several {
            value.value.span().start
        } else {
            key.span.start
        };
        let errors_before = key.cx.errors();
        if let Some(route) = route(key, value, (pattern.as_ref(), at), outer) {
            if key.cx.errors() == errors_before {
                sound.push((route.when.clone(), value.spot()));
            }
            routes.push((route, value));
        }
    }
    let places: Vec<(&When, Spot)> = sound
        .iter()
        .map(|(when, spot)| (when, spot.clone()))
        .collect();
    when::report_unreachable(&places, value);
    let placed = |(route, value): (Route, Node<'_>)| (route, value.spot_of("redirect"));
    routes.into_iter().map(placed).collect()
}

/// The keys that belong above the routes of a server.
fn settings_of_server() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.key)
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
        let help = "`[server.routes]` takes every line after it: move this one above it";
        let explained = key.cx.vocabulary.explain(key.name);
        let is_of_server = settings_of_server().any(|known| known == key.name);
        let help = if is_of_server {
            Some(help.to_owned())
        } else {
            explained
        };
        section.report_unknown(key, help);
        false
    });
    entries
}

/// Reads one route. It stands at `at`; without a pattern its key has a mistake.
fn route(
    key: &Key<'_>,
    value: Node<'_>,
    (pattern, at): (Option<&RoutePattern>, usize),
    outer: Outer<'_>,
) -> Option<Route> {
    // The value is checked even if the key has a mistake.
    let answer = resolve_verb(key, value, outer.policy);
    let (pattern, (mut answer, own, policy)) = (pattern?.clone(), answer?);
    answer.verb.set_policy(&policy);
    if own.rewrite.is_none() {
        warn_of_root(key, value, &pattern, &answer);
    }
    certificate::check(value, &policy, outer.handshakes);
    certificate::warn_of_none_to_tell(value, outer.handshakes);
    let Answer { verb, strip_prefix } = answer;
    let route = Route {
        pattern,
        when: own.when,
        verb,
        rewrite: own.rewrite,
        strip_prefix,
        policy,
        place: key.cx.source.place(at),
    };
    warn_of_idle_method(key, value, &route);
    refuse_archive_behind_service(value, &route);
    if let Some(address) = outer.public {
        exposure::warn(value, &route, outer.handshakes, address);
    }
    target::check_parameters(value, &route);
    Some(route)
}

/// Reports archives of a route that a service guards: it is asked once, for the path of the directory, and an
/// archive holds paths that it may refuse.
fn refuse_archive_behind_service(value: Node<'_>, route: &Route) {
    let makes_archives = matches!(&route.verb, Verb::Files(files) if !files.archives.is_empty());
    if makes_archives && matches!(route.policy.auth, Some(Auth::Forward(_))) {
        let message = "`archive` and `auth` with `forward` do not go together";
        let help =
            "the service is asked for one path, and an archive holds many: leave `archive` out";
        let error = Diagnostic::error(message).at(value.spot(), "");
        value.cx.report(error.help(help.to_owned()));
    }
}

/// Warns of methods that never reach the route, or that its verb always refuses.
fn warn_of_idle_method(key: &Key<'_>, value: Node<'_>, route: &Route) {
    let methods = route.methods();
    if methods.is_empty() {
        return;
    }
    let has_none = |taken: &[Method]| !methods.iter().any(|method| taken.contains(method));
    let is_refused = |method: &Method| matches!(method, Method::Trace | Method::Connect);
    let verb = match route.verb {
        Verb::Files(_) => Some("files"),
        Verb::Status => Some("status"),
        Verb::Metrics => Some("metrics"),
        Verb::Ready(_) => Some("ready"),
        Verb::Live => Some("live"),
        Verb::Dashboard => Some("dashboard"),
        _ => None,
    };
    let names = || methods.iter().map(ToString::to_string);
    let message = match verb {
        _ if methods.iter().all(is_refused) => {
            let are = if methods.len() == 1 { "is" } else { "are" };
            let names = list(names(), "and");
            format!("this route never matches: {names} {are} refused before routes are looked at")
        }
        Some(verb) if has_none(&[Method::Get, Method::Head]) => {
            let names = list(names(), "or");
            format!(
                "this route answers 405 to every request: `{verb}` takes GET and HEAD, not {names}"
            )
        }
        _ => return,
    };
    let spot = match route.pattern.method {
        Some(_) => key.spot(),
        None => value.spot(),
    };
    key.cx.report(Diagnostic::warning(message).at(spot, ""));
}
