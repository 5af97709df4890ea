//! What happened: the access log, with a line for each exchange, and diagnostics for the operator.
//!
//! [`record`] is what is told of an exchange, and [`mod@format`] writes it as the operator wants it;
//! [`redaction`] leaves [`secrets`] out, and [`condition`] says which exchanges a log has. [`access`] takes
//! lines from the workers and writes them, and no request waits for that; [`feed`] has them for who looks
//! while the server runs. [`diagnostic`] writes to standard error, [`limited`] does so where clients could
//! cause any number of lines, and [`program_lines`] is what other people's programs write.

pub(crate) mod access;
mod condition;
pub(crate) mod diagnostic;
pub(crate) mod feed;
mod format;
pub(crate) mod limited;
mod limiter;
pub(crate) mod line;
pub(crate) mod program_lines;
mod queue;
pub(crate) mod record;
pub(crate) mod redaction;
pub(crate) mod secrets;
pub(crate) mod stream_record;
