//! Where a server or a stream listens: the keys that both have.

use super::setting::{Kind, Setting};
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::SocketAccess;
use crate::config::tree::node::Node;
use crate::config::tree::paths::unix;
use crate::config::words::account::{parse_group, parse_mode, parse_user};
use crate::config::words::address::parse_listen;
use crate::config::words::written;

/// Each table adds how it reads the key and shows it.
impl<D, M> Setting<D, M> {
    pub(super) const LISTEN: Self = Self {
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
        ..Self::BLANK
    };

    pub(super) const SOCKET_MODE: Self = Self {
        key: "socket_mode",
        kind: Kind::Text,
        about: "the permissions of its Unix sockets; who may write may connect: \"0660\"",
        translations: &[("mode", "the setting is called `socket_mode`")],
        ..Self::BLANK
    };

    pub(super) const SOCKET_OWNER: Self = Self {
        key: "socket_owner",
        kind: Kind::Text,
        about: "the user that its Unix sockets belong to, by name or number",
        translations: &[(
            "user",
            "the setting is called `socket_owner`; the server runs as the user who starts it",
        )],
        ..Self::BLANK
    };

    pub(super) const SOCKET_GROUP: Self = Self {
        key: "socket_group",
        kind: Kind::Text,
        about: "the group that its Unix sockets belong to, by name or number",
        translations: &[("group", "the setting is called `socket_group`")],
        ..Self::BLANK
    };

    pub(super) const ACCEPT_PROXY_PROTOCOL: Self = Self {
        key: "accept_proxy_protocol",
        kind: Kind::Boolean,
        default: "false",
        about: "only `trusted_proxies` may connect, and say by the PROXY protocol (version 1 or 2) who \
                the client is",
        translations: &[(
            "proxy_protocol_timeout",
            "the header of the PROXY protocol has as long as `head_timeout` in `[limits]`",
        )],
        ..Self::BLANK
    };
}

/// Reads the key of `access` that `node` is.
pub(super) fn read_mode(node: Node<'_>, access: &mut SocketAccess) -> Option<()> {
    access.mode = Some(node.text()?.parse(parse_mode)?);
    Some(())
}

pub(super) fn read_owner(node: Node<'_>, access: &mut SocketAccess) -> Option<()> {
    access.owner = Some(node.text()?.parse(parse_user)?);
    Some(())
}

pub(super) fn read_group(node: Node<'_>, access: &mut SocketAccess) -> Option<()> {
    access.group = Some(node.text()?.parse(parse_group)?);
    Some(())
}

pub(super) fn show_listen(listen: &[ListenAddress]) -> String {
    written::array(listen.iter().map(written::address))
}

pub(super) fn show_mode(access: &SocketAccess) -> Option<String> {
    Some(written::shown(&format!("{:04o}", access.mode?)))
}

pub(super) fn show_owner(access: &SocketAccess) -> Option<String> {
    Some(written::shown(&access.owner.as_ref()?.written))
}

pub(super) fn show_group(access: &SocketAccess) -> Option<String> {
    Some(written::shown(&access.group.as_ref()?.written))
}

/// Reports, at `node`, that a server or stream has no address; `what` it is.
pub(super) fn report_no_address(node: Node<'_>, what: &str) {
    let example = match what {
        "stream" => "127.0.0.1:5433",
        _ => "localhost:8080",
    };
    let help = format!("add listen = \"{example}\"");
    node.cx.report_absence(
        Diagnostic::error(format!("this {what} listens nowhere"))
            .at(node.spot(), "")
            .help(help),
    );
}

/// Reads `listen` of a server or stream; `what` it is.
pub(super) fn listen(node: Node<'_>, what: &str) -> Vec<ListenAddress> {
    let elements = node.one_or_more();
    if elements.is_empty() {
        report_no_address(node, what);
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
        [ListenAddress::Unix(at)] => Some(vec![unix(node, at.path())?]),
        _ => Some(addresses),
    }
}

/// Warns that `entry` stands in the list of `node` already.
pub(super) fn warn_twice(node: Node<'_>, entry: &str) {
    let message = format!("`{entry}` is listed twice in `{}`", node.name);
    node.cx
        .report(Diagnostic::warning(message).at(node.spot(), "the second time"));
}
