//! The checked configuration as a whole, and the settings of the process.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::{
    Acme, App, Cidr, Files, Log, Place, Policy, Proxy, Rate, Route, RoutePattern, RouteTest,
    Server, SocketAccess, Stream, Tls, Tracing, Upstream, UpstreamServer, Verb, When,
};
use crate::address::{ListenAddress, UpstreamUrl};
use crate::http::forwarded::ForwardedField;

/// How long a server that was told to stop waits for its exchanges to end.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Event loops; one per CPU this process may use unless the operator says otherwise.
    pub(crate) workers: NonZeroUsize,
    pub(crate) blocking: Blocking,
    /// How long exchanges in flight may take to finish once the server is told to stop.
    pub(crate) grace: Duration,
    /// How long the server goes on as before once it is told to stop, while `ready` says 503.
    pub(crate) drain_delay: Duration,
    /// Whether responses carry `Server: tidegate`.
    pub(crate) server_field: bool,
    pub(crate) log: Log,
    pub(crate) proxies: Proxies,
    /// The CA that issues certificates; `None`: no server has a certificate issued.
    pub(crate) acme: Option<Acme>,
    /// Which traces are recorded, and who gets them; `None`: there are none.
    pub(crate) tracing: Option<Tracing>,
    /// The policy for requests whose host no server answers for.
    pub(crate) policy: Policy,
    /// In the order of the file. At least one, or a stream; every one listens somewhere.
    pub(crate) servers: Vec<Server>,
    /// In the order of the files.
    pub(crate) streams: Vec<Stream>,
    /// Every one that a route or a stream may name: those of the file by name, then one for each URL.
    pub(crate) upstreams: Vec<Upstream>,
    /// By name.
    pub(crate) rates: Vec<Rate>,
    /// By name. Their upstreams are among `upstreams`, too.
    pub(crate) apps: Vec<App>,
    /// In the order of the files. They are not used while serving.
    pub(crate) tests: Vec<RouteTest>,
}

impl Config {
    /// The configuration of `tidegate serve`: the files of `root`, for any host. It is for people who
    /// edit files and refresh the page, so every request looks at the file again.
    pub(crate) fn for_directory(
        root: PathBuf,
        listen: Vec<SocketAddr>,
        listing: bool,
        spa: bool,
    ) -> Self {
        let files = Files {
            listing,
            spa,
            revalidate: Duration::ZERO,
            ..Files::beneath(root)
        };
        Self::with_one_route(Verb::Files(files), listen)
    }

    /// The configuration of `tidegate proxy`: every request goes to `server`.
    pub(crate) fn for_upstream(server: UpstreamUrl, listen: Vec<SocketAddr>) -> Self {
        let name = server.to_string();
        let place = Place::of_program("command line");
        let servers = vec![UpstreamServer::at(server)];
        Self {
            upstreams: vec![Upstream::of(name.clone(), servers, place)],
            ..Self::with_one_route(Verb::Proxy(Proxy::to(name)), listen)
        }
    }

    /// This configuration, in which clients come over TLS if there is a `tls`.
    pub(crate) fn over(mut self, tls: Option<Tls>) -> Self {
        for server in &mut self.servers {
            server.tls.clone_from(&tls);
        }
        self
    }

    /// A server that listens at these addresses, for any host, with one route for every path.
    fn with_one_route(verb: Verb, listen: Vec<SocketAddr>) -> Self {
        let route = Route {
            pattern: RoutePattern::everything(),
            when: When::default(),
            verb,
            rewrite: None,
            strip_prefix: false,
            policy: Policy::default(),
            place: Place::of_program("command line"),
        };
        Self {
            servers: vec![Server {
                listen: listen.into_iter().map(ListenAddress::Ip).collect(),
                socket: SocketAccess::default(),
                accept_proxy_protocol: false,
                tls: None,
                is_tls_default: false,
                http_redirect: Vec::new(),
                is_companion: false,
                hosts: Vec::new(),
                policy: Policy::default(),
                routes: vec![route],
            }],
            ..Self::default()
        }
    }
}

/// The settings of an empty file; there is no server yet.
impl Default for Config {
    fn default() -> Self {
        Self {
            workers: default_workers(),
            blocking: Blocking::default(),
            grace: DEFAULT_GRACE,
            drain_delay: Duration::ZERO,
            server_field: true,
            log: Log::default(),
            proxies: Proxies::default(),
            acme: None,
            tracing: None,
            policy: Policy::default(),
            servers: Vec::new(),
            streams: Vec::new(),
            upstreams: Vec::new(),
            rates: Vec::new(),
            apps: Vec::new(),
            tests: Vec::new(),
        }
    }
}

/// One event loop per CPU that this process may use; one if the number is unknown.
fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The proxies that are believed, and how they say who the client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Proxies {
    pub(crate) trusted: Vec<Cidr>,
    /// Whether peers at Unix sockets are believed, too.
    pub(crate) unix: bool,
    pub(crate) field: ForwardedField,
}

impl Proxies {
    /// Whether there is a proxy that is believed.
    pub(crate) fn names_one(&self) -> bool {
        self.unix || !self.trusted.is_empty()
    }

    /// Whether a proxy at `address` is believed.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let mut networks = self.trusted.iter();
        networks.any(|network| network.contains(address))
    }
}

/// The pool of threads for work that may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocking {
    pub(crate) threads: usize,
    /// Jobs that may wait for a thread; past it, 503.
    pub(crate) queue: usize,
}

impl Default for Blocking {
    fn default() -> Self {
        Self {
            threads: 32,
            queue: 1024,
        }
    }
}
