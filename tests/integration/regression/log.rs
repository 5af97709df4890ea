//! The access log and the diagnostics.
