//! Files that are replaced as a whole: a reader finds the old one or the new one, also after a crash.
//!
//! The text of the new one is in a file `.tmp-NAME-XXXXXX` before, with the digest of a NAME that is too long for
//! that. A crash may leave this file behind, perhaps with a key in it: the next process that has the lock of NAME
//! removes it ([`remove_prepared`]).

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::file_error::FileError;

/// How many random letters and digits end the name of a file that is not committed yet.
const RANDOM_LENGTH: usize = 6;

/// How long the name of a file can be, in octets, on the file systems of Linux (`NAME_MAX`).
const LONGEST_NAME: usize = 255;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Owner,
    Everyone,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everyone => 0o644,
        }
    }
}

/// The next text of a file. The text is on the disk already, under another name; dropping this removes it.
pub(crate) struct Prepared {
    file: NamedTempFile,
    target: PathBuf,
}

impl Prepared {
    /// The path of the text until it is committed.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// If the system refuses. The file is as it was.
    pub(crate) fn commit(self) -> Result<(), FileError> {
        let persisted = self.file.persist(&self.target);
        persisted.map_err(|error| FileError::new("replace", &self.target, error.error))?;
        sync_name(&self.target);
        Ok(())
    }

    /// Makes the file, and replaces none.
    ///
    /// # Errors
    /// If the system refuses, or a file is there (`io::ErrorKind::AlreadyExists`). It is as it was.
    pub(crate) fn commit_new(self) -> Result<(), FileError> {
        let persisted = self.file.persist_noclobber(&self.target);
        persisted.map_err(|error| FileError::new("make", &self.target, error.error))?;
        sync_name(&self.target);
        Ok(())
    }
}

/// Syncs the directory of the file at `path`, so that its new name survives a power failure. Some file systems
/// cannot sync a directory: the file is in place there all the same.
fn sync_name(path: &Path) {
    let directory = path.parent().and_then(|parent| File::open(parent).ok());
    let _ = directory.map(|directory| directory.sync_all());
}

/// Writes `text` to the disk, to be the file at `target` once it is committed.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn prepare(target: &Path, text: &[u8], access: Access) -> Result<Prepared, FileError> {
    let directory = target.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let prefix = temporary_prefix(target);
    let made = builder
        .prefix(&prefix)
        .rand_bytes(RANDOM_LENGTH)
        .tempfile_in(directory);
    let written = made.and_then(|mut file| {
        let permissions = Permissions::from_mode(access.mode());
        file.as_file().set_permissions(permissions)?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    let file = written.map_err(|error| FileError::new("write to", directory, error))?;
    Ok(Prepared {
        file,
        target: target.to_owned(),
    })
}

/// Removes what a process that has crashed had prepared for the file at `target`. The caller holds the lock
/// of the file, so that no other process prepares anything for it.
///
/// # Errors
/// If something of it cannot be removed. The rest is.
pub(crate) fn remove_prepared(target: &Path) -> Result<(), FileError> {
    let prefix = temporary_prefix(target);
    let is_prepared = |name: OsString| {
        let rest = name.as_bytes().strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| {
            rest.len() == RANDOM_LENGTH && rest.iter().all(u8::is_ascii_alphanumeric)
        })
    };
    let directory = target.parent().unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Ok(());
    };
    let mut removed = Ok(());
    for entry in entries.flatten() {
        if is_prepared(entry.file_name())
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            removed = Err(FileError::new("remove", &entry.path(), error));
        }
    }
    removed
}

/// The prefix of temporary files for `target`.
fn temporary_prefix(target: &Path) -> OsString {
    let name = target.file_name().unwrap_or_default();
    let prefix = |name: &OsStr| {
        let mut prefix = OsString::from(".tmp-");
        prefix.push(name);
        prefix.push("-");
        prefix
    };
    let whole = prefix(name);
    if whole.len() + RANDOM_LENGTH <= LONGEST_NAME {
        return whole;
    }
    let digest = HEXLOWER.encode(&Sha256::digest(name.as_bytes()));
    prefix(OsStr::new(&digest))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn mode(path: &Path) -> u32 {
        let data = std::fs::metadata(path).expect("it is there");
        data.permissions().mode() & 0o777
    }

    /// Leaves what a crash leaves of a replacement of the file at `target`. Returns its path.
    fn leave(target: &Path) -> PathBuf {
        let prepared = prepare(target, b"key", Access::Owner).expect("room");
        let (file, path) = prepared.file.keep().expect("it is there");
        drop(file);
        path
    }

    #[test]
    fn a_file_that_is_there_is_replaced_only_if_that_is_meant() {
        let directory = TemporaryDirectory::new("replacement");
        let target = directory.path().join("a.pem");
        let draft = || prepare(&target, b"new", Access::Everyone).expect("room");
        draft().commit_new().expect("it is not there");
        assert_eq!(mode(&target), 0o644);
        std::fs::write(&target, "mine").expect("it can be written");
        let error = draft().commit_new().expect_err("it is there");
        assert_eq!(error.error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&target).ok().as_deref(), Some(&b"mine"[..]));
    }

    /// A certificate for such a name was ordered again and again, for it could not be written.
    #[test]
    fn a_file_with_a_long_name_is_replaced_and_what_a_crash_has_left_of_it_removed() {
        let directory = TemporaryDirectory::new("replacement");
        for length in [LONGEST_NAME - 12, LONGEST_NAME - 11, LONGEST_NAME] {
            let [target, other] = ["a", "b"].map(|last| "n".repeat(length - 1) + last);
            let [target, other] = [target, other].map(|name| directory.path().join(name));
            let prepared = prepare(&target, b"new", Access::Owner);
            prepared.and_then(Prepared::commit).expect("room");
            assert_eq!(std::fs::read(&target).ok().as_deref(), Some(&b"new"[..]));
            let [left, of_another] = [&target, &other].map(|target| leave(target));
            remove_prepared(&target).expect("it can be removed");
            assert!(!left.exists() && of_another.exists() && target.exists());
        }
    }

    #[test]
    fn what_is_prepared_and_not_committed_leaves_nothing() {
        let directory = TemporaryDirectory::new("replacement");
        let target = directory.path().join("a.pem");
        drop(prepare(&target, b"x", Access::Owner).expect("room"));
        let mut left = std::fs::read_dir(directory.path()).expect("it is there");
        assert!(left.next().is_none());
        for text in [b"first", b"other"] {
            let committed = prepare(&target, text, Access::Owner).and_then(Prepared::commit);
            committed.expect("it can be replaced");
            assert_eq!(std::fs::read(&target).ok().as_deref(), Some(&text[..]));
        }
        assert_eq!(mode(&target), 0o600);
    }

    #[test]
    fn what_a_crash_has_left_is_removed_and_nothing_else() {
        let directory = TemporaryDirectory::new("replacement");
        let target = directory.path().join("a.example.pem");
        let left = leave(&target);
        assert_eq!(mode(&left), 0o600);
        let of_another = leave(&directory.path().join("a.example.pem-b.example.pem"));
        std::fs::write(&target, "certificate").expect("ours");
        remove_prepared(&target).expect("it can be removed");
        assert!(!left.exists() && of_another.exists() && target.exists());
    }
}
