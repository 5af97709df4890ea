//! What a file is and in which state: its kind, its identity, and the validators that follow from it.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, SystemTime};

use crate::http::date::HttpDate;
use crate::http::negotiation::ContentCoding;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A device, a socket, a pipe: never served.
    Other,
}

/// What identifies a state of a file: while all of it is the same, the content is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
    /// Changes with every change, whatever the times are set to.
    pub(crate) changed: (i64, u32),
}

impl Kind {
    pub(crate) fn of(state: &rustix::fs::Stat) -> Self {
        match rustix::fs::FileType::from_raw_mode(state.st_mode) {
            rustix::fs::FileType::RegularFile => Self::File,
            rustix::fs::FileType::Directory => Self::Directory,
            _ => Self::Other,
        }
    }
}

impl Identity {
    pub(crate) fn of(state: &rustix::fs::Stat) -> Self {
        Self {
            device: state.st_dev,
            inode: state.st_ino,
            size: u64::try_from(state.st_size).unwrap_or(0),
            modified: (state.st_mtime, state.st_mtime_nsec as u32),
            changed: (state.st_ctime, state.st_ctime_nsec as u32),
        }
    }

    /// The identity of an open file, as the file is now.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn of_open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(fd)?))
    }

    /// The time of the last change of content.
    pub(crate) fn modified_time(self) -> SystemTime {
        system_time(self.modified)
    }

    /// The time of the last change of anything.
    pub(crate) fn changed_time(self) -> SystemTime {
        system_time(self.changed)
    }

    /// The opaque part of a strong entity tag for the content in `coding`: modification time in
    /// nanoseconds, size, and the coding. Any change of content changes one of them.
    pub(crate) fn entity_tag(self, coding: ContentCoding) -> String {
        let (seconds, nanoseconds) = self.modified;
        let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        format!(
            "{nanoseconds:x}-{:x}{}",
            self.size,
            coding.entity_tag_suffix()
        )
    }

    /// The value of `Last-Modified`: never later than the response that carries it, whatever the
    /// file's time is set to (RFC 9110 §8.8.2.1).
    pub(crate) fn last_modified(self) -> HttpDate {
        HttpDate::from_system_time(self.modified_time().min(SystemTime::now()))
    }
}

fn system_time((seconds, nanoseconds): (i64, u32)) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds),
        // Before 1970: nothing that we send has a form for that.
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}
