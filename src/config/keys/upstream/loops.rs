//! Requests that would come back: an upstream's server is where this server itself listens.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::address::{ListenAddress, SocketPath, UpstreamAddress, at_localhost};
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::tree::node::Context;

/// Warns, in the file it stands in, of each of `asked` that is among the addresses `listen` of ours.
pub(super) fn warn_of_loops(
    contexts: &[&Context<'_>],
    listen: &[&ListenAddress],
    asked: &[(UpstreamAddress, Spot)],
) {
    for (address, spot) in asked {
        let mut listening = listen.iter();
        let Some(own) = listening.find(|own| leads_to(address, own)) else {
            continue;
        };
        let mut contexts = contexts.iter();
        let cx = contexts.find(|cx| Arc::ptr_eq(cx.source, &spot.source));
        let message = format!("this configuration itself listens at {own}");
        let help = "a request that is sent there may come back here again and again: write the address of \
                    the server behind this one";
        let warning = Diagnostic::warning(message).at(spot.clone(), "a request would be sent here");
        if let Some(cx) = cx {
            cx.report(warning.help(help.to_owned()));
        }
    }
}

/// Whether a connection to `address` is one to `own`.
fn leads_to(address: &UpstreamAddress, own: &ListenAddress) -> bool {
    match (address, own) {
        (UpstreamAddress::Unix(path), ListenAddress::Unix(own)) => {
            SocketPath::new(path.clone()) == *own
        }
        (UpstreamAddress::Ip(ip), ListenAddress::Ip(own)) => accepts(*own, *ip),
        (UpstreamAddress::Localhost { port }, ListenAddress::Ip(own)) => {
            at_localhost(*port).iter().any(|ip| accepts(*own, *ip))
        }
        (UpstreamAddress::Name { found, .. }, ListenAddress::Ip(own)) => {
            found.iter().any(|ip| accepts(*own, *ip))
        }
        _ => false,
    }
}

/// Whether a socket that listens at `own` gets what is sent to `ip`. Of a socket at every address it is
/// known for loopback addresses alone: which others this machine has may change.
fn accepts(own: SocketAddr, ip: SocketAddr) -> bool {
    let is_any =
        own.ip().is_unspecified() && own.is_ipv4() == ip.is_ipv4() && ip.ip().is_loopback();
    own.port() != 0 && own.port() == ip.port() && (own.ip() == ip.ip() || is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_where_this_one_listens() {
        let ip = |text: &str| text.parse::<SocketAddr>().expect("an address");
        for (own, address, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.2:80", true),
            ("0.0.0.0:80", "192.0.2.1:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "[::1]:80", true),
            ("127.0.0.1:0", "127.0.0.1:80", false),
        ] {
            assert_eq!(accepts(ip(own), ip(address)), expected, "{own} {address}");
        }
        let socket = |path: &str| UpstreamAddress::Unix(path.into());
        let own = ListenAddress::Unix("/run/a".into());
        assert!(leads_to(&socket("/run/a"), &own) && !leads_to(&socket("/run/b"), &own));
        let name = UpstreamAddress::Name {
            name: "app".into(),
            port: 80,
            found: vec![ip("192.0.2.1:80"), ip("127.0.0.1:80")],
        };
        assert!(leads_to(&name, &ListenAddress::Ip(ip("127.0.0.1:80"))));
        assert!(!leads_to(&name, &own));
        let localhost = UpstreamAddress::Localhost { port: 80 };
        for (own, expected) in [
            ("127.0.0.1:80", true),
            ("[::1]:80", true),
            ("[::]:80", true),
            ("[::1]:81", false),
            ("192.0.2.1:80", false),
        ] {
            let is_found = leads_to(&localhost, &ListenAddress::Ip(ip(own)));
            assert_eq!(is_found, expected, "{own}");
        }
    }
}
