//! The configuration: as written → as checked, and the complaint with its place in the file.
//!
//! This file holds the checked model, the only part that the serving rooms see. The rest leads to it:
//!
//! ```text
//! include ─ file ─ toml's tree ─┬─ syntax                    what is no TOML             ┐
//!                               └─ resolve ─ server ─ verbs  what cannot be served       ├─ diagnostic
//!                                    │         └─ clash      what excludes something else┘
//!                                    ├─ refine ─ headers, limits, error_pages, access: a level's `policy`
//!                                    └─ route_test           what the operator expects
//! ```
//!
//! `decode` and `section` are the means by which the tree is walked. Single words are read by
//! `units`, `address`, `pattern`, `values` and `environment`, which know text and no file.
//! `suggest` and `vocabulary` know what may have been meant.
//!
//! From the model back to the operator: `dump` writes it out, `difference` compares two, and
//! `schema` describes what can be written.

mod access;
mod address;
mod cgi;
mod clash;
mod decode;
mod diagnostic;
mod difference;
mod dump;
mod environment;
mod error_pages;
mod fastcgi;
mod file;
mod headers;
mod include;
mod limits;
mod pattern;
mod plugin;
mod policy;
mod refine;
mod resolve;
mod route_test;
mod schema;
#[cfg(test)]
mod schema_tests;
mod section;
mod server;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod units;
mod values;
mod verbs;
mod vocabulary;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use crate::address::ListenAddress;
pub(crate) use address::Cidr;
pub(crate) use diagnostic::Report;
pub(crate) use difference::{Change, difference};
pub(crate) use dump::dump;
pub(crate) use environment::Surroundings;
pub(crate) use file::{Loaded, Strictness, load, parse};
pub(crate) use include::Wildcard;
pub(crate) use plugin::Plugins;
pub(crate) use policy::{Access, ErrorPages, HeaderChanges, Policy};
pub(crate) use route_test::RouteTest;
pub(crate) use schema::{key_table, schema};

use crate::api::Instance;
use crate::http::method::Method;
use crate::http::status::Status;

/// How long a server that was told to stop waits for its exchanges.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Everything the operator asked for, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Event loops; one per CPU this process may use unless the operator says otherwise.
    pub(crate) workers: NonZeroUsize,
    pub(crate) blocking: Blocking,
    /// How long exchanges in flight may take to finish once the server is told to stop.
    pub(crate) grace: Duration,
    /// Whether answers carry `Server: tidegate`.
    pub(crate) server_field: bool,
    pub(crate) log: Log,
    /// Peers whose word about the client's address is believed.
    pub(crate) trusted_proxies: Vec<Cidr>,
    /// What holds where no server answers for a request's host.
    pub(crate) policy: Policy,
    /// In the order of the file. At least one; every one listens somewhere.
    pub(crate) servers: Vec<Server>,
    /// In the order of the files. They do nothing while serving.
    pub(crate) tests: Vec<RouteTest>,
}

/// Reads a network, for the tests of other rooms.
#[cfg(test)]
pub(crate) fn network(text: &str) -> Cidr {
    address::parse_cidr(text).expect("a network")
}

/// Reads a duration as the file writes it; `None` if it is none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    units::parse_duration(text).ok()
}

impl Config {
    /// The instances of handlers that its routes name.
    pub(crate) fn instances(&self) -> Vec<Instance> {
        let routes = self.servers.iter().flat_map(|server| &server.routes);
        let instances = routes.filter_map(|route| match &route.verb {
            Verb::Handler(plugin) => Some(plugin.instance.clone()),
            _ => None,
        });
        instances.collect()
    }

    /// What `tidegate serve` does: the files of `root`, for any host, for someone who edits and
    /// refreshes. So nothing is believed without looking again.
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
        let route = Route {
            pattern: RoutePattern::everything(),
            verb: Verb::Files(files),
            strip_prefix: false,
            policy: Policy::default(),
            place: Place::of_program("command line"),
        };
        Self {
            workers: default_workers(),
            blocking: Blocking::default(),
            grace: DEFAULT_GRACE,
            server_field: true,
            log: Log::default(),
            trusted_proxies: Vec::new(),
            policy: Policy::default(),
            servers: vec![Server {
                listen: listen.into_iter().map(ListenAddress::Ip).collect(),
                hosts: Vec::new(),
                policy: Policy::default(),
                routes: vec![route],
            }],
            tests: Vec::new(),
        }
    }
}

/// One event loop per CPU that this process may use; one if that cannot be known.
fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The pool for whatever may wait.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) access: AccessLog,
    pub(crate) format: LogFormat,
    pub(crate) level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            access: AccessLog::StandardOutput,
            format: LogFormat::Combined,
            level: LogLevel::Info,
        }
    }
}

/// Where access records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessLog {
    Off,
    StandardOutput,
    File(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Combined,
    Common,
    Json,
}

/// The least severe diagnostic that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// Every wait and every size, with its stated outcome (DESIGN §4); what is not said at a level is
/// inherited.
///
/// The server of a request is known when its head is read. Until then the limits of the
/// configuration hold; `max_head` and `max_fields` of the server are held against the head then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// From the first byte of a request to the end of its head: 408.
    pub(crate) head_timeout: Duration,
    /// Between requests: close.
    pub(crate) idle_timeout: Duration,
    /// Between two reads of content: 408.
    pub(crate) body_timeout: Duration,
    /// Between two writes that make progress: close.
    pub(crate) send_timeout: Duration,
    /// Bytes of a request's head: 431, or 414 when the request line alone is longer.
    pub(crate) max_head: usize,
    /// Field lines of a request: 431.
    pub(crate) max_fields: usize,
    /// Bytes of a request's content: 413.
    pub(crate) max_content: u64,
    /// Open connections of all workers together: 503 with `Retry-After`, then close.
    pub(crate) max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(30),
            max_head: 16 * 1024,
            max_fields: 100,
            max_content: 16 * 1024 * 1024,
            max_connections: 10_000,
        }
    }
}

/// One `[[server]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// At least one, each once.
    pub(crate) listen: Vec<ListenAddress>,
    /// Empty: any host.
    pub(crate) hosts: Vec<HostPattern>,
    /// What holds where no route takes a request.
    pub(crate) policy: Policy,
    pub(crate) routes: Vec<Route>,
}

/// A host a server answers for; lower case, without a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HostPattern {
    /// `example.com`
    Exact(String),
    /// `*.example.com`, kept as `.example.com`: any name below it, not the name itself.
    Below(String),
}

/// As the operator writes it: `*.example.com`.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// A key of `[server.routes]` and what stands beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) pattern: RoutePattern,
    pub(crate) verb: Verb,
    /// Take the path that matched off before the verb sees it.
    pub(crate) strip_prefix: bool,
    pub(crate) policy: Policy,
    pub(crate) place: Place,
}

/// As diagnostics name it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe_route(&self.pattern, &self.place, f)
    }
}

/// A route by its key, and where that stands: ``route `/a` (config.toml:7)``.
pub(crate) fn describe_route(
    pattern: &RoutePattern,
    place: &Place,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let Place { file, line, .. } = place;
    write!(f, "route `{pattern}` ({}:{line})", file.display())
}

/// `[METHOD ]["= "]PATH`, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RoutePattern {
    /// `None`: any method. `Some(Get)` takes HEAD as well.
    pub(crate) method: Option<Method>,
    /// `= `: only the path itself, not what is below it.
    pub(crate) exact: bool,
    /// `/` has none; `/users/{id}` has two.
    pub(crate) segments: Vec<PatternSegment>,
    /// The path was written with a slash at its end (and is not `/`).
    pub(crate) trailing_slash: bool,
}

impl RoutePattern {
    /// `/`: every path, by any method.
    pub(crate) fn everything() -> Self {
        Self {
            method: None,
            exact: false,
            segments: Vec::new(),
            trailing_slash: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PatternSegment {
    /// Decoded octets.
    Static(Vec<u8>),
    /// `{name}`: exactly one segment, which is not empty.
    Parameter(String),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Files(Files),
    Respond(Respond),
    Redirect(Redirect),
    /// What arrived, as JSON, for debugging.
    Echo,
    /// What the server has counted.
    Status,
    Handler(PluginRoute),
    Cgi(Cgi),
    Fastcgi(Fastcgi),
}

/// `handler = NAME`: code that is part of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginRoute {
    pub(crate) instance: Instance,
    /// How long it may take until it answers: 504.
    pub(crate) timeout: Duration,
    /// Content is given as it arrives, not when it is all there.
    pub(crate) stream: bool,
}

/// What holds for code behind a route, unless the route says otherwise.
pub(crate) const DEFAULT_CODE_TIMEOUT: Duration = Duration::from_secs(60);

/// `files = DIR`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Files {
    pub(crate) root: PathBuf,
    /// Names tried in a directory, in order.
    pub(crate) index: Vec<String>,
    pub(crate) listing: bool,
    /// Navigations that lead to nothing get `/index.html`.
    pub(crate) spa: bool,
    /// `/a` may be answered from `a.html`.
    pub(crate) clean_urls: bool,
    /// Look for `.zst`, `.br` and `.gz` siblings.
    pub(crate) precompressed: bool,
    /// The first pattern that matches the path beneath the root gives `Cache-Control`.
    pub(crate) cache_control: Vec<CacheControl>,
    /// How long what is cached is believed without looking again.
    pub(crate) revalidate: Duration,
}

impl Files {
    /// The files of `root`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf) -> Self {
        Self {
            root,
            index: vec!["index.html".to_owned()],
            listing: false,
            spa: false,
            clean_urls: false,
            precompressed: true,
            cache_control: Vec::new(),
            revalidate: Duration::from_secs(1),
        }
    }
}

/// `cgi = DIR`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Cgi {
    pub(crate) root: PathBuf,
    /// Until a script's header section is there: 504. Between two reads of its content: it is cut.
    pub(crate) timeout: Duration,
    /// Scripts of the route that run at once; past it, 503 with `Retry-After`.
    pub(crate) max_processes: usize,
    /// What scripts find in their environment beside the meta-variables, and in their stead.
    pub(crate) environment: Vec<(String, String)>,
}

impl Cgi {
    /// The scripts of `root`, with the default of every option.
    pub(crate) fn beneath(root: PathBuf) -> Self {
        Self {
            root,
            timeout: DEFAULT_CODE_TIMEOUT,
            max_processes: 32,
            environment: Vec::new(),
        }
    }
}

/// One entry of `cache_control`: a pattern over the path beneath the root, and the field's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CacheControl {
    /// As written: `*.css`, `assets/**`.
    pub(crate) pattern: String,
    pub(crate) value: String,
}

/// `respond = TEXT`: the same content for everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Respond {
    pub(crate) status: Status,
    pub(crate) content_type: String,
    pub(crate) content: String,
}

/// `redirect = TARGET`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// As written. What is below the route's path, and the query, is appended unless `exact`.
    pub(crate) target: String,
    pub(crate) status: Status,
}

/// `fastcgi = ADDRESS`, and the options beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fastcgi {
    /// Where the application server listens.
    pub(crate) peer: ListenAddress,
    /// Absolute: the peer is told of files beneath it.
    pub(crate) root: PathBuf,
    /// Names tried in a directory, in order.
    pub(crate) index: Vec<String>,
    /// What the names of scripts end in; the case of letters does not count.
    pub(crate) scripts: Vec<String>,
    /// The script for paths that lead to nothing, beneath the root.
    pub(crate) fallback: Option<String>,
    /// Files that are no scripts are sent.
    pub(crate) static_files: bool,
    /// Further parameters, or others in the place of ours.
    pub(crate) params: Vec<(String, String)>,
    /// To connect, to the end of the header section, and between two reads: 504.
    pub(crate) timeout: Duration,
    /// `X-Sendfile` and `X-Accel-Redirect` name files beneath the root.
    pub(crate) sendfile: bool,
}

/// Where something stands in a configuration file; lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: Arc<PathBuf>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// Of what stands in no file.
    pub(crate) fn of_program(name: &str) -> Self {
        Self {
            file: Arc::new(PathBuf::from(name)),
            line: 1,
            column: 1,
        }
    }
}
