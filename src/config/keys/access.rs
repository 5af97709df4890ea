//! `allow` and `deny`: which clients are answered at all.
//!
//! ```toml
//! allow = ["10.0.0.0/8", "::1"]     # everybody else is denied
//! deny  = "10.0.0.66"               # whatever `allow` says
//! ```

use super::level::Level;
use crate::config::complaint::diagnostic::{Diagnostic, Spot};
use crate::config::complaint::fault::Fault;
use crate::config::model::{Access, Cidr};
use crate::config::tree::node::Node;
use crate::config::tree::section::Section;
use crate::config::words::address::parse_cidr;

/// What `allow` and `deny` at one level make of what is inherited: each replaces its own kind.
pub(super) fn refine_access(section: &mut Section<'_>, level: Level, outer: &Access) -> Access {
    if level == Level::Top {
        return outer.clone();
    }
    let allow = section.take("allow").map(allow);
    let deny = section.take("deny").map(networks);
    if let (Some(allow), Some(deny)) = (&allow, &deny) {
        let denied = denied(allow, deny);
        denied
            .into_iter()
            .for_each(|warning| section.report(warning));
    }
    let bare = |networks: Vec<(Cidr, Spot)>| networks.into_iter().map(|(cidr, _)| cidr).collect();
    Access {
        allow: allow.map_or_else(|| outer.allow.clone(), bare),
        deny: deny.map_or_else(|| outer.deny.clone(), bare),
    }
}

/// `allow = []` would say "nobody" where "everybody" may be meant, so it is neither.
fn allow(node: Node<'_>) -> Vec<(Cidr, Spot)> {
    if node.one_or_more().is_empty() {
        let help = "write allow = \"all\" to allow everybody, or deny = \"all\" to allow nobody";
        node.cx.report(
            Diagnostic::error("`allow` names no address")
                .at(node.spot(), "")
                .help(help.to_owned()),
        );
    }
    networks(node)
}

/// The networks that an array, or one string, names; an address that stands twice is a warning.
pub(crate) fn networks(node: Node<'_>) -> Vec<(Cidr, Spot)> {
    let mut networks: Vec<(Cidr, Spot)> = Vec::new();
    for node in node.one_or_more() {
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

/// `all` is every address of both families.
fn parse_networks(text: &str) -> Result<Vec<Cidr>, Fault> {
    match text {
        "all" => Ok(Cidr::ALL.to_vec()),
        _ => parse_cidr(text).map(|cidr| vec![cidr]),
    }
}

/// A warning for every network that is allowed in vain.
fn denied(allow: &[(Cidr, Spot)], deny: &[(Cidr, Spot)]) -> Vec<Diagnostic> {
    let warning = |(allowed, spot): &(Cidr, Spot)| {
        let (denied, deny_spot) = deny.iter().find(|(denied, _)| denied.covers(allowed))?;
        let message =
            format!("`{allowed}` is never allowed: `{denied}` is denied, which goes first");
        let diagnostic = Diagnostic::warning(message).at(spot.clone(), "");
        Some(diagnostic.at(deny_spot.clone(), "denied here"))
    };
    allow.iter().filter_map(warning).collect()
}
