//! `proxy = UPSTREAM`, and the options beside it.

use super::peer;
use super::setting::{Kind, Setting, rows, set, show, walk};
use super::upstream::ABSENT;
use super::verb::{Answer, VerbKeys};
use crate::address::UpstreamAddress;
use crate::config::model::{Proxy, Route, Verb};
use crate::config::tree::asked_upstream::AskedUpstream;
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::upstream::{ProxyTarget, parse_proxy_target};
use crate::config::words::written;

pub(super) const VERB: VerbKeys = VerbKeys {
    key: "proxy",
    usage: "proxy = \"NAME\"",
    example: "\"/api\" = { proxy = \"http://127.0.0.1:8000\" }",
    rows: || rows(SETTINGS),
    read,
    show: show_route,
};

const SETTINGS: &[Setting<Proxy>] = &[
    Setting {
        key: "proxy",
        kind: Kind::Text,
        about: "a server that speaks HTTP: the name of `[upstreams.NAME]`, or \"http://HOST:PORT\"",
        read: |node, proxy| set(&mut proxy.upstream, upstream(node)),
        show: |proxy| Some(written::string(&proxy.upstream)),
        ..Setting::BLANK
    },
    Setting {
        read: |node, proxy| set(&mut proxy.strip_prefix, node.boolean()),
        show: |proxy| Some(proxy.strip_prefix.to_string()),
        ..Setting::STRIP_PREFIX
    },
];

fn read(section: &mut Section<'_>) -> Option<Answer> {
    let mut proxy = Proxy::to(String::new());
    let walked = walk(section, SETTINGS, &mut proxy);
    if !walked.took("proxy") {
        return None;
    }
    Some(Answer {
        strip_prefix: proxy.strip_prefix,
        verb: Verb::Proxy(proxy),
    })
}

fn show_route(route: &Route) -> Option<written::Table> {
    let Verb::Proxy(proxy) = &route.verb else {
        return None;
    };
    Some(show(SETTINGS, proxy))
}

/// Reads what is asked. Returns the name of its upstream, which is checked when all files are read.
fn upstream(node: Node<'_>) -> Option<String> {
    let (name, server) = match node.text()?.parse(parse_proxy_target)? {
        ProxyTarget::Named(name) => (name, None),
        ProxyTarget::Server(address) => {
            let address = peer::resolve(node, address, &ABSENT)?;
            (name_of_server(&address), Some(address))
        }
    };
    let spot = node.spot();
    node.cx.asked.borrow_mut().push(AskedUpstream {
        name: name.clone(),
        server,
        spot,
    });
    Some(name)
}

/// The name of the upstream that has this server alone: one for each server, however it is written.
fn name_of_server(address: &UpstreamAddress) -> String {
    match address {
        UpstreamAddress::Unix(_) => written::plain_upstream(address),
        address => format!("http://{address}"),
    }
}
