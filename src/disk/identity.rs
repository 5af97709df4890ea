//! What a file is and in which state: its kind, its identity, and the validators that follow from it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::http::date::HttpDate;
use crate::http::negotiation::ContentCoding;
use crate::message::representation::ModificationDate;

/// The last modification time that stands for "unknown", in seconds since 1970: the end of 1980-01-01
/// in every time zone, because archives of zip begin at that day and keep local time.
const LAST_UNKNOWN: i64 = 315_532_800 + 24 * 60 * 60;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A device, a socket, a pipe: never served.
    Other,
}

/// What identifies a state of a file: while all of it is the same, the content is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// The identity of the file at `path`, to which links may lead, as the file is now.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::stat(path)?))
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
    /// nanoseconds, size, and the coding.
    ///
    /// A time in whole seconds may have been set by a tool, to the same value for every file and every
    /// build: 0, 1 (Nix), 1980 (zip), the time of a commit (reproducible images). Then the tag takes in
    /// the inode and the time of the last change of anything, which no tool can set. Such a tag is
    /// another one on each machine, even for the same content.
    pub(crate) fn entity_tag(self, coding: ContentCoding) -> String {
        let (seconds, nanoseconds) = self.modified;
        let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        let mut tag = format!("{nanoseconds:x}-{:x}", self.size);
        if !self.is_told_by_modification() {
            let mut hasher = DefaultHasher::new();
            (self.inode, self.changed).hash(&mut hasher);
            tag.push_str(&format!("-{:x}", hasher.finish()));
        }
        tag.push_str(coding.entity_tag_suffix());
        tag
    }

    /// The value of `Last-Modified`: never later than the response that carries it, whatever the
    /// file's time is set to (RFC 9110 §8.8.2.1). `None` if the time stands for "unknown".
    pub(crate) fn last_modified(self) -> Option<ModificationDate> {
        (self.modified.0 > LAST_UNKNOWN).then(|| ModificationDate {
            date: HttpDate::from_system_time(self.modified_time().min(SystemTime::now())),
            is_strong: self.is_told_by_modification(),
        })
    }

    /// Whether other content of the same size has another modification time.
    fn is_told_by_modification(self) -> bool {
        let (seconds, nanoseconds) = self.modified;
        seconds > LAST_UNKNOWN && nanoseconds != 0
    }
}

fn system_time((seconds, nanoseconds): (i64, u32)) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds),
        // Before 1970: nothing that we send has a form for that.
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(modified: (i64, u32), changed: (i64, u32), inode: u64) -> Identity {
        Identity {
            device: 1,
            inode,
            size: 5,
            modified,
            changed,
        }
    }

    fn tag(identity: Identity) -> String {
        identity.entity_tag(ContentCoding::Identity)
    }

    /// Images of Nix, Bazel and others set the time of every file to the same value. After a
    /// deployment, a client that had a file of the same size was told that it still has it (304), and
    /// parts of the old and the new file were put together.
    #[test]
    fn a_time_that_a_tool_has_set_does_not_tell_contents_apart() {
        for seconds in [-1, 0, 1, 315_532_800, 315_576_000, 1_700_000_000] {
            let old = identity((seconds, 0), (1_790_000_000, 5), 7);
            let changed = identity((seconds, 0), (1_790_000_000, 6), 7);
            let replaced = identity((seconds, 0), (1_790_000_000, 5), 8);
            assert_ne!(tag(old), tag(changed), "{seconds}");
            assert_ne!(tag(old), tag(replaced), "{seconds}");
            assert_eq!(tag(old), tag(old), "{seconds}");
            let date = old.last_modified();
            assert!(!date.is_some_and(|date| date.is_strong), "{seconds}");
        }
        let unset = identity((1, 999), (1_790_000_000, 5), 7);
        let changed = identity((1, 999), (1_790_000_000, 6), 7);
        assert_ne!(tag(unset), tag(changed));
    }

    /// Servers of one site send the same tag for a file that was copied with its time.
    #[test]
    fn a_time_of_a_clock_tells_contents_apart() {
        let here = identity((1_700_000_000, 123), (1_790_000_000, 5), 7);
        let there = identity((1_700_000_000, 123), (1_790_000_009, 1), 8);
        assert_eq!(tag(here), tag(there));
        assert!(here.last_modified().is_some_and(|date| date.is_strong));
    }

    #[test]
    fn no_date_is_sent_that_stands_for_unknown() {
        for (seconds, is_sent) in [
            (-1, false),
            (0, false),
            (1, false),
            (315_532_800, false),
            (315_576_000, false),
            (315_705_600, true),
            (1_700_000_000, true),
        ] {
            let date = identity((seconds, 0), (0, 0), 1).last_modified();
            assert_eq!(date.is_some(), is_sent, "{seconds}");
        }
    }
}
