//! Traces: which exchanges are recorded, what is told of them, and how a collector gets it.
//!
//! ```text
//! exchange begins ─ Tracing::begin: followed? sampled? ─→ Trace   (message::trace)
//! exchange ends   ─ Tracing::record: Span ─→ Spans, a queue of all workers
//!                                              │ a batch, or what came in 5 s
//!                                              ▼
//!                                 exporter, a thread ─ otlp: JSON ─→ fetch: POST ─→ collector
//! ```
//!
//! An exchange that is not sampled costs a random number. A worker never waits for the collector: a span
//! for which the queue has no room is dropped, and counted.

mod collector;
mod exporter;
mod otlp;
mod span;
mod spans;

use std::sync::Arc;

use crate::config::model::{self, Followed, WHOLE_TRACES};
use crate::http::fields::Fields;
use crate::http::trace_context::{TRACEPARENT, TRACESTATE, TraceParent, trace_state};
use crate::log::record::AccessRecord;
use crate::message::trace::{Recording, Trace};

pub(crate) use exporter::Exporter;
pub(crate) use spans::Spans;

/// Which traces a generation records, and where their spans go.
#[derive(Debug)]
pub(crate) struct Tracing {
    options: model::Tracing,
    /// A trace that begins here is recorded if a random number of 64 bits is below it; `None`: every one is.
    threshold: Option<u64>,
    /// They outlive the generation.
    spans: Arc<Spans>,
}

impl Tracing {
    pub(crate) fn new(options: &model::Tracing, spans: Arc<Spans>) -> Self {
        Self {
            options: options.clone(),
            threshold: threshold(options.sample),
            spans,
        }
    }

    pub(crate) fn options(&self) -> &model::Tracing {
        &self.options
    }

    /// The trace of a request with these `fields`, if it is the caller's, or is recorded. `is_from_proxy` says
    /// whether the peer is a trusted proxy, and `is_https` whether the client came over TLS.
    ///
    /// `None`: a trace begins that is not recorded. Where other servers are asked they have to be told so; see
    /// [`unrecorded`].
    pub(crate) fn begin(
        &self,
        fields: &Fields<'_>,
        is_from_proxy: bool,
        is_https: impl FnOnce() -> bool,
    ) -> Option<Trace> {
        if let Some(parent) = self.parent(fields, is_from_proxy) {
            let recording = parent.is_sampled.then(|| Recording::begin(is_https()));
            let lines = fields.values(TRACESTATE);
            return Some(Trace::follow(parent, trace_state(lines), recording));
        }
        let is_sampled = self
            .threshold
            .is_none_or(|threshold| fastrand::u64(..) < threshold);
        is_sampled.then(|| Trace::begin(Some(Recording::begin(is_https()))))
    }

    /// What the caller says of its trace, if it is one that is followed.
    fn parent(&self, fields: &Fields<'_>, is_from_proxy: bool) -> Option<TraceParent> {
        let is_followed = match self.options.parent {
            Followed::Trusted => is_from_proxy,
            Followed::Always => true,
            Followed::Never => false,
        };
        if !is_followed {
            return None;
        }
        let mut lines = fields.values(TRACEPARENT);
        let only = lines.next().filter(|_| lines.next().is_none());
        TraceParent::parse(only?)
    }

    /// Records an exchange that has ended: its span, and one for each try.
    pub(crate) fn record(&self, record: &AccessRecord<'_>, trace: &Trace) {
        if let Some(recording) = trace.recording() {
            self.spans.push(span::of_exchange(record, trace, recording));
        }
    }
}

/// A trace that begins here and is not recorded: its id is passed on, so that the servers behind this one do
/// not record it either.
pub(crate) fn unrecorded() -> Trace {
    Trace::begin(None)
}

/// The number below which so many millionths of all numbers of 64 bits are; `None`: all are.
fn threshold(millionths: u32) -> Option<u64> {
    let below = (u128::from(millionths) << 64) / u128::from(WHOLE_TRACES);
    u64::try_from(below).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::with_head;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn tracing(sample: u32, parent: Followed) -> Tracing {
        let endpoint = "http://127.0.0.1:1".parse().expect("a URL");
        let options = model::Tracing {
            sample,
            parent,
            ..model::Tracing::to(endpoint)
        };
        Tracing::new(&options, Arc::default())
    }

    /// The trace of a request with these field lines.
    fn begun(tracing: &Tracing, lines: &str, is_from_proxy: bool) -> Option<Trace> {
        with_head(lines, |head| {
            tracing.begin(&head.fields, is_from_proxy, || false)
        })
    }

    #[test]
    fn so_many_traces_are_recorded_as_the_operator_says() {
        for (millionths, expected) in [
            (0, Some(0)),
            (1, Some(18_446_744_073_709)),
            (500_000, Some(1 << 63)),
            (WHOLE_TRACES, None),
        ] {
            assert_eq!(threshold(millionths), expected, "{millionths}");
        }
        let recorded = |sample| {
            let tracing = tracing(sample, Followed::Never);
            let rounds = 0..20_000;
            rounds
                .filter(|_| begun(&tracing, "", false).is_some())
                .count()
        };
        assert_eq!((recorded(0), recorded(WHOLE_TRACES)), (0, 20_000));
        // Ten standard deviations on either side: 2000 ± 424.
        let tenth = recorded(WHOLE_TRACES / 10);
        assert!((1576..2424).contains(&tenth), "{tenth}");
    }

    #[test]
    fn the_trace_of_a_caller_goes_on_if_the_caller_is_believed() {
        let line = format!("TraceParent: {PARENT}\r\n");
        for (parent, is_from_proxy, is_followed) in [
            (Followed::Trusted, true, true),
            (Followed::Trusted, false, false),
            (Followed::Always, false, true),
            (Followed::Never, true, false),
        ] {
            let trace = begun(&tracing(0, parent), &line, is_from_proxy);
            let id = trace.map(|trace| trace.id().to_string());
            let expected = is_followed.then(|| "0af7651916cd43dd8448eb211c80319c".to_owned());
            assert_eq!(id, expected, "{parent:?} {is_from_proxy}");
        }
    }

    #[test]
    fn a_trace_of_a_caller_is_recorded_if_the_caller_records_it() {
        let never = tracing(0, Followed::Always);
        let sampled = begun(&never, &format!("traceparent: {PARENT}\r\n"), false);
        assert!(sampled.is_some_and(|trace| trace.recording().is_some()));
        let every = tracing(WHOLE_TRACES, Followed::Always);
        let unsampled = PARENT.replace("-01", "-00");
        let trace = begun(&every, &format!("traceparent: {unsampled}\r\n"), false);
        assert!(trace.is_some_and(|trace| trace.recording().is_none()));
    }

    #[test]
    fn a_traceparent_that_is_not_valid_begins_a_trace_without_its_state() {
        let tracing = tracing(WHOLE_TRACES, Followed::Always);
        let zeros = PARENT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        for lines in [
            format!("traceparent: {zeros}\r\ntracestate: a=1\r\n"),
            format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n"),
            "tracestate: a=1\r\n".to_owned(),
        ] {
            let trace = begun(&tracing, &lines, true).expect("every trace is recorded");
            assert_eq!((trace.parent, trace.state), (None, None), "{lines}");
        }
        let lines = format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\n");
        let trace = begun(&tracing, &lines, true).expect("it goes on");
        assert_eq!(trace.state.as_deref(), Some(&b"a=1,b=2"[..]));
    }
}
