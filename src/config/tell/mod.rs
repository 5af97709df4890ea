//! From the model back to the operator: what is in force, what a reload changes, what can be written.

mod difference;
mod dump;
mod schema;
#[cfg(test)]
mod schema_tests;

pub(crate) use difference::{Change, difference};
pub(crate) use dump::dump;
pub(crate) use schema::{key_table, schema};
