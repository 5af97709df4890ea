//! The one trait that other people implement.

use super::error::Error;
use super::request::Request;
use super::response::Response;

/// Code behind a route.
///
/// One instance answers all requests of its route, from many threads at once. A closure of the same
/// shape is a handler too:
///
/// ```
/// use tidegate::{Handlers, Request, Response};
///
/// let mut handlers = Handlers::new();
/// handlers.register("hello", |_options| {
///     Ok(|request: Request| {
///         let name = request.parameter("name").unwrap_or("world").to_owned();
///         Ok(Response::text(format!("hello, {name}\n")))
///     })
/// });
/// ```
///
/// # What the server does
///
/// `Date`, framing, persistence, the access log, and the operator's `headers` and `error_pages` are
/// its work. HEAD is answered with the fields of the response to it, without its content. A `200`
/// to GET or HEAD that carries an `ETag` or `Last-Modified` is held against the request's
/// preconditions, and becomes `304` or `412` where they say so; where its content is in memory or
/// in a file, a `Range` of it is answered `206`.
///
/// # When it goes wrong
///
/// An error is answered with its [`Error::status`], which is 500 unless it says otherwise, and
/// logged with the route; a panic is answered 500. A handler that takes longer than the route's
/// `timeout` is answered for with 504; it runs on, and its thread counts as lost until it returns.
pub trait Handler: Send + Sync {
    /// Answers a request.
    ///
    /// It runs on a thread of the blocking pool, and may wait for whatever it likes: only requests
    /// beyond `blocking.threads` at a time wait for it, and no connection that needs no handler.
    ///
    /// # Errors
    /// Whatever keeps it from answering; see [`Error`] for the status.
    fn handle(&self, request: Request) -> Result<Response, Error>;

    /// Whether [`handle`](Self::handle) never waits: for a lock that is held for long, a disk, a
    /// peer, or its own arithmetic. Then it runs on the event loop, where it costs least, and holds
    /// up every connection of its worker for as long as it takes.
    ///
    /// The server asks once, when the handler is made. Content that is read as it arrives
    /// (`stream = true`) has to be waited for: such a request goes to the pool all the same.
    fn never_waits(&self) -> bool {
        false
    }
}

impl<F> Handler for F
where
    F: Fn(Request) -> Result<Response, Error> + Send + Sync,
{
    fn handle(&self, request: Request) -> Result<Response, Error> {
        self(request)
    }
}
