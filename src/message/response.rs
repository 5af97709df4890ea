//! What a handler gives back: a status, field lines, content.
//!
//! Framing, `Date`, persistence, HEAD and the log are the server's work; a response says nothing of
//! them.

use super::content::{Content, DuplexContent, Octets};
use crate::http::method::MethodSet;
use crate::http::response::FieldLines;
use crate::http::status::Status;
use crate::reason::Reason;

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
    /// An error answer for `reason`, with its status and the server's own words for it.
    pub(crate) fn problem(reason: Reason) -> Self {
        let status = reason.status();
        debug_assert!(status.is_some(), "{reason} has no status of its own");
        Self::problem_of(status.unwrap_or(Status::INTERNAL_SERVER_ERROR), reason)
    }

    /// [`problem`](Self::problem), of a reason that has no status of its own.
    pub(crate) fn problem_of(status: Status, reason: Reason) -> Self {
        Self {
            content: Content::Problem(Some(reason)),
            ..Self::bare(status, FieldLines::new())
        }
    }

    /// [`problem`](Self::problem), with fields that go with it.
    pub(crate) fn problem_with(reason: Reason, fields: FieldLines) -> Self {
        Self {
            fields: fields.into(),
            ..Self::problem(reason)
        }
    }

    /// An answer that is no error, and says all with its `status` and `fields`.
    pub(crate) fn bare(status: Status, fields: FieldLines) -> Self {
        Self {
            status,
            fields: fields.into(),
            content: Content::Problem(None),
            common: CommonFields::DateAndServer,
        }
    }

    /// A response with `text` as its content, one line, which holds for this moment alone.
    pub(crate) fn line(status: Status, text: &str) -> Self {
        let fields = FieldLines::new()
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("Cache-Control", "no-store");
        Self {
            status,
            fields: fields.into(),
            content: Content::Octets(Octets::Owned(format!("{text}\n").into_bytes())),
            common: CommonFields::DateAndServer,
        }
    }

    /// 503, and that the client may come back: something that is bounded is taken.
    pub(crate) fn busy(reason: Reason) -> Self {
        let fields = FieldLines::new().with("Retry-After", RETRY_AFTER);
        Self {
            fields: fields.into(),
            ..Self::problem_of(Status::SERVICE_UNAVAILABLE, reason)
        }
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

/// An answer to a method that is not taken (RFC 9110 §15.5.6), which names those that are.
pub(crate) fn not_allowed(methods: MethodSet) -> Response<'static> {
    Response::problem_with(Reason::MethodNotAllowed, allow(methods))
}

/// An answer to OPTIONS, which names the methods that would do (RFC 9110 §9.3.7).
pub(crate) fn options(methods: MethodSet) -> Response<'static> {
    Response::bare(Status::NO_CONTENT, allow(methods))
}

fn allow(methods: MethodSet) -> FieldLines {
    FieldLines::new().with("Allow", methods.to_string())
}
