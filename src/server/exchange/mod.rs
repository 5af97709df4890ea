//! One exchange: from a request's head to the answer of whoever answers it.
//!
//! What is decided here is the same whether the answer is given at once or waited for: for whom the
//! request is, whether its client is let in, and what a panic on the way comes to.

pub(crate) mod client;
pub(crate) mod finishing;

use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::config::{Limits, ListenAddress};
use crate::generation::policy::ServingPolicy;
use crate::generation::routing::Found;
use crate::generation::{Generation, Route, Site};
use crate::handlers::Local;
use crate::http::framing::Framing;
use crate::http::method::{Method, MethodSet};
use crate::http::path::NormalPath;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::http::target::Form;
use crate::log::diagnostic;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::message::response::{Answer, Response, allow};

/// What `OPTIONS *` tells of the server as a whole.
const SERVER_METHODS: MethodSet = MethodSet::of(&[
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
]);

/// Local redirects that are followed for one request; whoever needs more leads in a circle.
const MAX_LOCAL_REDIRECTS: usize = 8;

/// A request whose way through the configuration is known.
pub(crate) struct Exchange<'g, 'r> {
    generation: &'g Generation,
    listener: &'r ListenAddress,
    head: &'r RequestHead<'r>,
    /// Of whoever began it, behind proxies that are trusted.
    pub(crate) client: IpAddr,
    /// What holds for its answer, whoever gives it.
    pub(crate) policy: &'g ServingPolicy,
    answerer: Result<Matched<'g, 'r>, Refusal>,
}

/// An answer, and what holds for it.
pub(crate) struct Answered<'g> {
    pub(crate) response: Response<'g>,
    pub(crate) policy: &'g ServingPolicy,
}

/// The route that answers a request.
struct Matched<'g, 'r> {
    route: &'g Route,
    path: NormalPath<'r>,
    /// How many octets of the path the route's pattern covers.
    length: usize,
}

/// What there is to say where no route answers.
#[derive(Clone, Copy)]
enum Refusal {
    Status(Status),
    /// Other methods would do.
    Allow(Status, MethodSet),
}

impl Refusal {
    fn response(self) -> Response<'static> {
        match self {
            Self::Status(status) => Response::problem(status),
            Self::Allow(status, methods) => allow(status, methods),
        }
    }
}

impl<'g, 'r> Exchange<'g, 'r> {
    /// Finds out who answers the request of `head`, which came in at `listener` from `peer`.
    pub(crate) fn new(
        generation: &'g Generation,
        listener: &'r ListenAddress,
        peer: IpAddr,
        head: &'r RequestHead<'r>,
    ) -> Self {
        let client = client::address(&generation.trusted_proxies, peer, head);
        Self::of_client(generation, listener, client, head)
    }

    /// [`new`](Self::new), where it is known who the client is.
    fn of_client(
        generation: &'g Generation,
        listener: &'r ListenAddress,
        client: IpAddr,
        head: &'r RequestHead<'r>,
    ) -> Self {
        let (policy, answerer) = match find_site(generation, listener, head) {
            Err(refusal) => (&generation.policy, Err(refusal)),
            Ok(site) => match find_route(site, head) {
                Err(refusal) => (&site.policy, Err(refusal)),
                Ok(matched) => (&matched.route.policy, Ok(matched)),
            },
        };
        let is_let_in = policy.access.permits(client);
        let answerer = if is_let_in {
            answerer
        } else {
            Err(Refusal::Status(Status::FORBIDDEN))
        };
        Self {
            generation,
            listener,
            head,
            client,
            policy,
            answerer,
        }
    }

    /// What is waited for, and how much is taken, from here on.
    pub(crate) fn limits(&self) -> &'g Limits {
        &self.policy.limits
    }

    /// The answer, if it can be given without waiting; a panic on the way is answered 500.
    pub(crate) fn answer_now(&self, local: &Local) -> Option<Response<'g>> {
        if self.head.framing != Framing::Empty {
            return None;
        }
        let matched = match &self.answerer {
            Ok(matched) => matched,
            Err(refusal) => return Some(refusal.response()),
        };
        let route = matched.route;
        let answer = || {
            #[cfg(debug_assertions)]
            super::test_hooks::obey(matched.path.as_bytes());
            route.handler.answer_now(&self.request(matched), local)
        };
        // A handler leaves nothing half done that another exchange could see: it has only lent us
        // values, and its own cells are never borrowed across a call that could panic.
        catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| Some(panicked(route)))
    }

    /// The answer, waited for, wherever local redirects lead; a panic on the way is answered 500.
    /// `None` where nobody is left to be answered.
    pub(crate) async fn answer(
        &self,
        local: &Local,
        content: &mut impl ReadContent,
    ) -> Option<Answered<'g>> {
        let mut target = match self.answer_once(local, content).await? {
            Answer::Response(response) => return Some(self.answered(response)),
            Answer::LocalRedirect(target) => target,
        };
        for _ in 0..MAX_LOCAL_REDIRECTS {
            let Some(head) = self.head.redirected(&target) else {
                return Some(self.misled(&target, "is no path of this server"));
            };
            let next = Exchange::of_client(self.generation, self.listener, self.client, &head);
            match next.answer_once(local, content).await? {
                Answer::Response(response) => return Some(next.answered(response)),
                Answer::LocalRedirect(further) => target = further,
            }
        }
        Some(self.misled(&target, "is one local redirect too many"))
    }

    fn answered(&self, response: Response<'g>) -> Answered<'g> {
        let policy = self.policy;
        Answered { response, policy }
    }

    /// The answer where code behind the route has led to nowhere.
    fn misled(&self, target: &str, why: &str) -> Answered<'g> {
        diagnostic::error(format_args!(
            "{}: the local redirect to {target:?} {why}",
            self.route().map_or_else(String::new, Route::to_string)
        ));
        self.answered(Response::problem(Status::BAD_GATEWAY))
    }

    /// What the route that this request matches comes to.
    async fn answer_once(
        &self,
        local: &Local,
        content: &mut impl ReadContent,
    ) -> Option<Answer<'g>> {
        let max_content = self.limits().max_content;
        if matches!(self.head.framing, Framing::Length(length) if length > max_content) {
            return Some(Response::problem(Status::CONTENT_TOO_LARGE).into());
        }
        let matched = match &self.answerer {
            Ok(matched) => matched,
            Err(refusal) => return Some(refusal.response().into()),
        };
        let request = self.request(matched);
        let mut answer = pin!(matched.route.handler.answer(&request, local, content));
        let answered = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(answered)) => Poll::Ready(Some(answered)),
                Err(_) => Poll::Ready(None),
            }
        });
        match answered.await {
            Some(Ok(answer)) => Some(answer),
            Some(Err(error)) => {
                if matches!(error, ContentError::NotKept(_) | ContentError::Busy) {
                    let chain = diagnostic::chain(&error);
                    diagnostic::error(format_args!("{}: {chain}", matched.route));
                }
                let response = match error {
                    ContentError::Busy => Response::busy(),
                    error => Response::problem(error.status()?),
                };
                Some(response.into())
            }
            None => Some(panicked(matched.route).into()),
        }
    }

    /// Whether code behind the route answers, which is run for clients alone.
    pub(crate) fn is_answered_by_code(&self) -> bool {
        self.route().is_some_and(|route| route.handler.is_code())
    }

    /// The route that answers, if one does.
    pub(crate) fn route(&self) -> Option<&'g Route> {
        self.answerer.as_ref().ok().map(|matched| matched.route)
    }

    /// The file that answers, and in which coding, where the answer is from a file.
    pub(crate) async fn file(&self, local: &Local) -> Option<String> {
        let matched = self.answerer.as_ref().ok()?;
        matched
            .route
            .handler
            .file(&self.request(matched), local)
            .await
    }

    fn request<'m>(&'m self, matched: &'m Matched<'_, '_>) -> Request<'m> {
        Request {
            head: self.head,
            path: &matched.path,
            matched: matched.length,
            client: self.client,
            listener: self.listener,
        }
    }
}

/// The server that answers for a request's host.
fn find_site<'g>(
    generation: &'g Generation,
    listener: &ListenAddress,
    head: &RequestHead<'_>,
) -> Result<&'g Site, Refusal> {
    match head.target.form {
        Form::Asterisk => return Err(Refusal::Allow(Status::NO_CONTENT, SERVER_METHODS)),
        // CONNECT: no tunnels here.
        Form::Authority => return Err(Refusal::Allow(Status::METHOD_NOT_ALLOWED, SERVER_METHODS)),
        Form::Origin | Form::Absolute => {}
    }
    let site = generation.site(listener, head.host);
    site.ok_or(Refusal::Status(Status::MISDIRECTED_REQUEST))
}

/// The route of `site` that answers, in the order in which the parts of a request are read.
fn find_route<'g, 'r>(site: &'g Site, head: &RequestHead<'r>) -> Result<Matched<'g, 'r>, Refusal> {
    let limits = &site.policy.limits;
    if head.length > limits.max_head || head.fields.count() > limits.max_fields {
        return Err(Refusal::Status(Status::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    let path = NormalPath::parse(head.target.path);
    let path = path.map_err(|_| Refusal::Status(Status::BAD_REQUEST))?;
    let no_content_or = |status| match head.method {
        Method::Options => Status::NO_CONTENT,
        _ => status,
    };
    let allowed = match site.routes.find(head.method, &path) {
        Found::Route { route, matched } => {
            let methods = route.handler.methods();
            if methods.contains(head.method) {
                return Ok(Matched {
                    route,
                    path,
                    length: matched,
                });
            }
            methods
        }
        Found::OtherMethods(methods) => methods,
        Found::Nothing => return Err(Refusal::Status(Status::NOT_FOUND)),
    };
    let status = no_content_or(Status::METHOD_NOT_ALLOWED);
    Err(Refusal::Allow(status, allowed.with(Method::Options)))
}

fn panicked(route: &Route) -> Response<'static> {
    diagnostic::error(format_args!(
        "{route}: the handler panicked; its exchange was answered 500"
    ));
    Response::problem(Status::INTERNAL_SERVER_ERROR)
}
