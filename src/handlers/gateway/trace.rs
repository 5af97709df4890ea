//! What a server or a script behind this one is told of the trace: `traceparent` and `tracestate` (W3C Trace
//! Context), in place of what the client has sent by these names.

use crate::config::model::HeaderChanges;
use crate::http::fields::is_same_variable;
use crate::http::response::FieldLines;
use crate::http::trace_context::{TRACEPARENT, TRACESTATE};
use crate::message::trace::Trace;

/// Whether the client's field `name` is dropped where there is a trace.
pub(super) fn is_of_trace(name: &str) -> bool {
    // Most names differ in their first letter.
    matches!(name.as_bytes().first(), Some(b't' | b'T'))
        && [TRACEPARENT, TRACESTATE]
            .iter()
            .any(|other| is_same_variable(name, other))
}

/// The fields and their values.
fn fields(trace: &Trace) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let parent = trace.passed_on().to_string().into_bytes();
    let state = trace.state.as_ref().map(|state| state.to_vec());
    let state = state.map(|state| (TRACESTATE, state));
    [(TRACEPARENT, parent)].into_iter().chain(state)
}

/// Appends the fields for a server, less those that the operator changes.
pub(super) fn push_fields(trace: &Trace, changes: &HeaderChanges, lines: &mut FieldLines) {
    for (name, value) in fields(trace) {
        if !changes.replace(name) {
            lines.push_clean(name, [&value]);
        }
    }
}

/// The meta-variables for a script.
pub(super) fn variables(trace: &Trace) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    fields(trace).map(|(name, value)| match name {
        TRACEPARENT => ("HTTP_TRACEPARENT", value),
        _ => ("HTTP_TRACESTATE", value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::trace_context::TraceParent;

    #[test]
    fn names_are_those_that_an_application_may_take_for_them() {
        for (name, expected) in [
            ("traceparent", true),
            ("TraceParent", true),
            ("Tracestate", true),
            ("trace", false),
            ("X-Traceparent", false),
        ] {
            assert_eq!(is_of_trace(name), expected, "{name}");
        }
    }

    #[test]
    fn a_state_is_told_with_its_trace() {
        let value = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let parent = TraceParent::parse(value).expect("valid");
        let trace = Trace::follow(parent, Some(b"a=1".to_vec()), None);
        let mut lines = FieldLines::new();
        push_fields(&trace, &HeaderChanges::default(), &mut lines);
        let text = String::from_utf8_lossy(lines.as_bytes()).into_owned();
        let expected = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("-00\r\ntracestate: a=1\r\n"), "{text}");
        assert!(!text.contains("b7ad6b7169203331"), "{text}");
        let names: Vec<&str> = variables(&trace).map(|(name, _)| name).collect();
        assert_eq!(names, ["HTTP_TRACEPARENT", "HTTP_TRACESTATE"]);
    }
}
