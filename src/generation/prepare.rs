//! Preparing: from a checked configuration to a generation that can serve.
//!
//! ```text
//! text ─ config: read, checked ─→ Checked ─ prepare ─→ Prepared ─ supervisor: bound, adopted
//!                                             ├ factories make the handlers that are named
//!                                             ├ state that survives a reload is found, or made
//!                                             └ error pages are read
//! ```
//!
//! Everything that takes more than looking at values happens here and nowhere else, once: opening
//! files, calling factories, starting pools, making certificates. `run`, `reload`, `check`,
//! `explain` and the embedded server all call [`prepare`]. It changes nothing that runs: if it fails,
//! or if its result is not used, dropping what was made undoes all of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::auth::{self, ServingAuth};
use super::carryover::{Carryover, Groups, Unread};
use super::challenges;
use super::policy::ServingPolicy;
use super::routing::{Found, RoutingTable};
use super::{Arrival, Generation, Listened, Opening, Rewrite, Route, Site, Stream};
use crate::acme;
use crate::address::ListenAddress;
use crate::api::Handlers;
use crate::config::model::{self, Config, HostPattern, RoutePattern, Verb};
use crate::config::{CertificateFault, CertificateSetting, Checked, FileFault, Loaded, Report};
use crate::handlers::Handler;
use crate::handlers::dashboard::DashboardHandler;
use crate::handlers::echo::Echo;
use crate::handlers::files::{FilesHandler, OwnPaths, TriedFiles};
use crate::handlers::gateway::cgi::CgiHandler;
use crate::handlers::gateway::fastcgi::FastcgiHandler;
use crate::handlers::gateway::proxy::ProxyHandler;
use crate::handlers::live::LiveHandler;
use crate::handlers::metrics::MetricsHandler;
use crate::handlers::plugin::PluginHandler;
use crate::handlers::ready::ReadyHandler;
use crate::handlers::redirect::RedirectHandler;
use crate::handlers::respond::RespondHandler;
use crate::handlers::status::StatusHandler;
use crate::http::method::Method;
use crate::http::path::NormalPath;
use crate::metrics::series::UNKNOWN;
use crate::tls::{Fault, Part};

/// A configuration, and the generation that was made of it.
pub(crate) struct Prepared {
    pub(crate) loaded: Loaded,
    pub(crate) generation: Arc<Generation>,
}

/// Prepares `checked`. The factories of `handlers` make what it names; what the generation `before`
/// has already is taken over.
///
/// Factories are called even if checking found mistakes, so that one run reports all mistakes.
///
/// # Errors
/// Every mistake in the configuration, those of checking and of preparing together.
pub(crate) fn prepare(
    mut checked: Checked,
    handlers: &Handlers,
    before: Option<&Generation>,
) -> Result<Prepared, Report> {
    let carryover = before.map(|before| before.carryover.begin());
    let mut carryover = carryover.unwrap_or_default();
    checked.make_handlers(|spec| carryover.make_instance(spec, handlers));
    checked.read_connectors(|tls| read_connector(&mut carryover, tls));
    checked.read_passwords(|path| read_passwords(&mut carryover, path));
    checked.make_buckets(|name, options| carryover.make_buckets(name, options).is_ok());
    checked.read_certificates(|tls, hosts| read_certificate(&mut carryover, tls, hosts));
    let loaded = checked.finish()?;
    let mut generation = Generation::new(&loaded.config, carryover);
    if let Some(before) = before {
        // The files are open, and each worker has a buffer for each.
        generation.log = loaded.config.log.in_place_of(&before.log.access);
    }
    let generation = Arc::new(generation);
    Ok(Prepared { loaded, generation })
}

/// Reads the files of `tls`, for a server that answers for `hosts`. Returns what is wrong with them.
fn read_certificate(
    carryover: &mut Carryover,
    tls: &model::Tls,
    hosts: &[HostPattern],
) -> Vec<CertificateFault> {
    let told = |is_warning| move |fault: Fault| certificate_fault(fault, is_warning);
    match carryover.read_certificate(tls) {
        Err(Unread::Nothing(fault)) => vec![told(false)(fault)],
        Err(Unread::Again(fault)) => {
            let message = format!("{}; what was read before is served on", fault.message);
            vec![told(true)(Fault { message, ..fault })]
        }
        Ok(()) => {
            let doubts = carryover.terminator(tls).doubts(hosts).into_iter();
            doubts.map(told(true)).collect()
        }
    }
}

/// Reads the files of `tls`, with which another server is asked. Returns what is wrong with them.
fn read_connector(carryover: &mut Carryover, tls: &model::UpstreamTls) -> Vec<CertificateFault> {
    let told = |is_warning| move |fault: Fault| certificate_fault(fault, is_warning);
    match carryover.read_connector(tls) {
        Err(fault) => vec![told(false)(fault)],
        Ok(doubts) => doubts.into_iter().map(told(true)).collect(),
    }
}

/// Reads the passwords in the file at `path`. Returns what is wrong with them.
fn read_passwords(carryover: &mut Carryover, path: &Path) -> Vec<FileFault> {
    let fault = |is_warning, message, help: Option<&str>| FileFault {
        is_warning,
        message,
        help: help.map(str::to_owned),
    };
    let shown = path.display();
    match carryover.read_passwords(path) {
        Err((why, false)) => vec![fault(false, why.to_string(), why.help())],
        Err((why, true)) => {
            let message = format!("{why}; what was read before is used on");
            vec![fault(true, message, why.help())]
        }
        Ok(passwords) if passwords.users() == 0 => {
            let message = format!("`{shown}` has no users, so that no client is let in");
            let help = "`tidegate hash-password --user NAME` prints a line for it";
            vec![fault(true, message, Some(help))]
        }
        Ok(passwords) if passwords.weak() > 0 => {
            let count = passwords.weak();
            let users = if count == 1 { "user" } else { "users" };
            let message = format!(
                "`{shown}` has {count} {users} with a hash of MD5 or SHA-1: a copy of it gives most passwords away"
            );
            let help = "make new ones: `tidegate hash-password --user NAME`, or `htpasswd -B`";
            vec![fault(true, message, Some(help))]
        }
        Ok(_) => Vec::new(),
    }
}

fn certificate_fault(fault: Fault, is_warning: bool) -> CertificateFault {
    CertificateFault {
        setting: match fault.part {
            Part::Certificate => CertificateSetting::Certificate,
            Part::Key => CertificateSetting::Key,
            Part::ClientCa => CertificateSetting::ClientCa,
            Part::Ca => CertificateSetting::Ca,
            Part::SystemRoots => CertificateSetting::SystemRoots,
        },
        fault: FileFault {
            is_warning,
            message: fault.message,
            help: fault.help,
        },
    }
}

impl Generation {
    /// Prepares a configuration that names no handlers of a program.
    pub(crate) fn of_config(config: &Config) -> Self {
        Self::new(config, Carryover::default())
    }

    /// Prepares the configuration of a command, which names no handlers.
    ///
    /// # Errors
    /// Why its upstream cannot be asked, or its clients cannot come over TLS.
    pub(crate) fn of_command(config: &Config) -> Result<Self, String> {
        let mut carryover = Carryover::default();
        for upstream in config
            .upstreams
            .iter()
            .filter(|upstream| upstream.is_secure())
        {
            let read = carryover.read_connector(&upstream.tls);
            read.map_err(|fault| fault.message)?;
        }
        let servers = config.servers.iter();
        for tls in servers.filter_map(|server| server.tls.as_ref()) {
            let read = carryover.read_certificate(tls);
            read.map_err(|(Unread::Nothing(fault) | Unread::Again(fault))| fault.message)?;
        }
        Ok(Self::new(config, carryover))
    }

    /// Makes the generation of `config`. `carryover` has an instance for each handler it names.
    fn new(config: &Config, mut carryover: Carryover) -> Self {
        let groups = carryover.groups(&config.upstreams);
        carryover.make_rates(&config.rates);
        if let Some(options) = &config.tracing {
            carryover.make_tracing(options);
        }
        let mut listeners: BTreeMap<ListenAddress, Listened> = BTreeMap::new();
        for server in &config.servers {
            let queue = config.blocking.queue;
            let mut site = site(server, queue, &groups, &mut carryover);
            if config.acme.is_some() && server.tls.is_none() {
                challenges::add_route(&mut site, &mut carryover);
            }
            let site = Arc::new(site);
            for address in &server.listen {
                let is_new = !listeners.contains_key(address);
                let listened = listeners.entry(address.clone()).or_default();
                listened.hosts.insert(&server.hosts, &site);
                if server.is_tls_default {
                    listened.tls_default = Some(Arc::clone(&site));
                }
                // Until the host is known, the limits of the server for any host apply.
                if is_new || server.hosts.is_empty() {
                    listened.limits = server.policy.limits.clone();
                }
            }
        }
        if config.acme.is_some() {
            challenges::add_sites(config, &mut listeners, &mut carryover);
        }
        let acme = plan(config, &carryover);
        let arrivals = arrivals(config, &groups, &mut carryover);
        set_openings(&mut listeners, &arrivals);
        let policy = ServingPolicy::new(&config.policy, &mut carryover);
        carryover.end();
        let mut limits = listeners.values().map(|listened| &listened.limits);
        Self {
            max_connections: config.policy.limits.max_connections,
            counts_clients: limits.any(|limits| limits.connections_per_client.is_some()),
            server_field: config.server_field,
            log: config.log.clone(),
            proxies: config.proxies.clone(),
            tracing: carryover.tracing().cloned(),
            policy,
            listeners: listeners.into_iter().collect(),
            upstreams: config
                .upstreams
                .iter()
                .filter_map(|options| groups.get(&options.name))
                .cloned()
                .collect(),
            arrivals,
            acme,
            carryover,
        }
    }
}

/// The certificates that ACME orders.
fn plan(config: &Config, carryover: &Carryover) -> Option<acme::Plan> {
    let shared = Arc::clone(carryover.acme());
    let mut plan = acme::Plan::new(config.acme.clone()?, shared);
    for tls in config
        .servers
        .iter()
        .filter_map(|server| server.tls.as_ref())
    {
        if let Some(issue) = &tls.issue {
            plan.add(issue, &tls.certificate, &carryover.terminator(tls));
        }
    }
    Some(plan).filter(|plan| !plan.is_empty())
}

/// Tells each of `listeners` what its connections begin with.
fn set_openings(
    listeners: &mut BTreeMap<ListenAddress, Listened>,
    arrivals: &[(ListenAddress, Arrival)],
) {
    for (address, arrival) in arrivals {
        if let Some(listened) = listeners.get_mut(address) {
            listened.opening = Opening {
                has_proxy_header: arrival.has_proxy_header,
                is_tls: arrival.is_tls,
            };
        }
    }
}

/// The addresses at which a connection does not begin with a request.
fn arrivals(
    config: &Config,
    groups: &Groups,
    carryover: &mut Carryover,
) -> Vec<(ListenAddress, Arrival)> {
    let mut arrivals = BTreeMap::new();
    for server in &config.servers {
        let arrival = Arrival {
            has_proxy_header: server.accept_proxy_protocol,
            is_tls: server.tls.is_some(),
            stream: None,
        };
        let listen = server.listen.iter();
        let listen = listen.filter(|_| arrival.has_proxy_header || arrival.is_tls);
        arrivals.extend(listen.map(|address| (address.clone(), arrival.clone())));
    }
    for options in &config.streams {
        let group = groups.get(&options.upstream);
        let group = group.expect("checking found the upstream of every stream");
        let open = carryover.stream(options);
        let terminator = options.tls.as_ref().map(|tls| carryover.terminator(tls));
        let arrival = Arrival {
            has_proxy_header: options.accept_proxy_protocol,
            is_tls: options.tls.is_some(),
            stream: Some(Arc::new(Stream::new(
                options,
                Arc::clone(group),
                open,
                terminator,
            ))),
        };
        let listen = options.listen.iter();
        arrivals.extend(listen.map(|address| (address.clone(), arrival.clone())));
    }
    arrivals.into_iter().collect()
}

/// Makes what `server` serves; `queue` requests may wait for the threads of a route.
fn site(server: &model::Server, queue: usize, groups: &Groups, carryover: &mut Carryover) -> Site {
    let mut routes = RoutingTable::default();
    let withheld = auth::withheld(server);
    let policy =
        |policy: &model::Policy, pattern: &RoutePattern, asker: &str, carryover: &mut Carryover| {
            let auth = ServingAuth::new(policy.auth.as_ref(), &withheld, asker, groups, carryover);
            ServingPolicy::of_route(policy, pattern, carryover).with_auth(auth)
        };
    let name = series_name(server);
    let paths = paths_for_archives(server);
    for arms in server.routes.chunk_by(|a, b| a.pattern == b.pattern) {
        let series = |pattern: &RoutePattern, carryover: &mut Carryover| {
            let key = if server.is_companion {
                HTTP_REDIRECT.to_owned()
            } else {
                pattern.to_string()
            };
            carryover.series().find(&name, &key)
        };
        let policy = |of: &model::Policy, route: &model::Route, carryover: &mut Carryover| {
            let (pattern, asker) = (&route.pattern, route.to_string());
            let series = series(pattern, carryover);
            policy(of, pattern, &asker, carryover).counted_in(series, Some(pattern))
        };
        let handler = |route: &model::Route, carryover: &mut Carryover| {
            handler(route, (server, queue), groups, paths.as_ref(), carryover)
        };
        let built = built(arms, &server.policy, policy, handler, carryover);
        if let Some(built) = built {
            routes.insert(&built.pattern.clone(), built);
        }
    }
    let series = carryover.series().find(&name, UNKNOWN);
    let asker = format!("server {name}");
    let everything = RoutePattern::everything();
    let of_site = policy(&server.policy, &everything, &asker, carryover);
    Site {
        hosts: server.hosts.clone(),
        tls: server.tls.as_ref().map(|tls| carryover.terminator(tls)),
        policy: of_site.counted_in(series, None),
        routes,
    }
}

/// Which pattern of a server a path belongs to.
type Paths = Arc<RoutingTable<RoutePattern>>;

/// The patterns of `server`, if one of its routes makes archives: those hold nothing that another route answers
/// for.
fn paths_for_archives(server: &model::Server) -> Option<Paths> {
    let makes_archives = |route: &model::Route| match &route.verb {
        Verb::Files(files) => !files.archives.is_empty(),
        _ => false,
    };
    server.routes.iter().find(|route| makes_archives(route))?;
    let mut table = RoutingTable::default();
    for arms in server.routes.chunk_by(|a, b| a.pattern == b.pattern) {
        if let Some(first) = arms.first() {
            table.insert(&first.pattern, first.pattern.clone());
        }
    }
    Some(Arc::new(table))
}

/// Says which paths lead to the routes of `pattern`.
fn own_paths(paths: &Paths, pattern: &RoutePattern) -> OwnPaths {
    let (paths, own) = (Arc::clone(paths), pattern.clone());
    Arc::new(move |path| {
        let found = paths.find(Method::Get, &NormalPath::of_normal(path));
        matches!(found, Found::Route { route, .. } if *route == own)
    })
}

/// What stands for the key of a route that `http_redirect` of a server adds.
const HTTP_REDIRECT: &str = "http_redirect";

/// The name of a server in metrics: its first host, or, if it answers for every host, where it listens.
fn series_name(server: &model::Server) -> String {
    let listen = || server.listen.first().map(ToString::to_string);
    let host = server.hosts.first().map(ToString::to_string);
    host.or_else(listen).unwrap_or_default()
}

/// Makes the route for `arms`, which have one pattern; if there are several, or if one is only for some
/// requests, a route that holds them. `outer` is the policy of the server; `policy` and `handler` prepare those
/// of a route.
fn built(
    arms: &[model::Route],
    outer: &model::Policy,
    policy: impl Fn(&model::Policy, &model::Route, &mut Carryover) -> ServingPolicy,
    handler: impl Fn(&model::Route, &mut Carryover) -> Handler,
    carryover: &mut Carryover,
) -> Option<Route> {
    let mut built = Vec::new();
    // Each answer depends on the fields that the routes before its own have looked at, too.
    let mut looked_at: Vec<&str> = Vec::new();
    for route in arms {
        looked_at.extend(route.when.fields());
        let handler = handler(route, carryover);
        let policy = policy(&route.policy, route, carryover).with_verb(&route.verb);
        let rewrite = route.rewrite.as_ref();
        built.push(Route {
            rewrite: rewrite.map(|text| Rewrite::new(text, &route.pattern)),
            when: route.when.clone(),
            ..Route::plain(
                handler,
                policy.varying_by(&looked_at),
                route.pattern.clone(),
                route.place.clone(),
            )
        });
    }
    let first = arms.first()?;
    if built.len() == 1 && first.when.is_always() {
        return built.pop();
    }
    let (pattern, place) = (first.pattern.clone(), first.place.clone());
    let policy = policy(outer, first, carryover).varying_by(&looked_at);
    Some(Route {
        arms: built,
        ..Route::plain(Handler::Several, policy, pattern, place)
    })
}

/// Makes the handler behind `route` of `server`, which takes over what `carryover` has for it.
fn handler(
    route: &model::Route,
    (server, queue): (&model::Server, usize),
    groups: &Groups,
    paths: Option<&Paths>,
    carryover: &mut Carryover,
) -> Handler {
    match &route.verb {
        Verb::Files(files) => {
            let route_files = carryover.files(files);
            let mut handler = FilesHandler::new(route_files, route.strip_prefix);
            if let Some(paths) = paths.filter(|_| !files.archives.is_empty()) {
                handler = handler.with_own_paths(own_paths(paths, &route.pattern));
            }
            if TriedFiles::needed(files) {
                Handler::Tried(Box::new(TriedFiles::new(handler, files, &route.pattern)))
            } else {
                Handler::Files(handler)
            }
        }
        Verb::Respond(respond) => Handler::Respond(RespondHandler::new(respond, route)),
        Verb::Redirect(redirect) => {
            Handler::Redirect(RedirectHandler::new(redirect, &route.pattern))
        }
        Verb::Echo => Handler::Echo(Echo),
        Verb::Status => Handler::Status(StatusHandler),
        Verb::Metrics => Handler::Metrics(MetricsHandler),
        Verb::Live => Handler::Live(LiveHandler),
        Verb::Dashboard => {
            let life = carryover.dashboard(server, route);
            Handler::Dashboard(DashboardHandler::new(life))
        }
        Verb::Ready(ready) => {
            let named = ready.upstreams.iter().map(|name| {
                let group = groups.get(name);
                Arc::clone(group.expect("checking found the upstreams of every route"))
            });
            Handler::Ready(ReadyHandler::new(named.collect()))
        }
        Verb::Handler(plugin) => {
            let state = carryover.plugin(route, plugin, queue);
            Handler::Plugin(PluginHandler::new(
                plugin,
                state.instance,
                state.life,
                state.pool,
                route,
            ))
        }
        Verb::Cgi(options) => Handler::Cgi(CgiHandler::new(
            options,
            route,
            carryover.cgi(route, options),
        )),
        Verb::Fastcgi(options) => {
            let files = carryover.files(&options.files());
            Handler::Fastcgi(FastcgiHandler::new(options, files, route))
        }
        Verb::Proxy(options) => {
            let group = groups.get(&options.upstream);
            let group = group.expect("checking found the upstream of every route");
            let life = carryover.proxy_life(route, options);
            let handler = ProxyHandler::new(options, Arc::clone(group), route, life);
            Handler::Proxy(Box::new(handler))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Surroundings};
    use crate::test_support::TemporaryDirectory;

    const SERVER: &str = "[[server]]\nlisten = '127.0.0.1:0'\nhosts = 'other.test'\nroutes.'/' = { echo = true }\n\
         tls = { certificate = 'a.pem', key = 'a.key', client_ca = 'ca.pem' }\n";

    const STREAM: &str = "[[stream]]\nlisten = '127.0.0.1:0'\nproxy = '127.0.0.1:1'\n\
         tls = { certificate = 'a.pem', key = 'a.key', client_ca = 'ca.pem' }\n";

    /// Prepares `text`, whose files are in `directory`.
    fn prepared(
        directory: &TemporaryDirectory,
        text: &str,
        before: Option<&Generation>,
    ) -> Result<Prepared, String> {
        let handlers = Handlers::new();
        let name = directory.path().join("config.toml");
        let checked = config::parse(text, &name, Surroundings::of_process(&handlers));
        prepare(checked, &handlers, before).map_err(|report| report.to_string())
    }

    /// A file that was gone for a moment, as while it is renewed, refused a reload, and garbage in its place did not.
    #[test]
    fn a_file_of_tls_that_is_gone_is_served_on_by_a_generation_that_has_read_it() {
        for text in [SERVER, STREAM] {
            let directory = TemporaryDirectory::new("gone");
            for (name, from) in [
                ("a.pem", "other.pem"),
                ("a.key", "other.key"),
                ("ca.pem", "ca.pem"),
            ] {
                let octets = std::fs::read(format!("tests/fixtures/tls/{from}"));
                directory.write(name, &octets.expect("a fixture"));
            }
            let first = prepared(&directory, text, None).expect("all files are there");
            let first = &first.generation;
            for name in ["a.pem", "a.key", "ca.pem"] {
                let (path, away) = (directory.path().join(name), directory.path().join("away"));
                std::fs::rename(&path, &away).expect("the directory is ours");
                let again = prepared(&directory, text, Some(first)).expect(name);
                let warning = again.loaded.warnings.to_string();
                let (gone, kept) = (format!("{name}`: No such file"), "is served on");
                let is_told = warning.contains(&gone) && warning.contains(kept);
                assert!(is_told, "{name}: {warning}");
                let later = &again.generation;
                assert!(prepared(&directory, text, Some(later)).is_ok(), "{name}");
                let refused = prepared(&directory, text, None).err();
                let refused = refused.expect("nothing was read before");
                assert!(refused.contains("there is no file"), "{name}: {refused}");
                let other = text.replace("a.pem", "b.pem");
                let refused = prepared(&directory, &other, Some(first)).err();
                let refused = refused.expect("one of the files was never read");
                assert!(refused.contains("b.pem"), "{name}: {refused}");
                std::fs::rename(&away, &path).expect("the directory is ours");
            }
        }
    }
}
