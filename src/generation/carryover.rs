//! [`Carryover`]: all state that survives a reload, a field for each kind.
//!
//! To add a kind (upstreams, certificates, rate tables): a field here, with a key that holds
//! everything the value is made of and nothing else; its line in `begin` and `end`; and a method
//! that returns the value for a route. [`Kept`] does the rest.
//!
//! | kind | key | shared by |
//! |---|---|---|
//! | what workers cache of files | the options of `files` | all routes with these options |
//! | scripts that run | pattern and options of a `cgi` route, which of its equals | nobody: `max_processes` is a route's |
//! | requests that wait for an application server | its address | all routes to this server |
//!
//! Listening sockets survive a reload too, but are no kind of this: what counts is the queue of
//! connections that the system holds for each. An address keeps as many sockets as it ever had
//! workers, for closing one would lose its queue, and a successor process inherits them all. See
//! `supervisor::sockets`.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::kept::Kept;
use crate::address::ListenAddress;
use crate::config::model::{Cgi, Files, Route, RoutePattern, Verb};
use crate::handlers::Handler;
use crate::handlers::echo::Echo;
use crate::handlers::files::{FilesHandler, Shared};
use crate::handlers::gateway::cgi::CgiHandler;
use crate::handlers::gateway::fastcgi::{FastcgiHandler, Queue};
use crate::handlers::plugin::PluginHandler;
use crate::handlers::redirect::RedirectHandler;
use crate::handlers::respond::RespondHandler;
use crate::handlers::status::StatusHandler;

/// What a generation uses that the next one goes on with.
#[derive(Default)]
pub(crate) struct Carryover {
    files: Kept<Files, Shared>,
    /// How many scripts run.
    cgi: Kept<CgiKey, AtomicUsize>,
    queues: Kept<ListenAddress, Queue>,
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
            queues: self.queues.begin(),
        }
    }

    /// Completes the generation: what it has not asked for is found no more.
    pub(crate) fn end(&mut self) {
        self.files.end();
        self.cgi.end();
        self.queues.end();
    }

    fn files(&mut self, options: &Files) -> Arc<Shared> {
        self.files.get_or_make(options, Shared::new)
    }

    /// The count of a route's scripts: each route has one of its own.
    fn cgi(&mut self, route: &Route, options: &Cgi) -> Arc<AtomicUsize> {
        let mut key = CgiKey {
            pattern: route.pattern.clone(),
            options: options.clone(),
            nth: 0,
        };
        while self.cgi.is_used(&key) {
            key.nth += 1;
        }
        self.cgi.get_or_make(&key, |_| AtomicUsize::default())
    }

    /// The queue before the application server at `address`, which routes share.
    fn queue(&mut self, address: &ListenAddress) -> Arc<Queue> {
        self.queues.get_or_make(address, |_| Queue::default())
    }
}

/// Makes the handler behind `route`, which takes over what `kept` has for it.
pub(super) fn handler(route: &Route, kept: &mut Carryover) -> Handler {
    match &route.verb {
        Verb::Files(files) => {
            let shared = kept.files(files);
            Handler::Files(FilesHandler::new(shared, route.strip_prefix))
        }
        Verb::Respond(respond) => {
            Handler::Respond(RespondHandler::new(respond, route.pattern.method))
        }
        Verb::Redirect(redirect) => Handler::Redirect(RedirectHandler::new(redirect)),
        Verb::Echo => Handler::Echo(Echo),
        Verb::Status => Handler::Status(StatusHandler),
        Verb::Handler(plugin) => Handler::Plugin(PluginHandler::new(plugin, route)),
        Verb::Cgi(options) => {
            Handler::Cgi(CgiHandler::new(options, route, kept.cgi(route, options)))
        }
        Verb::Fastcgi(options) => {
            let files = kept.files(&options.files());
            let queue = kept.queue(&options.peer);
            Handler::Fastcgi(FastcgiHandler::new(options, files, queue, route))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::{Place, Policy};

    fn cgi(root: &str) -> Route {
        Route {
            pattern: RoutePattern::everything(),
            verb: Verb::Cgi(Cgi::beneath(root.into())),
            strip_prefix: false,
            policy: Policy::default(),
            place: Place::of_program("test"),
        }
    }

    /// The counts of a generation with these `cgi` routes.
    fn counts(kept: &mut Carryover, routes: &[Route]) -> Vec<Arc<AtomicUsize>> {
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
