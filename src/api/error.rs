//! Why a handler does not answer.

use std::error::Error as StdError;
use std::{fmt, io};

use super::content::Unreadable;
use crate::http::status::Status;

/// Why a handler does not answer, and the status that stands in for its answer.
///
/// Every error converts into it, so that `?` works in a handler; its status is then 500. What went
/// wrong is for the log: the client sees the status alone. An error of reading the request's
/// content brings its own status: 400, 408 or 413.
///
/// ```
/// use tidegate::{Error, Request, Response, Status};
///
/// fn page(request: Request) -> Result<Response, Error> {
///     let id = request.parameter("id").unwrap_or_default();
///     let id: u64 = id.parse().map_err(|_| Error::new(Status::NOT_FOUND, "no such page"))?;
///     let text = std::fs::read_to_string(format!("pages/{id}.txt"))?; // 500, and a line in the log
///     Ok(Response::text(text))
/// }
/// ```
#[derive(Debug)]
pub struct Error {
    status: Status,
    cause: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// An error that is answered with `status`, 200 to 599, or else 500; `cause` may be a text.
    pub fn new(status: Status, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let cause = cause.into();
        Self { status, cause }
    }

    /// The status of the answer: 4xx or 5xx, unless the handler chose another.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What went wrong, and what led to it.
    pub(crate) fn cause(&self) -> &(dyn StdError + 'static) {
        &*self.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

// `Error` does not implement `std::error::Error`: this would then overlap with `From<T> for T`.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(cause: E) -> Self {
        let status = unreadable(&cause).map_or(Status::INTERNAL_SERVER_ERROR, |why| why.status);
        let cause = Box::new(cause);
        Self { status, cause }
    }
}

/// The error of reading the request's content, if `error` is one or wraps one.
fn unreadable<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Unreadable> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<Unreadable>());
        if inner.is_some() {
            return inner;
        }
        next = error.source();
    }
    None
}
