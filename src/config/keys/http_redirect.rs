//! `http_redirect` of a server: where plain HTTP is taken, and led to `https`.

use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{
    Policy, Redirect, Route, RoutePattern, Server, SocketAccess, Verb, When,
};
use crate::config::tree::node::Node;
use crate::config::words::target::parse_redirect;
use crate::http::status::Status;

/// The port that a URL with `https` need not name (RFC 9110 §4.2.2).
const HTTPS_PORT: u16 = 443;

/// The server that takes the plain requests for `server`, if that says so. `outer` is the policy above it:
/// fields that are for answers over TLS, such as `Strict-Transport-Security`, are not among the redirect's
/// (RFC 6797 §7.2).
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
    let port = server.listen.iter().find_map(|address| address.ip());
    let port = port.map_or(HTTPS_PORT, |address| address.port());
    let target = match port {
        // With port 0 the system chooses the port, which is not known yet.
        0 | HTTPS_PORT => "https://{host}{path}".to_owned(),
        port => format!("https://{{host}}:{port}{{path}}"),
    };
    let policy = Policy {
        limits: server.policy.limits.clone(),
        access: server.policy.access.clone(),
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
