//! Where a server or a stream listens: the keys that both have.

use super::setting::{Kind, Setting};
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Account, SocketAccess};
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
            "the server runs as the user who starts it, which is `User=` in its unit of systemd; `socket_owner` is the \
             owner of its Unix sockets",
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
    let owner = node.text()?.parse(parse_user)?;
    let ours = rustix::process::geteuid().as_raw();
    let told = ungivable_owner(&owner, ours).filter(|_| !may_give_all());
    warn_of_ungivable(node, told);
    access.owner = Some(owner);
    Some(())
}

pub(super) fn read_group(node: Node<'_>, access: &mut SocketAccess) -> Option<()> {
    let group = node.text()?.parse(parse_group)?;
    let mut groups = rustix::process::getgroups().unwrap_or_default();
    groups.push(rustix::process::getegid());
    let groups: Vec<u32> = groups.into_iter().map(|group| group.as_raw()).collect();
    let ours = rustix::process::geteuid().as_raw();
    let told = ungivable_group(&group, ours, &groups).filter(|_| !may_give_all());
    warn_of_ungivable(node, told);
    access.group = Some(group);
    Some(())
}

/// Warns, at `node`, with that message and that help. It is no error, because a file may be checked by another
/// user than who runs it.
fn warn_of_ungivable(node: Node<'_>, told: Option<(String, String)>) {
    if let Some((message, help)) = told {
        let warning = Diagnostic::warning(message).at(node.spot(), "");
        node.cx.report(warning.help(help));
    }
}

/// Why `ours`, a user without further rights, may not give a socket to `owner`, and what to do; `None` if it may.
fn ungivable_owner(owner: &Account, ours: u32) -> Option<(String, String)> {
    (ours != owner.number).then(|| {
        let name = &owner.written;
        (
            format!("only root can give a socket to the user `{name}`, and this is user {ours}"),
            "leave `socket_owner` out, or run the server as root".to_owned(),
        )
    })
}

/// Why `ours`, a user without further rights who is in `groups`, may not give a socket to `group`, and what to do;
/// `None` if it may.
fn ungivable_group(group: &Account, ours: u32, groups: &[u32]) -> Option<(String, String)> {
    (!groups.contains(&group.number)).then(|| {
        let name = &group.written;
        (
            format!(
                "only root and users in the group `{name}` can give a socket to it, and this is user {ours}, who is not \
                 in it"
            ),
            "leave `socket_group` out, add the user to the group, or run the server as root".to_owned(),
        )
    })
}

/// Whether this process may give files to any user (CAP_CHOWN, capabilities(7)), as root may, and a service of systemd
/// with `AmbientCapabilities=CAP_CHOWN`.
fn may_give_all() -> bool {
    const CAP_CHOWN: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_some_and(|set| set & CAP_CHOWN != 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// `check` said nothing, and the server did not start.
    #[test]
    fn a_socket_that_this_user_may_not_give_away_is_told() {
        let account = |number| Account {
            written: "www".to_owned(),
            number,
        };
        for (number, ours, is_told) in [(33, 33, false), (33, 1000, true), (0, 1000, true)] {
            let told = ungivable_owner(&account(number), ours);
            assert_eq!(told.is_some(), is_told, "{number} {ours}");
        }
        for (number, ours, groups, is_told) in [
            (33, 1000, &[1000, 33][..], false),
            (33, 1000, &[1000], true),
        ] {
            let told = ungivable_group(&account(number), ours, groups);
            assert_eq!(told.is_some(), is_told, "{number} {ours} {groups:?}");
        }
        let (message, help) = ungivable_owner(&account(33), 1000).expect("told");
        assert!(
            message.contains("`www`") && message.contains("user 1000"),
            "{message}"
        );
        assert!(help.contains("socket_owner"), "{help}");
    }
}
