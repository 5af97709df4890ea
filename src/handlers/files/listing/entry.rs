//! One entry of a directory, as a listing shows it.

use std::time::SystemTime;

/// One row. A value that could not be read is `None`; the row is shown all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The octets of the name as the file system holds them: no slash, not `.` or `..`.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: EntryKind,
    /// In bytes; a directory has none.
    pub(crate) size: Option<u64>,
    pub(crate) modified: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    File,
    /// Neither, or its kind could not be read.
    Other,
}
