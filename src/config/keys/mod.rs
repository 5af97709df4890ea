//! The keys of the file, a file for each subject: how each is read, and what is wrong with it.
//!
//! ```text
//! top ─┬─ log, blocking, access: trusted_proxies
//!      ├─ server ─┬─ route ─ files, respond, redirect, handler, cgi, fastcgi, switch
//!      │          └─ clash                    claims that exclude each other
//!      ├─ refine ─ headers, limits, error_pages, access: what holds at a `level`
//!      └─ test                                what the operator expects
//! ```

mod access;
mod blocking;
mod cgi;
mod clash;
mod error_pages;
mod fastcgi;
mod files;
mod handler;
mod headers;
pub(crate) mod level;
mod limits;
mod log;
mod redirect;
mod refine;
mod respond;
mod route;
mod server;
mod switch;
mod test;
pub(crate) mod top;
