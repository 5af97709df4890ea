//! What became of asking an upstream: its response up to the head, or why there is none.

use super::body::BodyReader;
use super::content::Asked;
use super::fault::ProxyFault;
use super::receiving::{Receiving, UpstreamHead};
use crate::message::content::ContentError;
use crate::message::upstream_note::UpstreamNote;
use crate::upstream::{Dialogue, NoServer};

/// The head of a response that an upstream has given, with what is needed to receive its content.
pub(super) struct Heard<C> {
    pub(super) said: Spoken<C>,
    pub(super) asked: Asked,
    pub(super) note: Box<UpstreamNote>,
}

/// The head of the response of one server, and the dialogue that goes on with its content.
pub(super) struct Spoken<C> {
    pub(super) head: UpstreamHead,
    /// Boxed, because it is large and is handed on several times.
    pub(super) dialogue: Box<Dialogue<Receiving>>,
    /// The part of the request's content that the upstream has not got.
    pub(super) rest: BodyReader<'static, C>,
}

/// Why there is no response of an upstream.
pub(super) enum Unanswered {
    Client(ContentError),
    /// No server could be asked.
    NoServer(NoServer),
    /// The last server that was asked failed.
    Failed(Box<(ProxyFault, UpstreamNote)>),
}

impl From<ContentError> for Unanswered {
    fn from(error: ContentError) -> Self {
        Self::Client(error)
    }
}
