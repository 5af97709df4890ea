//! What a handler gives back: a status, field lines, content.
//!
//! Framing, `Date`, persistence, HEAD and the log are the server's work; a response says nothing of
//! them.

use super::content::{Content, DuplexContent, Octets};
use super::problem::Problem;
use crate::http::method::MethodSet;
use crate::http::response::FieldLines;
use crate::http::status::Status;

/// Seconds after which a client may come back where something is taken up.
const RETRY_AFTER: &str = "1";

/// A response without its framing.
pub(crate) type Response<'a> = DuplexResponse<'a, 'static>;

/// A response whose content may be made from the request's content while it is sent; see
/// [`DuplexContent`].
pub(crate) struct DuplexResponse<'a, 'c> {
    pub(crate) status: Status,
    /// Encoded field lines; see [`FieldLines`].
    pub(crate) fields: Octets<'a>,
    pub(crate) content: DuplexContent<'a, 'c>,
    pub(crate) common: CommonFields,
}

/// Which of the fields that every response of this server carries are added to one.
///
/// In the order of how many they are, so that the lesser of two wishes is the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommonFields {
    /// The response is another server's.
    None,
    /// The operator leaves `Server` out; or the response is another server's, which has sent no `Date`
    /// (RFC 9110 §6.6.1).
    Date,
    DateAndServer,
}

impl<'a> Response<'a> {
    /// An answer of `status` with the server's own words for it.
    pub(crate) fn problem(status: Status) -> Self {
        Self {
            status,
            fields: Octets::Lent(b""),
            content: Content::Problem(Problem::OfStatus),
            common: CommonFields::DateAndServer,
        }
    }

    /// [`problem`](Self::problem), with words that say more than the status.
    pub(crate) fn problem_of(status: Status, problem: Problem) -> Self {
        Self {
            content: Content::Problem(problem),
            ..Self::problem(status)
        }
    }

    /// [`problem`](Self::problem), with fields that go with the status.
    pub(crate) fn problem_with(status: Status, fields: FieldLines) -> Self {
        Self {
            fields: fields.into(),
            ..Self::problem(status)
        }
    }

    /// 503, and that the client may come back: threads or places that are bounded are taken.
    pub(crate) fn busy() -> Self {
        let fields = FieldLines::new().with("Retry-After", RETRY_AFTER);
        Self::problem_with(Status::SERVICE_UNAVAILABLE, fields)
    }
}

/// What a handler returns.
pub(crate) type Answer<'a> = DuplexAnswer<'a, 'static>;

/// What a handler returns, whose response may be made from the request's content while it is sent.
pub(crate) enum DuplexAnswer<'a, 'c> {
    Response(DuplexResponse<'a, 'c>),
    /// The answer is that to a GET of another target on this server: a path, and perhaps a query
    /// (RFC 3875 §6.2.2).
    LocalRedirect(String),
}

impl<'a, 'c> From<DuplexResponse<'a, 'c>> for DuplexAnswer<'a, 'c> {
    fn from(response: DuplexResponse<'a, 'c>) -> Self {
        Self::Response(response)
    }
}

/// An answer that names the methods that would do (RFC 9110 §9.3.7, §15.5.6).
pub(crate) fn allow(status: Status, methods: MethodSet) -> Response<'static> {
    let fields = FieldLines::new().with("Allow", methods.to_string());
    Response::problem_with(status, fields)
}
