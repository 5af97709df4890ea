//! Answers that a program of somebody else's gives, one for each request or one for many.
//!
//! What all of them share is how they are told of a request and how they put an answer: the
//! meta-variables and the script response of the Common Gateway Interface (RFC 3875).

pub(crate) mod cgi;
pub(crate) mod fastcgi;
pub(crate) mod meta_variables;
pub(crate) mod script;
mod script_log;
pub(crate) mod script_response;
