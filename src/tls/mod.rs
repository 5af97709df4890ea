//! What TLS is spoken with: certificates, keys, session tickets, and the rules of a server.
//!
//! ```text
//! files ─ pem ─ identity: certificates and their key ─┐
//!               facts: names, dates, issuer           ├─ terminator: what a server's handshakes go on with,
//! tickets: keys that all workers share ───────────────┘  exchanged while it serves
//! ```
//!
//! The records and the handshake itself are in `transport::tls`. This room opens files, and so is called
//! while a configuration is prepared, never by a connection.

pub(crate) mod facts;
mod fault;
mod identity;
mod pem;
mod terminator;
pub(crate) mod tickets;

pub(crate) use fault::{Fault, Part};
pub(crate) use terminator::{Looked, Terminator};
