//! Tidegate, a small HTTP/1.1 server: static files and handlers, one configuration file.
//!
//! A request walks through the house like this; each arrow is a type, and knowledge points one way:
//! `cli → supervisor → server → {routing, handlers, log} → config → http`, while `server` and
//! `handlers` also use `runtime`. `http` and `runtime` have never heard of each other.
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

mod cli;
mod config;
mod embedded;
mod handlers;
mod http;
mod log;
mod plugin;
mod routing;
mod runtime;
mod server;
mod supervisor;

#[cfg(test)]
mod test_support;

pub use cli::main;
pub use embedded::{Builder, ReloadError, Server, StartError};
pub use http::method::Method;
pub use http::status::Status;
pub use plugin::{
    Content, Error, Handler, Handlers, Options, OptionsError, Request, Response, StreamWriter,
};
