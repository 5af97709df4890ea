//! What the operator can ask for: the configuration that holds, what a reload changes, and which keys
//! there are.

mod difference;
mod dump;
mod schema;
#[cfg(test)]
mod schema_tests;

pub(crate) use difference::{Change, difference};
pub(crate) use dump::dump;
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) use dump::dump_with_secrets;
pub(crate) use schema::{key_table, schema};
