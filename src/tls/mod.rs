//! Certificates, keys, session tickets, and the settings of handshakes.
//!
//! ```text
//! files ─ pem ─ identity: certificates and their key ─┐
//!               facts, name: names, dates, issuer     ├─ terminator: what a server's handshakes go on with,
//!               validity: whether peers refuse them   │  exchanged while it serves
//!       made ── standby: until a CA has issued one    │
//! tickets: keys that all workers share ───────────────┘
//!
//! local: the CA of a developer, which signs certificates for the developer's own machine
//!
//! files, the system's roots ─ connector: the settings of handshakes with the servers of an upstream
//! ```
//!
//! Terminators and connectors have their cryptography and their versions of TLS from `provider`. What is wrong with
//! a file is a `fault`.
//!
//! The records and the handshake itself are in `transport::tls`. This room opens files, and so is called
//! while a configuration is prepared, never by a connection.

mod connector;
pub(crate) mod facts;
mod fault;
mod identity;
pub(crate) mod local;
pub(crate) mod made;
mod name;
pub(crate) mod pem;
mod provider;
mod standby;
mod terminator;
pub(crate) mod tickets;
mod validity;

pub(crate) use connector::{Connector, Digests, Material};
pub(crate) use fault::{Fault, Part};
pub(crate) use identity::check_issued;
pub(crate) use terminator::{Looked, Terminator};
