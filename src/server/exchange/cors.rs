//! Requests of scripts that a page of another origin runs (CORS, Fetch standard §3.2).
//!
//! A browser asks first by a preflight whether a script may send what no form could. It is answered here,
//! before any handler is asked, because it is about the request that may follow and not a request itself.
//! An origin that is not allowed gets a 204 as well, without the fields that allow anything: browsers go by
//! those fields, and most servers and frameworks answer so. A 403 would have an error page that no browser
//! shows, and would count each page of another site as an error of this one.

use crate::generation::cors::ServingCors;
use crate::http::method::Method;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::message::content::Octets;

/// The method of the request that a preflight asks for, as the client wrote it; `None`: `head` is no
/// preflight (Fetch standard §3.2.2).
pub(in crate::server) fn requested_method<'a>(head: &RequestHead<'a>) -> Option<&'a [u8]> {
    if head.method != Method::Options {
        return None;
    }
    origin(head)?;
    field(head, "Access-Control-Request-Method")
}

/// The names of fields that the request would have which a preflight asks for, as a list.
pub(in crate::server) fn requested_fields<'a>(head: &RequestHead<'a>) -> Option<&'a [u8]> {
    field(head, "Access-Control-Request-Headers")
}

/// The origin that the request is from; `None`: it names none.
pub(in crate::server) fn origin<'a>(head: &RequestHead<'a>) -> Option<&'a [u8]> {
    field(head, "Origin")
}

/// The value of the field; empty, which matches nothing, if it is repeated, because no browser does that.
fn field<'a>(head: &RequestHead<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = head.fields.values(name);
    let value = values.next()?;
    Some(if values.next().is_some() { b"" } else { value })
}

/// Puts the lines of CORS to `fields`, those of the response to the request of `head`, which is `None` if
/// no head could be read. Returns the fields, and lines that are to be sent behind them.
// Seldom called, and never by a route without `cors`.
#[inline(never)]
pub(super) fn finish<'a>(
    cors: &'a ServingCors,
    fields: Octets<'a>,
    status: Status,
    head: Option<&RequestHead<'_>>,
) -> (Octets<'a>, &'a [u8]) {
    // A preflight that is refused is like any other request that is.
    let is_preflight =
        status == Status::NO_CONTENT && head.is_some_and(|head| requested_method(head).is_some());
    cors.apply(fields, head.and_then(origin), is_preflight)
}
