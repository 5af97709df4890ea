//! One `[[test]]`: a request, and what is expected of its answer.

use super::{Place, RoutePattern};
use crate::address::ListenAddress;
use crate::http::method::Method;
use crate::http::status::Status;

/// A `[[test]]`, checked: the request is well formed and the route exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteTest {
    pub(crate) method: Method,
    /// The request-target, valid for the method.
    pub(crate) target: String,
    /// The value of `Host`; `None`: a host that the tested server answers for.
    pub(crate) host: Option<String>,
    /// Where the request arrives; `None`: at the port in its host, or where a server names the host.
    pub(crate) listen: Option<ListenAddress>,
    /// Further fields of the request, in order.
    pub(crate) fields: Vec<(String, String)>,
    /// Whether the client has shown a certificate.
    pub(crate) has_certificate: bool,
    pub(crate) expect: Expectation,
    pub(crate) place: Place,
}

/// What must hold for the response. At least one thing is expected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expectation {
    pub(crate) status: Option<Status>,
    /// Equal to the pattern of a route of some server.
    pub(crate) route: Option<RoutePattern>,
    /// The upstream that would be asked: the one of a route of some server.
    pub(crate) proxy: Option<String>,
    /// The rates at which the request is counted, in any order.
    pub(crate) rates: Option<Vec<String>>,
    /// What the handler is asked for: a path and perhaps a query.
    pub(crate) target: Option<String>,
    /// A field's name and value; `None`: the response must not have the field.
    pub(crate) fields: Vec<(String, Option<String>)>,
}
