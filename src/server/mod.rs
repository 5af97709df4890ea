//! Connections, and the exchanges of requests and responses on them.
//!
//! ```text
//! worker        one thread accepts               → Connection, a task of its own
//! proxy_header  who the client is, if a trusted proxy says so before the client's octets
//! connection    read → turn: every request that is complete, answered in one write
//! exchange      RequestHead → route → handler    → Response → encoded head and content
//! stream        a connection that is passed on as it is: no exchange, but a tunnel and a record
//! explain       what an exchange would come to   → a description; no client has sent its request
//! ```
//!
//! What one write does not take, files, and the content of requests are the business of
//! [`transfer`](crate::transfer).
//!
//! A request that the worker can answer from what it holds is parsed, routed, answered and logged
//! by a plain function, [`connection::Connection::turn`]. Everything slower becomes one boxed
//! future, so that the connection's own stays small while it is idle.

mod connection;
mod exchange;
mod explain;
mod proxy_header;
mod stream;
#[cfg(debug_assertions)]
mod test_hooks;
pub(crate) mod worker;

#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) use exchange::client::address as client_address;
pub(crate) use explain::{
    Buckets, Mismatch, explain, exposed_files, mismatches_of_tests, passed_over_siblings, run_tests,
};
pub(crate) use worker::endpoint::ListeningSocket;
pub(crate) use worker::run::{Acknowledgement, Command, run};
pub(crate) use worker::{LoopReport, Roster, WorkerSetup};
