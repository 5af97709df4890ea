//! The lock of the storage: of all processes that share it, one asks the CA.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Stands for the lock. Dropping it, or the end of the process, gives it up.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as it is open")] File);

impl Lock {
    /// Takes the lock in the file at `path`. `None`: another process has it.
    pub(super) fn take(path: &Path) -> Option<Self> {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(path).ok()?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(Self(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    #[test]
    fn one_has_it() {
        let directory = TemporaryDirectory::new("lock");
        let path = directory.path().join("lock");
        let first = Lock::take(&path);
        assert!(first.is_some() && Lock::take(&path).is_none());
        drop(first);
        assert!(Lock::take(&path).is_some());
    }
}
