//! The configuration: from files to checked values, and diagnostics with their places in the files.
//!
//! `model` holds the checked values, the only part that the serving rooms see. The other floors turn
//! files into it, and show it to the operator. A floor may import `model`, and the floors under it in
//! this picture:
//!
//! ```text
//! load       include ─ file: all files, the tree of each, the walk, the report
//! keys       the walk, a file for each subject              tell   dump, difference, schema
//! tree       values, tables and paths, each with its place
//! words      single words: text in, a value or a fault out
//! complaint  diagnostics, mistakes of syntax, what may have been meant
//! ```
//!
//! `tell` may import `keys`, too. Other rooms import values from `model`, and functions from here.

mod complaint;
mod keys;
mod load;
pub(crate) mod model;
mod tell;
#[cfg(test)]
mod tests;
mod tree;
mod words;

use std::time::Duration;

use crate::address::{ListenAddress, UpstreamUrl};

pub(crate) use complaint::certificate::{CertificateFault, CertificateSetting};
pub(crate) use complaint::diagnostic::Report;
pub(crate) use complaint::file_fault::FileFault;
pub(crate) use load::{Checked, Inputs, Listing, Loaded, Strictness, Wildcard, load, parse};
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) use tell::dump_with_secrets;
pub(crate) use tell::{Change, difference, dump, key_table, schema};
pub(crate) use tree::paths::find_program;
pub(crate) use tree::surroundings::Surroundings;
pub(crate) use words::pattern::route_key;

/// Reads a network such as `10.0.0.0/8`, for the tests of other rooms.
#[cfg(any(test, feature = "fuzz-internals"))]
pub(crate) fn network(text: &str) -> model::Cidr {
    words::address::parse_cidr(text).expect("a network")
}

/// Reads a `rewrite` and the path of a route, for the tests of other rooms.
#[cfg(test)]
pub(crate) fn rewrite(text: &str, pattern: &str) -> (model::RequestText, model::RoutePattern) {
    let text = words::target::parse_rewrite(text).expect("a rewrite");
    (
        text,
        words::pattern::parse_pattern(pattern).expect("a pattern"),
    )
}

/// Reads an address to listen on as the file writes it.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_listen(text: &str) -> Result<Vec<ListenAddress>, String> {
    words::address::parse_listen(text).map_err(sentence)
}

/// Reads a duration as the file writes it; `None` if it is none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    words::units::parse_duration(text).ok()
}

/// `path` as the file writes it, in quotes and absolute.
pub(crate) fn written_path(path: &std::path::Path) -> String {
    words::written::path(path)
}

/// Reads a host that a certificate is to be for: a name, `*.` and a name, or an IP address, with brackets or
/// without.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_certificate_host(text: &str) -> Result<model::HostPattern, String> {
    words::address::parse_certificate_host(text).map_err(sentence)
}

/// Reads the address of a server in the command line; names are not looked up.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_upstream_server(text: &str) -> Result<UpstreamUrl, String> {
    words::upstream::parse_server_of_command(text).map_err(sentence)
}

/// A fault in a word of the command line.
fn sentence(fault: complaint::fault::Fault) -> String {
    match fault.help {
        Some(help) => format!("{}; {help}", fault.message),
        None => fault.message,
    }
}

/// Reads a status or a class of them: `404`, `5xx`.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_status(text: &str) -> Result<model::StatusRange, String> {
    keys::upstream::parse_status(text).map_err(sentence)
}

/// Reads the name of a method.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_method(text: &str) -> Result<crate::http::method::Method, String> {
    words::method::parse_method(text).map_err(sentence)
}

/// Reads an address, or a network such as `10.0.0.0/8`.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_network(text: &str) -> Result<model::Cidr, String> {
    words::address::parse_cidr(text).map_err(sentence)
}

/// Reads a format of the access log: its name, or a template.
///
/// # Errors
/// A sentence with a remedy.
pub(crate) fn parse_log_format(text: &str) -> Result<model::LogFormat, String> {
    keys::log::parse_format(text).map_err(sentence)
}

/// The template that `text` is, for tests of other rooms.
#[cfg(test)]
pub(crate) fn parse_log_template(text: &str) -> Vec<model::LogPart> {
    words::log_format::parse_template(text).expect("a template")
}
