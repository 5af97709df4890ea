//! `http_redirect` of a server: where plain HTTP is taken, and led to `https`.

use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{
    HeaderChanges, Policy, Redirect, RequestText, Route, RoutePattern, Server, SocketAccess, Verb,
    When,
};
use crate::config::tree::node::Node;
use crate::config::words::target::parse_redirect;
use crate::http::status::Status;

const KEY: &str = "http_redirect";

/// The port of plain HTTP (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;

/// The port that a URL with `https` need not name (RFC 9110 §4.2.2).
const HTTPS_PORT: u16 = 443;

/// Where the redirect leads if the server is at that port.
const HTTPS_TARGET: &str = "https://{host}{path}";

/// `listen` of a server that speaks TLS, and where it stands.
pub(super) struct OverTls<'a> {
    pub(super) listen: &'a [ListenAddress],
    pub(super) spot: Spot,
}

/// `http_redirect` of `server`, which stands at `node`, without the addresses at which TLS is spoken, by the server
/// itself or another one of `over_tls`. They are reported.
pub(super) fn without_tls(
    node: Node<'_>,
    server: &Server,
    over_tls: &[OverTls<'_>],
) -> Vec<ListenAddress> {
    if server.tls.is_none() {
        return server.http_redirect.clone();
    }
    let is_plain = |address: &&ListenAddress| {
        let is_there = |listen: &[ListenAddress]| listen.contains(*address);
        let Some(first) = over_tls.iter().find(|one| is_there(one.listen)) else {
            return true;
        };
        let (who, listen) = if is_there(&server.listen) {
            ("this server", key_spot(node, "listen"))
        } else {
            ("another server", first.spot.clone())
        };
        let message =
            format!("`http_redirect` is for plain HTTP, and {who} speaks TLS at {address}");
        let error = Diagnostic::error(message)
            .at(key_spot(node, KEY), "")
            .at(listen, "TLS is spoken there");
        let help = match address.ip().map(|address| address.port()) {
            Some(HTTP_PORT) => "name another port in `listen`, such as listen = \":443\"",
            _ => "name another port, such as http_redirect = \":80\"",
        };
        node.cx.report(error.help(help.to_owned()));
        false
    };
    let redirect = server.http_redirect.iter();
    redirect.filter(is_plain).cloned().collect()
}

/// The port where clients find the server, as far as `listen` says it. `None`: the system chooses it, or the server
/// listens at Unix sockets alone.
fn port_of(server: &Server) -> Option<u16> {
    let mut ports = server.listen.iter().filter_map(|address| address.ip());
    let known = ports.find(|address| address.port() != 0);
    known.map(|address| address.port())
}

/// Warns that the redirect leads to port 443, because it is not known where clients find `server`, which stands at
/// `node`.
fn warn_of_unknown_port(node: Node<'_>, server: &Server) {
    let has_any_port = server.listen.iter().any(ListenAddress::has_any_port);
    let (why, help) = if has_any_port {
        (
            "the system chooses the port of `listen`",
            "name a port in `listen`, such as listen = \":8443\"",
        )
    } else if server.listen.is_empty() || server.accept_proxy_protocol {
        // That nothing listens is reported. A proxy in front of a socket is where clients find the server.
        return;
    } else {
        (
            "this server listens at a Unix socket alone",
            "if clients find it at another port, write a server with the route \"/\" = { redirect = \
             \"https://{host}:8443{path}\" } in the place of `http_redirect`",
        )
    };
    let message = format!("`http_redirect` leads to port {HTTPS_PORT}: {why}");
    let warning = Diagnostic::warning(message).at(key_spot(node, KEY), "");
    node.cx.report(warning.help(help.to_owned()));
}

/// Where the value of `key` stands in `server`; where the server stands, if it lacks the key.
pub(super) fn key_spot(server: Node<'_>, key: &str) -> Spot {
    server.spot_of(key).unwrap_or_else(|| server.spot())
}

/// `headers` without what may be said over TLS alone (RFC 6797 §7.2).
fn without_transport_security(headers: &HeaderChanges) -> HeaderChanges {
    let may_stand = |(name, _): &&(String, RequestText)| {
        !name.eq_ignore_ascii_case("Strict-Transport-Security")
    };
    HeaderChanges {
        set: headers.set.iter().filter(may_stand).cloned().collect(),
        add: headers.add.iter().filter(may_stand).cloned().collect(),
        remove: headers.remove.clone(),
    }
}

/// The server that takes the plain requests for `server`, if that says so. `outer` is the policy above it: fields of the
/// server itself may be for answers over TLS alone.
pub(super) fn companion(node: Node<'_>, server: &Server, outer: &Policy) -> Option<Server> {
    if server.http_redirect.is_empty() {
        return None;
    }
    if server.tls.is_none() {
        let error =
            Diagnostic::error("`http_redirect` leads to `https`, and this server has no `tls`");
        let help =
            "write tls = { certificate = \"example.pem\", key = \"example.key\" }".to_owned();
        node.cx.report_absence(error.at(node.spot(), "").help(help));
        return None;
    }
    let target = match port_of(server) {
        Some(HTTPS_PORT) => HTTPS_TARGET.to_owned(),
        Some(port) => format!("https://{{host}}:{port}{{path}}"),
        None => {
            warn_of_unknown_port(node, server);
            HTTPS_TARGET.to_owned()
        }
    };
    let policy = Policy {
        limits: server.policy.limits.clone(),
        access: server.policy.access.clone(),
        headers: without_transport_security(&outer.headers),
        ..outer.clone()
    };
    let route = Route {
        pattern: RoutePattern::everything(),
        when: When::default(),
        rewrite: None,
        verb: Verb::Redirect(Redirect {
            target: parse_redirect(&target).ok()?,
            status: Status::PERMANENT_REDIRECT,
        }),
        strip_prefix: false,
        policy: policy.clone(),
        place: node.cx.source.place(node.value.span().start),
    };
    Some(Server {
        listen: server.http_redirect.clone(),
        socket: SocketAccess::default(),
        accept_proxy_protocol: server.accept_proxy_protocol,
        tls: None,
        is_tls_default: false,
        http_redirect: Vec::new(),
        is_companion: true,
        hosts: server.hosts.clone(),
        policy,
        routes: vec![route],
    })
}
