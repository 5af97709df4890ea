//! Records of exchanges that an operator can see while the server runs: those that end now, which go to followers,
//! and the last failures.
//!
//! ```text
//! worker ─ WorkerFeed ─┬─→ Follower: filter, format, queue ─→ a task that sends the lines to a client
//!                      ├─→ Follower …
//!                      └─→ Failures: the last 50 exchanges that failed
//! ```
//!
//! A record that comes here is [redacted](super::redaction) as access logs have it, and there need not be
//! any access log. While the server has no follower, workers make a record only of an exchange that fails.
//! A follower that is too slow loses records, and is told how many; no worker ever waits for a follower.

mod failures;
mod filter;
mod follower;
mod of_worker;
mod readable;
mod shared;

pub(crate) use filter::{Filter, Place};
pub(crate) use follower::{FeedFormat, Follower, Taken, Wanted};
pub(crate) use of_worker::WorkerFeed;
pub(crate) use shared::Feed;
