//! Warns of routes that tell the public what only the operator should know.

use super::certificate::Handshakes;
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::Diagnostic;
use crate::config::model::{Cidr, Route, Verb};
use crate::config::tree::node::Node;

/// The first of these addresses that more can reach than the users of this machine.
pub(super) fn public_listener(addresses: &[ListenAddress]) -> Option<&ListenAddress> {
    let is_public = |address: &&ListenAddress| {
        let ip = address.ip().map(|address| address.ip().to_canonical());
        ip.is_some_and(|ip| !ip.is_loopback())
    };
    addresses.iter().find(is_public)
}

/// Warns of a `dashboard` that any client at `address` may open. `value` is the route in the file.
pub(super) fn warn(
    value: Node<'_>,
    route: &Route,
    handshakes: Handshakes,
    address: &ListenAddress,
) {
    let policy = &route.policy;
    let allow = &policy.access.allow;
    let is_for_some = !allow.is_empty() && !Cidr::ALL.iter().all(|all| allow.contains(all));
    let asks_for_certificate =
        policy.needs_certificate || matches!(handshakes, Handshakes::DemandCertificate);
    let is_protected = is_for_some || policy.auth.is_some() || asks_for_certificate;
    if route.verb != Verb::Dashboard || is_protected {
        return;
    }
    let message = format!(
        "every client that reaches {address} may open this `dashboard`, which shows routes, upstreams and \
         the paths of requests that failed"
    );
    let help = "add allow = \"127.0.0.1\" or `auth` to the route, or leave it out and run `tidegate dashboard` \
                on this machine";
    let warning = Diagnostic::warning(message).at(value.spot(), "");
    value.cx.report(warning.help(help.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_unix_sockets_are_not_public() {
        let ip = |text: &str| ListenAddress::Ip(text.parse().expect("an address"));
        let own = [
            ip("127.0.0.1:80"),
            ip("127.8.8.8:80"),
            ip("[::1]:80"),
            ip("[::ffff:127.0.0.1]:80"),
            ListenAddress::Unix("run/s".into()),
        ];
        assert_eq!(public_listener(&own), None);
        for text in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"] {
            let address = ip(text);
            let addresses = [&own[..], std::slice::from_ref(&address)].concat();
            assert_eq!(public_listener(&addresses), Some(&address));
        }
    }
}
