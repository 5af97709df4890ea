//! A request that the connection answers itself, because no route can be known: what was read of it, and what
//! its exchange is known by.

use std::rc::Rc;

use super::{client, marks};
use crate::address::ClientAddress;
use crate::generation::Generation;
use crate::http::fields::Known;
use crate::http::request::{FieldSpace, Glimpse};
use crate::message::marks::Marks;
use crate::message::request::TellsOfConnection;
use crate::message::request_id::RequestId;

/// A request that is answered before a route is looked for.
pub(in crate::server) struct Unrouted<'r> {
    pub(in crate::server) glimpse: Glimpse<'r>,
    /// The client's address, after trusted proxies.
    pub(in crate::server) client: ClientAddress,
    pub(super) marks: Option<Rc<Marks>>,
}

impl<'r> Unrouted<'r> {
    /// The request of which `input` has come from `peer` on `connection`. It belongs to no route, so that the
    /// policy of the whole configuration says whether it has an id. Only a head that is whole says which trace
    /// it belongs to.
    pub(in crate::server) fn of(
        generation: &Generation,
        (input, space): (&'r [u8], &'r mut FieldSpace<'r>),
        peer: ClientAddress,
        connection: &dyn TellsOfConnection,
    ) -> Self {
        let glimpse = Glimpse::of(input, space);
        let policy = &generation.policy;
        let marks = if !policy.is_marked {
            None
        } else if glimpse.is_whole {
            marks::of_request(generation, policy, &glimpse.fields, peer, Some(connection))
        } else {
            let id = policy.request_id.then(RequestId::new);
            let trace = None;
            id.is_some().then(|| Rc::new(Marks { id, trace }))
        };
        // Without its fields it is that of the peer, and where the peer is a proxy, of a client that it has not named.
        let client = if glimpse.is_whole {
            client::address(&generation.proxies, peer, &glimpse.fields)
        } else {
            peer
        };
        Self {
            glimpse,
            client,
            marks,
        }
    }

    /// The id of its exchange, if it has one.
    pub(in crate::server) fn id(&self) -> Option<&RequestId> {
        self.marks.as_ref()?.id.as_ref()
    }

    /// In which forms the client takes a response.
    pub(in crate::server) fn accept(&self) -> Option<&'r [u8]> {
        self.glimpse.fields.first(Known::Accept)
    }
}
