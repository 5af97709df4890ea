//! An exchange that lasts longer than one turn: it is finished once, also where its owner is dropped.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use super::subject::KeptSubject;
use super::{CountedAs, Outcome, Subject, finish_with, tell};
use crate::address::ClientAddress;
use crate::http::method::Method;
use crate::http::request::RequestHead;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::message::upstream_note::UpstreamNote;
use crate::metrics::End;
use crate::metrics::exchanges::Measured;
use crate::metrics::series::SeriesId;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::Exchange;
use crate::server::worker::Worker;

/// An exchange that has begun. It is [finished](Self::finish) once: by its owner, or, as cut, by
/// being dropped.
pub(crate) struct Underway<'e> {
    worker: Rc<Worker>,
    client: ClientAddress,
    /// Whether the exchange is counted and recorded: all are but those of the control socket.
    is_recorded: bool,
    /// By what it would be counted when it began.
    counted: CountedAs,
    started: Instant,
    /// Octets of the request's content, which are counted there while they are read; `None`: none are.
    received: Option<&'e Cell<u64>>,
    subject: Subject<'e>,
    /// Whether the exchange has been finished, or continues in another `Underway`.
    is_over: bool,
    /// The status of the response that is being sent, if one is.
    status: Option<Status>,
    /// Octets of content sent, when that was last noted.
    content_sent: u64,
    /// Which servers of an upstream were asked, and with what result.
    note: Option<Box<UpstreamNote>>,
}

impl<'e> Underway<'e> {
    /// `exchange`, which begins now; the head of its request was parsed from `bytes`. `is_recorded` says
    /// whether it is counted and recorded.
    pub(crate) fn begin(
        worker: &Rc<Worker>,
        is_recorded: bool,
        exchange: &'e Exchange<'e, 'e>,
        bytes: &'e [u8],
    ) -> Self {
        let counted = (is_recorded, exchange.policy.series, exchange.head.method);
        let subject = Subject::Request(exchange, bytes);
        Self::of(worker, exchange.client, counted, subject)
    }

    /// As [`begin`](Self::begin), of an exchange of `client` that is lost in a panic. It would be counted in
    /// `series`.
    pub(crate) fn lost(
        worker: &Rc<Worker>,
        client: ClientAddress,
        (is_recorded, series): (bool, SeriesId),
        (head, bytes): (&'e RequestHead<'e>, &'e [u8]),
    ) -> Self {
        let counted = (is_recorded, series, head.method);
        Self::of(worker, client, counted, Subject::Head(head, bytes))
    }

    #[inline]
    fn of(
        worker: &Rc<Worker>,
        client: ClientAddress,
        (is_recorded, series, method): (bool, SeriesId, Method),
        subject: Subject<'e>,
    ) -> Self {
        Self {
            worker: Rc::clone(worker),
            client,
            is_recorded,
            counted: CountedAs::of(series, method),
            started: runtime::now(),
            received: None,
            subject,
            is_over: false,
            status: None,
            content_sent: 0,
            note: None,
        }
    }

    /// Method and request-target, as a line of the log names the request.
    pub(crate) fn request_in_log(&self) -> String {
        self.subject.in_log()
    }

    /// This exchange, the octets of whose content are counted in `received` while they are read.
    pub(crate) fn receiving(mut self, received: &'e Cell<u64>) -> Self {
        self.received = Some(received);
        self
    }

    /// Takes note that a response of `status` is being sent.
    pub(crate) fn answer_with(&mut self, status: Status) {
        self.status = Some(status);
    }

    /// Takes note that so many octets of content have been sent.
    pub(crate) fn note_sent(&mut self, content_sent: u64) {
        self.content_sent = content_sent;
    }

    /// Ends the exchange.
    pub(crate) fn finish(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    /// The same exchange, which no longer borrows its request.
    pub(crate) fn keep(mut self) -> Underway<'static> {
        self.is_over = true;
        let counted = self.counted();
        let subject = std::mem::replace(&mut self.subject, Subject::Kept(KeptSubject::default()));
        Underway {
            worker: Rc::clone(&self.worker),
            client: self.client,
            is_recorded: self.is_recorded,
            counted,
            started: self.started,
            // A request for another protocol has no content that is counted.
            received: None,
            subject: subject.into_kept(),
            is_over: false,
            status: self.status,
            content_sent: self.content_sent,
            note: self.note.take(),
        }
    }

    /// Takes note of which servers of an upstream were asked, and with what result.
    pub(crate) fn note_upstream(&mut self, note: Option<Box<UpstreamNote>>) {
        self.note = note;
    }

    /// Takes note that the content of the response broke off: if an upstream was asked, it is its fault.
    /// Returns the reason.
    pub(crate) fn note_broken_off(&mut self) -> Reason {
        let Some(note) = &mut self.note else {
            return Reason::ContentBrokeOff;
        };
        note.error = Some(Reason::UpstreamIncomplete);
        Reason::UpstreamIncomplete
    }

    /// By what it is counted: local redirects may have led to another route since it began.
    fn counted(&self) -> CountedAs {
        match &self.subject {
            Subject::Request(exchange, _) => CountedAs {
                series: exchange.series(),
                ..self.counted
            },
            _ => self.counted,
        }
    }

    fn end(&mut self, outcome: Outcome) {
        self.is_over = true;
        if outcome.end == End::Answered && diagnostic::may_debug(self.client) {
            tell(self.client, &self.subject, outcome);
        }
        if self.is_recorded {
            let measured = Measured {
                duration: runtime::now().duration_since(self.started),
                received: self.received.map_or(0, Cell::get),
                sent: outcome.content_sent,
            };
            finish_with(
                &self.worker,
                self.client,
                &self.subject,
                outcome,
                (self.counted(), measured),
                (self.started, self.note.as_deref()),
            );
        }
    }
}

impl Drop for Underway<'_> {
    /// Finishes the exchange as cut, if its owner has not finished it. Without a response its status
    /// is 503, for a server that stops, or 500 after a panic.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (unanswered, reason) = if std::thread::panicking() {
            (Status::INTERNAL_SERVER_ERROR, Reason::ConnectionPanicked)
        } else {
            (Status::SERVICE_UNAVAILABLE, Reason::Stopped)
        };
        if self.note.is_none()
            && let Subject::Request(exchange, _) = &self.subject
        {
            // The handler has not answered, but may have asked a server.
            self.note = exchange.take_note();
        }
        self.end(Outcome {
            end: End::Cut,
            status: self.status.unwrap_or(unanswered),
            reason: Some(reason),
            content_sent: self.content_sent,
        });
    }
}
