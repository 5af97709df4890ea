//! What happened: access records for those who count, diagnostics for those who operate.
//!
//! [`record`] turns an exchange into a line, [`access`] carries lines from the workers to where they
//! are kept without ever holding a request up, [`diagnostic`] writes to standard error.

pub(crate) mod access;
pub(crate) mod diagnostic;
pub(crate) mod record;
