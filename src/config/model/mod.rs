//! The checked configuration, nothing else: what the serving rooms see of it.
//!
//! Values and how they are shown. Nothing here reads a file, knows TOML or complains; whoever holds a
//! value may rely on what its documentation promises. Of other rooms it names `http`, `address` and
//! what a program says of its handlers.
//!
//! ```text
//! process  Config ─┬─ Blocking, Log
//!                  ├─ policy  Policy ─ HeaderChanges, limits, ErrorPages, Access ─ address: networks
//!                  ├─ server  Server ─┬─ address: hosts
//!                  │                  └─ route  Route ─ RoutePattern, verbs: Verb ─ Files, Cgi, …
//!                  └─ test    RouteTest ─ Expectation
//! ```

mod address;
mod limits;
mod place;
mod policy;
mod process;
mod route;
mod server;
mod test;
mod verbs;

pub(crate) use address::{Cidr, HostPattern};
pub(crate) use limits::Limits;
pub(crate) use place::Place;
pub(crate) use policy::{Access, ErrorPages, HeaderChanges, Policy, StatusPattern};
pub(crate) use process::{AccessLog, Blocking, Config, Log, LogFormat, LogLevel};
pub(crate) use route::{PatternSegment, Route, RoutePattern, describe_route};
pub(crate) use server::Server;
pub(crate) use test::{Expectation, RouteTest};
pub(crate) use verbs::{
    CacheControl, Cgi, DEFAULT_CODE_TIMEOUT, Fastcgi, Files, PluginRoute, Redirect, Respond, Verb,
};
