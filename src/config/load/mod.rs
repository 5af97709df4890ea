//! From files to a checked configuration: finds the files, parses them, walks them, and reports.

mod checked;
mod file;
mod include;
mod read;
mod text;
mod wildcard;

pub(crate) use checked::{Checked, Inputs, Loaded, Strictness};
pub(crate) use file::{load, parse};
pub(crate) use wildcard::{Listing, Wildcard};
