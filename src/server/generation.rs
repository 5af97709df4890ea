//! The configuration that runs: immutable, shared by the workers, exchanged as a whole.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use crate::config::{Config, Limits, ListenAddress, Place};
use crate::handlers::Handler;
use crate::routing::{HostTable, RoutingTable};

/// A configuration, built: every path leads to a handler that is ready to answer.
pub(crate) struct Generation {
    pub(crate) limits: Limits,
    /// Whether answers say `Server: tidegate`.
    pub(crate) server_field: bool,
    /// By the address that was asked for, which is how the operator names a listener. They are few:
    /// a walk finds one sooner than a hash.
    listeners: Vec<(SocketAddr, HostTable<Arc<Site>>)>,
}

/// A worker's hold on a generation. Its exchanges hold this: counting them touches no memory that
/// another worker's do.
pub(super) struct LocalGeneration(pub(super) Arc<Generation>);

impl Deref for LocalGeneration {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.0
    }
}

/// A `[[server]]`, built.
pub(crate) struct Site {
    pub(crate) routes: RoutingTable<Route>,
}

/// A route, built.
pub(crate) struct Route {
    pub(crate) handler: Handler,
    /// Where the operator wrote it.
    pub(crate) place: Place,
}

impl Generation {
    /// Builds a checked configuration.
    pub(crate) fn new(config: &Config) -> Self {
        let mut listeners: BTreeMap<SocketAddr, HostTable<Arc<Site>>> = BTreeMap::new();
        for server in &config.servers {
            let mut routes = RoutingTable::default();
            for route in &server.routes {
                let handler = Handler::new(route);
                routes.insert(
                    &route.pattern,
                    Route {
                        handler,
                        place: route.place.clone(),
                    },
                );
            }
            let site = Arc::new(Site { routes });
            for address in server.listen.iter().filter_map(ListenAddress::ip) {
                listeners
                    .entry(address)
                    .or_default()
                    .insert(&server.hosts, &site);
            }
        }
        Self {
            limits: config.policy.limits.clone(),
            server_field: config.server_field,
            listeners: listeners.into_iter().collect(),
        }
    }

    /// Whether the operator wants `address` listened at.
    pub(super) fn listens_at(&self, address: &SocketAddr) -> bool {
        self.listeners
            .iter()
            .any(|(listener, _)| listener == address)
    }

    /// The server that answers for `host` (without its port) at the listener of `address`.
    pub(crate) fn site(&self, address: &SocketAddr, host: &[u8]) -> Option<&Site> {
        let (_, hosts) = self
            .listeners
            .iter()
            .find(|(listener, _)| listener == address)?;
        hosts.find(host).map(|site| &**site)
    }
}
