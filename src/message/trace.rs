//! The trace that an exchange belongs to: what the caller said of it, what the servers behind this one are
//! told, and, if it is sampled, what is recorded of it.
//!
//! ```text
//! caller ── traceparent: trace, caller's span ──→ here ── traceparent: trace, span of the try ──→ upstream
//!                                                 │ span of the exchange
//!                                                 └ a span for each try
//! ```

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::http::status::Status;
use crate::http::trace_context::{SpanId, TraceId, TraceParent};
use crate::reason::Reason;

/// How many tries of one exchange are recorded; the configuration allows no more but for very patient ones.
const MAX_TRIES: usize = 32;

/// The trace that an exchange belongs to.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The trace, and the exchange's own span.
    own: TraceParent,
    /// The span of the caller, if the trace did not begin here.
    pub(crate) parent: Option<SpanId>,
    /// `tracestate`, as it is passed on.
    pub(crate) state: Option<Box<[u8]>>,
    /// `None`: the trace is not sampled.
    recording: Option<Recording>,
    /// Whether a server or a script behind this one was told of it.
    is_passed_on: Cell<bool>,
}

/// What is recorded of an exchange beside what its access record says.
#[derive(Debug)]
pub(crate) struct Recording {
    begun: Instant,
    /// The same moment by the clock on the wall.
    started: SystemTime,
    /// Whether the client came over TLS, to this server or to a trusted proxy.
    pub(crate) is_https: bool,
    tries: RefCell<Vec<Try>>,
}

/// One server of an upstream that was asked.
#[derive(Clone, Debug)]
pub(crate) struct Try {
    pub(crate) span: SpanId,
    /// Its address.
    pub(crate) server: Arc<str>,
    /// What it was asked for, without the query.
    pub(crate) url: String,
    /// How often the request had been sent to a server before.
    pub(crate) resent: u32,
    begun: Instant,
    /// When it ended and how; `None` until then.
    end: Option<(Instant, TryEnd)>,
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TryEnd {
    /// The head of a response came.
    Response(Status),
    Failed(Reason),
    /// The client left, or the exchange was cut.
    Abandoned,
}

/// A new id.
fn new_span() -> SpanId {
    SpanId::new(fastrand::u64(..).to_be_bytes())
}

impl Trace {
    /// A trace that begins here.
    pub(crate) fn begin(recording: Option<Recording>) -> Self {
        Self {
            own: TraceParent {
                trace: TraceId::new(fastrand::u128(..).to_be_bytes()),
                span: new_span(),
                is_sampled: recording.is_some(),
                is_random: true,
            },
            parent: None,
            state: None,
            recording,
            is_passed_on: Cell::new(false),
        }
    }

    /// The trace of a caller, which goes on here. It is recorded if the caller records it.
    pub(crate) fn follow(
        parent: TraceParent,
        state: Option<Vec<u8>>,
        recording: Option<Recording>,
    ) -> Self {
        Self {
            own: TraceParent {
                is_sampled: recording.is_some(),
                ..parent.within(new_span())
            },
            parent: Some(parent.span),
            state: state.map(Vec::into_boxed_slice),
            recording,
            is_passed_on: Cell::new(false),
        }
    }

    pub(crate) fn id(&self) -> TraceId {
        self.own.trace
    }

    /// The trace, and the exchange's own span.
    pub(crate) fn own(&self) -> TraceParent {
        self.own
    }

    /// Whether the trace is sampled, so that the exchange is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// Whether another program knows the trace, or will: who reads the log can find it there.
    pub(crate) fn is_known(&self) -> bool {
        self.is_recorded() || self.parent.is_some() || self.is_passed_on.get()
    }

    /// What is recorded; `None` if the trace is not sampled.
    pub(crate) fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// What `traceparent` says to a server behind this one: the span of the try that is under way, or that
    /// of the exchange.
    pub(crate) fn passed_on(&self) -> TraceParent {
        self.is_passed_on.set(true);
        let tries = self.recording.as_ref().map(|it| it.tries.borrow());
        let last = tries.as_ref().and_then(|tries| tries.last());
        match last.filter(|last| last.end.is_none()) {
            Some(last) => self.own.within(last.span),
            None => self.own,
        }
    }

    /// Takes note that `server` is asked for `url`, the request having been sent `resent` times before.
    pub(crate) fn begin_try(&self, server: &Arc<str>, url: impl FnOnce() -> String, resent: u32) {
        let Some(recording) = &self.recording else {
            return;
        };
        let mut tries = recording.tries.borrow_mut();
        if tries.len() < MAX_TRIES {
            tries.push(Try {
                span: new_span(),
                server: Arc::clone(server),
                url: url(),
                resent,
                begun: Instant::now(),
                end: None,
            });
        }
    }

    /// Takes note of how the try ended that is under way.
    pub(crate) fn end_try(&self, end: TryEnd) {
        let Some(recording) = &self.recording else {
            return;
        };
        if let Some(last) = recording.tries.borrow_mut().last_mut()
            && last.end.is_none()
        {
            last.end = Some((Instant::now(), end));
        }
    }
}

impl Recording {
    /// A recording that begins now.
    pub(crate) fn begin(is_https: bool) -> Self {
        Self {
            begun: Instant::now(),
            started: SystemTime::now(),
            is_https,
            tries: RefCell::default(),
        }
    }

    /// The tries, in their order.
    pub(crate) fn tries(&self) -> Vec<Try> {
        self.tries.borrow().clone()
    }

    /// When the exchange began.
    pub(crate) fn started(&self) -> SystemTime {
        self.started
    }

    /// `moment` by the clock on the wall, as that was when the exchange began: spans of one exchange are
    /// in order, whatever is done to the clock.
    pub(crate) fn time_of(&self, moment: Instant) -> SystemTime {
        self.started + moment.saturating_duration_since(self.begun)
    }
}

impl Try {
    /// When it began, when it ended and how. One that is under way ends `now`.
    pub(crate) fn times(&self, now: Instant) -> (Instant, Instant, TryEnd) {
        let (ended, how) = self.end.unwrap_or((now, TryEnd::Abandoned));
        (self.begun, ended, how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_that_begins_here_is_random_and_has_no_parent() {
        let (first, second) = (Trace::begin(None), Trace::begin(None));
        assert_ne!(first.id(), second.id());
        assert_eq!(first.parent, None);
        assert_eq!(first.own().flags(), 2);
        assert_eq!(Trace::begin(Some(Recording::begin(false))).own().flags(), 3);
    }

    #[test]
    fn a_trace_goes_on_with_a_span_of_its_own() {
        let value = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = TraceParent::parse(value).expect("valid");
        let trace = Trace::follow(parent, None, Some(Recording::begin(false)));
        assert_eq!(
            (trace.id(), trace.parent),
            (parent.trace, Some(parent.span))
        );
        assert_ne!(trace.own().span, parent.span);
        // The caller has not said that the id is random.
        assert_eq!(trace.own().flags(), 1);
        let unsampled = Trace::follow(parent, None, None);
        assert_eq!(unsampled.own().flags(), 0);
    }

    #[test]
    fn a_server_is_told_the_span_of_its_try() {
        let trace = Trace::begin(Some(Recording::begin(false)));
        assert_eq!(trace.passed_on(), trace.own());
        let server: Arc<str> = "127.0.0.1:1".into();
        let url = || "http://127.0.0.1:1/".to_owned();
        trace.begin_try(&server, url, 0);
        let first = trace.passed_on().span;
        trace.end_try(TryEnd::Failed(Reason::UpstreamTimeout));
        assert_eq!(trace.passed_on(), trace.own());
        trace.begin_try(&server, url, 1);
        let second = trace.passed_on().span;
        assert!(first != second && first != trace.own().span);
        let now = Instant::now();
        let tries = trace.recording().expect("it is recorded").tries();
        let spans: Vec<_> = tries
            .iter()
            .map(|it| (it.span, it.resent, it.times(now).2))
            .collect();
        let failed = TryEnd::Failed(Reason::UpstreamTimeout);
        let expected = [(first, 0, failed), (second, 1, TryEnd::Abandoned)];
        assert_eq!(spans, expected);
    }

    #[test]
    fn a_trace_that_is_not_sampled_records_no_try() {
        let trace = Trace::begin(None);
        trace.begin_try(&"127.0.0.1:1".into(), String::new, 0);
        assert_eq!(trace.passed_on(), trace.own());
        assert!(trace.recording().is_none());
    }
}
