//! What servers and streams set for the addresses where they listen. Those that share an address must set the
//! same.

use std::collections::HashMap;

use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{Proxies, Server, SocketAccess, Stream};
use crate::config::tree::node::Node;

/// What was said of each address so far.
pub(super) struct ListenClaims<'p> {
    /// The proxies that may connect where the PROXY protocol is spoken.
    proxies: &'p Proxies,
    said: HashMap<ListenAddress, Said>,
}

/// What a server or a stream says of an address.
#[derive(Clone)]
struct Said {
    kind: ListenerKind,
    access: SocketAccess,
    accepts_proxy_protocol: bool,
    is_tls: bool,
    is_tls_default: bool,
    spot: Spot,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListenerKind {
    Server,
    Stream,
}

impl ListenerKind {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Stream => "stream",
        }
    }
}

impl<'p> ListenClaims<'p> {
    /// Whether there is a proxy that clients may come through, which may speak TLS with them.
    pub(super) fn trusts_a_proxy(&self) -> bool {
        self.proxies.unix || !self.proxies.trusted.is_empty()
    }

    /// Whether peers at Unix sockets are believed what they say of their clients.
    pub(super) fn trusts_unix(&self) -> bool {
        self.proxies.unix
    }

    pub(super) fn new(proxies: &'p Proxies) -> Self {
        Self {
            proxies,
            said: HashMap::new(),
        }
    }

    /// Adds what a server says. Several may listen at one address.
    pub(super) fn add_server(&mut self, server: &Server, node: Node<'_>) {
        let said = Said {
            kind: ListenerKind::Server,
            access: server.socket.clone(),
            accepts_proxy_protocol: server.accept_proxy_protocol,
            is_tls: server.tls.is_some(),
            is_tls_default: server.is_tls_default,
            spot: node.spot(),
        };
        self.add(&server.listen, said, node);
    }

    /// Adds what a stream says. It has each of its addresses for itself.
    pub(super) fn add_stream(&mut self, stream: &Stream, node: Node<'_>) {
        let said = Said {
            kind: ListenerKind::Stream,
            access: stream.socket.clone(),
            accepts_proxy_protocol: stream.accept_proxy_protocol,
            is_tls: false,
            is_tls_default: false,
            spot: node.spot(),
        };
        self.add(&stream.listen, said, node);
    }

    fn add(&mut self, listen: &[ListenAddress], said: Said, node: Node<'_>) {
        let what = said.kind.name();
        let has_socket = listen.iter().any(|address| address.unix().is_some());
        if !has_socket && said.access != SocketAccess::default() {
            let message =
                format!("`socket_…` is about Unix sockets, and this {what} listens at none");
            let help = "listen = \"unix:PATH\" is one".to_owned();
            let diagnostic = Diagnostic::warning(message).at(node.spot(), "");
            node.cx.report(diagnostic.help(help));
        }
        if said.accepts_proxy_protocol && self.proxies.trusted.is_empty() && !self.proxies.unix {
            let message = format!("no client may connect to this {what}");
            let help = "`accept_proxy_protocol` is for `trusted_proxies`, which names none: add \
                        trusted_proxies = \"192.0.2.1\", at the top of the file, with the address of \
                        the proxy";
            let diagnostic = Diagnostic::error(message).at(node.spot(), "");
            node.cx.report(diagnostic.help(help.to_owned()));
        }
        for address in listen {
            match self.said.get_mut(address) {
                Some(first) => {
                    report_clash(address, first, &said, node);
                    first.is_tls_default |= said.is_tls_default;
                }
                None => {
                    self.said.insert(address.clone(), said.clone());
                }
            }
        }
    }
}

fn report_clash(address: &ListenAddress, first: &Said, second: &Said, node: Node<'_>) {
    let both = |what: &str| format!("two servers say different things of {what} {address}");
    let (message, help) = if first.kind == ListenerKind::Stream || first.kind != second.kind {
        let (one, other) = (first.kind.name(), second.kind.name());
        let who = if one == other {
            "two streams".to_owned()
        } else {
            format!("a {one} and a {other}")
        };
        let message = format!("{who} listen at {address}");
        (
            message,
            "a stream has its address for itself: choose another",
        )
    } else if address.unix().is_some() && first.access != second.access {
        let help = "write the same `socket_mode`, `socket_owner` and `socket_group` in both";
        (both("who may use"), help)
    } else if first.accepts_proxy_protocol != second.accepts_proxy_protocol {
        let help = "write the same `accept_proxy_protocol` in both";
        (both("the PROXY protocol at"), help)
    } else if first.is_tls != second.is_tls {
        let help = "a client's first octets are TLS or not, whichever server it wants: give both a `tls`, \
                    or choose another address";
        (both("TLS at"), help)
    } else if first.is_tls_default && second.is_tls_default {
        let message = format!("two servers at {address} say `tls_default = true`");
        (
            message,
            "leave it to the one whose certificate strangers are to see",
        )
    } else {
        return;
    };
    node.cx.report(
        Diagnostic::error(message)
            .at(second.spot.clone(), "this one")
            .at(first.spot.clone(), "and this one")
            .help(help.to_owned()),
    );
}
