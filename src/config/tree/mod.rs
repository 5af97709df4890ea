//! The tree that `toml` read, and the means of walking it: values, tables and paths, each with its place.
//!
//! Knows what a value looks like, not which keys there are.

pub(crate) mod named_handler;
pub(crate) mod node;
pub(crate) mod paths;
pub(crate) mod section;
pub(crate) mod surroundings;
