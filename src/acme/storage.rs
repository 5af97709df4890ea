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
//! Every file has the mode 0600 and is replaced as a whole (`disk::prepare`).

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::model::Acme;
use crate::disk::{self, Access, FileError};
use crate::log::diagnostic;

/// The most octets of a file.
const MAX_SIZE: u64 = 4 * 1024 * 1024;

/// The files of ACME.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    root: PathBuf,
    /// What the CA of the configuration has given.
    authority: PathBuf,
}

/// What cannot be done in the storage.
#[derive(Debug, thiserror::Error)]
#[error("the storage of `[acme]`: {failure}{help}")]
pub(crate) struct StorageError {
    failure: FileError,
    help: &'static str,
}

impl From<FileError> for StorageError {
    fn from(failure: FileError) -> Self {
        let help = match failure.error.kind() {
            io::ErrorKind::PermissionDenied => {
                "; it must belong to the user that the server runs as"
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                "; change `storage`, or let the server write there: under systemd, its unit needs \
                 `StateDirectory=tidegate` for /var/lib/tidegate, or `ReadWritePaths=` with the directory"
            }
            _ => "",
        };
        Self { failure, help }
    }
}

impl StorageError {
    pub(super) fn new(what: &'static str, path: &Path, error: io::Error) -> Self {
        FileError::new(what, path, error).into()
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
        disk::make_directory(&storage.root)?;
        warn_of_mode(&storage.root);
        for directory in [
            &storage.authority,
            &storage.certificates(),
            &storage.orders(),
        ] {
            disk::make_directory(directory)?;
            let tried = tempfile::tempfile_in(directory);
            tried.map_err(|error| StorageError::new("write to", directory, error))?;
        }
        Ok(storage)
    }

    /// Looks whether [`open`](Self::open) would succeed. Makes nothing.
    ///
    /// # Errors
    /// What `open` would fail with.
    pub(crate) fn check(settings: &Acme) -> Result<(), StorageError> {
        let storage = Self {
            root: settings.storage.clone(),
            authority: settings.directory_of_authority(),
        };
        for directory in [storage.certificates(), storage.orders()] {
            disk::check_directory(&directory)?;
        }
        Ok(())
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

/// Warns the operator if others than the server's user may look into the storage at `path`.
fn warn_of_mode(path: &Path) {
    if let Some(doubt) = disk::doubt_about_mode(path) {
        let message = format_args!("the storage of `[acme]`: {doubt}");
        diagnostic::warn_limited("acme storage mode", message);
    }
}

/// The text of the file at `path`; `None` if there is no such file.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match disk::read_file(path, MAX_SIZE) {
        Ok(text) => Ok(Some(text)),
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
    disk::prepare(path, &text, Access::Owner)?.commit()?;
    Ok(())
}

/// Removes what a process that has crashed had prepared for the file at `target`, as
/// [`disk::remove_prepared`] does, and warns the operator if that fails.
pub(super) fn remove_prepared(target: &Path) {
    if let Err(error) = disk::remove_prepared(target) {
        let error = StorageError::from(error);
        diagnostic::warn_limited("acme leftover", format_args!("{error}"));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::model::AcmeDirectory;
    use crate::test_support::TemporaryDirectory;

    fn settings(storage: PathBuf) -> Acme {
        Acme::at("https://ca.example:14000/dir", storage)
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
        let text = read(&order).expect("it can be read");
        assert_eq!(text.as_deref(), Some(&b"\"value\""[..]));
        std::fs::remove_file(&order).expect("it is there");
        assert_eq!(read(&order).expect("there is no file"), None);
        // What was prepared and not committed leaves nothing behind.
        drop(disk::prepare(&order, b"x", Access::Owner));
        assert_eq!(std::fs::read_dir(storage.orders()).expect("it").count(), 0);
        assert!(Storage::open(&settings).is_ok());
    }

    #[test]
    fn says_which_directory_cannot_be_used() {
        let directory = TemporaryDirectory::new("acme");
        directory.write("file", b"");
        let error = Storage::open(&settings(directory.path().join("file/acme")));
        let checked = Storage::check(&settings(directory.path().join("file/acme")));
        assert!(checked.is_err(), "a check finds it");
        assert!(Storage::check(&settings(directory.path().join("none/acme"))).is_ok());
        assert!(!directory.path().join("none").exists(), "it makes nothing");
        let error = error.expect_err("a file is in the way").to_string();
        assert!(error.contains("cannot make the directory `"), "{error}");
        assert!(error.contains("file/acme`"), "{error}");
    }

    /// Under the unit in docs/deploy/ the whole file system is read-only. It did not give the server the
    /// storage that is used as it is, and the error was the system's alone.
    #[test]
    fn the_unit_for_systemd_gives_the_storage() {
        let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy/tidegate.service");
        let unit = std::fs::read_to_string(unit).expect("it is part of the repository");
        let mut lines = unit.lines();
        let state = lines.find_map(|line| line.strip_prefix("StateDirectory="));
        let given = Path::new("/var/lib").join(state.expect("the unit has one"));
        let url = "https://ca.example/dir".to_owned();
        let directory = AcmeDirectory {
            url: url.parse().expect("a URL"),
            written: url,
        };
        let storage = Acme::with_directory(directory).storage;
        assert!(storage.starts_with(&given), "{}", given.display());
        assert!(unit.contains("\nStateDirectoryMode=0700\n"));
        let error = io::Error::from_raw_os_error(libc::EROFS);
        let error = StorageError::new("make the directory", &storage, error).to_string();
        for remedy in ["StateDirectory=tidegate", "ReadWritePaths=", "`storage`"] {
            assert!(error.contains(remedy), "{error}");
        }
    }
}
