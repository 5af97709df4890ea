//! From files to a checked configuration: which files there are, their trees, the walk, the report.

mod checked;
mod file;
mod include;
mod text;

pub(crate) use checked::{Checked, Loaded, Strictness};
pub(crate) use file::{load, parse};
pub(crate) use include::Wildcard;
