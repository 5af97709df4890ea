//! Says for `explain` what becomes of the trace of a request.

use crate::config::model::Followed;
use crate::generation::Generation;
use crate::server::exchange::Exchange;

/// What becomes of the trace: whether it begins here, whether it is recorded, and who gets it. `None`: there
/// is no `[tracing]`.
pub(super) fn trace_of(exchange: &Exchange<'_, '_>, generation: &Generation) -> Option<String> {
    let options = generation.tracing.as_ref()?.options();
    let trace = exchange.trace()?;
    let to = format!("for {}", options.endpoint);
    if trace.parent.is_some() {
        let recorded = if trace.is_recorded() {
            format!("recorded, as the caller's is, {to}")
        } else {
            "not recorded, as the caller's is not".to_owned()
        };
        return Some(format!("{} goes on here: {recorded}", trace.id()));
    }
    let part = options.shown_sample();
    let followed = match options.parent {
        Followed::Trusted => "a `traceparent` of trusted proxies is followed",
        Followed::Always => "a `traceparent` is followed",
        Followed::Never => "no `traceparent` is followed",
    };
    Some(format!(
        "begins here: {part} of these are recorded, {to}; {followed}"
    ))
}
