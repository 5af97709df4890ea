//! The keys of the file, a file for each subject: what may be written, how it is read, how it is
//! shown.
//!
//! ```text
//! top ─┬─ log, blocking, acme (and issue: what it needs of a server), tracing (both with authorities)
//!      ├─ server ─┬─ route ─┬─ files, respond, redirect, handler, switch, ready, cgi, fastcgi, proxy
//!      │          │         └─ own: when, rewrite   what holds for one route alone
//!      │          ├─ clash                    claims that exclude each other
//!      │          └─ circle                   redirects that lead back to their own route
//!      ├─ refine ─ headers, limits, error_pages, types, access, auth, cors, compress: what holds at a `level`
//!      ├─ rate                               how many requests may be made
//!      ├─ stream                             connections that are passed on as they are
//!      │    └─ listening, listen_claims      what servers and streams set for their addresses
//!      ├─ tls                                what servers and streams end TLS with
//!      ├─ upstream                           servers that routes and streams ask
//!      ├─ app                                applications that this server runs
//!      └─ test                                what the operator expects
//! secrets                                     which values are never shown
//! ```
//!
//! Each subject has a table with a [`setting::Setting`] for each key. The walk, the dump and the
//! difference loop over a subject's own table. The schema, the tables of the documentation and the
//! `hints` loop over [`TABLES`].
//!
//! To add a key, add an entry to its subject's table, and the field of the model that it fills in. To
//! add a verb, see `verb`.

mod access;
pub(crate) mod acme;
pub(crate) mod app;
mod auth;
mod authorities;
mod blocking;
mod certificate;
mod cgi;
mod circle;
mod clash;
mod compress;
mod cors;
mod error_pages;
mod exposure;
mod fastcgi;
mod files;
mod foreign_names;
mod freshness;
mod handler;
mod headers;
pub(crate) mod hints;
mod http_redirect;
mod issue;
pub(crate) mod level;
pub(crate) mod limits;
mod links;
mod listen_claims;
mod listening;
pub(crate) mod log;
pub(crate) mod own;
mod peer;
mod proxy;
pub(crate) mod rate;
mod ready;
mod redirect;
pub(crate) mod refine;
mod request_id;
mod respond;
mod rewrite;
mod roots;
pub(crate) mod route;
mod route_hints;
mod script_variables;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod setting;
pub(crate) mod stream;
mod switch;
mod target;
pub(crate) mod test;
pub(crate) mod tls;
pub(crate) mod top;
pub(crate) mod tracing;
mod types;
pub(crate) mod upstream;
mod verb;
mod when;

use setting::Table;

/// Every table of the file, in the order of the documentation.
pub(crate) const TABLES: &[&Table] = &[
    &top::TABLE,
    &blocking::TABLE,
    &log::TABLE,
    &log::ACCESS_TABLE,
    &log::CONDITION_TABLE,
    &log::REDACT_TABLE,
    &acme::TABLE,
    &acme::EXTERNAL_TABLE,
    &tracing::TABLE,
    &limits::TABLE_AT_TOP,
    &headers::TABLE,
    &server::TABLE,
    &tls::TABLE,
    &limits::TABLE_AT_SERVER,
    &route::TABLE,
    &ready::TABLE,
    &limits::TABLE_AT_ROUTE,
    &when::TABLE,
    &auth::TABLE,
    &cors::TABLE,
    &rate::TABLE,
    &compress::TABLE,
    &stream::TABLE,
    &tls::STREAM_TABLE,
    &upstream::TABLE,
    &upstream::SERVER_TABLE,
    &upstream::TLS_TABLE,
    &upstream::STICKY_TABLE,
    &upstream::FAILURES_TABLE,
    &upstream::HEALTH_TABLE,
    &upstream::TIMEOUTS_TABLE,
    &upstream::RETRY_TABLE,
    &upstream::QUEUE_TABLE,
    &app::TABLE,
    &test::TABLE,
    &test::EXPECT_TABLE,
];
