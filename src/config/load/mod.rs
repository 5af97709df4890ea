//! From files to a checked configuration: which files there are, their trees, the walk, the report.

mod file;
mod include;
mod text;

pub(crate) use file::{Loaded, Strictness, load, parse};
pub(crate) use include::Wildcard;
