//! Reads values, tables and paths, each with its place, from the tree that `toml` makes of a file.
//!
//! This floor knows the types of values. It does not know which keys there are.

pub(crate) mod asked_upstream;
pub(crate) mod named_buckets;
pub(crate) mod named_certificate;
pub(crate) mod named_connector;
pub(crate) mod named_handler;
pub(crate) mod named_passwords;
pub(crate) mod named_rate;
pub(crate) mod named_route;
pub(crate) mod node;
pub(crate) mod paths;
pub(crate) mod section;
pub(crate) mod surroundings;
pub(crate) mod survey;
