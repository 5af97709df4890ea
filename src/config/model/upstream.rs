//! `[upstreams.NAME]`: the servers that `proxy` asks, and how one of them is chosen.

use std::time::Duration;

use super::{Place, UpstreamTls};
use crate::address::{Scheme, UpstreamAddress, UpstreamUrl};
use crate::http::status::Status;

/// The servers behind one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Upstream {
    /// As the operator calls it: `shop`; or for a route that says the server itself, `http://HOST:PORT`,
    /// `https://HOST:PORT` or `unix:PATH`.
    pub(crate) name: String,
    /// At least one, unless it is that of an app: its servers are processes.
    pub(crate) servers: Vec<UpstreamServer>,
    pub(crate) balance: Balance,
    /// Whether a cookie of ours names the server that a client had before.
    pub(crate) sticky: Option<Sticky>,
    pub(crate) failures: Failures,
    /// Whether servers are asked for their health without a client.
    pub(crate) health: Option<HealthCheck>,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) retry: Retry,
    pub(crate) queue: Queue,
    /// Connections to each of its servers that a worker keeps for further requests.
    pub(crate) keep: usize,
    /// How often names are looked up again.
    pub(crate) resolve: Duration,
    /// For those of its servers that TLS is spoken to.
    pub(crate) tls: UpstreamTls,
    pub(crate) place: Place,
}

impl Upstream {
    /// An upstream of these servers, with the default of every setting.
    pub(crate) fn of(name: String, servers: Vec<UpstreamServer>, place: Place) -> Self {
        Self {
            name,
            servers,
            balance: Balance::default(),
            sticky: None,
            failures: Failures::default(),
            health: None,
            timeouts: UpstreamTimeouts::default(),
            retry: Retry::default(),
            queue: Queue::default(),
            keep: 512,
            resolve: Duration::from_secs(30),
            tls: UpstreamTls::default(),
            place,
        }
    }

    /// Whether the file has it as `[upstreams.NAME]`: no such name has a colon. Otherwise a route says the
    /// server itself, or it is an app.
    pub(crate) fn is_named(&self) -> bool {
        !self.name.contains(':') && !self.is_app()
    }

    /// Whether a server may have so many requests and no more, so that others have to wait.
    pub(crate) fn is_bounded(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|server| server.max_connections.is_some())
    }

    /// Whether TLS is spoken to one of its servers.
    pub(crate) fn is_secure(&self) -> bool {
        let mut servers = self.servers.iter();
        servers.any(|server| server.scheme.is_tls())
    }

    /// Whether its servers are processes of `[apps.NAME]`.
    pub(crate) fn is_app(&self) -> bool {
        self.servers.is_empty()
    }
}

/// One entry of `servers`. A name stands for all its addresses, each a server of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamServer {
    pub(crate) address: UpstreamAddress,
    pub(crate) scheme: Scheme,
    /// Its share beside the others', 1 unless it is said otherwise.
    pub(crate) weight: u32,
    /// Requests that it may have at once; `None`: any number.
    pub(crate) max_connections: Option<usize>,
    /// Whether it is asked only while no other can be.
    pub(crate) backup: bool,
}

impl UpstreamServer {
    /// A server without settings of its own.
    pub(crate) fn at(url: impl Into<UpstreamUrl>) -> Self {
        let UpstreamUrl { scheme, address } = url.into();
        Self {
            address,
            scheme,
            weight: 1,
            max_connections: None,
            backup: false,
        }
    }

    /// What the operator calls it.
    pub(crate) fn url(&self) -> UpstreamUrl {
        UpstreamUrl {
            scheme: self.scheme,
            address: self.address.clone(),
        }
    }
}

/// How a server is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Balance {
    /// One after the other, each as often as its weight says.
    #[default]
    RoundRobin,
    /// The one with the fewest requests under way for its weight.
    LeastConnections,
    /// The less busy one of two that are picked at random.
    RandomTwo,
    /// Always the same one for the same key, whatever becomes of the others (consistent hashing).
    Hash(HashKey),
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HashKey {
    Client,
    Path,
    /// The value of a request's field.
    Header(String),
    /// The value of a request's cookie.
    Cookie(String),
}

/// `sticky`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sticky {
    /// The name of the cookie.
    pub(crate) cookie: String,
    /// What the cookie is signed with; `None`: a key that this process makes.
    pub(crate) secret: Option<String>,
}

/// When a server counts as failed by what happens to clients' requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failures {
    /// A server is in a pause after this many failures within `within`; 0: never.
    pub(crate) max: u32,
    pub(crate) within: Duration,
    /// How long it is not asked then. It doubles with each pause that follows another, up to 20 times.
    pub(crate) pause: Duration,
}

impl Default for Failures {
    fn default() -> Self {
        Self {
            max: 3,
            within: Duration::from_secs(10),
            pause: Duration::from_secs(5),
        }
    }
}

/// `health`: a GET that a server is asked again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    /// A path, and perhaps a query.
    pub(crate) path: String,
    /// The `Host` that is sent; `None`: the address of the server.
    pub(crate) host: Option<String>,
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
    /// The statuses of a healthy server.
    pub(crate) status: Vec<StatusRange>,
    /// Good answers in a row after which a server that was unhealthy is healthy.
    pub(crate) rises: u32,
    /// Bad or missing answers in a row after which it is unhealthy.
    pub(crate) falls: u32,
}

impl HealthCheck {
    /// Whether an answer says the same, whichever of both it is given to.
    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        (&self.path, &self.host, &self.status) == (&other.path, &other.host, &other.status)
    }
}

/// `2xx`, or one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl StatusRange {
    pub(crate) fn contains(self, status: Status) -> bool {
        (self.first..=self.last).contains(&status.code())
    }
}

/// How long an upstream's server may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamTimeouts {
    /// To take a connection.
    pub(crate) connect: Duration,
    /// From the end of the request to the end of the response's head: 504.
    pub(crate) head: Duration,
    /// Between two reads of content, and how long the server may take nothing of a request.
    pub(crate) read: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            head: Duration::from_secs(60),
            read: Duration::from_secs(60),
        }
    }
}

/// What may be asked again, of another server if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Retry {
    /// Tries for one request, the first included.
    pub(crate) tries: u32,
    /// No further try begins later than this after the first.
    pub(crate) within: Duration,
    /// Responses that count as failures of their server, and are tried again.
    pub(crate) statuses: Vec<u16>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 3,
            within: Duration::from_secs(10),
            statuses: Vec::new(),
        }
    }
}

/// Requests and connections that wait while every server has as many as it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    /// How many; 0: none waits.
    pub(crate) max: usize,
    /// How long each of them.
    pub(crate) within: Duration,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max: 100,
            within: Duration::from_secs(10),
        }
    }
}
