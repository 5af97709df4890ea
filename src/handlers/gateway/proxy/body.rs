//! The content of a request on its way to an upstream: taken in beforehand, or as the client sends it.

use std::cell::Cell;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::request::SentFraming;
use crate::disk::replay::SpooledContent;
use crate::disk::spool::Spooled;
use crate::http::framing::Framing;
use crate::http::response::encode_interim;
use crate::http::status::Status;
use crate::message::content::{ContentError, ReadContent};
use crate::message::request::Request;
use crate::runtime::{BlockingPool, sleep};

/// How long an upstream may be silent about `100 Continue` before the client is told to go on: one of
/// HTTP/1.0 never says it (RFC 9110 §10.1.1).
const PATIENCE: Duration = Duration::from_secs(1);

/// The content of a request.
pub(super) struct Body<C> {
    client: C,
    /// All of it; `None`: it is passed on as the client sends it.
    kept: Option<SpooledContent>,
    framing: SentFraming,
    /// Whether the upstream is to be asked whether it wants the content.
    expects_continue: bool,
    /// Whether some of it has been read from the client that is not kept.
    is_begun: Cell<bool>,
}

impl<C: ReadContent + Copy> Body<C> {
    /// The content of `request`, which `client` reads; taken in beforehand with `buffer`.
    ///
    /// # Errors
    /// If it cannot be read or kept.
    pub(super) async fn new(
        request: &Request<'_>,
        mut client: C,
        buffer: bool,
        disk: &Arc<BlockingPool>,
    ) -> Result<Self, ContentError> {
        let (kept, framing) = match request.head.framing {
            Framing::Empty => (Some(SpooledContent::nothing()), empty_framing(request)),
            _ if buffer => {
                // Boxed, because most requests have no content, and would have room for it.
                let spooled = Box::pin(Spooled::read(&mut client, disk)).await?;
                let framing = SentFraming::Length(spooled.length());
                (Some(SpooledContent::new(spooled, disk)), framing)
            }
            Framing::Length(length) => (None, SentFraming::Length(length)),
            Framing::Chunked => (None, SentFraming::Chunked),
        };
        Ok(Self {
            client,
            expects_continue: kept.is_none() && request.head.expects_continue,
            kept,
            framing,
            is_begun: Cell::new(false),
        })
    }

    pub(super) fn framing(&self) -> SentFraming {
        self.framing
    }

    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The client that waits for the response.
    pub(super) fn client(&self) -> C {
        self.client
    }

    /// Whether all of it has been taken in, so that it can be sent as often as it has to be.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether it can be sent from its start.
    pub(super) fn is_whole(&self) -> bool {
        self.kept.is_some() || !self.is_begun.get()
    }

    /// A reader of it, from its start.
    pub(super) fn reader(&self) -> BodyReader<'_, C> {
        BodyReader {
            client: self.client,
            kept: self.kept.as_ref().map(SpooledContent::again),
            is_waiting: Cell::new(self.expects_continue),
            is_begun: Some(&self.is_begun),
        }
    }
}

/// How the content of a request that no client sends would be delimited, as far as its head says: with
/// `buffer`, the length of chunked content is known when it has been taken in.
pub(super) fn announced_framing(request: &Request<'_>, buffer: bool) -> SentFraming {
    match request.head.framing {
        Framing::Empty => empty_framing(request),
        Framing::Length(length) => SentFraming::Length(length),
        Framing::Chunked if buffer => SentFraming::None,
        Framing::Chunked => SentFraming::Chunked,
    }
}

/// How no content is delimited: a method for which content means something says that there is none
/// (RFC 9110 §8.6).
fn empty_framing(request: &Request<'_>) -> SentFraming {
    use crate::http::method::Method::{Patch, Post, Put};
    match request.head.method {
        Post | Put | Patch => SentFraming::Length(0),
        _ => SentFraming::None,
    }
}

/// Reads the content for one try.
pub(super) struct BodyReader<'b, C> {
    client: C,
    kept: Option<SpooledContent>,
    /// Whether the upstream has neither said that it wants the content nor responded.
    is_waiting: Cell<bool>,
    /// Where to note that something was read; not for what is left behind the head of the response.
    is_begun: Option<&'b Cell<bool>>,
}

impl<C> BodyReader<'_, C> {
    /// The first block of content that has been taken in, and whether more follows: it goes out together
    /// with the head. `None` if the client has still to send it.
    ///
    /// # Errors
    /// If it cannot be read back.
    pub(super) async fn first_block(&mut self) -> Result<Option<(Vec<u8>, bool)>, ContentError> {
        let Some(kept) = &mut self.kept else {
            return Ok(None);
        };
        let mut block = Vec::new();
        let _ = kept.read(&mut block).await?;
        Ok(Some((block, kept.has_more())))
    }

    /// Whether there is no content at all that is still to be read.
    pub(super) fn is_at_end(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| !kept.has_more())
    }

    /// Whether the content is held back until the upstream wants it, or responds.
    pub(super) fn is_waiting(&self) -> bool {
        self.is_waiting.get()
    }

    /// The content is held back no longer: the upstream wants it, or has responded.
    pub(super) fn go_on(&self) {
        self.is_waiting.set(false);
    }

    /// Passes an interim response of the upstream on to the client. If the content is held back, 100 says that the
    /// upstream wants it: the client is invited at once, because the final response may be there already.
    ///
    /// # Errors
    /// The client takes nothing.
    pub(super) async fn pass_on(&self, status: Status, fields: Vec<u8>) -> Result<(), ContentError>
    where
        C: ReadContent,
    {
        if status == Status::CONTINUE && self.is_waiting() {
            self.go_on();
            return self.client.invite().await;
        }
        self.client.inform(&encode_interim(status, &fields)).await
    }

    /// What is left of it, to be read while the response is sent.
    pub(super) fn into_rest(self) -> BodyReader<'static, C> {
        BodyReader {
            client: self.client,
            kept: self.kept,
            is_waiting: self.is_waiting,
            is_begun: None,
        }
    }
}

impl<C: ReadContent> ReadContent for BodyReader<'_, C> {
    async fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, ContentError> {
        if let Some(kept) = &mut self.kept {
            return kept.read(into).await;
        }
        if self.is_waiting.get() {
            sleep(PATIENCE).await;
            self.is_waiting.set(false);
        }
        let goes_on = self.client.read(into).await?;
        if let Some(is_begun) = self.is_begun {
            is_begun.set(true);
        }
        Ok(goes_on)
    }

    fn poll_client_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        self.client.poll_client_gone(context)
    }
}
