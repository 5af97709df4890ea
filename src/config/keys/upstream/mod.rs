//! `[upstreams.NAME]`: the servers that routes with `proxy` ask, and how one of them is chosen.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | the keys of an upstream | [`entry`] |
//! | an entry of `servers` | [`server`] |
//! | which server is chosen | [`balance`] |
//! | what TLS is spoken to them with | [`tls`] |
//! | servers that fail or are late | [`failures`] |
//! | servers that are asked for their health | [`health`] |
//! | which upstreams there are, and who asks them | [`known`] |
//! | requests that would come back to this server | [`loops`] |

mod balance;
mod entry;
mod failures;
mod health;
mod known;
mod loops;
mod server;
mod tls;

pub(super) use balance::STICKY_TABLE;
pub(crate) use entry::show_upstream;
pub(super) use entry::{TABLE, read_for_app, rows_of_apps, show_for_app};
pub(super) use failures::{FAILURES_TABLE, QUEUE_TABLE, RETRY_TABLE, TIMEOUTS_TABLE};
pub(crate) use health::parse_status;
pub(super) use health::{TABLE as HEALTH_TABLE, parse_path, read_status, show_status};
pub(super) use known::Known;
pub(super) use server::{ABSENT, TABLE as SERVER_TABLE};
pub(super) use tls::TABLE as TLS_TABLE;
