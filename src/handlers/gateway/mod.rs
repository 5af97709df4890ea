//! Responses that another program gives: a new process for each request, or an application server.
//!
//! They share how the program is told of a request and how it puts its response: the meta-variables
//! and the script response of the Common Gateway Interface (RFC 3875), and the way of its error
//! stream into the log.

pub(crate) mod cgi;
mod client_certificate;
pub(crate) mod fastcgi;
pub(crate) mod meta_variables;
pub(crate) mod proxy;
pub(crate) mod script;
mod script_log;
pub(crate) mod script_response;
mod trace;
