//! The content of a message over a connection: received for a handler, sent to a client. And octets
//! that are no message's, between two connections.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | a request's content, under limits, without its framing | [`receive`] |
//! | a response's head and content, as fast as the client takes them | [`send`] |
//! | two connections whose octets go to each other | [`tunnel`] |

pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod tunnel;

use std::cell::RefCell;

/// Bytes read at a time: as much as a socket usually holds.
pub(crate) const READ_SIZE: usize = 64 * 1024;

/// Where all connections of a worker read to, one after the other: an idle connection holds no buffer.
/// At least [`READ_SIZE`] bytes. Never borrowed across a wait.
pub(crate) type InputBuffer = RefCell<Box<[u8]>>;
