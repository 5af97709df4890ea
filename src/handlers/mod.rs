//! The handlers: one file or folder per verb of the routing table, with the operator's name for it.
//!
//! A handler is built once per generation and shared by the workers. [`Handler::answer_now`] is a
//! plain function on the fast path: it returns a response if the worker can make one from what it
//! holds. Otherwise [`Handler::answer`] returns one and may wait. Handlers never call each other,
//! except that `fastcgi` sends static files by `files`' handler.

pub(crate) mod acme;
pub(crate) mod control;
pub(crate) mod dashboard;
pub(crate) mod echo;
pub(crate) mod files;
pub(crate) mod gateway;
pub(crate) mod live;
pub(crate) mod metrics;
pub(crate) mod plugin;
pub(crate) mod ready;
pub(crate) mod redirect;
pub(crate) mod respond;
pub(crate) mod status;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

use crate::coding::encoders::Encoders;
use crate::control::reach::Reach;
use crate::http::method::{Method, MethodSet};
use crate::http::request::RequestHead;
use crate::message::content::{ContentError, DuplexContent, Octets, ReadContent};
use crate::message::request::Request;
use crate::message::response::{DuplexAnswer, DuplexResponse, Response};
use crate::message::selected::Selected;
use crate::reason::Reason;
use crate::runtime::Pools;
use crate::upstream;

use acme::AcmeHandler;
use control::ControlHandler;
use dashboard::DashboardHandler;
use echo::Echo;
pub(crate) use files::compressed;
pub(crate) use files::siblings::passed_over_beneath;
use files::{FilesHandler, TriedFiles};
use gateway::cgi::CgiHandler;
use gateway::fastcgi::{self, FastcgiHandler};
pub(crate) use gateway::proxy::Explained as ProxiedRequest;
use gateway::proxy::{self, ProxyHandler};
pub(crate) use gateway::proxy::{ForwardAuth, Said};
use live::LiveHandler;
use metrics::MetricsHandler;
use plugin::PluginHandler;
use ready::ReadyHandler;
use redirect::RedirectHandler;
use respond::RespondHandler;
use status::StatusHandler;

/// What a route leads to.
pub(crate) enum Handler {
    Files(FilesHandler),
    /// As `Files`, with `try` or `fallback`.
    Tried(Box<TriedFiles>),
    /// Stands at a pattern that has several routes, of which a request is for one or none: it answers no
    /// request itself.
    Several,
    Respond(RespondHandler),
    Redirect(RedirectHandler),
    Echo(Echo),
    Status(StatusHandler),
    Metrics(MetricsHandler),
    Ready(ReadyHandler),
    Live(LiveHandler),
    Dashboard(DashboardHandler),
    Plugin(PluginHandler),
    Cgi(CgiHandler),
    Fastcgi(FastcgiHandler),
    Proxy(Box<ProxyHandler>),
    /// For CAs. The server adds its route.
    Acme(AcmeHandler),
    /// The control socket's. No route of the operator leads here.
    Control(ControlHandler),
}

/// What handlers keep on a worker, and the threads that work for them. Each handler is given the
/// part that it uses.
pub(crate) struct WorkerState {
    files: files::WorkerState,
    scripts: RefCell<fastcgi::KnownScripts>,
    /// For the servers that handlers ask.
    upstream: Rc<upstream::Buffers>,
    /// Connections to servers of upstreams.
    kept: Rc<upstream::KeptConnections>,
    pub(crate) pools: Pools,
    /// What content is compressed with while it is sent.
    pub(crate) encoders: Rc<Encoders>,
    /// What is known of the server as a whole.
    reach: Reach,
    /// What [`Handler::answer_now`] has begun when it returns no response.
    begun: Cell<Option<Begun>>,
}

/// What a handler has begun for a request before the exchange waits for it: [`Handler::answer`] goes on
/// with it, so that the code of a program is not called twice.
pub(crate) struct Begun(Box<plugin::Begun>);

impl WorkerState {
    /// The state of a worker that has answered nothing yet.
    pub(crate) fn new(pools: Pools, reach: Reach) -> Self {
        Self {
            files: files::WorkerState::new(&pools),
            scripts: RefCell::default(),
            upstream: Rc::default(),
            kept: Rc::default(),
            pools,
            encoders: Rc::default(),
            reach,
            begun: Cell::new(None),
        }
    }

    /// What the handler that was last asked has begun.
    pub(crate) fn take_begun(&self) -> Option<Begun> {
        self.begun.take()
    }

    /// What the caches of files hold; looks are counted from 0 again.
    pub(crate) fn take_cache_state(&self) -> files::CacheState {
        self.files.take_cache_state()
    }

    /// Forgets what is cached for `files` routes whose ids are not among `kept`.
    pub(crate) fn keep_files_of(&self, kept: &HashSet<u64>) {
        self.files.keep_routes(kept);
    }

    /// Closes what is open only to be used again: descriptors have run out. Returns whether there was
    /// anything.
    pub(crate) fn release_descriptors(&self) -> bool {
        self.kept.close_all() | self.files.release_descriptors()
    }

    /// Has the service of `auth` say whether `request` is let in. `client` is only watched.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) async fn ask_whether_let_in<'a, 'c>(
        &self,
        auth: &'a ForwardAuth,
        request: &Request<'_>,
        client: impl ReadContent + Copy + 'c,
    ) -> Result<Said<'a, 'c>, ContentError> {
        auth.ask(request, self.for_proxy(), client).await
    }

    fn for_proxy(&self) -> proxy::Worker<'_> {
        proxy::Worker {
            buffers: &self.upstream,
            kept: &self.kept,
            disk: &self.pools.disk,
        }
    }

    fn for_fastcgi(&self) -> fastcgi::Worker<'_> {
        fastcgi::Worker {
            files: &self.files,
            scripts: &self.scripts,
            buffers: &self.upstream,
            disk: &self.pools.disk,
        }
    }
}

impl Handler {
    /// The methods that the handler takes. The server responds to others.
    pub(crate) fn methods(&self) -> MethodSet {
        match self {
            Self::Files(_) | Self::Tried(_) => MethodSet::of(&[Method::Get, Method::Head]),
            Self::Several => MethodSet::default(),
            Self::Respond(respond) => respond.methods,
            Self::Status(_)
            | Self::Metrics(_)
            | Self::Ready(_)
            | Self::Live(_)
            | Self::Dashboard(_) => MethodSet::of(&[Method::Get, Method::Head]),
            Self::Acme(_) => AcmeHandler::methods(),
            Self::Redirect(_)
            | Self::Echo(_)
            | Self::Plugin(_)
            | Self::Cgi(_)
            | Self::Fastcgi(_)
            | Self::Proxy(_)
            | Self::Control(_) => MethodSet::ALL_BUT_TUNNELS,
        }
    }

    /// Whether it runs code of others, or asks other servers, for the request of `head`. Its response cannot be
    /// known without doing that.
    pub(crate) fn is_code(&self, head: &RequestHead<'_>) -> bool {
        match self {
            Self::Proxy(proxy) => proxy.answer_unasked(head).is_none(),
            Self::Cgi(_) | Self::Fastcgi(_) => true,
            Self::Files(_)
            | Self::Tried(_)
            | Self::Several
            | Self::Respond(_)
            | Self::Redirect(_)
            | Self::Echo(_)
            | Self::Status(_)
            | Self::Metrics(_)
            | Self::Ready(_)
            | Self::Live(_)
            | Self::Dashboard(_)
            | Self::Acme(_)
            | Self::Control(_) => false,
            Self::Plugin(_) => true,
        }
    }

    /// Whether `response`, which is of this handler, is in the coding that the client wants: `files` keeps
    /// content in each coding, and `try` and `fallback` send what it keeps. What it makes for one response, as a
    /// listing, it leaves as it is.
    pub(crate) fn has_chosen_coding(&self, response: &DuplexResponse<'_, '_>) -> bool {
        let is_made = matches!(
            response.content,
            DuplexContent::Octets(Octets::Owned(_)) | DuplexContent::Stream(_)
        );
        matches!(self, Self::Files(_) | Self::Tried(_)) && !is_made
    }

    /// Why a response with the status of an error is one, if this server has decided that and the handler has given
    /// the content: other errors of the server's own say it themselves.
    pub(crate) fn own_reason(&self) -> Option<Reason> {
        match self {
            Self::Respond(_) => Some(Reason::Configured),
            Self::Ready(_) => Some(Reason::NotReady),
            Self::Live(_) => Some(Reason::NotLive),
            _ => None,
        }
    }

    /// Whether the server looks at the conditions of a request in the handler's place, where the operator sets
    /// validators: the handler makes content that has no others, or asks a server that does not know them.
    pub(crate) fn leaves_conditions(&self) -> bool {
        match self {
            Self::Files(_)
            | Self::Tried(_)
            | Self::Respond(_)
            | Self::Echo(_)
            | Self::Status(_)
            | Self::Metrics(_)
            | Self::Ready(_)
            | Self::Live(_)
            | Self::Dashboard(_)
            | Self::Proxy(_) => true,
            Self::Several
            | Self::Redirect(_)
            | Self::Plugin(_)
            | Self::Cgi(_)
            | Self::Fastcgi(_)
            | Self::Acme(_)
            | Self::Control(_) => false,
        }
    }

    /// Whether its responses are those of another server, which evaluates conditions itself: of what that answers
    /// with 304 or in part, only the server that was asked knows the whole.
    pub(crate) fn passes_responses_on(&self) -> bool {
        matches!(self, Self::Proxy(_))
    }

    /// Whether [`answer_now`](Self::answer_now) never has a response.
    pub(crate) fn always_waits(&self) -> bool {
        match self {
            Self::Echo(_)
            | Self::Status(_)
            | Self::Metrics(_)
            | Self::Live(_)
            | Self::Dashboard(_)
            | Self::Cgi(_)
            | Self::Proxy(_)
            | Self::Control(_) => true,
            Self::Files(_)
            | Self::Tried(_)
            | Self::Several
            | Self::Respond(_)
            | Self::Redirect(_)
            | Self::Ready(_)
            | Self::Acme(_)
            | Self::Plugin(_)
            | Self::Fastcgi(_) => false,
        }
    }

    /// Whether encoded slashes in the path are to separate segments.
    pub(crate) fn decodes_slashes(&self) -> bool {
        match self {
            Self::Files(files) => files.decodes_slashes(),
            Self::Tried(tried) => tried.decodes_slashes(),
            _ => false,
        }
    }

    /// Whether [`answer_now`](Self::answer_now) runs code that may ask how the request arrived.
    pub(crate) fn is_told_arrival_now(&self) -> bool {
        matches!(self, Self::Plugin(plugin) if plugin.never_waits())
    }

    /// The file that would be sent, and its coding, or the script that would run.
    pub(crate) async fn file(&self, request: &Request<'_>, state: &WorkerState) -> Selected {
        match self {
            Self::Files(files) => files.selected(request, &state.files).await,
            Self::Tried(tried) => tried.selected(request, &state.files).await,
            Self::Cgi(cgi) => cgi.selected(request, &state.pools.disk).await,
            Self::Fastcgi(fastcgi) => fastcgi.selected(request, state.for_fastcgi()).await,
            _ => Selected::default(),
        }
    }

    /// What an upstream would be sent; `None` if the handler asks none by HTTP.
    pub(crate) fn proxied(&self, request: &Request<'_>) -> Option<ProxiedRequest> {
        match self {
            Self::Proxy(proxy) if self.is_code(request.head) => Some(proxy.explain(request)),
            _ => None,
        }
    }

    /// The response, if the handler has one without waiting. Without a response, the handler may have
    /// begun something: [`WorkerState::take_begun`].
    pub(crate) fn answer_now<'a>(
        &'a self,
        request: &Request<'_>,
        state: &WorkerState,
    ) -> Option<Response<'a>> {
        match self {
            Self::Files(files) => files.answer_now(request, &state.files),
            Self::Tried(tried) => tried.answer_now(request, &state.files),
            Self::Several => Some(Response::problem(Reason::WhenUnmet)),
            Self::Respond(respond) => respond.answer_now(request),
            Self::Redirect(redirect) => redirect.answer_now(request),
            Self::Acme(acme) => Some(acme.answer(request)),
            Self::Ready(ready) => Some(ready.answer(&state.reach)),
            Self::Fastcgi(fastcgi) => fastcgi.answer_now(request, state.for_fastcgi()),
            Self::Plugin(plugin) => match plugin.answer_now(request, &state.pools)? {
                plugin::Now::Response(response) => Some(response),
                plugin::Now::Begun(begun) => {
                    state.begun.set(Some(Begun(begun)));
                    None
                }
            },
            Self::Echo(_)
            | Self::Status(_)
            | Self::Metrics(_)
            | Self::Live(_)
            | Self::Dashboard(_)
            | Self::Cgi(_)
            | Self::Proxy(_)
            | Self::Control(_) => None,
        }
    }

    /// The response. `content` is the request's; `begun` is what `answer_now` has begun for it. A
    /// handler whose response is made from the content returns before it has read all of it.
    ///
    /// # Errors
    /// If the handler wanted the request's content and could not read it.
    pub(crate) async fn answer<'a, 'c>(
        &'a self,
        request: &Request<'_>,
        state: &WorkerState,
        mut content: impl ReadContent + Copy + 'c,
        begun: Option<Begun>,
    ) -> Result<DuplexAnswer<'a, 'c>, ContentError> {
        let response = match self {
            // In boxes of their own: they are large, and every exchange that waits would be as large.
            Self::Files(files) => Box::pin(files.answer(request, &state.files)).await,
            Self::Tried(tried) => Box::pin(tried.answer(request, &state.files)).await,
            Self::Several => Response::problem(Reason::WhenUnmet),
            Self::Respond(respond) => respond.answer(request),
            Self::Redirect(redirect) => redirect.answer(request),
            Self::Acme(acme) => acme.answer(request),
            Self::Echo(echo) => Box::pin(echo.answer(request, &mut content)).await?,
            Self::Status(status) => Box::pin(status.answer(request, &state.reach.submit)).await,
            Self::Metrics(metrics) => {
                Box::pin(metrics.answer(request, &state.reach, &state.pools.disk)).await
            }
            Self::Ready(ready) => ready.answer(&state.reach),
            Self::Live(live) => Box::pin(live.answer(&state.reach)).await,
            Self::Dashboard(dashboard) => dashboard.answer(request, &state.reach.live),
            Self::Plugin(plugin) => {
                let begun = begun.map(|Begun(begun)| begun);
                Box::pin(plugin.answer(request, &state.pools, content, begun)).await?
            }
            Self::Cgi(cgi) => {
                return Box::pin(cgi.answer(request, &state.pools.disk, &mut content)).await;
            }
            Self::Fastcgi(fastcgi) => {
                let worker = state.for_fastcgi();
                return Box::pin(fastcgi.answer(request, worker, &mut content)).await;
            }
            Self::Proxy(proxy) => {
                return Box::pin(proxy.answer(request.head, request, state.for_proxy(), content))
                    .await;
            }
            Self::Control(control) => {
                Box::pin(control.answer(request, &state.reach, &state.pools.disk)).await
            }
        };
        Ok(response.into())
    }
}
