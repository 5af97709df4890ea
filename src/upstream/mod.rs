//! Servers that this server asks.
//!
//! `fastcgi` asks one server. A process of PHP-FPM belongs to a connection for as long as that is open.
//! So its connections carry one request and are closed: one that waited for a second request would hold
//! a process that other requests wait for. `proxy` asks one of several servers behind a name, and keeps
//! connections.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | one connection, and the buffer that all of a worker's share | [`connection`] |
//! | TLS to a server, and what can go wrong with it | [`security`] |
//! | one request and its response, both ways at once | [`dialogue`] |
//! | the servers behind one name, and the choice among them | [`group`], [`members`] |
//! | what a server is chosen for | [`wanted`] |
//! | the server that a request was given | [`chosen`] |
//! | how they are balanced | [`balance`], [`hash`] |
//! | how a client gets the server that it had before | [`sticky`] |
//! | what all workers know of one server | [`server`], [`failures`] |
//! | where names lead, and that they are looked up again | [`names`], [`srv`], [`answers`], [`housekeeping`] |
//! | a server at `localhost`, which has two addresses | [`localhost`] |
//! | whether a server says that it is well | [`health`], [`check`] |
//! | what the operator is told of servers | [`report`] |
//! | which servers the operator has drained | [`orders`] |
//! | the servers of an application, whose processes come and go | [`instances`] |
//! | that a server has left an upstream | [`departures`] |
//! | whether one more request may be asked again | [`budget`] |
//! | connections that wait for their next request | [`kept`] |
//! | requests that wait for a server with room | [`line`](mod@line) |

mod answers;
mod balance;
mod budget;
mod check;
mod chosen;
mod connection;
mod departures;
mod dialogue;
mod failures;
mod group;
mod hash;
mod health;
pub(crate) mod housekeeping;
mod instances;
mod kept;
mod line;
mod localhost;
mod members;
mod names;
mod orders;
mod report;
mod security;
mod server;
mod srv;
mod sticky;
mod wanted;

pub(crate) use chosen::Chosen;
pub(crate) use connection::{Buffers, Connection};
pub(crate) use dialogue::{Dialogue, Failure, Fault, HeadReturns, Protocol};
pub(crate) use group::{Group, NoServer, ServerOutlook};
pub(crate) use kept::KeptConnections;
pub(crate) use report::{ServerReport, ServerState};
pub(crate) use security::TlsFault;
pub(crate) use server::{Server, Servers};
pub(crate) use wanted::Wanted;
