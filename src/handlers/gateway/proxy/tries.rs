//! The tries of one request: how far each got, and which response stands in the end.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fault::ProxyFault;
use super::heard::{Heard, Unanswered};
use super::receiving::Receiving;
use crate::message::upstream_note::{NotePlace, UpstreamNote};
use crate::runtime;
use crate::upstream::{Chosen, Dialogue, NoServer};

/// How far a try got that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// No octet of the request arrived at the server.
    Unseen,
    /// Some of the request may have been read, but no octet of a response has come.
    Unanswered,
    /// Some of a response has come.
    Answered,
}

impl Progress {
    /// How far a dialogue got that failed.
    pub(super) fn of(dialogue: &Dialogue<Receiving>) -> Self {
        if !dialogue.protocol().is_untouched() {
            Self::Answered
        } else if dialogue.ended_before_request() {
            Self::Unseen
        } else {
            Self::Unanswered
        }
    }

    /// Whether a request may be sent once more after a kept connection ended.
    pub(super) fn allows_again(self, is_idempotent: bool) -> bool {
        match self {
            Self::Unseen => true,
            Self::Unanswered => is_idempotent,
            Self::Answered => false,
        }
    }
}

/// The tries of one request.
pub(super) struct Tries<C> {
    pub(super) count: u32,
    /// The servers that have failed, by their ids.
    pub(super) failed: Vec<u64>,
    pub(super) begun: Instant,
    /// How long the last server took to take a connection; `None` where the connection was a kept one.
    pub(super) connect: Cell<Option<Duration>>,
    /// The response of a server in whose place another is asked: it stands if no other server gives one.
    /// Boxed, because few requests have one, and the future of each has room for it.
    pub(super) refused: Option<Box<Heard<C>>>,
    /// How the last server failed that gave no response.
    pub(super) last: Option<Unanswered>,
}

/// A try that has not ended. It is dropped only if the exchange is cut; a try that ends takes its own note.
pub(super) struct OpenTry<'t, C> {
    tries: &'t Tries<C>,
    chosen: &'t Chosen,
    place: &'t NotePlace,
}

impl<C> OpenTry<'_, C> {
    /// The try has ended.
    pub(super) fn end(self) {
        std::mem::forget(self);
    }
}

impl<C> Drop for OpenTry<'_, C> {
    fn drop(&mut self) {
        let note = self.tries.note(self.chosen);
        self.place.set(Some(Box::new(note)));
    }
}

impl<C> Tries<C> {
    pub(super) fn new() -> Self {
        Self {
            count: 0,
            failed: Vec::new(),
            begun: runtime::now(),
            connect: Cell::new(None),
            refused: None,
            last: None,
        }
    }

    /// Takes note of another try.
    pub(super) fn note_try(&mut self) {
        if self.count == 0 {
            // The request may have waited for a server before.
            self.begun = runtime::now();
        }
        self.count += 1;
        self.connect.set(None);
    }

    /// What is to be noted of them after one at the server that was `chosen`.
    pub(super) fn note(&self, chosen: &Chosen) -> UpstreamNote {
        UpstreamNote {
            server: Some(Arc::clone(chosen.server().name())),
            tries: self.count,
            connect: self.connect.get(),
            head: None,
            error: None,
        }
    }

    /// The try at the server that was `chosen`. If the exchange is cut meanwhile, what is noted of the tries is
    /// left in `place`.
    pub(super) fn open<'t>(&'t self, chosen: &'t Chosen, place: &'t NotePlace) -> OpenTry<'t, C> {
        OpenTry {
            tries: self,
            chosen,
            place,
        }
    }

    /// That the server that was `chosen` gave no response, because of `fault`.
    pub(super) fn failure(&self, fault: ProxyFault, chosen: &Chosen) -> Unanswered {
        let note = UpstreamNote {
            error: Some(fault.reason()),
            ..self.note(chosen)
        };
        Unanswered::Failed(Box::new((fault, note)))
    }

    /// Ends the tries because no further server can be asked, for the reason `why`. Returns the response that
    /// was refused, if there is one, or how the last server failed.
    pub(super) fn end_without_server(mut self, why: NoServer) -> Result<Heard<C>, Unanswered> {
        let failed = self.last.take();
        self.end(failed.unwrap_or(Unanswered::NoServer(why)))
    }

    /// Ends the tries after the last server has `failed`. Returns the response that was refused, if there is
    /// one, or the failure.
    pub(super) fn end(self, failed: Unanswered) -> Result<Heard<C>, Unanswered> {
        let mut heard = *self.refused.ok_or(failed)?;
        heard.note.tries = self.count;
        Ok(heard)
    }
}
