//! [`Carryover`]: all state that survives a reload, a field for each kind.
//!
//! To add a kind: a field here, with a key that holds everything the value is made of and nothing else; its line
//! in `begin`, `end` and `release`; and a method that returns the value for a route. [`Kept`] does the rest.
//!
//! | kind | key | shared by |
//! |---|---|---|
//! | what workers cache of files | the options of `files`, and which directories their paths lead to | all routes with these options |
//! | scripts that run | pattern and options of a `cgi` route, which of its equals | no other route: `max_processes` is one route's |
//! | users and their passwords, and who was verified a moment ago | the path of the file | all servers and routes that name it |
//! | error pages | the path of the file | all servers and routes that name it |
//! | handlers of the program | name and options | all routes that name both |
//! | which handler to tell when its route is retired | pattern, name and options, which of its equals | no other route |
//! | threads of a route with a handler | pattern, name and options, which of its equals, and how many threads | no other route |
//! | whether a `proxy` route is there | pattern and upstream, which of its equals | the tunnels that it led to |
//! | whether a `dashboard` route is there | where its server listens and its hosts, pattern, `when`, and who may open it; which of its equals | the streams that it began |
//! | servers of upstreams | the name of the upstream, and within it the address | all routes to the upstream |
//! | open connections of a stream | where it listens | no other stream |
//! | certificates of servers and streams | the settings of `tls` | all of them with the same |
//! | how upstreams prove who they are, and sessions with them | the settings of `tls` and what its files hold | all upstreams with the same |
//! | how it stands with certificates of ACME, and what CAs are answered | none | all servers, for as long as the process |
//! | keys of session tickets | none | all servers, for as long as the process |
//! | buckets of a rate | the name of the rate, how they fill, and by what requests are counted | all servers and routes that name it |
//! | which series of metrics a route has | the server's first host and the route's key | all routes with the same, for as long as the process |
//! | spans that wait for their collector | none | all exchanges, for as long as the process |
//!
//! Listening sockets survive a reload too, but are no kind of this: what counts is the queue of
//! connections that the system holds for each. An address keeps as many sockets as it ever had
//! workers, for closing one would lose its queue, and a successor process inherits them all. See
//! `supervisor::sockets`.

use std::collections::{HashMap, HashSet, TryReserveError};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::error_pages::ErrorPage;
use super::kept::{Kept, Retired};
use super::read_again::ReadAgain;
use crate::acme;
use crate::address::ListenAddress;
use crate::api::{HandlerSpec, Handlers, Instance, OptionsError, RouteLife};
use crate::auth::{Passwords, Unusable};
use crate::config::model::{
    self, Access, Auth, Cgi, Files, HostPattern, PluginRoute, Proxy, Route, RoutePattern, When,
};
use crate::handlers::files::{FilesRoute, Place};
use crate::message::presence::Presence;
use crate::metrics::series::AllSeries;
use crate::runtime::{BlockingPool, Permits};
use crate::throttle::rate::{Buckets, Rate};
use crate::tls::tickets::TicketKeys;
use crate::tls::{Connector, Digests, Fault, Material, Terminator};
use crate::trace::{Spans, Tracing};
use crate::upstream;

/// The state of a generation that the next one takes over.
#[derive(Default)]
pub(crate) struct Carryover {
    files: Kept<FilesKey, FilesRoute>,
    /// How many scripts run.
    cgi: Kept<CgiKey, Permits>,
    passwords: Kept<PathBuf, Passwords>,
    error_pages: Kept<PathBuf, ErrorPage>,
    instances: Kept<HandlerSpec, Instance>,
    lives: Kept<PluginKey, RouteLife>,
    pools: Kept<(PluginKey, usize), BlockingPool>,
    upstreams: Kept<String, upstream::Servers>,
    proxies: Kept<ProxyKey, Presence>,
    dashboards: Kept<DashboardKey, Presence>,
    /// How many connections are open.
    streams: Kept<Vec<ListenAddress>, Permits>,
    terminators: Kept<model::Tls, Terminator>,
    connectors: Kept<ConnectorKey, Connector>,
    /// Under which keys they are, for the settings that were read.
    connector_keys: HashMap<model::UpstreamTls, ConnectorKey>,
    /// A hash of what each file held when this generation was prepared.
    contents: HashMap<ReadAgain, u64>,
    /// The same of the generation before; empty once this one is complete. What a file held when it was read last
    /// says less: it may have been read since then, by a look at it or by a reload that was refused.
    contents_before: HashMap<ReadAgain, u64>,
    /// The files that held something else than before.
    read_again: Vec<ReadAgain>,
    buckets: Kept<(String, model::Bucket), Buckets>,
    /// The rates of this generation, by name.
    rates: HashMap<String, Arc<Rate>>,
    tickets: Arc<TicketKeys>,
    acme: Arc<acme::Shared>,
    series: Arc<AllSeries>,
    spans: Arc<Spans>,
    /// Which traces this generation records.
    tracing: Option<Arc<Tracing>>,
}

/// Which `proxy` route a life is for: the pattern, the upstream, and which of its equals.
type ProxyKey = (RoutePattern, String, usize);

/// Which `dashboard` route a life is for, and for whom that route is.
#[derive(Clone, PartialEq, Eq, Hash)]
struct DashboardKey {
    /// Where the server of the route listens, and for which hosts it answers.
    listen: Vec<ListenAddress>,
    hosts: Vec<HostPattern>,
    pattern: RoutePattern,
    when: When,
    access: Access,
    auth: Option<Auth>,
    needs_certificate: bool,
    /// Several tables of a path may be alike. They are told apart by their order in the file.
    nth: usize,
}

/// What a connector is made of: settings, and what their files hold.
type ConnectorKey = (model::UpstreamTls, Digests);

/// The upstreams of a generation by their names.
pub(super) type Groups = HashMap<String, Arc<upstream::Group>>;

/// Which route with a handler a life is for. Other keys of the route may change: it is still the same.
#[derive(Clone, PartialEq, Eq, Hash)]
struct PluginKey {
    pattern: RoutePattern,
    handler: HandlerSpec,
    /// Routes of several servers may be alike. They are told apart by their order in the file.
    nth: usize,
}

/// Why files of TLS were not read.
pub(super) enum Unread {
    /// There is nothing to serve with.
    Nothing(Fault),
    /// What was read before is still there.
    Again(Fault),
}

/// What a route with a handler takes over.
pub(super) struct PluginState {
    pub(super) instance: Arc<Instance>,
    pub(super) life: Arc<RouteLife>,
    /// The route's own threads, if it has some.
    pub(super) pool: Option<Arc<BlockingPool>>,
}

/// Which files are cached. A root that is a link may lead to another directory after a deployment, and
/// a reload must see it at once.
#[derive(Clone, PartialEq, Eq, Hash)]
struct FilesKey {
    options: Files,
    places: Vec<Place>,
}

/// Which `cgi` route a count is for.
#[derive(Clone, PartialEq, Eq, Hash)]
struct CgiKey {
    pattern: RoutePattern,
    options: Cgi,
    /// Routes of several servers may be alike. They are told apart by their order in the file.
    nth: usize,
}

impl Carryover {
    /// The beginning of the next generation's: it uses nothing yet, and finds what `self` uses.
    pub(crate) fn begin(&self) -> Self {
        Self {
            files: self.files.begin(),
            cgi: self.cgi.begin(),
            passwords: self.passwords.begin(),
            error_pages: self.error_pages.begin(),
            instances: self.instances.begin(),
            lives: self.lives.begin(),
            pools: self.pools.begin(),
            upstreams: self.upstreams.begin(),
            proxies: self.proxies.begin(),
            dashboards: self.dashboards.begin(),
            streams: self.streams.begin(),
            terminators: self.terminators.begin(),
            connectors: self.connectors.begin(),
            connector_keys: HashMap::new(),
            contents: HashMap::new(),
            contents_before: self.contents.clone(),
            read_again: Vec::new(),
            buckets: self.buckets.begin(),
            rates: HashMap::new(),
            tickets: Arc::clone(&self.tickets),
            acme: Arc::clone(&self.acme),
            series: Arc::clone(&self.series),
            spans: Arc::clone(&self.spans),
            tracing: None,
        }
    }

    /// Completes the generation: what it has not asked for is found no more.
    pub(crate) fn end(&mut self) {
        self.files.end();
        self.cgi.end();
        self.passwords.end();
        self.error_pages.end();
        self.instances.end();
        self.lives.end();
        self.pools.end();
        self.upstreams.end();
        self.proxies.end();
        self.dashboards.end();
        self.streams.end();
        self.terminators.end();
        self.connectors.end();
        self.contents_before = HashMap::new();
        self.buckets.end();
    }

    /// Hands to `retired` what `self` uses and `next`, the generation after it, does not; takes back
    /// what `next` uses.
    pub(crate) fn release(&self, next: &Self, retired: &mut Retired) {
        self.files.release(&next.files, retired);
        self.cgi.release(&next.cgi, retired);
        self.passwords.release(&next.passwords, retired);
        self.error_pages.release(&next.error_pages, retired);
        self.instances.release(&next.instances, retired);
        self.lives.release(&next.lives, retired);
        self.pools.release(&next.pools, retired);
        self.upstreams.release(&next.upstreams, retired);
        self.proxies.release(&next.proxies, retired);
        self.dashboards.release(&next.dashboards, retired);
        self.streams.release(&next.streams, retired);
        self.terminators.release(&next.terminators, retired);
        self.connectors.release(&next.connectors, retired);
        self.buckets.release(&next.buckets, retired);
    }

    /// The threads of routes that have some of their own.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<BlockingPool>> {
        self.pools.values()
    }

    /// The ids under which workers cache what its `files` routes lead to.
    pub(super) fn file_routes(&self) -> HashSet<u64> {
        self.files.values().map(|route| route.id()).collect()
    }

    /// The lives of all routes with handlers.
    pub(super) fn lives(&self) -> impl Iterator<Item = &Arc<RouteLife>> {
        self.lives.values()
    }

    /// The files that held something else than before.
    pub(super) fn read_again(&self) -> &[ReadAgain] {
        &self.read_again
    }

    /// Takes note of the `content` of a file, and whether the generation before found something else in it. Several
    /// servers may name it.
    fn note_content(&mut self, file: ReadAgain, content: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let content = hasher.finish();
        let before = self.contents_before.get(&file);
        if before.is_some_and(|before| *before != content) && !self.read_again.contains(&file) {
            self.read_again.push(file.clone());
        }
        self.contents.insert(file, content);
    }

    /// What ACME shares with workers.
    pub(super) fn acme(&self) -> &Arc<acme::Shared> {
        &self.acme
    }

    /// The terminators of all servers.
    pub(super) fn terminators(&self) -> impl Iterator<Item = &Arc<Terminator>> {
        self.terminators.values()
    }

    /// Has the generation record traces as `options` say. Before the policies are made: they say which exchanges
    /// are looked at.
    pub(super) fn make_tracing(&mut self, options: &model::Tracing) {
        let tracing = Tracing::new(options, Arc::clone(&self.spans));
        self.tracing = Some(Arc::new(tracing));
    }

    /// Which traces are recorded; `None`: none are.
    pub(super) fn tracing(&self) -> Option<&Arc<Tracing>> {
        self.tracing.as_ref()
    }

    /// The spans that wait for their collector.
    pub(super) fn spans(&self) -> &Spans {
        &self.spans
    }

    /// The series in which exchanges are counted.
    pub(super) fn series(&self) -> &AllSeries {
        &self.series
    }

    pub(super) fn ticket_keys(&self) -> &TicketKeys {
        &self.tickets
    }

    /// The upstreams of `options`, whose servers are those they were, as far as there are any.
    pub(super) fn groups(&mut self, options: &[model::Upstream]) -> Groups {
        let mut groups = Groups::new();
        for options in options {
            let make = |_: &_| upstream::Servers::default();
            let servers = self.upstreams.get_or_make(&options.name, make);
            let connector = options.is_secure().then(|| self.connector(&options.tls));
            let group = upstream::Group::shared(options, &servers, connector);
            groups.insert(options.name.clone(), group);
        }
        groups
    }

    /// Makes the buckets of the rate `name`, unless they are there, made of the same.
    ///
    /// # Errors
    /// The system does not give the memory for them.
    pub(super) fn make_buckets(
        &mut self,
        name: &str,
        options: &model::Bucket,
    ) -> Result<Arc<Buckets>, TryReserveError> {
        let key = (name.to_owned(), options.clone());
        let make = |(_, bucket): &(String, model::Bucket)| Buckets::new(bucket, Instant::now());
        self.buckets.get_or_try_make(&key, make)
    }

    /// Makes the rates, whose buckets were made before.
    pub(super) fn make_rates(&mut self, options: &[model::Rate]) {
        for options in options {
            let buckets = self.make_buckets(&options.name, &options.bucket);
            let buckets = buckets.expect("the memory was had before the rates are made");
            let rate = Arc::new(Rate::new(options, buckets));
            self.rates.insert(options.name.clone(), rate);
        }
    }

    /// The rate of that name, which checking has found.
    pub(super) fn rate(&self, name: &str) -> Arc<Rate> {
        let rate = self.rates.get(name);
        Arc::clone(rate.expect("the rates are made before the servers are"))
    }

    /// All rates, by name.
    pub(super) fn rates(&self) -> Vec<&Arc<Rate>> {
        let mut rates: Vec<&Arc<Rate>> = self.rates.values().collect();
        rates.sort_by(|a, b| a.options.name.cmp(&b.options.name));
        rates
    }

    /// The count of the open connections of a stream: also those that came in before its address was gone for
    /// a while.
    pub(super) fn stream(&mut self, options: &model::Stream) -> Arc<Permits> {
        let make = |_: &_| Permits::unlimited();
        self.streams.find_or_make(&options.listen, make)
    }

    /// What workers cache for routes with these options.
    pub(super) fn files(&mut self, options: &Files) -> Arc<FilesRoute> {
        // What is tried says which files are looked for, not what they are.
        let options = &Files {
            tries: Vec::new(),
            fallback: None,
            ..options.clone()
        };
        let key = FilesKey {
            options: options.clone(),
            places: Place::of_all(options),
        };
        let make = |key: &FilesKey| FilesRoute::new(&key.options);
        self.files.get_or_make(&key, make)
    }

    /// The count of a route's scripts: each route has one of its own. Scripts that run count, also if the route
    /// was gone for a while.
    pub(super) fn cgi(&mut self, route: &Route, options: &Cgi) -> Arc<Permits> {
        let mut key = CgiKey {
            pattern: route.pattern.clone(),
            options: options.clone(),
            nth: 0,
        };
        while self.cgi.get(&key).is_some() {
            key.nth += 1;
        }
        self.cgi
            .find_or_make(&key, |key| Permits::new(key.options.max_processes))
    }

    /// The life of a `proxy` route: tunnels end with it.
    pub(super) fn proxy_life(&mut self, route: &Route, options: &Proxy) -> Arc<Presence> {
        let mut key = (route.pattern.clone(), options.upstream.clone(), 0);
        while self.proxies.get(&key).is_some() {
            key.2 += 1;
        }
        self.proxies.get_or_make(&key, |_| Presence::default())
    }

    /// The life of a `dashboard` route of `server`: its streams end with it.
    pub(super) fn dashboard(&mut self, server: &model::Server, route: &Route) -> Arc<Presence> {
        let mut key = DashboardKey {
            listen: server.listen.clone(),
            hosts: server.hosts.clone(),
            pattern: route.pattern.clone(),
            when: route.when.clone(),
            access: route.policy.access.clone(),
            auth: route.policy.auth.clone(),
            needs_certificate: route.policy.needs_certificate,
            nth: 0,
        };
        while self.dashboards.get(&key).is_some() {
            key.nth += 1;
        }
        self.dashboards.get_or_make(&key, |_| Presence::default())
    }

    /// Whether they are there, of all routes with `dashboard` or `proxy`.
    pub(super) fn presences(&self) -> impl Iterator<Item = &Arc<Presence>> {
        self.dashboards.values().chain(self.proxies.values())
    }

    /// The error page at `path`, as its file is now.
    pub(super) fn error_page(&mut self, path: &Path) -> Arc<ErrorPage> {
        let path = path.to_owned();
        if let Some(page) = self.error_pages.get(&path) {
            return Arc::clone(page);
        }
        let mut is_new = false;
        let page = self.error_pages.get_or_make(&path, |path| {
            is_new = true;
            ErrorPage::new(path)
        });
        if !is_new {
            page.look_again();
        }
        self.note_content(ReadAgain::ErrorPage(path), &page.last_read());
        page
    }

    /// Reads the passwords at `path`, also if an earlier generation has read them.
    ///
    /// # Errors
    /// Why they cannot be used, and whether an earlier generation has read them, so that those hold.
    pub(super) fn read_passwords(
        &mut self,
        path: &Path,
    ) -> Result<Arc<Passwords>, (Unusable, bool)> {
        let mut is_new = false;
        let made = self.passwords.get_or_try_make(&path.to_owned(), |path| {
            is_new = true;
            Passwords::read(path)
        });
        let passwords = made.map_err(|why| (why, false))?;
        let renewed = if is_new { Ok(()) } else { passwords.renew() };
        // Also if the file cannot be used: what was read before holds.
        let file = ReadAgain::Passwords(path.to_owned());
        self.note_content(file, &passwords.digest());
        renewed.map_err(|why| (why, true))?;
        Ok(passwords)
    }

    /// The passwords at `path`, which were read.
    pub(super) fn passwords(&self, path: &Path) -> Arc<Passwords> {
        let passwords = self.passwords.get(&path.to_owned());
        Arc::clone(passwords.expect("passwords are read before the servers are made"))
    }

    /// Has the factory in `handlers` make what `spec` describes, unless it is there.
    ///
    /// # Errors
    /// Why the factory refuses.
    pub(super) fn make_instance(
        &mut self,
        spec: &HandlerSpec,
        handlers: &Handlers,
    ) -> Result<(), OptionsError> {
        let made = self
            .instances
            .get_or_try_make(spec, |spec| handlers.make(spec));
        made.map(drop)
    }

    /// Reads the files of `settings`, also if an earlier generation has read them. If they cannot
    /// be used and an earlier generation had a certificate of theirs, handshakes still show that
    /// one.
    ///
    /// # Errors
    /// What is wrong with the files, and whether there is nothing to serve with.
    pub(super) fn read_certificate(&mut self, settings: &model::Tls) -> Result<(), Unread> {
        let mut is_new = false;
        let tickets = &self.tickets;
        let made = self.terminators.get_or_try_make(settings, |settings| {
            is_new = true;
            Terminator::new(settings, tickets)
        });
        let terminator = made.map_err(Unread::Nothing)?;
        let renewed = if is_new { Ok(()) } else { terminator.renew() };
        // Also if the files cannot be used: handshakes go on with what was read before.
        let digests = terminator.digests();
        let certificate = ReadAgain::Certificate(settings.certificate.clone());
        self.note_content(certificate, &digests.certificates);
        if let Some(clients) = &settings.clients {
            let authorities = ReadAgain::ClientCa(clients.authorities.clone());
            self.note_content(authorities, &digests.authorities);
        }
        renewed.map_err(Unread::Again)
    }

    /// Reads the files of `settings`, also if an earlier generation has read them: if they have
    /// changed, there is a new connector. Returns what in the files may have servers refuse the
    /// certificate.
    ///
    /// # Errors
    /// Why servers cannot be asked with them.
    pub(super) fn read_connector(
        &mut self,
        settings: &model::UpstreamTls,
    ) -> Result<Vec<Fault>, Fault> {
        let material = Material::read(settings)?;
        let key = (settings.clone(), material.digests());
        let make = |(settings, _): &ConnectorKey| Connector::new(settings, &material);
        self.connectors.get_or_try_make(&key, make)?;
        // Where nothing is verified, no authorities are read.
        if settings.is_verified {
            let authorities = ReadAgain::Ca(settings.authorities.clone());
            self.note_content(authorities, &key.1.roots);
        }
        if let Some(own) = &settings.own {
            let own = ReadAgain::OwnCertificate(own.certificate.clone());
            self.note_content(own, &key.1.own);
        }
        self.connector_keys.insert(settings.clone(), key);
        Ok(material.doubts())
    }

    /// The connector of an upstream with these settings, whose files were read.
    fn connector(&self, settings: &model::UpstreamTls) -> Arc<Connector> {
        let key = self.connector_keys.get(settings);
        let connector = key.and_then(|key| self.connectors.get(key));
        Arc::clone(connector.expect("the files are read before the upstreams are made"))
    }

    /// The terminator of a server with these settings, whose files were read.
    pub(super) fn terminator(&self, settings: &model::Tls) -> Arc<Terminator> {
        let terminator = self.terminators.get(settings);
        Arc::clone(terminator.expect("the certificates are read before the servers are made"))
    }

    /// The handler of a route, with the route's life and its own threads, before which `queue` requests
    /// may wait.
    pub(super) fn plugin(
        &mut self,
        route: &Route,
        plugin: &PluginRoute,
        queue: usize,
    ) -> PluginState {
        let mut key = PluginKey {
            pattern: route.pattern.clone(),
            handler: plugin.handler.clone(),
            nth: 0,
        };
        while self.lives.get(&key).is_some() {
            key.nth += 1;
        }
        let instance = self.instances.get(&plugin.handler).map(Arc::clone);
        let life = self.lives.get_or_make(&key, |_| RouteLife::default());
        let pool = plugin.threads.map(|threads| {
            let make = |_: &_| BlockingPool::with_threads(threads, queue);
            self.pools.get_or_make(&(key, threads), make)
        });
        PluginState {
            instance: instance.expect("every handler is made before the routes are"),
            life,
            pool,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Place, Policy, Verb};

    fn cgi(root: &str) -> Route {
        Route {
            pattern: RoutePattern::everything(),
            when: model::When::default(),
            rewrite: None,
            verb: Verb::Cgi(Cgi::beneath(root.into())),
            strip_prefix: false,
            policy: Policy::default(),
            place: Place::of_program("test"),
        }
    }

    /// The counts of a generation with these `cgi` routes.
    fn counts(kept: &mut Carryover, routes: &[Route]) -> Vec<Arc<Permits>> {
        let mut next = kept.begin();
        let count = |route: &Route| match &route.verb {
            Verb::Cgi(options) => next.cgi(route, options),
            other => panic!("{other:?}"),
        };
        let counts = routes.iter().map(count).collect();
        next.end();
        *kept = next;
        counts
    }

    #[test]
    fn each_cgi_route_keeps_a_count_of_its_own() {
        let mut kept = Carryover::default();
        let routes = [cgi("a"), cgi("a"), cgi("b")];
        let first = counts(&mut kept, &routes);
        assert!(!Arc::ptr_eq(&first[0], &first[1]) && !Arc::ptr_eq(&first[1], &first[2]));
        let second = counts(&mut kept, &routes);
        let mut pairs = first.iter().zip(&second);
        assert!(pairs.all(|(before, after)| Arc::ptr_eq(before, after)));
        let changed = counts(&mut kept, &[cgi("c"), cgi("b")]);
        assert!(!second.iter().any(|before| Arc::ptr_eq(before, &changed[0])));
        assert!(Arc::ptr_eq(&second[2], &changed[1]));
    }
}
