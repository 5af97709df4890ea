//! Connections, and the exchanges of requests and responses on them.
//!
//! ```text
//! listener    accept                              → Connection, a task of its own
//! connection  read → turn: every request that is complete, answered in one write
//! exchange    RequestHead → route → handler       → Response → encoded head and content
//! transmit    what one write did not take; files; blocks
//! content     the content of a request, for a handler or to be dropped
//! ```
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
