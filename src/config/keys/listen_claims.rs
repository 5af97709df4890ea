//! What servers and streams set for the addresses where they listen. Those that share an address must set the
//! same.

use std::collections::HashMap;

use super::setting::Walked;
use crate::address::ListenAddress;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::model::{Proxies, Server, SocketAccess, Stream};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;

/// What was said of each address so far.
pub(super) struct ListenClaims<'p> {
    /// The proxies that may connect where the PROXY protocol is spoken.
    proxies: &'p Proxies,
    /// Whether the setting that names them has a mistake.
    are_proxies_misread: bool,
    /// Whether a setting that says where servers listen, or whether over TLS, has a mistake.
    has_misread: bool,
    said: HashMap<ListenAddress, Said>,
}

/// Which settings of a server or a stream have a mistake. What they were to say is unknown: they are not compared,
/// and not taken for absent.
#[derive(Clone, Copy, Default)]
pub(super) struct Misread {
    /// `listen` or `http_redirect`.
    addresses: bool,
    access: bool,
    proxy_protocol: bool,
    pub(super) tls: bool,
}

impl Misread {
    /// What of `section` has a mistake; `walked` says how its keys were read.
    pub(super) fn of(walked: &Walked, section: &Section<'_>) -> Self {
        let is_one = |key: &&str| walked.misread(section, key);
        Self {
            addresses: ["listen", "http_redirect"].iter().any(is_one),
            access: ["socket_mode", "socket_owner", "socket_group"]
                .iter()
                .any(is_one),
            proxy_protocol: is_one(&"accept_proxy_protocol"),
            tls: is_one(&"tls"),
        }
    }

    /// The same of the server that redirects to this one: it has `accept_proxy_protocol` of this one.
    pub(super) fn of_companion(self) -> Self {
        Self {
            proxy_protocol: self.proxy_protocol,
            ..Self::default()
        }
    }
}

/// What a server or a stream says of an address. `None`: the setting has a mistake.
#[derive(Clone)]
struct Said {
    kind: ListenerKind,
    access: Option<SocketAccess>,
    accepts_proxy_protocol: Option<bool>,
    is_tls: Option<bool>,
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
    /// Whether there may be a proxy that clients come through, which may speak TLS with them.
    pub(super) fn may_trust_a_proxy(&self) -> bool {
        self.are_proxies_misread || self.proxies.names_one()
    }

    /// Whether peers at Unix sockets may be believed what they say of their clients.
    pub(super) fn may_trust_unix(&self) -> bool {
        self.are_proxies_misread || self.proxies.unix
    }

    /// Whether a setting has a mistake that says where servers listen, or whether over TLS.
    pub(super) fn has_misread(&self) -> bool {
        self.has_misread
    }

    /// `are_proxies_misread`: the setting that names `proxies` has a mistake.
    pub(super) fn new(proxies: &'p Proxies, are_proxies_misread: bool) -> Self {
        Self {
            proxies,
            are_proxies_misread,
            has_misread: false,
            said: HashMap::new(),
        }
    }

    /// Adds what a server says, but for what of it has a mistake. Several may listen at one address.
    pub(super) fn add_server(&mut self, server: &Server, misread: Misread, node: Node<'_>) {
        self.has_misread |= misread.addresses || misread.tls;
        let said = Said {
            kind: ListenerKind::Server,
            access: (!misread.access).then(|| server.socket.clone()),
            accepts_proxy_protocol: (!misread.proxy_protocol)
                .then_some(server.accept_proxy_protocol),
            is_tls: (!misread.tls).then_some(server.tls.is_some()),
            is_tls_default: server.is_tls_default,
            spot: node.spot(),
        };
        self.add(&server.listen, said, node);
    }

    /// Adds what a stream says, but for what of it has a mistake. It has each of its addresses for itself.
    pub(super) fn add_stream(&mut self, stream: &Stream, misread: Misread, node: Node<'_>) {
        let said = Said {
            kind: ListenerKind::Stream,
            access: (!misread.access).then(|| stream.socket.clone()),
            accepts_proxy_protocol: (!misread.proxy_protocol)
                .then_some(stream.accept_proxy_protocol),
            is_tls: None,
            is_tls_default: false,
            spot: node.spot(),
        };
        self.add(&stream.listen, said, node);
    }

    fn add(&mut self, listen: &[ListenAddress], said: Said, node: Node<'_>) {
        let what = said.kind.name();
        let has_socket = listen.iter().any(|address| address.unix().is_some());
        let default = SocketAccess::default();
        if !has_socket
            && said
                .access
                .as_ref()
                .is_some_and(|access| *access != default)
        {
            let message =
                format!("`socket_…` is about Unix sockets, and this {what} listens at none");
            let help = "listen = \"unix:PATH\" is one".to_owned();
            let diagnostic = Diagnostic::warning(message).at(node.spot(), "");
            node.cx.report(diagnostic.help(help));
        }
        if said.accepts_proxy_protocol == Some(true) && !self.may_trust_a_proxy() {
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

/// Whether two say different things; what has a mistake says nothing.
fn differs<T: PartialEq>(first: &Option<T>, second: &Option<T>) -> bool {
    let both = first.as_ref().zip(second.as_ref());
    both.is_some_and(|(first, second)| first != second)
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
    } else if address.unix().is_some() && differs(&first.access, &second.access) {
        let help = "write the same `socket_mode`, `socket_owner` and `socket_group` in both";
        (both("who may use"), help)
    } else if differs(
        &first.accepts_proxy_protocol,
        &second.accepts_proxy_protocol,
    ) {
        let help = "write the same `accept_proxy_protocol` in both";
        (both("the PROXY protocol at"), help)
    } else if differs(&first.is_tls, &second.is_tls) {
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
