//! What happened: the access log, with a line for each exchange, and diagnostics for the operator.
//!
//! [`record`] turns an exchange into a line. [`access`] takes lines from the workers and writes them,
//! and no request waits for that. [`diagnostic`] writes to standard error, [`limited`] does so where
//! clients could cause any number of lines.

pub(crate) mod access;
pub(crate) mod diagnostic;
pub(crate) mod limited;
mod limiter;
mod line;
mod queue;
pub(crate) mod record;
pub(crate) mod stream_record;
