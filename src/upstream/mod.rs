//! Servers that this server asks.
//!
//! An upstream serves few connections at once: a process of PHP-FPM belongs to a connection for as
//! long as that is open. So a connection carries one request and is closed: a connection that waited
//! for a second one would hold a process that other requests wait for. What a proxy needs beyond that
//! (kept connections, several servers behind one name, health, retries) has its place in this room
//! too.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | one connection, and the buffer that all of a worker's share | [`connection`] |
//! | one request and its response, both ways at once | [`dialogue`] |
//! | the servers behind one name, and the choice among them | [`group`], [`members`] |
//! | how they are balanced | [`balance`], [`hash`] |
//! | what all workers know of one server | [`server`], [`failures`] |
//! | whether one more request may be asked again | [`budget`] |

mod balance;
mod budget;
mod connection;
mod dialogue;
mod failures;
mod group;
mod hash;
mod members;
mod server;
mod wanted;

pub(crate) use connection::{Connection, Input};
pub(crate) use dialogue::{Dialogue, Failure, Fault, HeadReturns, Protocol};
pub(crate) use group::{Chosen, Group, NoServer};
pub(crate) use server::{Server, Servers};
pub(crate) use wanted::Wanted;
