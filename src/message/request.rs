//! A request, as a handler sees it.

use std::net::{IpAddr, SocketAddr};

use super::changes::{Change, RepresentationChanges};
use super::identity::Verified;
use super::marks::MarksPlace;
use super::request_id::RequestId;
use super::routed_path::RoutedPath;
use super::secured::Secured;
use super::trace::Trace;
use super::upstream_note::NotePlace;
use crate::address::{ClientAddress, ListenAddress};
use crate::http::field_roles::is_of_range;
use crate::http::fields::Known;
use crate::http::forwarded::ForwardedField;
use crate::http::method::Method;
use crate::http::request::RequestHead;
use crate::http::template::Values;
use crate::http::validator::EntityTag;

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

/// Conditional fields of a request that a handler does not pass on to an upstream or a script.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HiddenFields {
    /// Those that name entity tags.
    tags: bool,
    /// Those that name a date of modification.
    dates: bool,
    /// `Range` and `If-Range`.
    range: bool,
}

impl HiddenFields {
    /// Whether the field `name` is one of them.
    pub(crate) fn has(self, name: &str) -> bool {
        let is_one_of = |names: [&str; 2]| names.iter().any(|it| name.eq_ignore_ascii_case(it));
        self.range && is_of_range(name)
            || self.tags && is_one_of(["If-Match", "If-None-Match"])
            || self.dates && is_one_of(["If-Modified-Since", "If-Unmodified-Since"])
    }
}

impl Request<'_> {
    /// The fields that a handler must not pass on. One is a `Range` that
    /// [must be hidden](crate::http::compression::Compression::hides_range). The others are of a GET or HEAD, and
    /// name a validator that the operator sets, which this server alone knows; with the tag go the dates that it
    /// overrules (RFC 9110 §13.2.2). Of other methods they are passed on: who is asked must not change anything
    /// without them.
    pub(crate) fn hidden_fields(&self) -> HiddenFields {
        let fields = &self.head.fields;
        let compression = self.changes.compression.as_ref();
        let range = compression.is_some_and(|rules| rules.hides_range(self.head));
        if !self.changes.set_validators() || !matches!(self.head.method, Method::Get | Method::Head)
        {
            return HiddenFields {
                range,
                ..HiddenFields::default()
            };
        }
        let tags = matches!(self.changes.entity_tag, Change::Set(_));
        let sets_date = matches!(self.changes.last_modified, Change::Set(_));
        let names_tags = fields.has(Known::IfMatch) || fields.has(Known::IfNoneMatch);
        let names_set = |named: &[u8]| {
            let is_tag = EntityTag::parse(named).is_some();
            if is_tag { tags } else { sets_date }
        };
        let if_range = fields.combined(Known::IfRange);
        HiddenFields {
            tags,
            dates: sets_date || tags && names_tags,
            range: range || if_range.is_some_and(|named| names_set(&named)),
        }
    }
}
