//! From files to a checked configuration: finds the files, parses them, walks them, and reports.

mod checked;
mod file;
mod include;
mod read;
mod text;

pub(crate) use checked::{Checked, Inputs, Loaded, Strictness};
pub(crate) use file::{load, parse};
pub(crate) use include::Wildcard;
pub(crate) use read::read_whole;
