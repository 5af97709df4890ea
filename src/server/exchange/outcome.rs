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
//! An exchange on the control socket is neither counted nor recorded. What a record tells of the request is its
//! [`Subject`].

mod subject;
mod underway;

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::address::ClientAddress;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::log::diagnostic;
use crate::log::record::UpstreamRecord;
use crate::log::secrets;
use crate::message::upstream_note::UpstreamNote;
use crate::metrics::End;
use crate::metrics::exchanges::{Kind, Measured};
use crate::metrics::series::SeriesId;
use crate::reason::Reason;
use crate::runtime;
use crate::server::worker::{FAILED_FROM, Worker};

pub(crate) use subject::Subject;
pub(crate) use underway::Underway;

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
    /// `None`: it could not be read.
    method: Option<Method>,
}

impl CountedAs {
    /// A request that belongs to no route; `method` is `None` where none could be read.
    pub(crate) fn unrouted(method: Option<Method>) -> Self {
        let series = SeriesId::NONE;
        Self { series, method }
    }

    /// A request of `method` at the route of `series`.
    #[inline(always)]
    pub(crate) fn of(series: SeriesId, method: Method) -> Self {
        let method = Some(method);
        Self { series, method }
    }
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
    let began_with = subject.generation();
    worker.publish_record(record, (trace, is_failure), (now, began_with));
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
