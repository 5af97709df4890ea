//! The file system, as handlers use it: files opened beneath a root, content written to a temporary
//! file, reads that do not hold up a loop.
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
