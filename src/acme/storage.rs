//! The files of ACME.
//!
//! ```text
//! storage/                     0700
//!   lock                       held by the process that asks the CA
//!   ca.example_directory/      one for each CA, by the URL of its directory
//!     account.json             the account's key, and where the account is
//!     certificates/NAME.pem    the key, and the chain of certificates
//!     orders/NAME.json         what is under way, what failed, and when it is tried again
//! ```
//!
//! Every file has the mode 0600 and is replaced as a whole: a reader finds the old one or the new one.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::config::model::Acme;

const DIRECTORY_MODE: u32 = 0o700;

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
    fn new(what: &'static str, path: &Path, error: io::Error) -> Self {
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
}

impl StorageError {
    /// What was just written at `path` is not what was written.
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

    pub(super) fn lock_file(&self) -> PathBuf {
        self.root.join("lock")
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
        // What another version has written otherwise is made again.
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

/// What is to be in a file, and is on the disk already.
pub(super) struct Prepared {
    file: NamedTempFile,
    target: PathBuf,
}

impl Prepared {
    /// Where it is until it is committed.
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
        // So that the name is on the disk, too. Not every file system can.
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
    let written = NamedTempFile::new_in(directory).and_then(|mut file| {
        file.as_file()
            .set_permissions(Permissions::from_mode(0o600))?;
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
    fn says_which_directory_cannot_be_used() {
        let directory = TemporaryDirectory::new("acme");
        directory.write("file", b"");
        let error = Storage::open(&settings(directory.path().join("file/acme")));
        let error = error.expect_err("a file is in the way").to_string();
        assert!(error.contains("cannot make the directory `"), "{error}");
        assert!(error.contains("file/acme`"), "{error}");
    }
}
