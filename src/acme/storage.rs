//! The files of ACME.
//!
//! ```text
//! storage/                     0700
//!   ca.example_directory/      one for each CA, by the URL of its directory
//!     account.json             the account's key, and where the account is
//!     account.lock             a process holds it while it reads or writes account.json
//!     key-change.lock          a process holds it while it changes the key of the account
//!     certificates/NAME.pem    the key, and the chain of certificates
//!     orders/NAME.json         what is under way, what failed, and when it is tried again
//!     orders/NAME.lock         the process holds it that orders this certificate
//! ```
//!
//! Every file has the mode 0600 and is replaced as a whole: a reader finds the old one or the new one.
//! The text of the new one is in a file `.tmp-NAME-XXXXXX` before. A crash may leave that behind, with a
//! key in it: the next process that takes the lock removes it.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::config::model::Acme;
use crate::log::diagnostic;

const DIRECTORY_MODE: u32 = 0o700;

/// How many random letters and digits end the name of a file that is not committed yet.
const RANDOM_LENGTH: usize = 6;

/// The files of ACME.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    /// What the CA of the configuration has given.
    authority: PathBuf,
}

/// What cannot be done in the storage.
#[derive(Debug, thiserror::Error)]
#[error("the storage of `[acme]`: cannot {what} `{path}`: {error}{help}")]
pub(crate) struct StorageError {
    what: &'static str,
    path: String,
    error: io::Error,
    help: &'static str,
}

impl StorageError {
    pub(super) fn new(what: &'static str, path: &Path, error: io::Error) -> Self {
        let help = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "; it must belong to the user that the server runs as"
            }
            _ => "",
        };
        Self {
            what,
            path: path.display().to_string(),
            error,
            help,
        }
    }

    /// The error of the account's file at `path`, which holds no account.
    pub(super) fn damaged(path: &Path) -> Self {
        let help = "; it holds no account with its key: restore it from a backup, or move it away and the \
                    server makes another account";
        Self {
            help,
            ..Self::new("use", path, io::ErrorKind::InvalidData.into())
        }
    }

    /// The error of a file at `path` that was just written and holds something else.
    pub(super) fn unread(path: &Path) -> Self {
        Self::new("read again", path, io::ErrorKind::InvalidData.into())
    }
}

impl Storage {
    /// The storage that `settings` names. Makes its directories, and looks whether it can be written to.
    ///
    /// # Errors
    /// If it cannot.
    pub(crate) fn open(settings: &Acme) -> Result<Self, StorageError> {
        let storage = Self {
            root: settings.storage.clone(),
            authority: settings.directory_of_authority(),
        };
        make_directory(&storage.root)?;
        warn_of_mode(&storage.root);
        for directory in [
            &storage.authority,
            &storage.certificates(),
            &storage.orders(),
        ] {
            make_directory(directory)?;
            let tried = tempfile::tempfile_in(directory);
            tried.map_err(|error| StorageError::new("write to", directory, error))?;
        }
        Ok(storage)
    }

    /// The lock of the certificate in `file`.
    pub(super) fn lock_file(&self, file: &Path) -> PathBuf {
        self.order(file).with_extension("lock")
    }

    /// The lock of the account.
    pub(super) fn account_lock(&self) -> PathBuf {
        self.authority.join("account.lock")
    }

    /// The lock of the process that changes the key of the account.
    pub(super) fn key_change_lock(&self) -> PathBuf {
        self.authority.join("key-change.lock")
    }

    pub(super) fn account(&self) -> PathBuf {
        self.authority.join("account.json")
    }

    /// The file of what is under way for the certificate in `file`.
    pub(super) fn order(&self, file: &Path) -> PathBuf {
        let name = file.file_stem().unwrap_or_default();
        let mut name = name.to_os_string();
        name.push(".json");
        self.orders().join(name)
    }

    fn certificates(&self) -> PathBuf {
        self.authority.join("certificates")
    }

    fn orders(&self) -> PathBuf {
        self.authority.join("orders")
    }
}

/// Warns the operator if others than the server's user may look into the storage at `path`, which the operator
/// may have made.
fn warn_of_mode(path: &Path) {
    let metadata = std::fs::metadata(path);
    let doubt = metadata
        .ok()
        .and_then(|metadata| mode_doubt(path, metadata.permissions().mode()));
    if let Some(doubt) = doubt {
        diagnostic::warn_limited("acme storage mode", format_args!("{doubt}"));
    }
}

/// What is wrong with the mode of the storage at `path`.
fn mode_doubt(path: &Path, mode: u32) -> Option<String> {
    let others = mode & 0o077;
    (others != 0).then(|| {
        format!(
            "the storage of `[acme]`: the directory `{}` has the mode {:04o} and holds keys; chmod \
             {DIRECTORY_MODE:o} keeps other users out",
            path.display(),
            mode & 0o7777
        )
    })
}

fn make_directory(path: &Path) -> Result<(), StorageError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(|error| StorageError::new("make the directory", path, error))
}

/// The value in the file at `path`; `None` if there is no such file, or no such value in it.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StorageError> {
    match std::fs::read(path) {
        // Another version of the server may have written other members: the caller makes a new value.
        Ok(text) => Ok(serde_json::from_slice(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::new("read", path, error)),
    }
}

/// Puts `value` into the file at `path`.
///
/// # Errors
/// If it cannot be written. The file is as it was.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), StorageError> {
    let text = serde_json::to_vec_pretty(value);
    let text = text.expect("the value has names for members");
    prepare(path, &text)?.commit()
}

/// The next text of a file. The text is on the disk already, under another name.
pub(super) struct Prepared {
    file: NamedTempFile,
    target: PathBuf,
}

impl Prepared {
    /// The path of the text until it is committed.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// If the system refuses. The file is as it was.
    pub(super) fn commit(self) -> Result<(), StorageError> {
        let target = self.target;
        let persisted = self.file.persist(&target);
        persisted.map_err(|error| StorageError::new("replace", &target, error.error))?;
        // The directory is synced, so that the new name survives a power failure. Some file systems
        // cannot sync a directory: the file is in place there all the same.
        let directory = target.parent().and_then(|parent| File::open(parent).ok());
        let _ = directory.map(|directory| directory.sync_all());
        Ok(())
    }
}

/// Writes `text` to the disk, to be the file at `target` once it is committed.
///
/// # Errors
/// If it cannot be written.
pub(super) fn prepare(target: &Path, text: &[u8]) -> Result<Prepared, StorageError> {
    let directory = target.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let prefix = temporary_prefix(target);
    let made = builder
        .prefix(&prefix)
        .rand_bytes(RANDOM_LENGTH)
        .tempfile_in(directory);
    let written = made.and_then(|mut file| {
        file.write_all(text)?;
        file.as_file().sync_all()?;
        Ok(file)
    });
    let file = written.map_err(|error| StorageError::new("write to", directory, error))?;
    Ok(Prepared {
        file,
        target: target.to_owned(),
    })
}

/// Removes what a process that has crashed had prepared for the file at `target`. The caller holds the lock
/// of the file, so that no other process prepares anything for it.
pub(super) fn remove_prepared(target: &Path) {
    let prefix = temporary_prefix(target);
    let is_prepared = |name: OsString| {
        let rest = name.as_bytes().strip_prefix(prefix.as_bytes());
        rest.is_some_and(|rest| {
            rest.len() == RANDOM_LENGTH && rest.iter().all(u8::is_ascii_alphanumeric)
        })
    };
    let directory = target.parent().unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        if is_prepared(entry.file_name())
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            let error = StorageError::new("remove", &entry.path(), error);
            diagnostic::warn_limited("acme leftover", format_args!("{error}"));
        }
    }
}

/// What the name of a file begins with that is to be the file at `target`.
fn temporary_prefix(target: &Path) -> OsString {
    let mut prefix = OsString::from(".tmp-");
    prefix.push(target.file_name().unwrap_or_default());
    prefix.push("-");
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::AcmeDirectory;
    use crate::test_support::TemporaryDirectory;

    fn settings(storage: PathBuf) -> Acme {
        let directory = AcmeDirectory {
            written: "test".to_owned(),
            url: "https://ca.example:14000/dir".parse().expect("a URL"),
        };
        Acme {
            storage,
            ..Acme::with_directory(directory)
        }
    }

    fn mode(path: &Path) -> u32 {
        let data = std::fs::metadata(path).expect("it is there");
        data.permissions().mode() & 0o777
    }

    #[test]
    fn is_for_its_user_alone() {
        let directory = TemporaryDirectory::new("acme");
        let settings = settings(directory.path().join("a/b"));
        let storage = Storage::open(&settings).expect("a storage");
        assert_eq!(mode(&storage.root), 0o700);
        let file = settings.certificate_file(&["a.example".to_owned()]);
        assert_eq!(mode(file.parent().expect("a parent")), 0o700);
        let order = storage.order(&file);
        assert!(order.ends_with("ca.example_14000_dir/orders/a.example.json"));
        write(&order, &"value").expect("it can be written");
        assert_eq!(mode(&order), 0o600);
        assert_eq!(
            read::<String>(&order).ok().flatten().as_deref(),
            Some("value")
        );
        assert_eq!(read::<u32>(&order).ok().flatten(), None);
        std::fs::remove_file(&order).expect("it is there");
        assert_eq!(read::<String>(&order).ok().flatten(), None);
        // What was prepared and not committed leaves nothing behind.
        drop(prepare(&order, b"x"));
        assert_eq!(std::fs::read_dir(storage.orders()).expect("it").count(), 0);
        assert!(Storage::open(&settings).is_ok());
    }

    #[test]
    fn what_a_crash_has_left_is_removed_and_nothing_else() {
        let directory = TemporaryDirectory::new("acme");
        let target = directory.path().join("a.example.pem");
        let leave = |target: &Path| {
            let (file, path) = prepare(target, b"key")
                .expect("room")
                .file
                .keep()
                .expect("it");
            drop(file);
            path
        };
        let left = leave(&target);
        assert_eq!(mode(&left), 0o600);
        let of_another = leave(&directory.path().join("a.example.pem-b.example.pem"));
        std::fs::write(&target, "certificate").expect("ours");
        remove_prepared(&target);
        assert!(!left.exists() && of_another.exists() && target.exists());
    }

    #[test]
    fn a_storage_that_other_users_may_read_is_doubted() {
        let path = Path::new("/acme");
        for mode in [0o40_700, 0o40_500, 0o42_700] {
            assert_eq!(mode_doubt(path, mode), None, "{mode:o}");
        }
        for mode in [0o40_750, 0o40_705, 0o40_701, 0o41_777] {
            assert!(mode_doubt(path, mode).is_some(), "{mode:o}");
        }
        let doubt = mode_doubt(path, 0o40_755).unwrap_or_default();
        assert!(doubt.contains("`/acme` has the mode 0755"), "{doubt}");
    }

    #[test]
    fn says_which_directory_cannot_be_used() {
        let directory = TemporaryDirectory::new("acme");
        directory.write("file", b"");
        let error = Storage::open(&settings(directory.path().join("file/acme")));
        let error = error.expect_err("a file is in the way").to_string();
        assert!(error.contains("cannot make the directory `"), "{error}");
        assert!(error.contains("file/acme`"), "{error}");
    }
}
