//! A response with its framing: how its content is delimited, and what becomes of the connection.
//!
//! What the operator changes of every response (fields, error pages) is applied here, for every
//! handler alike.

use super::unrouted::Unrouted;
use super::{Exchange, cors};
use crate::generation::policy::{AnswerKind, Scope, ServingPolicy, joined};
use crate::generation::{Generation, Route};
use crate::http::field_list::{lines_of, name_and_value};
use crate::http::fields::Known;
use crate::http::proxy_status;
use crate::http::request::RequestHead;
use crate::http::response::{FieldLines, Persistence, ResponseFraming, ResponseHead};
use crate::http::status::Status;
use crate::http::template::Values;
use crate::http::version::Version;
use crate::message::content::{Content, DuplexContent, Octets};
use crate::message::format::Format;
use crate::message::problem;
use crate::message::request_id::{REQUEST_ID, RequestId};
use crate::message::response::{CommonFields, DuplexResponse, Response};
use crate::reason::Reason;
use crate::throttle::rates::Standing;

/// A response, framed: everything but the bytes of its head.
pub(in crate::server) struct FramedResponse<'a, 'c> {
    pub(in crate::server) status: Status,
    /// Why the response is the server's own, if it is an error.
    pub(in crate::server) reason: Option<Reason>,
    fields: Octets<'a>,
    /// Lines of CORS that stand behind them.
    more_fields: &'a [u8],
    pub(in crate::server) framing: ResponseFraming,
    persistence: Persistence,
    /// What goes on the wire: nothing, in answer to HEAD.
    pub(in crate::server) content: DuplexContent<'a, 'c>,
    /// The fields that are added to it, as far as the whole configuration lets them be.
    common: CommonFields,
}

/// What framing has to know of the request. It is looked up where it is needed: few responses depend on more
/// than the version and the method.
#[derive(Clone, Copy)]
pub(in crate::server) struct RequestTraits<'a> {
    known: Knowledge<'a>,
    /// The route that gives the response, if one does.
    route: Option<&'a Route>,
    /// The id of the exchange, if it has one: the response says it.
    id: Option<&'a RequestId>,
}

/// What is known of a request.
#[derive(Clone, Copy)]
enum Knowledge<'a> {
    /// All of it.
    Exchange(&'a Exchange<'a, 'a>),
    /// No more than this, because no route was looked for.
    Part {
        /// Whether the response has no content (RFC 9110 §9.3.2).
        is_head: bool,
        /// In which forms the client takes the response.
        accept: Option<&'a [u8]>,
    },
}

impl<'a> RequestTraits<'a> {
    pub(in crate::server) fn of(exchange: &'a Exchange<'a, 'a>) -> Self {
        Self {
            known: Knowledge::Exchange(exchange),
            route: exchange.route(),
            id: exchange.id(),
        }
    }

    /// These traits, of a request that `route` answers, to which a local redirect may have led.
    pub(in crate::server) fn answered_by(self, route: Option<&'a Route>) -> Self {
        Self { route, ..self }
    }

    /// The traits of a request that no route was looked for.
    pub(in crate::server) fn of_unrouted(unrouted: &'a Unrouted<'_>) -> Self {
        Self {
            known: Knowledge::Part {
                is_head: unrouted.glimpse.is_head(),
                accept: unrouted.accept(),
            },
            route: None,
            id: unrouted.id(),
        }
    }

    /// The traits of a request of which only this is known: in which forms the client takes the response.
    pub(in crate::server) fn of_accept(accept: Option<&'a [u8]>) -> Self {
        Self {
            known: Knowledge::Part {
                is_head: false,
                accept,
            },
            route: None,
            id: None,
        }
    }

    fn head(self) -> Option<&'a RequestHead<'a>> {
        match self.known {
            Knowledge::Exchange(exchange) => Some(exchange.head),
            Knowledge::Part { .. } => None,
        }
    }

    fn is_head(self) -> bool {
        match self.known {
            Knowledge::Exchange(exchange) => exchange.head.is_head(),
            Knowledge::Part { is_head, .. } => is_head,
        }
    }

    fn version(self) -> Version {
        self.head().map_or(Version::Http11, |head| head.version)
    }

    /// Why the response is an error, if a handler of the server's own has decided that.
    fn reason_of_handler(self) -> Option<Reason> {
        self.route?.handler.own_reason()
    }

    fn accept(self) -> Option<&'a [u8]> {
        match self.known {
            Knowledge::Exchange(exchange) => exchange.head.fields.first(Known::Accept),
            Knowledge::Part { accept, .. } => accept,
        }
    }
}

impl<'a, 'c> FramedResponse<'a, 'c> {
    /// Frames `response` for a request of these traits (RFC 9112 §6.3), on a connection that may
    /// persist or not, with the changes that `policy` makes to every response.
    pub(in crate::server) fn new(
        response: DuplexResponse<'a, 'c>,
        policy: &'a ServingPolicy,
        traits: RequestTraits<'_>,
        may_persist: bool,
    ) -> Self {
        let changes_fields = policy.changes_fields();
        let scope = if changes_fields {
            Scope::of_response(&response)
        } else {
            Scope::Content
        };
        let (response, reason) = with_problem_told(response, policy, traits);
        // Clients that keep connections would ask over this one again, and be refused again.
        let may_persist = may_persist && reason != Some(Reason::OtherConnection);
        let framing = match response.content.length() {
            _ if response.status.ends_with_its_head() => ResponseFraming::None,
            _ if response.status.forbids_content() => ResponseFraming::Length(0),
            Some(length) => ResponseFraming::Length(length),
            None if traits.version() == Version::Http11 => ResponseFraming::Chunked,
            None => ResponseFraming::Close,
        };
        let persistence = match traits.version() {
            // The other protocol decides when the connection ends.
            _ if response.status == Status::SWITCHING_PROTOCOLS => Persistence::Implied,
            _ if !may_persist || framing == ResponseFraming::Close => Persistence::Close,
            Version::Http11 => Persistence::Implied,
            Version::Http10 => Persistence::KeepAlive,
        };
        let has_content = !traits.is_head() && !response.status.forbids_content();
        let content = match response.content {
            DuplexContent::Tunnel(tunnel) => DuplexContent::Tunnel(tunnel),
            content if has_content => content,
            _ => DuplexContent::Empty,
        };
        let common = match response.common {
            CommonFields::DateAndServer if !policy.leaves("Server") => CommonFields::Date,
            common => common,
        };
        let fields = if changes_fields {
            let is_error = response.status.is_error();
            change_fields(
                policy,
                response.fields,
                AnswerKind { scope, is_error },
                traits,
            )
        } else {
            response.fields
        };
        let (fields, more_fields) = match &policy.cors {
            None => (fields, &b""[..]),
            Some(cors) => cors::finish(cors, fields, response.status, traits.head()),
        };
        let fields = match traits.id {
            None => fields,
            Some(id) => with_id(&fields, id),
        };
        Self {
            status: response.status,
            reason,
            fields,
            more_fields,
            framing,
            persistence,
            content,
            common,
        }
    }

    /// Whether the connection goes on after it.
    pub(in crate::server) fn persists(&self) -> bool {
        self.persistence != Persistence::Close
    }

    /// The fields that are added to it.
    pub(in crate::server) fn common(&self, generation: &Generation) -> CommonFields {
        generation.common_fields().min(self.common)
    }

    /// Appends the head to `out`; `common` are the encoded field lines that every response carries, and
    /// `standing` is what it says of the rates at which its request was counted.
    #[inline(always)]
    pub(in crate::server) fn encode_head(
        &self,
        common: &[u8],
        standing: Option<Standing<'_>>,
        out: &mut Vec<u8>,
    ) {
        let head = ResponseHead {
            status: self.status,
            common,
            fields: &self.fields,
            more_fields: self.more_fields,
            framing: self.framing,
            persistence: self.persistence,
        };
        head.encode_with(out, |out| {
            if let Some(standing) = standing {
                standing.encode(out);
            }
        });
    }
}

/// Returns `fields` of such a response with the changes of `policy`.
// Seldom called, and never under a policy that changes nothing.
#[inline(never)]
fn change_fields<'a>(
    policy: &ServingPolicy,
    fields: Octets<'a>,
    answer: AnswerKind,
    traits: RequestTraits<'_>,
) -> Octets<'a> {
    match (policy.fills_fields(), traits.known) {
        (Some(covered), Knowledge::Exchange(exchange)) => {
            let change = |values: &Values<'_>| policy.change_fields(fields, answer, Some(values));
            exchange.with_values(policy, covered, change)
        }
        _ => policy.change_fields(fields, answer, None),
    }
}

/// Returns `response` with the operator's page or the server's own text, if its content is left to the server, and
/// the reason for it.
#[inline]
fn with_problem_told<'a, 'c>(
    response: DuplexResponse<'a, 'c>,
    policy: &'a ServingPolicy,
    traits: RequestTraits<'_>,
) -> (DuplexResponse<'a, 'c>, Option<Reason>) {
    let reason = match response.content {
        DuplexContent::Problem(reason) => reason,
        _ if response.status.is_error() => traits.reason_of_handler(),
        _ => return (response, None),
    };
    let response = if policy.proxy_status {
        with_proxy_status(response, reason)
    } else {
        response
    };
    let response = with_own_words(policy.with_error_page(response), traits);
    (response, reason)
}

/// Returns `response`, an error of this server's own for that reason, with `Proxy-Status`, unless the handler has
/// said there which server it asked.
#[cold]
fn with_proxy_status<'a, 'c>(
    response: DuplexResponse<'a, 'c>,
    reason: Option<Reason>,
) -> DuplexResponse<'a, 'c> {
    const NAME: &str = "Proxy-Status";
    let is_it = |line| name_and_value(line).0.eq_ignore_ascii_case(NAME.as_bytes());
    let is_said = lines_of(&response.fields).any(is_it);
    let Some(reason) = reason.filter(|_| !is_said) else {
        return response;
    };
    let mut fields = FieldLines::behind(response.fields.to_vec());
    fields.push(NAME, proxy_status::value(reason.proxy_error(), None));
    DuplexResponse {
        fields: fields.into(),
        ..response
    }
}

/// Replaces content that a handler has left to the server by the server's own text.
fn with_own_words<'a, 'c>(
    response: DuplexResponse<'a, 'c>,
    traits: RequestTraits<'_>,
) -> DuplexResponse<'a, 'c> {
    let DuplexContent::Problem(reason) = response.content else {
        return response;
    };
    if !response.status.is_error() {
        return DuplexResponse {
            content: DuplexContent::Empty,
            ..response
        };
    }
    let format = Format::preferred(traits.accept());
    let own = problem::prepared(response.status, reason, format);
    let content = match traits.id {
        None => Octets::Lent(&own.content[..]),
        Some(id) => Octets::Owned(problem::with_id(response.status, reason, format, id)),
    };
    Response {
        status: response.status,
        fields: joined(response.fields, &own.fields),
        content: Content::Octets(content),
        common: response.common,
    }
}

/// Returns `fields` with the line of the id, in place of one that a handler or an upstream has set.
#[cold]
fn with_id(fields: &[u8], id: &RequestId) -> Octets<'static> {
    let mut lines = FieldLines::new();
    for line in lines_of(fields) {
        let (name, _) = name_and_value(line);
        if !name.eq_ignore_ascii_case(REQUEST_ID.as_bytes()) {
            lines.extend(line);
        }
    }
    lines.push_clean(REQUEST_ID, [id.as_str().as_bytes()]);
    lines.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ClientAddress;
    use crate::config::model::Config;
    use crate::http::request::{Glimpse, field_space};

    /// The response tells the length that GET would get, and the connection sends what content there is.
    #[test]
    fn a_refusal_of_head_has_no_content() {
        let generation = Generation::of_config(&Config::default());
        let framed = |bytes: &[u8]| {
            let mut space = field_space();
            let unrouted = Unrouted {
                glimpse: Glimpse::of(bytes, &mut space),
                client: ClientAddress::Unknown,
                marks: None,
            };
            let traits = RequestTraits::of_unrouted(&unrouted);
            let problem = Response::problem(Reason::HeadTooLarge);
            let framed = FramedResponse::new(problem, &generation.policy, traits, false);
            let content = match framed.content {
                Content::Octets(octets) => octets.len(),
                _ => 0,
            };
            (framed.framing, content as u64)
        };
        let (get, head) = (
            framed(b"GET / HTTP/1.1\r\n"),
            framed(b"HEAD / HTTP/1.1\r\n"),
        );
        assert_eq!(get.0, ResponseFraming::Length(get.1));
        assert_eq!(head, (get.0, 0));
    }
}
