//! Servers that this one asks: their address, the connections kept to them, the queue before them.
//!
//! It knows no protocol: who uses it decides what goes over a connection, and when nothing is under
//! way on it. Today that is `fastcgi`. A proxy finds the same here: [`Connection::open`] for a new
//! connection, [`Pool::take`] and [`Pool::keep`] for one that is used again, [`Connection::is_reused`]
//! to know that a request may have to be repeated, and [`Queue`] to leave others their turn where an
//! upstream serves few connections at once. What it needs beyond that (several servers behind one
//! name, health, retries) has its place in this room too.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | a server, and the requests that wait for it | [`server`] |
//! | one connection | [`connection`] |
//! | the connections that a worker keeps | [`pool`] |

mod connection;
mod pool;
mod server;

pub(crate) use connection::Connection;
pub(crate) use pool::Pool;
pub(crate) use server::{Queue, Server};
