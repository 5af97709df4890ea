//! What handlers hold that outlives a generation.

use std::sync::{Arc, Weak};

use crate::config::{Cgi, Files, ListenAddress, Route, Verb};
use crate::control::Submit;
use crate::handlers::Handler;
use crate::handlers::echo::Echo;
use crate::handlers::files::{FilesHandler, Shared};
use crate::handlers::gateway::cgi::{CgiHandler, Count};
use crate::handlers::gateway::fastcgi::{FastcgiHandler, Queue};
use crate::handlers::plugin::PluginHandler;
use crate::handlers::redirect::RedirectHandler;
use crate::handlers::respond::RespondHandler;
use crate::handlers::status::StatusHandler;

/// What handlers hold that outlives a generation, by the options it came from: a reload that does not
/// touch a route leaves what stands behind it alone.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    files: Vec<Arc<Shared>>,
    /// Those that the generation being built uses.
    used: Vec<Arc<Shared>>,
    cgi: Vec<Count>,
    used_cgi: Vec<Count>,
    /// By the address of an application server.
    queues: Vec<(ListenAddress, Weak<Queue>)>,
}

impl Kept {
    /// Begins a generation.
    pub(crate) fn begin(&mut self) {
        self.used.clear();
        self.used_cgi.clear();
    }

    /// Ends it: what it does not use is not kept.
    pub(crate) fn end(&mut self) {
        self.files = std::mem::take(&mut self.used);
        self.cgi = std::mem::take(&mut self.used_cgi);
    }

    /// The count of a route's scripts: each route has one of its own.
    fn cgi(&mut self, route: &Route, options: &Cgi) -> Count {
        let known = self
            .cgi
            .iter()
            .position(|count| count.is_for(route, options));
        let count = match known {
            Some(at) => self.cgi.swap_remove(at),
            None => Count::new(route, options),
        };
        self.used_cgi.push(count.clone());
        count
    }

    fn files(&mut self, options: &Files) -> Arc<Shared> {
        let known = self
            .files
            .iter()
            .chain(&self.used)
            .find(|shared| shared.is_for(options));
        let shared = known
            .cloned()
            .unwrap_or_else(|| Arc::new(Shared::new(options)));
        self.used.push(Arc::clone(&shared));
        shared
    }

    /// The queue before the application server at `address`, which routes share.
    fn queue(&mut self, address: &ListenAddress) -> Arc<Queue> {
        self.queues.retain(|(_, queue)| queue.strong_count() > 0);
        let known = self.queues.iter().find(|(other, _)| other == address);
        known
            .and_then(|(_, queue)| queue.upgrade())
            .unwrap_or_else(|| {
                let queue = Arc::default();
                self.queues.push((address.clone(), Arc::downgrade(&queue)));
                queue
            })
    }
}

/// Makes the handler behind `route`. The handler takes over what `kept` has for it, and asks the
/// supervisor through `submit` what only the supervisor knows.
pub(super) fn handler(route: &Route, kept: &mut Kept, submit: &Submit) -> Handler {
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
        Verb::Status => Handler::Status(StatusHandler::new(submit)),
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
