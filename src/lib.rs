//! Tidegate, a small HTTP/1.1 server: static files and handlers, one configuration file.
//!
//! This is the library behind the program `tidegate`: for programs with handlers of their own, and
//! for programs of which a server is a part. What the configuration says is in docs/configuration.md.
//!
//! # A program with handlers
//!
//! A configuration names a handler, `"/hello" = { handler = "hello" }`; the program says what stands
//! behind the name, and [`main`] does the rest: every command of `tidegate` is there.
//!
//! ```no_run
//! use tidegate::{Handlers, Response};
//!
//! fn main() -> std::process::ExitCode {
//!     let mut handlers = Handlers::new();
//!     handlers.function("hello", |_request| Ok(Response::text("hello\n")));
//!     tidegate::main(std::env::args_os(), &handlers)
//! }
//! ```
//!
//! | To | there is |
//! |---|---|
//! | take options from the route | [`Handlers::register`], a factory; [`Options`] |
//! | look at a request | [`Request`]: method, target, parameters, query, fields, client, content |
//! | answer | [`Response`]: octets, a file, a reader, a writer, a channel |
//! | refuse, with a status | [`Error`] |
//! | run on the event loop, where that never waits | [`Handler::never_waits`] |
//!
//! # A server within a program
//!
//! [`Server::builder`] takes a configuration (a file, a text or a value) and handlers; the
//! [`Server`] tells its addresses, reloads, drains and stops.
//!
//! # How the house is laid out
//!
//! A request walks through it like this; each arrow is a type, and knowledge points one way:
//! `cli, embedded → supervisor → server → {routing, handlers, log} → config → {http, plugin}`, while
//! `server` and `handlers` also use `runtime`. `http` and `runtime` have never heard of each other.
//!
//! ```text
//! supervisor         binds sockets, starts workers, replaces one that dies, drains, stops
//!   └─ worker        one thread, one loop, its own connections, file cache, log buffer, counters
//!      listener      accept                       → Connection
//!      connection    read, http::request          → RequestHead     ┐ one exchange,
//!      routing       (Generation, RequestHead)    → Route           │ repeated while
//!      handlers      (Route, Request)             → Response        │ the connection
//!      connection    http::response, transmit     → bytes           │ persists
//!      log           Exchange                     → AccessRecord    ┘
//! ```

mod address;
mod api;
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench;
mod cli;
mod config;
mod control;
mod disk;
mod embedded;
mod generation;
mod handlers;
mod http;
mod log;
mod message;
mod metrics;
mod runtime;
mod server;
mod supervisor;
mod transfer;
mod transport;
mod upstream;

#[cfg(test)]
mod test_support;

pub use crate::api::{
    Content, Error, Handler, Handlers, Options, OptionsError, Request, Response, StreamWriter,
};
pub use cli::main;
pub use embedded::{Builder, ReloadError, Server, StartError};
pub use http::method::Method;
pub use http::status::Status;
/// In which options and configurations may be given.
pub use toml;
