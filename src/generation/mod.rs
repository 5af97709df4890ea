//! The configuration that runs: immutable, shared by the workers, exchanged as a whole.

pub(crate) mod auth;
mod carryover;
mod challenges;
pub(crate) mod cors;
mod error_pages;
mod kept;
pub(crate) mod policy;
pub(crate) mod prepare;
mod read_again;
mod rewrite;
pub(crate) mod routing;
mod stream;

use std::collections::HashSet;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::acme::Plan;
use crate::address::ListenAddress;
use crate::api::RouteLife;
use crate::config::model::{
    Config, HostPattern, Limits, Log, Place, Policy, Proxies, RoutePattern, When, describe_route,
};
use crate::handlers::Handler;
use crate::handlers::control::ControlHandler;
use crate::message::response::CommonFields;
use crate::metrics::series::AllSeries;
use crate::runtime::PoolState;
use crate::throttle::rate::Rate;
use crate::tls::Terminator;
use crate::tls::tickets::TicketKeys;
use crate::trace::{Spans, Tracing};
use crate::upstream::Group;

use carryover::Carryover;
pub(crate) use kept::Retired;
use policy::ServingPolicy;
pub(crate) use read_again::ReadAgain;
pub(crate) use rewrite::Rewrite;
use routing::{HostTable, RoutingTable};
pub(crate) use stream::Stream;

/// Connections to the control socket: places for as many viewers as may look at the server live (64), and as
/// many commands besides, so that viewers keep none of those from the operator; and some for followers of the
/// log.
const MAX_COMMANDS: usize = 192;

/// A configuration, prepared: every path leads to a handler that is ready to answer.
pub(crate) struct Generation {
    /// How many connections may be open, of all workers together.
    pub(crate) max_connections: usize,
    /// Whether there is an address at which the connections of each client are counted.
    pub(crate) counts_clients: bool,
    /// Whether answers say `Server: tidegate`.
    pub(crate) server_field: bool,
    /// Its `access` has the logs that the process opened at its start, in that order, with the settings of this
    /// generation.
    pub(crate) log: Log,
    /// The proxies whose word about the client is believed.
    pub(crate) proxies: Proxies,
    /// Which traces are recorded; `None`: there are none.
    pub(crate) tracing: Option<Arc<Tracing>>,
    /// The policy for requests that no server answers.
    pub(crate) policy: ServingPolicy,
    /// The listeners, by the address in the configuration: port 0 stays 0. They are few, so that a
    /// walk over the list is faster than hashing.
    listeners: Vec<(ListenAddress, Listened)>,
    /// In the order of the configuration.
    upstreams: Vec<Arc<Group>>,
    /// The addresses at which a connection does not begin with a request.
    arrivals: Vec<(ListenAddress, Arrival)>,
    /// Which certificates are issued, if any are.
    acme: Option<Plan>,
    /// The state that the next generation may take over.
    carryover: Carryover,
}

/// A worker's reference to a generation. The worker's exchanges share it through an `Rc`, so that no
/// two workers count in the same memory.
pub(crate) struct LocalGeneration(pub(super) Arc<Generation>);

impl Deref for LocalGeneration {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.0
    }
}

/// The servers at an address.
#[derive(Default)]
struct Listened {
    hosts: HostTable<Arc<Site>>,
    /// The limits until the host of a request is known.
    limits: Limits,
    /// The server whose certificate clients see that name no server, or one that is not there.
    tls_default: Option<Arc<Site>>,
    /// What its connections begin with.
    opening: Opening,
}

/// What stands on a connection before its first request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Opening {
    /// The header of the PROXY protocol, of a trusted proxy.
    pub(crate) has_proxy_header: bool,
    /// The handshake of TLS.
    pub(crate) is_tls: bool,
}

/// A listener of a generation, found once for all the requests of a turn.
#[derive(Clone, Copy)]
pub(crate) struct Listening<'g> {
    pub(crate) generation: &'g Generation,
    /// `None`: this generation does not listen there.
    listened: Option<&'g Listened>,
}

/// What a connection begins with, if not with a request.
#[derive(Clone)]
pub(crate) struct Arrival {
    /// Whether a trusted proxy says by the PROXY protocol who the client is. Others may not connect.
    pub(crate) has_proxy_header: bool,
    /// Whether the handshake of TLS follows.
    pub(crate) is_tls: bool,
    /// Where the connection is passed on to; `None`: requests follow.
    pub(crate) stream: Option<Arc<Stream>>,
}

/// A `[[server]]`, prepared.
pub(crate) struct Site {
    /// As written in the configuration; empty: any host.
    pub(crate) hosts: Vec<HostPattern>,
    /// `None`: its clients come over plain connections.
    pub(crate) tls: Option<Arc<Terminator>>,
    pub(crate) policy: ServingPolicy,
    pub(crate) routes: RoutingTable<Route>,
}

/// A route, prepared.
pub(crate) struct Route {
    pub(crate) handler: Handler,
    /// What the handler is asked for, if that is not what the client has asked for.
    pub(crate) rewrite: Option<Rewrite>,
    /// What else a request must have for the route to answer it.
    pub(crate) when: When,
    /// The routes that stand at the pattern, if there are several, in the order in which they are asked.
    /// Then this one only holds them.
    pub(crate) arms: Vec<Route>,
    pub(crate) policy: ServingPolicy,
    pub(crate) pattern: RoutePattern,
    /// Where it stands in the configuration.
    pub(crate) place: Place,
}

impl Route {
    /// A route that answers every request of its pattern with `handler`.
    fn plain(handler: Handler, policy: ServingPolicy, pattern: RoutePattern, place: Place) -> Self {
        Self {
            handler,
            rewrite: None,
            when: When::default(),
            arms: Vec::new(),
            policy,
            pattern,
            place,
        }
    }
}

/// As diagnostics name a route: its key, and where the key stands.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe_route(&self.pattern, &self.place, f)
    }
}

impl Generation {
    /// What the worker of the control socket at `address` serves with, whatever the others do.
    pub(crate) fn of_control(address: ListenAddress) -> Self {
        Self {
            max_connections: MAX_COMMANDS,
            listeners: vec![(address, Listened::of_control())],
            arrivals: Vec::new(),
            acme: None,
            ..Self::of_config(&Config::default())
        }
    }

    /// Hands to `retired` what this generation keeps and `next` does not; takes back what `next`
    /// keeps.
    pub(crate) fn release(&self, next: &Self, retired: &mut Retired) {
        self.carryover.release(&next.carryover, retired);
    }

    /// The upstreams that its routes may ask, in the order of the configuration.
    pub(crate) fn upstreams(&self) -> &[Arc<Group>] {
        &self.upstreams
    }

    /// Which certificates are issued by ACME, if any are.
    pub(crate) fn acme(&self) -> Option<&Plan> {
        self.acme.as_ref()
    }

    /// The configuration for the handshake by which a CA verifies that `name` is ours (RFC 8737 §3). `None`:
    /// no CA was asked for a certificate for that name.
    pub(crate) fn challenge(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.carryover.acme().tls_answer(name)
    }

    /// The spans that wait for their collector.
    pub(crate) fn spans(&self) -> &Spans {
        self.carryover.spans()
    }

    /// Its rates, by name.
    pub(crate) fn rates(&self) -> Vec<&Arc<Rate>> {
        self.carryover.rates()
    }

    /// The states of the pools of routes that have threads of their own.
    pub(crate) fn pool_states(&self) -> impl Iterator<Item = PoolState> {
        self.carryover.pools().map(|pool| pool.state())
    }

    /// The ids under which workers cache what its `files` routes lead to.
    pub(crate) fn file_routes(&self) -> HashSet<u64> {
        self.carryover.file_routes()
    }

    /// Says that this generation serves. Its routes with handlers, dashboards and tunnels may have been
    /// retired before, by a reload that was taken back, and so may its upstreams.
    pub(crate) fn revive_routes(&self) {
        self.carryover.lives().for_each(|life| life.revive());
        self.carryover.presences().for_each(|route| route.revive());
        self.upstreams.iter().for_each(|group| group.revive());
    }

    /// Tells the requests at those routes with handlers and dashboards that `next` has not, after it has
    /// taken over. The tunnels to those routes and servers that `next` has not find that when they look next.
    pub(crate) fn retire_routes(&self, next: &Self) {
        for route in self.carryover.presences() {
            let mut others = next.carryover.presences();
            if !others.any(|other| Arc::ptr_eq(route, other)) {
                route.retire();
            }
        }
        self.upstreams.iter().for_each(|group| group.retire());
        // A check of a group before may have ended since those of `next` began.
        next.upstreams.iter().for_each(|group| group.revive());
        let stays =
            |life: &Arc<RouteLife>| next.carryover.lives().any(|other| Arc::ptr_eq(life, other));
        let lives = self.carryover.lives().filter(|life| !stays(life)).cloned();
        tell(lives.collect(), RouteLife::retire);
    }

    /// Tells the requests at all routes with handlers that the server stops.
    pub(crate) fn stop_routes(&self) {
        tell(self.carryover.lives().cloned().collect(), RouteLife::stop);
    }

    /// The fields that its responses carry.
    pub(crate) fn common_fields(&self) -> CommonFields {
        if self.server_field {
            CommonFields::DateAndServer
        } else {
            CommonFields::Date
        }
    }

    /// The addresses to listen at.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &ListenAddress> {
        self.listeners.iter().map(|(address, _)| address)
    }

    /// Whether there is an address at which a connection does not begin with a request.
    #[inline]
    pub(crate) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// What a connection to `address` begins with; `None`: with a request, as nearly all do.
    pub(crate) fn arrival(&self, address: &ListenAddress) -> Option<&Arrival> {
        let mut arrivals = self.arrivals.iter();
        let found = arrivals.find(|(listener, _)| listener == address);
        found.map(|(_, arrival)| arrival)
    }

    /// The streams, each with an address that it listens at.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&ListenAddress, &Arc<Stream>)> {
        let arrivals = self.arrivals.iter();
        arrivals.filter_map(|(address, arrival)| Some((address, arrival.stream.as_ref()?)))
    }

    /// Whether `address` is to be listened at.
    pub(crate) fn listens_at(&self, address: &ListenAddress) -> bool {
        self.listened(address).is_some() || self.arrival(address).is_some()
    }

    /// The limits at the listener of `address` until the host of a request is known.
    pub(crate) fn limits_at(&self, address: &ListenAddress) -> &Limits {
        self.at(address).limits()
    }

    /// The listener of `address`.
    pub(crate) fn at(&self, address: &ListenAddress) -> Listening<'_> {
        Listening {
            generation: self,
            listened: self.listened(address),
        }
    }

    /// The terminators of its servers, each once.
    pub(crate) fn terminators(&self) -> impl Iterator<Item = &Arc<Terminator>> {
        self.carryover.terminators()
    }

    /// The files that held something else when it was prepared than before.
    pub(crate) fn read_again(&self) -> &[ReadAgain] {
        self.carryover.read_again()
    }

    /// How many users the passwords in `file` are for, one of its files.
    pub(crate) fn users_in(&self, file: &Path) -> usize {
        self.carryover.passwords(file).users()
    }

    /// The series in which exchanges are counted.
    pub(crate) fn series(&self) -> &AllSeries {
        self.carryover.series()
    }

    /// The keys of session tickets, which the process has for as long as it runs.
    pub(crate) fn ticket_keys(&self) -> &TicketKeys {
        self.carryover.ticket_keys()
    }

    /// What the handshake of a client goes on with that asks for the server `name` (none if it names none)
    /// at the listener of `address`.
    pub(crate) fn terminator(&self, address: &ListenAddress, name: &str) -> Option<&Terminator> {
        let listened = self.listened(address)?;
        let site = listened.hosts.find(name.as_bytes());
        let site = site.or(listened.tls_default.as_ref())?;
        site.tls.as_deref()
    }

    fn listened(&self, address: &ListenAddress) -> Option<&Listened> {
        let mut listeners = self.listeners.iter();
        let found = listeners.find(|(listener, _)| listener == address);
        found.map(|(_, listened)| listened)
    }
}

impl<'g> Listening<'g> {
    /// The limits until the host of a request is known.
    pub(crate) fn limits(self) -> &'g Limits {
        match self.listened {
            Some(listened) => &listened.limits,
            None => &self.generation.policy.limits,
        }
    }

    /// The server that answers for `host` (without its port).
    pub(crate) fn site(self, host: &[u8]) -> Option<&'g Site> {
        self.listened?.hosts.find(host).map(|site| &**site)
    }

    /// What connections that are made now begin with.
    pub(crate) fn opening(self) -> Opening {
        self.listened
            .map(|listened| listened.opening)
            .unwrap_or_default()
    }

    /// Whether requests are answered over a connection that began with `opening`. If not, they were when it was
    /// made: since then a reload asks for TLS or for the PROXY protocol, or passes connections on as they are.
    #[inline]
    pub(crate) fn is_open_to(self, opening: Opening) -> bool {
        self.listened.is_some_and(|listened| {
            let asked = listened.opening;
            (opening.is_tls || !asked.is_tls)
                && (opening.has_proxy_header || !asked.has_proxy_header)
        })
    }

    /// Stands for what the server for `host` asks of a client's certificate; 0 if it asks for none.
    pub(crate) fn client_rule(self, host: &[u8]) -> u64 {
        let terminator = self.site(host).and_then(|site| site.tls.as_ref());
        terminator.map_or(0, |terminator| terminator.client_rule())
    }
}

/// Sets the reason in each of `lives`, and has the requests told by a thread of its own: it runs code of
/// the program, which may take its time, and the caller must not wait for that.
fn tell(lives: Vec<Arc<RouteLife>>, set: fn(&RouteLife)) {
    lives.iter().for_each(|life| set(life));
    let lives: Arc<[_]> = lives.into_iter().filter(|life| life.is_awaited()).collect();
    if lives.is_empty() {
        return;
    }
    let tell = |lives: &[Arc<RouteLife>]| lives.iter().for_each(|life| life.tell());
    let shared = Arc::clone(&lives);
    let thread = std::thread::Builder::new().name("tidegate-tell".to_owned());
    if thread.spawn(move || tell(&shared)).is_err() {
        tell(&lives);
    }
}

impl Listened {
    /// The listener of the control socket: one site, with one route for every path.
    fn of_control() -> Self {
        let pattern = RoutePattern::everything();
        let place = Place::of_program("control socket");
        let mut routes = RoutingTable::default();
        let policy = ServingPolicy::new(&Policy::default(), &mut Carryover::default());
        let handler = Handler::Control(ControlHandler);
        let route = Route::plain(handler, policy, pattern.clone(), place);
        routes.insert(&pattern, route);
        let mut listened = Self::default();
        listened.hosts.insert(
            &[],
            &Arc::new(Site {
                hosts: Vec::new(),
                tls: None,
                policy: ServingPolicy::new(&Policy::default(), &mut Carryover::default()),
                routes,
            }),
        );
        listened
    }
}
