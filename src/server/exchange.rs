//! One exchange: from a request's head to the head of its answer.
//!
//! What is decided here is the same whether the answer is given at once or waited for: who answers,
//! how the answer is framed, whether the connection persists.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use super::content::RequestContent;
use super::generation::{Generation, Route};
use crate::handlers::error_content;
use crate::handlers::format::Format;
use crate::handlers::response::{Content, Octets, Response};
use crate::handlers::{Local, Request, allow};
use crate::http::fields::Known;
use crate::http::framing::Framing;
use crate::http::method::{Method, MethodSet};
use crate::http::path::NormalPath;
use crate::http::request::{RequestHead, Version};
use crate::http::response::{FieldLines, Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;
use crate::http::target::Form;
use crate::log::diagnostic;
use crate::routing::Found;

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

/// Where a request came in.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'c> {
    /// The listener's address, as configured.
    pub(super) listener: &'c SocketAddr,
    pub(super) client: IpAddr,
}

/// The route that answers a request.
struct Matched<'g, 'r> {
    route: &'g Route,
    path: NormalPath<'r>,
    /// How many octets of the path the route's pattern covers.
    length: usize,
}

impl<'r> Matched<'_, 'r> {
    fn request<'m>(&'m self, head: &'m RequestHead<'r>, arrival: Arrival<'_>) -> Request<'m> {
        Request {
            head,
            path: &self.path,
            matched: self.length,
            client: arrival.client,
        }
    }
}

/// Finds the route that answers, in the order in which the parts of a request are read; or what
/// there is to say where none does.
fn find_route<'g, 'r>(
    generation: &'g Generation,
    listener: &SocketAddr,
    head: &RequestHead<'r>,
) -> Result<Matched<'g, 'r>, Response<'static>> {
    match head.target.form {
        Form::Asterisk => return Err(allow(Status::NO_CONTENT, SERVER_METHODS)),
        // CONNECT: no tunnels here.
        Form::Authority => return Err(allow(Status::METHOD_NOT_ALLOWED, SERVER_METHODS)),
        Form::Origin | Form::Absolute => {}
    }
    let site = generation.site(listener, head.host);
    let site = site.ok_or_else(|| Response::problem(Status::MISDIRECTED_REQUEST))?;
    let path = NormalPath::parse(head.target.path);
    let path = path.map_err(|_| Response::problem(Status::BAD_REQUEST))?;
    match site.routes.find(head.method, &path) {
        Found::Route { route, matched } => match route.handler.refuse(head) {
            Some(refusal) => Err(refusal),
            None => Ok(Matched {
                route,
                path,
                length: matched,
            }),
        },
        Found::OtherMethods(methods) => {
            let status = match head.method {
                Method::Options => Status::NO_CONTENT,
                _ => Status::METHOD_NOT_ALLOWED,
            };
            Err(allow(status, methods.with(Method::Options)))
        }
        Found::Nothing => Err(Response::problem(Status::NOT_FOUND)),
    }
}

/// The answer, if it can be given without waiting; a panic on the way is answered 500.
pub(super) fn answer_now<'g>(
    generation: &'g Generation,
    arrival: Arrival<'_>,
    head: &RequestHead<'_>,
    local: &Local,
) -> Option<Response<'g>> {
    if head.framing != Framing::Empty {
        return None;
    }
    let matched = match find_route(generation, arrival.listener, head) {
        Ok(matched) => matched,
        Err(response) => return Some(response),
    };
    let route = matched.route;
    let answer = || {
        #[cfg(debug_assertions)]
        super::test_hooks::obey(matched.path.as_bytes());
        route
            .handler
            .answer_now(&matched.request(head, arrival), local)
    };
    // A handler leaves nothing half done that another exchange could see: it has only lent us
    // values, and its own cells are never borrowed across a call that could panic.
    catch_unwind(AssertUnwindSafe(answer)).unwrap_or_else(|_| Some(panicked(route)))
}

/// The answer, waited for; a panic on the way is answered 500. `None` where nobody is left to be
/// answered.
pub(super) async fn answer<'g>(
    generation: &'g Generation,
    arrival: Arrival<'_>,
    head: &RequestHead<'_>,
    local: &Local,
    content: &mut RequestContent<'_>,
) -> Option<Response<'g>> {
    if matches!(head.framing, Framing::Length(length) if length > generation.limits.max_content) {
        return Some(Response::problem(Status::CONTENT_TOO_LARGE));
    }
    let matched = match find_route(generation, arrival.listener, head) {
        Ok(matched) => matched,
        Err(response) => return Some(response),
    };
    let request = matched.request(head, arrival);
    let mut answer = pin!(matched.route.handler.answer(&request, local, content));
    let answered =
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(answered)) => Poll::Ready(Some(answered)),
                Err(_) => Poll::Ready(None),
            },
        );
    match answered.await {
        Some(Ok(response)) => Some(response),
        Some(Err(error)) => error.status().map(Response::problem),
        None => Some(panicked(matched.route)),
    }
}

fn panicked(route: &Route) -> Response<'static> {
    let place = &route.place;
    diagnostic::error(format_args!(
        "the handler of {}:{} panicked; its exchange was answered 500",
        place.file.display(),
        place.line
    ));
    Response::problem(Status::INTERNAL_SERVER_ERROR)
}

/// An answer, framed: everything but the bytes of its head.
pub(super) struct Framed<'a> {
    pub(super) status: Status,
    fields: Octets<'a>,
    pub(super) framing: ResponseFraming,
    persistence: Persistence,
    /// What goes on the wire: nothing, in answer to HEAD.
    pub(super) content: Content<'a>,
}

/// What framing has to know of the request; of one that could not be read, nothing.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) is_head: bool,
    pub(super) version: Version,
    pub(super) accept: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    pub(super) fn by(head: &RequestHead<'a>) -> Self {
        Self {
            is_head: head.is_head(),
            version: head.version,
            accept: head.fields.first(Known::Accept),
        }
    }

    /// By a request that could not be read.
    pub(super) fn unreadably() -> Self {
        Self {
            is_head: false,
            version: Version::Http11,
            accept: None,
        }
    }
}

impl<'a> Framed<'a> {
    /// Frames `response` for a client that asked so (RFC 9112 §6.3), on a connection that may
    /// persist or not.
    pub(super) fn new(response: Response<'a>, asked: Asked<'_>, may_persist: bool) -> Self {
        let response = with_own_words(response, asked.accept);
        let framing = match response.content.length() {
            _ if response.status.forbids_content() => ResponseFraming::None,
            Some(length) => ResponseFraming::Length(length),
            None if asked.version == Version::Http11 => ResponseFraming::Chunked,
            None => ResponseFraming::Close,
        };
        let persistence = match asked.version {
            _ if !may_persist || framing == ResponseFraming::Close => Persistence::Close,
            Version::Http11 => Persistence::Implied,
            Version::Http10 => Persistence::KeepAlive,
        };
        let has_content = !asked.is_head && framing != ResponseFraming::None;
        let content = if has_content {
            response.content
        } else {
            Content::Empty
        };
        Self {
            status: response.status,
            fields: response.fields,
            framing,
            persistence,
            content,
        }
    }

    /// Whether the connection goes on after it.
    pub(super) fn persists(&self) -> bool {
        self.persistence != Persistence::Close
    }

    /// Appends the head to `out`; `common` are the lines that every answer carries.
    pub(super) fn encode_head(&self, common: &[u8], out: &mut Vec<u8>) {
        let head = ResponseHead {
            status: self.status,
            common,
            fields: &self.fields,
            framing: self.framing,
            persistence: self.persistence,
        };
        head.encode(out);
    }
}

/// Puts the server's own words where a response leaves them to it.
fn with_own_words<'a>(response: Response<'a>, accept: Option<&[u8]>) -> Response<'a> {
    if !matches!(response.content, Content::Problem) {
        return response;
    }
    if !response.status.is_error() {
        return Response {
            content: Content::Empty,
            ..response
        };
    }
    let own = error_content::prepared(response.status, Format::preferred(accept));
    let fields = if response.fields.is_empty() {
        Octets::Lent(own.fields.as_bytes())
    } else {
        let mut fields = FieldLines::new();
        fields.extend(&response.fields);
        fields.extend(own.fields.as_bytes());
        fields.into()
    };
    Response {
        status: response.status,
        fields,
        content: Content::Octets(Octets::Lent(&own.content)),
    }
}
