//! The configuration: as written → as checked, and the complaint with its place in the file.
//!
//! `model` holds the checked values, the only part that the serving rooms see. The rest leads to it:
//!
//! ```text
//! include ─ file ─ toml's tree ─┬─ syntax                    what is no TOML             ┐
//!                               └─ resolve ─ server ─ verbs  what cannot be served       ├─ diagnostic
//!                                    │         └─ clash      what excludes something else┘
//!                                    ├─ refine ─ headers, limits, error_pages, access: a level's `policy`
//!                                    └─ route_test           what the operator expects
//! ```
//!
//! `decode` and `section` are the means by which the tree is walked. Single words are read by
//! `units`, `address`, `pattern`, `values` and `environment`, which know text and no file.
//! `suggest` and `vocabulary` know what may have been meant.
//!
//! From the model back to the operator: `dump` writes it out, `difference` compares two, and
//! `schema` describes what can be written.

mod complaint;
mod difference;
mod dump;
mod keys;
mod load;
mod model;
mod schema;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::time::Duration;

pub(crate) use complaint::diagnostic::Report;
pub(crate) use difference::{Change, difference};
pub(crate) use dump::dump;
pub(crate) use load::{Loaded, Strictness, Wildcard, load, parse};
pub(crate) use schema::{key_table, schema};
pub(crate) use tree::surroundings::{Plugins, Surroundings};

pub(crate) use crate::address::ListenAddress;
pub(crate) use model::{
    Access, AccessLog, Blocking, Cgi, Cidr, Config, ErrorPages, Fastcgi, Files, HeaderChanges,
    HostPattern, Limits, LogFormat, LogLevel, PatternSegment, Place, PluginRoute, Policy, Redirect,
    Respond, Route, RoutePattern, RouteTest, Server, Verb, describe_route,
};

/// Reads a network, for the tests of other rooms.
#[cfg(test)]
pub(crate) fn network(text: &str) -> Cidr {
    words::address::parse_cidr(text).expect("a network")
}

/// Reads a duration as the file writes it; `None` if it is none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    words::units::parse_duration(text).ok()
}
