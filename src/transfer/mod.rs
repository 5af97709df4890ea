//! The content of a message over a connection: received for a handler, sent to a client.

pub(crate) mod receive;
pub(crate) mod send;
