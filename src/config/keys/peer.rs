//! The address of a server that is asked: its name is looked up, and its socket is looked for.
//!
//! The server may start later, so that what is missing is a warning.

use std::path::Path;

use crate::address::UpstreamAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::tree::node::Node;
use crate::config::tree::paths::unix;

/// What an operator is told about an address at which no server listens yet.
pub(super) struct Absent {
    /// About a name that is not found.
    pub(super) name: &'static str,
    /// About a socket that is not there.
    pub(super) socket: &'static str,
}

/// Completes `address`, which was read from `node`: relative paths, and the addresses of a name.
pub(super) fn resolve(
    node: Node<'_>,
    address: UpstreamAddress,
    absent: &Absent,
) -> Option<UpstreamAddress> {
    Some(look_up(node, locate(node, address)?, absent))
}

/// `address` with the path of its socket relative to the file of `node`, if it is one.
pub(super) fn locate(node: Node<'_>, address: UpstreamAddress) -> Option<UpstreamAddress> {
    let UpstreamAddress::Unix(written) = address else {
        return Some(address);
    };
    let path = unix(node, &written)?.unix()?.to_owned();
    Some(UpstreamAddress::Unix(path))
}

/// `address` with the addresses that its name leads to, if it has one. Warns of what is not there.
pub(super) fn look_up(
    node: Node<'_>,
    address: UpstreamAddress,
    absent: &Absent,
) -> UpstreamAddress {
    match address {
        UpstreamAddress::Name { name, port, .. } => {
            let found = node.cx.look_up(&name, port);
            if found.is_empty() {
                let warning = Diagnostic::warning(format!("the name `{name}` is not found"));
                let warning = warning.at(node.spot(), "").help(absent.name.to_owned());
                node.cx.report(warning);
            }
            UpstreamAddress::Name { name, port, found }
        }
        UpstreamAddress::Unix(path) => {
            warn_of_missing_socket(node, &path, absent);
            UpstreamAddress::Unix(path)
        }
        // The running server looks a service up.
        address @ (UpstreamAddress::Ip(_)
        | UpstreamAddress::Localhost { .. }
        | UpstreamAddress::Srv { .. }) => address,
    }
}

fn warn_of_missing_socket(node: Node<'_>, path: &Path, absent: &Absent) {
    if path.exists() {
        return;
    }
    let message = format!("there is no socket `{}`", path.display());
    let help = absent.socket.to_owned();
    node.cx
        .report(Diagnostic::warning(message).at(node.spot(), "").help(help));
}
