//! The file system, as handlers use it: files opened beneath a root, content written to a temporary
//! file, reads that do not hold up a loop.
//!
//! | A reader looks for | and finds it in |
//! |---|---|
//! | opening what lies beneath a root and nothing else | [`beneath`] |
//! | the root itself, and what links in it may lead to | [`root`] |
//! | the same one component after the other, for links | [`walk`], [`openat2`] |
//! | what counts as "not there", and why | [`absence`], [`barrier`] |
//! | a look now, or on the pool | [`mod@now_or_on_pool`] |
//! | what a file is, and its validators | [`identity`] |
//! | a request's content, kept until all of it is there | [`spool`] |
//! | the same, read again for an upstream | [`replay`] |
//! | a response's content, taken from its maker ahead of the client | [`read_ahead`] |

pub(crate) mod absence;
pub(crate) mod barrier;
pub(crate) mod beneath;
pub(crate) mod identity;
mod now_or_on_pool;
mod openat2;
pub(crate) mod read_ahead;
pub(crate) mod replay;
mod root;
pub(crate) mod spool;
mod walk;

pub(crate) use now_or_on_pool::now_or_on_pool;
