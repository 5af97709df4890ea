//! The content of a response, as it comes from an upstream; and the rest of the request's content, which
//! the upstream is given meanwhile.

use std::future::pending;
use std::mem::take;
use std::rc::Rc;

use super::fault::Failure;
use super::receiving::Receiving;
use crate::log::diagnostic;
use crate::message::content::{BrokenOff, ContentSource, LocalFuture, ReadContent};
use crate::upstream::{Chosen, Dialogue, KeptConnections};

/// A server that was asked, and where its connection goes when its response has ended.
pub(super) struct Asked {
    pub(super) chosen: Chosen,
    pub(super) kept: Rc<KeptConnections>,
    /// How many connections to it the worker keeps.
    pub(super) keep: usize,
}

impl Asked {
    /// Keeps the connection of a dialogue that has ended, if nothing about it is in doubt.
    pub(super) fn end(self, dialogue: Box<Dialogue<Receiving>>) {
        let is_sent = dialogue.is_sent();
        let (connection, receiving) = dialogue.into_parts();
        if is_sent && receiving.is_reusable() {
            let server = self.chosen.server();
            self.kept
                .put(server, connection, receiving.waits(), self.keep);
        }
    }
}

/// The rest of a response's content.
pub(super) struct UpstreamContent<R> {
    /// `None` after its end.
    under_way: Option<(Box<Dialogue<Receiving>>, Asked)>,
    /// The part of the request's content that the upstream has not got.
    rest: R,
    /// The trailer section, once the response has ended.
    trailers: Vec<u8>,
    /// The upstream and its server in the log.
    name: String,
}

impl<R> UpstreamContent<R> {
    pub(super) fn new(
        dialogue: Box<Dialogue<Receiving>>,
        asked: Asked,
        rest: R,
        name: String,
    ) -> Self {
        Self {
            under_way: Some((dialogue, asked)),
            rest,
            trailers: Vec::new(),
            name,
        }
    }
}

impl<R: ReadContent> ContentSource for UpstreamContent<R> {
    fn next<'s>(&'s mut self, into: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(async move {
            let Some((dialogue, asked)) = &mut self.under_way else {
                return Ok(false);
            };
            match dialogue.next(&mut self.rest, into).await {
                Ok(true) => Ok(true),
                Ok(false) => {
                    if let Some((mut dialogue, asked)) = self.under_way.take() {
                        self.trailers = dialogue.protocol_mut().take_trailers();
                        asked.end(dialogue);
                    }
                    Ok(false)
                }
                Err(Failure::Client(error)) => Err(BrokenOff::Request(error)),
                Err(Failure::Upstream(fault)) => {
                    asked.chosen.failed();
                    let chain = diagnostic::chain(&fault);
                    Err(BrokenOff::Maker(format!("{}: {chain}", self.name)))
                }
            }
        })
    }

    fn trailers(&mut self) -> Vec<u8> {
        take(&mut self.trailers)
    }

    /// Goes on sending the request's content: the client may take no response before it has sent all.
    fn while_blocked<'s>(&'s mut self) -> LocalFuture<'s, ()> {
        Box::pin(async move {
            match &mut self.under_way {
                Some((dialogue, _)) => dialogue.feed(&mut self.rest).await,
                None => pending().await,
            }
        })
    }
}

/// The end of content that has all come with the head: its trailer section.
pub(super) struct Trailers(pub(super) Vec<u8>);

impl ContentSource for Trailers {
    fn next<'s>(&'s mut self, _: &'s mut Vec<u8>) -> LocalFuture<'s, Result<bool, BrokenOff>> {
        Box::pin(std::future::ready(Ok(false)))
    }

    fn trailers(&mut self) -> Vec<u8> {
        take(&mut self.0)
    }
}
