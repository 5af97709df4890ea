//! Tidegate, a small HTTP/1.1 server: static files and handlers, one configuration file.
//!
//! This is the library of the program `tidegate`. It is for programs with handlers of their own, and
//! for programs that contain a server. docs/configuration.md describes the
//! configuration.
//!
//! # A program with handlers
//!
//! A configuration names a handler, `"/hello" = { handler = "hello" }`; the program registers the
//! handler under that name and calls [`main`], which has every command of `tidegate`.
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
//! | To | use |
//! |---|---|
//! | take options from the route | [`Handlers::register`], a factory; [`Options`] |
//! | look at a request | [`Request`]: method, target, parameters, query, fields, client, content |
//! | answer | [`Response`]: octets, a file, a reader, a writer, a channel |
//! | refuse, with a status | [`Error`] |
//! | run on the event loop, if the handler never waits | [`Handler::never_waits`] |
//!
//! # A server within a program
//!
//! [`Server::builder`] takes a configuration (a file, a text or a value) and handlers. The [`Server`]
//! has methods that return its addresses, reload, drain and stop.
//!
//! # How the sources are laid out
//!
//! ARCHITECTURE.md says which module may import which. A request passes through them like this; each
//! arrow leads to the type that a step returns.
//!
//! ```text
//! supervisor         binds sockets, starts workers, replaces one that dies, drains, stops
//!   └─ worker        one thread, one loop, its own connections, file cache, log buffer, counters
//!      listener      accept                       → Connection
//!      connection    read, http::request          → RequestHead     ┐ one exchange,
//!      generation    (Generation, RequestHead)    → Route           │ repeated while
//!      handlers      (Route, Request)             → Response        │ the connection
//!      connection    http::response, transfer     → bytes           │ persists
//!      log           exchange                     → AccessRecord    ┘
//! ```

mod acme;
mod address;
mod api;
mod auth;
#[cfg(feature = "bench-internals")]
#[doc(hidden)]
pub mod bench;
mod byte_order_mark;
mod cli;
mod coding;
mod config;
mod control;
mod disk;
mod embedded;
mod fetch;
#[cfg(any(test, feature = "fuzz-internals"))]
#[doc(hidden)]
pub mod fuzz;
mod generation;
mod handlers;
mod http;
mod log;
mod message;
mod metrics;
mod proxy_protocol;
mod reason;
mod runtime;
mod server;
mod supervisor;
mod throttle;
mod tls;
mod trace;
mod transfer;
mod transport;
mod upstream;

#[cfg(test)]
mod test_support;

pub use crate::api::{
    ClientCertificate, Content, EndReason, Ending, Error, Handler, Handlers, Options, OptionsError,
    Reply, Request, Response, StreamWriter, Tls,
};
pub use cli::main;
pub use embedded::{Builder, ReloadError, Server, StartError};
pub use http::method::Method;
pub use http::status::Status;
/// The crate whose values hold options and configurations.
pub use toml;
