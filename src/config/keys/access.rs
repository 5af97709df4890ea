//! `allow` and `deny`: which clients are answered at all.
//!
//! ```toml
//! allow = ["10.0.0.0/8", "::1"]     # all other clients are denied
//! deny  = "10.0.0.66"               # whatever `allow` says
//! ```

use super::level::Refinement;
use super::setting::{Kind, Setting};
use crate::address::UNIX;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::model::{Cidr, Policy, Proxies};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::address::parse_cidr;
use crate::config::words::written;

/// It replaces the inherited `allow`, but not `deny`.
pub(super) const ALLOW: Setting<Refinement, Policy> = Setting {
    key: "allow",
    kind: Kind::TEXTS,
    about: "networks whose clients are answered, other clients are not; \"all\" is every client",
    read: |node, refinement| {
        refinement.allow = allowed(node);
        refinement.policy.access.allow = bare(&refinement.allow);
        Some(())
    },
    show: |policy| {
        let allow = &policy.access.allow;
        (!allow.is_empty()).then(|| show_networks(allow))
    },
    ..Setting::BLANK
};

/// It replaces the inherited `deny`, but not `allow`.
pub(super) const DENY: Setting<Refinement, Policy> = Setting {
    key: "deny",
    kind: Kind::TEXTS,
    about: "networks that are not answered, whatever `allow` says",
    read: |node, refinement| {
        refinement.deny = networks(node);
        refinement.policy.access.deny = bare(&refinement.deny);
        Some(())
    },
    show: |policy| Some(show_networks(&policy.access.deny)),
    ..Setting::BLANK
};

/// As [`DENY`], for a level that inherits none.
pub(super) const DENY_AT_SERVER: Setting<Refinement, Policy> = Setting {
    default: "[]",
    ..DENY
};

/// Reads `allow`. An empty array is a mistake: it would say "no client" where "any client" may be
/// meant.
fn allowed(node: Node<'_>) -> Vec<(Cidr, Spot)> {
    let help = "write allow = \"all\" to allow every client, or deny = \"all\" to allow none";
    let nodes = node.at_least_one("`allow` names no address", help);
    networks_of(nodes.unwrap_or_default())
}

/// Reads an array of networks, or one string. It warns of a network that is in another one already.
pub(super) fn networks(node: Node<'_>) -> Vec<(Cidr, Spot)> {
    networks_of(node.one_or_more())
}

fn networks_of(nodes: Vec<Node<'_>>) -> Vec<(Cidr, Spot)> {
    let mut networks: Vec<(Cidr, Spot)> = Vec::new();
    for node in nodes {
        let written = node.text().and_then(|text| text.parse(parse_networks));
        for cidr in written.unwrap_or_default() {
            match networks.iter().find(|(other, _)| other.covers(&cidr)) {
                Some((other, spot)) => node.cx.report(
                    Diagnostic::warning(format!("`{cidr}` is in `{other}` already"))
                        .at(node.spot(), "says nothing new")
                        .at(spot.clone(), "listed here"),
                ),
                None => networks.push((cidr, node.spot())),
            }
        }
    }
    networks
}

/// Reads `trusted_proxies` into `proxies`: networks, and `unix:` for the peers at Unix sockets. `None`: no entry
/// could be read.
pub(super) fn read_trusted(node: Node<'_>, proxies: &mut Proxies) -> Option<()> {
    let is_unix = |node: &Node<'_>| node.value.get_ref().as_str() == Some(UNIX);
    let (unix, others): (Vec<_>, Vec<_>) = node.one_or_more().into_iter().partition(is_unix);
    let is_empty = others.is_empty();
    proxies.unix = !unix.is_empty();
    proxies.trusted = bare(&networks_of(others));
    (is_empty || proxies.names_one()).then_some(())
}

/// The trusted proxies as an array.
pub(super) fn show_trusted(proxies: &Proxies) -> String {
    let unix = proxies.unix.then(|| written::shown(&UNIX));
    written::array(proxies.trusted.iter().map(written::shown).chain(unix))
}

/// The networks without their places.
pub(super) fn bare(networks: &[(Cidr, Spot)]) -> Vec<Cidr> {
    networks.iter().map(|(cidr, _)| *cidr).collect()
}

/// The networks as an array.
pub(super) fn show_networks(networks: &[Cidr]) -> String {
    written::array(networks.iter().map(written::shown))
}

/// Reads a network; `all` is every address of both families.
fn parse_networks(text: &str) -> Result<Vec<Cidr>, Fault> {
    match text {
        "all" => Ok(Cidr::ALL.to_vec()),
        _ => parse_cidr(text).map(|cidr| vec![cidr]),
    }
}

/// Warns of every network in `allow` that `deny` of the same level covers.
pub(super) fn warn_of_denied(section: &Section<'_>, refinement: &Refinement) {
    for (allowed, spot) in &refinement.allow {
        let mut denied = refinement.deny.iter();
        let Some((denied, deny_spot)) = denied.find(|(denied, _)| denied.covers(allowed)) else {
            continue;
        };
        let message =
            format!("`{allowed}` is never allowed: `{denied}` is denied, which goes first");
        let diagnostic = Diagnostic::warning(message).at(spot.clone(), "");
        section.report(diagnostic.at(deny_spot.clone(), "denied here"));
    }
}
