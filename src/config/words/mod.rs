//! Single words of the file: parsers from text to a value or a fault, and how values are written.
//!
//! This floor knows no file, no table and no key. The caller passes the function that looks up a
//! variable.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod balance;
pub(crate) mod expiry;
pub(crate) mod file_key;
pub(crate) mod forward;
pub(crate) mod log_format;
pub(crate) mod method;
pub(crate) mod origin;
pub(crate) mod pace;
pub(crate) mod pattern;
pub(crate) mod proxy;
pub(crate) mod rate;
pub(crate) mod redirect_host;
pub(crate) mod request_text;
pub(crate) mod target;
pub(crate) mod units;
pub(crate) mod upstream;
pub(crate) mod values;
pub(crate) mod variables;
pub(crate) mod written;
