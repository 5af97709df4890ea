//! TLS over a socket. rustls is the protocol; here are the socket, the buffers and the waits.
//!
//! ```text
//! handshake   from the first octet to a session: hello (which server is meant), gate (whose turn it is)
//! session     octets in both directions: state (what is between its two sides), half (the state machine of
//!             rustls), records, buffers; about: what the handshake has settled
//! ```
//!
//! We use the interface of rustls without buffers (`rustls::unbuffered`): what a session holds while it
//! is idle is its state alone, about half of what it is with buffers.

mod about;
mod buffers;
mod gate;
mod half;
mod handshake;
mod hello;
mod records;
mod session;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use about::About;
pub(crate) use gate::is_crowded;
pub(crate) use handshake::{Chosen, HandshakeError, UnknownName, accept, connect};
pub(crate) use hello::Hello;
pub(crate) use session::Session;
