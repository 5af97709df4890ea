//! The configuration: as written → as checked, and the complaint with its place in the file.
//!
//! `model` holds the checked values, the only part that the serving rooms see. The floors below lead to
//! it, and back to the operator. Each may import those beneath it in this picture, and `model`:
//!
//! ```text
//! load       include ─ file: all files, the tree of each, the walk, the report
//! keys       the walk, a file for each subject              tell   dump, difference, schema
//! tree       values, tables and paths, each with its place
//! words      single words: text in, a value or a fault out
//! complaint  diagnostics, mistakes of syntax, what may have been meant
//! ```
//!
//! `tell` may name `keys`, too. Nothing outside the room names a floor other than `model`.

mod complaint;
mod keys;
mod load;
pub(crate) mod model;
mod tell;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::time::Duration;

pub(crate) use complaint::diagnostic::Report;
pub(crate) use load::{Checked, Loaded, Strictness, Wildcard, load, parse};
pub(crate) use tell::{Change, difference, dump, key_table, schema};
pub(crate) use tree::surroundings::Surroundings;

/// Reads a network, for the tests of other rooms.
#[cfg(test)]
pub(crate) fn network(text: &str) -> model::Cidr {
    words::address::parse_cidr(text).expect("a network")
}

/// Reads a duration as the file writes it; `None` if it is none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    words::units::parse_duration(text).ok()
}
