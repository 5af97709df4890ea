//! The configuration that runs: immutable, shared by the workers, exchanged as a whole.

mod carryover;
mod kept;
pub(crate) mod policy;
pub(crate) mod routing;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::address::ListenAddress;
use crate::config::model::{
    Cidr, Config, HostPattern, Limits, LogFormat, Place, Policy, RoutePattern, Server,
    describe_route,
};
use crate::handlers::Handler;

use carryover::{Carryover, handler};
use policy::ServingPolicy;
use routing::{HostTable, RoutingTable};

/// A configuration, built: every path leads to a handler that is ready to answer.
pub(crate) struct Generation {
    /// Counts from 1.
    pub(crate) number: u64,
    /// Open connections of all workers together.
    pub(crate) max_connections: usize,
    /// Whether answers say `Server: tidegate`.
    pub(crate) server_field: bool,
    pub(crate) log_format: LogFormat,
    /// Whose `X-Forwarded-For` is believed.
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// What holds where no server answers.
    pub(crate) policy: ServingPolicy,
    /// By the address that was asked for, which is how the operator names a listener. They are few:
    /// a walk finds one sooner than a hash.
    listeners: Vec<(ListenAddress, Listened)>,
    /// What the next generation may go on with.
    carryover: Carryover,
}

/// A worker's hold on a generation. Its exchanges hold this: counting them touches no memory that
/// another worker's do.
pub(crate) struct LocalGeneration(pub(super) Arc<Generation>);

impl Deref for LocalGeneration {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.0
    }
}

/// What answers at an address.
#[derive(Default)]
struct Listened {
    hosts: HostTable<Arc<Site>>,
    /// What holds before the host of a request is known.
    limits: Limits,
}

/// A `[[server]]`, built.
pub(crate) struct Site {
    /// As the operator named them; empty: any.
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) policy: ServingPolicy,
    pub(crate) routes: RoutingTable<Route>,
}

/// A route, built.
pub(crate) struct Route {
    pub(crate) handler: Handler,
    pub(crate) policy: ServingPolicy,
    pub(crate) pattern: RoutePattern,
    /// Where the operator wrote it.
    pub(crate) place: Place,
}

/// As diagnostics name it: the key, and where it stands.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe_route(&self.pattern, &self.place, f)
    }
}

impl Generation {
    /// Builds a checked configuration. Handlers that `previous` has already, and whose options have
    /// not changed, go on with what they hold.
    pub(crate) fn new(config: &Config, number: u64, previous: Option<&Self>) -> Self {
        let before = previous.map(|previous| &previous.carryover);
        let mut carryover = before.map(Carryover::begin).unwrap_or_default();
        let mut listeners: BTreeMap<ListenAddress, Listened> = BTreeMap::new();
        for server in &config.servers {
            let site = Arc::new(Site::new(server, &mut carryover));
            for address in &server.listen {
                let is_new = !listeners.contains_key(address);
                let listened = listeners.entry(address.clone()).or_default();
                listened.hosts.insert(&server.hosts, &site);
                // The server for any host speaks for all before the host is known.
                if is_new || server.hosts.is_empty() {
                    listened.limits = server.policy.limits.clone();
                }
            }
        }
        carryover.end();
        Self {
            number,
            max_connections: config.policy.limits.max_connections,
            server_field: config.server_field,
            log_format: config.log.format,
            trusted_proxies: config.trusted_proxies.clone(),
            policy: ServingPolicy::new(&config.policy),
            listeners: listeners.into_iter().collect(),
            carryover,
        }
    }

    /// Adds the site of the control socket.
    pub(crate) fn with_control(mut self, address: ListenAddress, handler: Handler) -> Self {
        let listened = Listened::of_control(handler);
        self.listeners.push((address, listened));
        self
    }

    /// The addresses that the operator wants listened at.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.listeners.iter().map(|(address, _)| address)
    }

    /// Whether the operator wants `address` listened at.
    pub(crate) fn listens_at(&self, address: &ListenAddress) -> bool {
        self.listened(address).is_some()
    }

    /// The limits at a listener before the host of a request is known.
    pub(crate) fn limits_at(&self, address: &ListenAddress) -> &Limits {
        self.listened(address)
            .map_or(&self.policy.limits, |listened| &listened.limits)
    }

    /// The server that answers for `host` (without its port) at the listener of `address`.
    pub(crate) fn site(&self, address: &ListenAddress, host: &[u8]) -> Option<&Site> {
        self.listened(address)?.hosts.find(host).map(|site| &**site)
    }

    fn listened(&self, address: &ListenAddress) -> Option<&Listened> {
        let found = self
            .listeners
            .iter()
            .find(|(listener, _)| listener == address);
        found.map(|(_, listened)| listened)
    }
}

impl Site {
    fn new(server: &Server, carryover: &mut Carryover) -> Self {
        let mut routes = RoutingTable::default();
        for route in &server.routes {
            let built = Route {
                handler: handler(route, carryover),
                policy: ServingPolicy::new(&route.policy),
                pattern: route.pattern.clone(),
                place: route.place.clone(),
            };
            routes.insert(&route.pattern, built);
        }
        Self {
            hosts: server.hosts.clone(),
            policy: ServingPolicy::new(&server.policy),
            routes,
        }
    }
}

impl Listened {
    fn of_control(handler: Handler) -> Self {
        let pattern = RoutePattern::everything();
        let place = Place::of_program("control socket");
        let mut routes = RoutingTable::default();
        let route = Route {
            handler,
            policy: ServingPolicy::new(&Policy::default()),
            pattern: pattern.clone(),
            place,
        };
        routes.insert(&pattern, route);
        let mut listened = Self::default();
        listened.hosts.insert(
            &[],
            &Arc::new(Site {
                hosts: Vec::new(),
                policy: ServingPolicy::new(&Policy::default()),
                routes,
            }),
        );
        listened
    }
}
