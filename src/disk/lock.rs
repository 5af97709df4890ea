//! Locks between processes: files that one process at a time holds.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::file_error::FileError;

/// A lock that this process holds. Dropping the lock releases it, and so does the end of the process.
pub(crate) struct Lock(
    #[expect(
        dead_code,
        reason = "the system holds the lock as long as the file is open"
    )]
    File,
);

impl Lock {
    /// Takes the lock in the file at `path`. `None`: another process holds it.
    ///
    /// # Errors
    /// If the file cannot be opened or locked, for another reason than a process that holds the lock.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>, FileError> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(FileError::new("lock", path, error.into())),
        }
    }

    /// Takes the lock in the file at `path`, and waits while another process holds it. The callers hold
    /// such a lock only while they read and write one small file.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub(crate) fn wait(path: &Path) -> Result<Self, FileError> {
        let file = open(path)?;
        let taken = retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
        taken.map_err(|error| FileError::new("lock", path, error.into()))?;
        Ok(Self(file))
    }
}

fn open(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(false).write(true).mode(0o600);
    let opened: io::Result<File> = options.open(path);
    opened.map_err(|error| FileError::new("open the lock", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn one_has_it() {
        let directory = TemporaryDirectory::new("lock");
        let path = directory.path().join("lock");
        let first = Lock::take(&path).expect("a file");
        assert!(first.is_some() && Lock::take(&path).expect("a file").is_none());
        drop(first);
        assert!(Lock::take(&path).expect("a file").is_some());
        assert!(Lock::wait(&path).is_ok());
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_an_error_and_no_other_process() {
        let directory = TemporaryDirectory::new("lock");
        let error = Lock::take(directory.path()).err().expect("a directory");
        let error = error.to_string();
        assert!(error.contains("cannot open the lock `"), "{error}");
        assert!(Lock::take(&directory.path().join("none/lock")).is_err());
    }
}
