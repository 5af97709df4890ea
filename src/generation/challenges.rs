//! The routes by which a CA verifies names over plain HTTP (RFC 8555 §8.3): the server adds them itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::carryover::Carryover;
use super::policy::ServingPolicy;
use super::routing::RoutingTable;
use super::{Listened, Route, Site};
use crate::address::ListenAddress;
use crate::config::model::{
    Config, HostPattern, PatternSegment, Place, Policy, RoutePattern, Shape,
};
use crate::handlers::Handler;
use crate::handlers::acme::AcmeHandler;

/// Adds the route to `site`, which clients reach without TLS. `allow` and `deny` of
/// the server do not apply to it: the CA has to reach it.
pub(super) fn add_route(site: &mut Site, carryover: &mut Carryover) {
    let named = |name: &str| PatternSegment::Static(name.as_bytes().to_vec());
    let pattern = RoutePattern {
        method: None,
        exact: true,
        segments: vec![
            named(".well-known"),
            named("acme-challenge"),
            PatternSegment::Parameter("token".to_owned(), Shape::Any),
        ],
        trailing_slash: false,
    };
    let shared = Arc::clone(carryover.acme());
    let name = site.hosts.first().map(ToString::to_string);
    let series = carryover.series().find(&name.unwrap_or_default(), "acme");
    let handler = Handler::Acme(AcmeHandler::new(shared));
    let policy =
        ServingPolicy::new(&Policy::default(), carryover).counted_in(series, Some(&pattern));
    let place = Place::of_program("[acme]");
    let route = Route::plain(handler, policy, pattern.clone(), place);
    site.routes.insert(&pattern, route);
}

/// Adds a server with that route alone where no other server without TLS answers for a name that a
/// certificate is issued for.
pub(super) fn add_sites(
    config: &Config,
    listeners: &mut BTreeMap<ListenAddress, Listened>,
    carryover: &mut Carryover,
) {
    let plain: Vec<&ListenAddress> = config
        .servers
        .iter()
        .filter(|server| server.tls.is_none())
        .flat_map(|server| &server.listen)
        .collect();
    let tls = config
        .servers
        .iter()
        .filter_map(|server| server.tls.as_ref());
    let issued = tls.filter_map(|tls| tls.issue.as_ref());
    let names: Vec<&String> = issued.flat_map(|issue| &issue.names).collect();
    for (address, listened) in listeners {
        let is_plain = plain.contains(&address);
        for name in names.iter().filter(|_| is_plain) {
            if listened.hosts.find(name.as_bytes()).is_none() {
                let mut site = Site {
                    hosts: vec![HostPattern::Exact((*name).clone())],
                    tls: None,
                    policy: ServingPolicy::new(&config.policy, carryover),
                    routes: RoutingTable::default(),
                };
                add_route(&mut site, carryover);
                let hosts = site.hosts.clone();
                listened.hosts.insert(&hosts, &Arc::new(site));
            }
        }
    }
}
