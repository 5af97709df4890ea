//! What can be read of the server on any thread, while the supervisor's thread is busy with a reload, too.
//!
//! ```text
//! readings ─┬→ exposition   the metrics, for Prometheus
//!           └→ snapshot     the same numbers as one JSON object, for those who look at the server live
//! ```

mod exposition;
mod readings;
mod reloads;
mod snapshot;

pub(super) use readings::Observed;
pub(super) use reloads::{Outcome, Standing};
