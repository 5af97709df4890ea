//! What an exchange is known by: the id that it has where its policy wants one, and the trace that it belongs
//! to where the configuration has `[tracing]`.

use std::rc::Rc;

use super::client;
use crate::address::ClientAddress;
use crate::config::model::Proxies;
use crate::generation::Generation;
use crate::generation::policy::ServingPolicy;
use crate::http::fields::Fields;
use crate::message::marks::Marks;
use crate::message::request::TellsOfConnection;
use crate::message::request_id::{REQUEST_ID, RequestId};
use crate::trace;

/// The marks of an exchange under `policy`, whose request has these `fields` and came from `peer`. `None`: it has
/// no id, and begins a trace that is not recorded.
#[cold]
pub(super) fn of_request(
    generation: &Generation,
    policy: &ServingPolicy,
    fields: &Fields<'_>,
    peer: ClientAddress,
    connection: Option<&dyn TellsOfConnection>,
) -> Option<Rc<Marks>> {
    let proxies = &generation.proxies;
    let is_from_proxy = client::is_trusted_proxy(proxies, peer);
    let id = policy.request_id.then(|| id_of(fields, is_from_proxy));
    let is_https = || is_https(proxies, fields, peer, connection);
    let tracing = generation.tracing.as_ref();
    let trace = tracing.and_then(|it| it.begin(fields, is_from_proxy, is_https));
    (id.is_some() || trace.is_some()).then(|| Rc::new(Marks { id, trace }))
}

/// The marks of an exchange that has to be waited for, and had `marks`: other servers may be asked, and have to
/// be told of a trace that is not recorded, too.
pub(super) fn of_waiting(generation: &Generation, marks: Option<Rc<Marks>>) -> Option<Rc<Marks>> {
    let has_trace = marks.as_ref().is_some_and(|marks| marks.trace.is_some());
    if generation.tracing.is_none() || has_trace {
        return marks;
    }
    Some(Rc::new(Marks {
        id: marks.and_then(|marks| marks.id),
        trace: Some(trace::unrecorded()),
    }))
}

/// Whether the client came over TLS, to this server or to a trusted proxy that says so.
fn is_https(
    proxies: &Proxies,
    fields: &Fields<'_>,
    peer: ClientAddress,
    connection: Option<&dyn TellsOfConnection>,
) -> bool {
    let is_secured = connection.is_some_and(|connection| connection.secured().is_some());
    is_secured || client::is_https(proxies, peer, fields)
}

/// The id of an exchange whose request has these `fields`: that of the proxy, if it is a trusted one that has named
/// one.
fn id_of(fields: &Fields<'_>, is_from_proxy: bool) -> RequestId {
    let named = fields.values(REQUEST_ID).next().filter(|_| is_from_proxy);
    let taken = named.and_then(RequestId::taken);
    taken.unwrap_or_else(RequestId::new)
}
