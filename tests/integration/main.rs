//! The real binary, on a port the system chose: raw bytes in, bytes out.
//!
//! Every test starts a server of its own from a configuration in a directory of its own (see
//! [`support`]), so they run side by side. None sleeps: each waits for an event, an answer, the end
//! of a connection, a line on standard error, and the time limits in `support` only keep a broken
//! server from hanging the suite.

// How answers follow each other on a connection, and how it ends.
mod persistence;
// The request line and `Host`: forms, versions, methods.
mod messages;
// Where a request's content ends, and the requests that try to leave that open.
mod framing;
// `Expect`: when the content is invited, and when it is not.
mod expectation;
// Preconditions: 304, 412, and their order.
mod conditional;
// Ranges: one, several, none.
mod ranges;
// Content negotiation between a file and its precompressed siblings.
mod coding;
// From a path to a file, its fields, and files that change while they are served.
mod files;
// Scripts: what they are told, how they answer, and that nothing of them is left.
mod cgi;
// The content of a directory, in three forms.
mod listing;
// Every size and every wait, and what happens at it.
mod limits;
// What an error answer says, and what it does not.
mod errors;
// `tidegate explain` against what is really answered.
mod explain;
// The access log: forms, destinations, reopening.
mod log;
// Every way in which an exchange can end: one record each, and one request counted.
mod outcomes;
// The process: how it starts, refuses to, drains and stops.
mod process;
// Another process of the program takes over, and nobody notices.
mod upgrade;
// `run --watch`: saved files and reloads.
mod watch;
// What systemd is told, and the sockets it hands over.
mod service_manager;
// Panics in an exchange and in a worker.
mod panics;
// Many clients at once, and greedy ones.
mod load;
// The control socket, and the commands that speak to a running server.
mod control;
// Reload under load, refused, on trial, and a thousand times.
mod reload;
// Headers, limits, error pages, access; and which of several servers answers.
mod policy;
// Application servers behind `fastcgi`, well-behaved and otherwise.
mod fastcgi;
// `tidegate check`.
mod check;

mod support;
