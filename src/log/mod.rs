//! What happened: the access log, with a line for each exchange, and diagnostics for the operator.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | what is told of an exchange; of a connection that was passed on | [`record`]; [`stream_record`] |
//! | a record in the format that the operator has chosen | [`mod@format`] |
//! | what is left out of it | [`redaction`], [`secrets`] |
//! | which exchanges a log has | [`condition`] |
//! | the way of lines from the workers to the log, for which no request waits | [`access`], [`queue`] |
//! | records that an operator sees while the server runs | [`feed`] |
//! | diagnostics on standard error, and their form | [`diagnostic`], [`line`](mod@line) |
//! | the same where clients could cause any number of lines | [`limited`], [`limiter`] |
//! | what other people's programs write | [`program_lines`] |

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
