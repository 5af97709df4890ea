//! The file system, as handlers use it: files opened beneath a root, content written to a temporary
//! file, reads that do not hold up a loop. And files that several processes keep, with keys among them.
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
//! | a block of the file of either | [`block`] |
//! | a file that is replaced as a whole | [`replacement`] |
//! | a file that the configuration names, as a whole | [`named_file`] |
//! | a lock between processes | [`lock`] |
//! | a directory for keys | [`private`] |
//! | which file the system refused, and why | [`file_error`] |

pub(crate) mod absence;
pub(crate) mod barrier;
pub(crate) mod beneath;
mod block;
mod file_error;
pub(crate) mod identity;
mod lock;
mod named_file;
mod now_or_on_pool;
mod openat2;
mod private;
pub(crate) mod read_ahead;
mod replacement;
pub(crate) mod replay;
mod root;
pub(crate) mod spool;
mod walk;

pub(crate) use file_error::FileError;
pub(crate) use lock::Lock;
pub(crate) use named_file::read_file;
pub(crate) use now_or_on_pool::{now_or_on_pool, on_pool};
pub(crate) use private::{check_directory, doubt_about_mode, make_directory};
pub(crate) use replacement::{Access, Prepared, prepare, remove_prepared};
