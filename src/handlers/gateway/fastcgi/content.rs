//! The content of a response, as it comes from an application server; and the rest of the request's
//! content, which is given to it meanwhile.

use super::error::Failure;
use super::receiving::Receiving;
use crate::disk::replay::SpooledContent;
use crate::log::diagnostic;
use crate::message::content::{BrokenOff, ContentSource, LocalFuture, drain};
use crate::upstream::Dialogue;

/// The rest of a response's content.
pub(super) struct UpstreamContent {
    /// `None` after its end.
    dialogue: Option<Dialogue<Receiving>>,
    /// The part of the request's content that the application server has not got.
    rest: SpooledContent,
    /// The script's name in the log, and the application server's.
    upstream: String,
}

impl UpstreamContent {
    pub(super) fn new(
        dialogue: Dialogue<Receiving>,
        rest: SpooledContent,
        upstream: String,
    ) -> Self {
        Self {
            dialogue: Some(dialogue),
            rest,
            upstream,
        }
    }
}

impl ContentSource for UpstreamContent {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move {
            let Some(dialogue) = &mut self.dialogue else {
                return Ok(false);
            };
            let next = dialogue.next(&mut self.rest, into).await;
            let broken_off = |failure: Failure| {
                BrokenOff::Maker(format!(
                    "{}: {}",
                    self.upstream,
                    diagnostic::chain(&failure)
                ))
            };
            let goes_on = next.map_err(broken_off)?;
            if !goes_on {
                // Closes the connection, so that the process behind it is free for other requests.
                self.dialogue = None;
            }
            Ok(goes_on)
        })
    }

    /// Lets the script run to its end, within the timeout.
    fn discard(self: Box<Self>) {
        if let Some(dialogue) = &self.dialogue {
            let limit = dialogue.timeout();
            drain(*self, limit);
        }
    }
}
