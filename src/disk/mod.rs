//! The file system, as handlers use it: opened beneath a root, written to a temporary file, read
//! without holding up a loop.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | opening what lies beneath a root and nothing else | [`beneath`] |
//! | what counts as "not there" | [`absence`] |
//! | a look now, or on the pool | [`mod@now_or_on_pool`] |
//! | what a file is, and its validators | [`identity`] |
//! | a request's content, kept until all of it is there | [`spool`] |

pub(crate) mod absence;
pub(crate) mod beneath;
pub(crate) mod identity;
mod now_or_on_pool;
pub(crate) mod spool;

pub(crate) use now_or_on_pool::now_or_on_pool;
