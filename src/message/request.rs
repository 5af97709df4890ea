//! A request, as a handler sees it.

use std::net::{IpAddr, SocketAddr};

use super::changes::RepresentationChanges;
use super::identity::Verified;
use super::marks::MarksPlace;
use super::request_id::RequestId;
use super::routed_path::RoutedPath;
use super::secured::Secured;
use super::trace::Trace;
use super::upstream_note::NotePlace;
use crate::address::{ClientAddress, ListenAddress};
use crate::http::forwarded::ForwardedField;
use crate::http::request::RequestHead;
use crate::http::template::Values;

/// What code is told of the connection that a request came on.
pub(crate) struct Arrival<'r> {
    /// Whether the client came over TLS, to us or to a trusted proxy that says so.
    pub(crate) is_https: bool,
    /// The field in which the peer says who its client is, if it is a proxy whose word is believed.
    pub(crate) believed: Option<ForwardedField>,
    /// Tells what few ask of the connection.
    pub(crate) connection: &'r dyn TellsOfConnection,
}

/// A connection that a request came on. Every exchange that waits would be larger by the answers.
pub(crate) trait TellsOfConnection {
    /// The address and port of the peer; none at a Unix socket.
    fn peer(&self) -> Option<SocketAddr>;

    /// The address of ours that the peer connected to.
    fn server_ip(&self) -> Option<IpAddr>;

    /// What the handshake has settled, if the connection is one over TLS.
    fn secured(&self) -> Option<Secured<'_>>;

    /// Whether the client has shown a certificate, which is verified.
    fn has_client_certificate(&self) -> bool {
        let secured = self.secured();
        secured.is_some_and(|secured| secured.client_certificate().is_some())
    }
}

/// A request, as a handler sees it.
pub(crate) struct Request<'r> {
    pub(crate) head: &'r RequestHead<'r>,
    pub(crate) path: RoutedPath<'r>,
    /// The client's address, after trusted proxies.
    pub(crate) client: ClientAddress,
    /// Who the client is, as far as `auth` has verified it.
    pub(crate) verified: Verified<'r>,
    /// What the operator changes of the representation that answers.
    pub(crate) changes: &'r RepresentationChanges,
    /// Where it came in, as the operator names that.
    pub(crate) listener: &'r ListenAddress,
    /// `None` where no code is run.
    pub(crate) arrival: Option<&'r Arrival<'r>>,
    /// What the exchange is known by, if it has an id or a trace.
    pub(crate) marks: &'r MarksPlace,
    /// Where a gateway notes which servers it asked.
    pub(crate) note: &'r NotePlace,
    /// The request as the client sent it and the route matched it, where `rewrite` has the handler see
    /// another target.
    pub(crate) original: Option<&'r Request<'r>>,
}

impl Request<'_> {
    /// The id of the exchange, if it has one: the policy says so.
    pub(crate) fn id(&self) -> Option<&RequestId> {
        self.marks.get()?.id.as_ref()
    }

    /// The trace of the exchange, if it has one. Where servers behind this one are asked, it has one with
    /// `[tracing]`.
    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.marks.get()?.trace.as_ref()
    }

    /// The request as the client sent it and the route matched it.
    pub(crate) fn as_sent(&self) -> &Request<'_> {
        self.original.unwrap_or(self)
    }

    /// What the variables of the operator's texts stand for. The scheme is right where it is told how the
    /// request arrived.
    pub(crate) fn values(&self) -> Values<'_> {
        let sent = self.as_sent();
        Values {
            path: sent.path.as_bytes(),
            rest: sent.path.below(),
            matched: sent.path.as_bytes(),
            is_sent: false,
            query: sent.head.target.query,
            host: sent.head.host,
            is_https: sent.arrival.is_some_and(|arrival| arrival.is_https),
            method: sent.head.method.as_str(),
            client: sent.client.ip(),
        }
    }
}

impl Request<'_> {
    /// Whether a handler that passes the request on, or gives parts of content, must take no notice of its
    /// `Range`; see [`hides_range`](crate::http::compression::Compression::hides_range).
    pub(crate) fn hides_range(&self) -> bool {
        let compression = self.changes.compression.as_ref();
        compression.is_some_and(|rules| rules.hides_range(self.head))
    }
}
