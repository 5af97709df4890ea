//! How an exchange ends: one function counts it and makes its record, for the access log and for those who
//! follow.
//!
//! Every exchange passes [`finish`] exactly once, whatever way it took:
//!
//! | The exchange | who finishes it | [`End`] |
//! |---|---|---|
//! | is answered at once, or after a wait | the connection, when the response is sent | `Answered` |
//! | has a request that cannot be read | the connection, with its 4xx or 5xx | `Refused` |
//! | has a head that does not come in time | the connection, with its 408 | `TimedOut` |
//! | comes on one connection too many | the listener, with its 503 or 429 | `TurnedAway` |
//! | loses its client before there is a response | the connection | `ClientLeft` |
//! | has a response that cannot be sent to its end | the connection | `BrokenOff` |
//! | is under way when `grace` is over, or its connection panics | [`Underway`], when it is dropped | `Cut` |
//!
//! An exchange on the control socket is neither counted nor recorded.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::address::ClientAddress;
use crate::http::fields::Known;
use crate::http::method::Method;
use crate::http::request::{RequestHead, request_line};
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::log::record::{AccessRecord, UpstreamRecord};
use crate::log::secrets;
use crate::message::marks::Marks;
use crate::message::request_id::RequestId;
use crate::message::trace::Trace;
use crate::message::upstream_note::UpstreamNote;
use crate::metrics::End;
use crate::metrics::exchanges::{Kind, Measured};
use crate::metrics::series::SeriesId;
use crate::reason::Reason;
use crate::runtime;
use crate::server::exchange::Exchange;
use crate::server::worker::{FAILED_FROM, Worker};

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    /// The status that the client was sent; where it was sent none, the one that says why.
    pub(crate) status: Status,
    /// Why the response is the server's own, or why it was not sent to its end; `None` if a handler
    /// gave it, and all of it was sent.
    pub(crate) reason: Option<Reason>,
    /// Octets of content sent, without the framing of chunks.
    pub(crate) content_sent: u64,
}

impl Outcome {
    /// No response was sent: the client left before there was one.
    pub(crate) const CLIENT_LEFT: Self = Self {
        end: End::ClientLeft,
        status: Status::CLIENT_GONE,
        reason: Some(Reason::ClientGone),
        content_sent: 0,
    };

    /// The connection was one too many: of all, or of its client.
    pub(crate) fn turned_away(status: Status, reason: Reason) -> Self {
        Self {
            end: End::TurnedAway,
            status,
            reason: Some(reason),
            content_sent: 0,
        }
    }
}

/// By what an exchange is counted, besides its status.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountedAs {
    /// That of its route.
    series: SeriesId,
    /// `None`: the request could not be read.
    method: Option<Method>,
}

impl CountedAs {
    /// The request could not be read, or not at all.
    pub(crate) const UNREAD: Self = Self {
        series: SeriesId::NONE,
        method: None,
    };

    /// A request of `method` at the route of `series`.
    #[inline(always)]
    pub(crate) fn of(series: SeriesId, method: Method) -> Self {
        let method = Some(method);
        Self { series, method }
    }
}

/// What an access record tells of an exchange besides its outcome.
pub(crate) enum Subject<'e> {
    /// A request that was read: its exchange, and the bytes that its head was parsed from.
    Request(&'e Exchange<'e, 'e>, &'e [u8]),
    /// A request that was read, and whose exchange is lost in a panic: its head, and the same bytes.
    Head(&'e RequestHead<'e>, &'e [u8]),
    /// A request of which only the first line is known, or a part of that line; and the id of its
    /// exchange, if it has one.
    Line(&'e [u8], Option<&'e RequestId>),
    /// The same as `Request`, copied, for an exchange that outlives the buffer of its request.
    Kept(KeptSubject),
}

/// What an access record tells of an exchange that its request does not say.
#[derive(Clone, Copy, Default)]
pub(crate) struct Told<'e> {
    /// The key of the route that answers, if one does.
    pub(crate) route: Option<&'e str>,
    /// The id, if it has one.
    pub(crate) id: Option<&'e RequestId>,
    /// The user, if one was verified.
    pub(crate) user: Option<&'e str>,
}

impl Exchange<'_, '_> {
    /// What the log tells of the exchange that its request does not say.
    fn told(&self) -> Told<'_> {
        Told {
            route: self.route().map(|route| &*route.name),
            id: self.id(),
            user: self.user(),
        }
    }
}

/// How many octets of a request line that cannot be read are logged. All of them may need an escape of four
/// octets, and programs that read such logs take lines of up to 4095: goaccess counts a longer one as
/// several that are invalid.
const MAX_REFUSED_LINE: usize = 512;

/// The parts of a request that its access record names, as the client sent them, one after the other: a
/// tunnel holds them as long as it lasts.
///
/// ```text
/// GET /chat HTTP/1.1 LF shop.example LF :https://shop.example/ LF            LF :/chat LF   LF
/// request line          host            Referer, if there is one  User-Agent    route     id   user
/// ```
///
/// User-Agent, id and user are missing here.
///
/// Each is a part of a line, so none has an LF. A field that is there begins with a colon, because it may be
/// empty.
pub(crate) struct KeptSubject {
    text: Box<[u8]>,
    /// What the exchange is known by, if it has a trace.
    marks: Option<Rc<Marks>>,
}

impl KeptSubject {
    fn new(bytes: &[u8], head: Option<&RequestHead<'_>>, told: Told<'_>) -> Self {
        let mut parts = request_line(bytes).to_vec();
        parts.push(b'\n');
        parts.extend_from_slice(head.map(|head| head.host).unwrap_or_default());
        let field = |known| head.and_then(|head| head.fields.first(known));
        let route = told.route.map(str::as_bytes);
        let id = told.id.map(|id| id.as_str().as_bytes());
        let (referer, agent) = (field(Known::Referer), field(Known::UserAgent));
        let user = told.user.map(str::as_bytes);
        for value in [referer, agent, route, id, user] {
            parts.push(b'\n');
            if let Some(value) = value {
                parts.push(b':');
                parts.extend_from_slice(value);
            }
        }
        Self {
            text: parts.into(),
            marks: None,
        }
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.text.split(|octet| *octet == b'\n')
    }

    fn request_line(&self) -> &[u8] {
        self.parts().next().unwrap_or_default()
    }

    fn host(&self) -> &[u8] {
        self.parts().nth(1).unwrap_or_default()
    }

    /// The part at that place, if it is there.
    fn optional(&self, nth: usize) -> Option<&[u8]> {
        self.parts().nth(nth)?.strip_prefix(b":")
    }

    /// The same, of a part that is text of this server.
    fn text(&self, nth: usize) -> Option<&str> {
        str::from_utf8(self.optional(nth)?).ok()
    }
}

impl<'e> Subject<'e> {
    #[inline]
    fn record(
        &self,
        client: ClientAddress,
        outcome: Outcome,
        duration: Duration,
    ) -> AccessRecord<'_> {
        // Changed where it is: each `..record` would copy all of it.
        let mut record = AccessRecord::unreadable(client, b"", outcome.status);
        record.content_length = outcome.content_sent;
        record.duration = duration;
        record.reason = outcome.reason;
        record.trace_id = self.trace().map(Trace::id);
        match self {
            Self::Request(exchange, bytes) => {
                add_head(&mut record, exchange.head, bytes);
                let told = exchange.told();
                record.route = told.route;
                record.request_id = told.id.map(RequestId::as_str);
                record.user = told.user;
            }
            Self::Head(head, bytes) => add_head(&mut record, head, bytes),
            Self::Line(line, id) => {
                record.request_line = &line[..line.len().min(MAX_REFUSED_LINE)];
                record.request_id = id.map(RequestId::as_str);
            }
            Self::Kept(kept) => {
                record.request_line = kept.request_line();
                record.host = kept.host();
                record.referer = kept.optional(2);
                record.user_agent = kept.optional(3);
                record.route = kept.text(4);
                record.request_id = kept.text(5);
                record.user = kept.text(6);
            }
        }
        record
    }

    /// The trace that the exchange belongs to, if it has one.
    fn trace(&self) -> Option<&Trace> {
        let marks = match self {
            Self::Request(exchange, _) => exchange.marks(),
            Self::Kept(kept) => kept.marks.as_ref(),
            Self::Head(..) | Self::Line(..) => None,
        };
        marks?.trace.as_ref()
    }

    /// Copies what is borrowed.
    fn into_kept(self) -> Subject<'static> {
        Subject::Kept(match self {
            Self::Request(exchange, bytes) => KeptSubject {
                marks: exchange
                    .marks()
                    .filter(|marks| marks.trace.is_some())
                    .cloned(),
                ..KeptSubject::new(bytes, Some(exchange.head), exchange.told())
            },
            Self::Head(head, bytes) => KeptSubject::new(bytes, Some(head), Told::default()),
            Self::Line(line, id) => {
                let told = Told {
                    id,
                    ..Told::default()
                };
                KeptSubject::new(line, None, told)
            }
            Self::Kept(kept) => kept,
        })
    }
}

/// Adds what the request's head says; it was parsed from `bytes`.
fn add_head<'r>(record: &mut AccessRecord<'r>, head: &'r RequestHead<'_>, bytes: &'r [u8]) {
    record.request_line = request_line(bytes);
    record.host = head.host;
    record.referer = head.fields.first(Known::Referer);
    record.user_agent = head.fields.first(Known::UserAgent);
}

/// Counts an exchange that has ended, and makes its record if there is an access log, if a client follows, if its
/// trace is sampled, or if the exchange failed.
///
/// This is the only place that does any of it. The exchange began and ended in the turn of `now`, and its
/// request has no content that was read.
#[inline(always)]
pub(crate) fn finish(
    worker: &Rc<Worker>,
    client: ClientAddress,
    subject: &Subject<'_>,
    outcome: Outcome,
    counted: CountedAs,
    now: Instant,
) {
    let measured = Measured {
        sent: outcome.content_sent,
        ..Measured::default()
    };
    let counted = (counted, measured);
    finish_with(worker, client, subject, outcome, counted, (now, None));
}

/// The same, of an exchange that took what `counted` has, and for which servers of an upstream may have been
/// asked.
// Two callers, of which one is hot: without this the compiler inlines it into neither.
#[inline(always)]
fn finish_with(
    worker: &Rc<Worker>,
    client: ClientAddress,
    subject: &Subject<'_>,
    outcome: Outcome,
    (counted, measured): (CountedAs, Measured),
    (started, note): (Instant, Option<&UpstreamNote>),
) {
    let kind = Kind::of(counted.method, outcome.status);
    worker.count_exchange(outcome.end, (counted.series, kind), measured);
    if let Some(reason) = outcome.reason {
        worker.counters.reasons.count(reason);
    }
    if outcome.end != End::Answered {
        ended_badly(worker, client, subject, outcome, (started, note));
    }
    if worker.records(outcome.status) {
        record(worker, client, subject, outcome, (started, note));
    }
}

/// Tells of an exchange that has failed whatever its status, and makes its record if the status alone would
/// leave it without one.
#[cold]
fn ended_badly(
    worker: &Rc<Worker>,
    client: ClientAddress,
    subject: &Subject<'_>,
    outcome: Outcome,
    (started, note): (Instant, Option<&UpstreamNote>),
) {
    tell(client, subject, outcome);
    if !worker.records(outcome.status) {
        record(worker, client, subject, outcome, (started, note));
    }
}

/// Tells at level debug how an exchange has ended.
#[cold]
fn tell(client: ClientAddress, subject: &Subject<'_>, outcome: Outcome) {
    if diagnostic::may_debug(client) {
        let record = subject.record(client, outcome, Duration::ZERO);
        let line = secrets::named(&String::from_utf8_lossy(record.request_line));
        let (status, why) = (outcome.status, outcome.end.describe());
        let reason = outcome.reason.map(|reason| format!(" ({reason})"));
        let reason = reason.unwrap_or_default();
        let sent = outcome.content_sent;
        let what = format_args!("\"{line}\": {status}: {why}{reason}, {sent} octets of content");
        diagnostic::debug_of(client, what);
    }
}

/// Makes the record of an exchange, and the spans of its trace, and hands them on. A function of its own, so that
/// counting alone costs little where there is neither.
#[inline(never)]
fn record(
    worker: &Rc<Worker>,
    client: ClientAddress,
    subject: &Subject<'_>,
    outcome: Outcome,
    (started, note): (Instant, Option<&UpstreamNote>),
) {
    let trace = subject.trace().filter(|trace| trace.is_recorded());
    let is_failure = outcome.end != End::Answered || outcome.status.code() >= FAILED_FROM;
    if trace.is_none() && !is_failure && !worker.has_readers() {
        return;
    }
    let now = runtime::now();
    // Most end in the turn in which they began.
    let duration = if now == started {
        Duration::ZERO
    } else {
        now.duration_since(started)
    };
    let mut record = subject.record(client, outcome, duration);
    record.upstream = note.map(upstream_record);
    worker.publish_record(record, (trace, is_failure), now);
}

fn upstream_record(note: &UpstreamNote) -> UpstreamRecord<'_> {
    UpstreamRecord {
        server: note.server.as_deref(),
        tries: note.tries,
        connect: note.connect,
        head: note.head,
        error: note.error.and_then(Reason::proxy_error),
    }
}

/// An exchange that has begun. It is [finished](Self::finish) once: by its owner, or, as cut, by
/// being dropped.
pub(crate) struct Underway<'e> {
    worker: Rc<Worker>,
    client: ClientAddress,
    /// Whether the exchange is counted and recorded: all are but those of the control socket.
    is_recorded: bool,
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
        let line = match &self.subject {
            Subject::Request(exchange, _) => return secrets::in_diagnostics(exchange.head),
            Subject::Head(head, _) => return secrets::in_diagnostics(head),
            Subject::Line(line, _) => *line,
            Subject::Kept(kept) => kept.request_line(),
        };
        let line = String::from_utf8_lossy(line);
        secrets::named(line.rsplit_once(' ').map_or(&line, |(front, _)| front))
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
        let subject = std::mem::replace(&mut self.subject, Subject::Line(b"", None));
        Underway {
            worker: Rc::clone(&self.worker),
            client: self.client,
            is_recorded: self.is_recorded,
            counted: self.counted,
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
                (self.counted, measured),
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
        self.end(Outcome {
            end: End::Cut,
            status: self.status.unwrap_or(unanswered),
            reason: Some(reason),
            content_sent: self.content_sent,
        });
    }
}
