//! Single words of the file, read and shown: text in, a value or a fault with its place in the text out.
//!
//! Knows no file, no table and no key; a variable is looked up by a function that is passed in.

pub(crate) mod address;
pub(crate) mod pattern;
pub(crate) mod units;
pub(crate) mod values;
pub(crate) mod variables;
pub(crate) mod written;
