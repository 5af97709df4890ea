//! The directory of a user's CA: where it is, its lock, and how its files are written.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::draft::{Access, draft};
use super::error::LocalError;

const DIRECTORY_MODE: u32 = 0o700;

/// Where the CA of the user is whose environment is asked for each `variable`.
///
/// # Errors
/// If the environment does not say where the user's data are.
pub(crate) fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, LocalError> {
    let path = |name| variable(name).map(PathBuf::from);
    // A path that is not absolute has to be ignored (XDG Base Directory Specification).
    let absolute = |path: &PathBuf| path.is_absolute();
    let data = path("XDG_DATA_HOME").filter(absolute).or_else(|| {
        let home = path("HOME").filter(absolute)?;
        Some(home.join(".local/share"))
    });
    Ok(data.ok_or(LocalError::NoDirectory)?.join("tidegate"))
}

/// The directory, which is there.
pub(super) struct Directory(PathBuf);

/// The lock of a directory, until it is dropped or the process ends.
pub(super) struct Lock(#[expect(dead_code, reason = "the lock lasts as long as it is open")] File);

impl Directory {
    /// The directory at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        make(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Waits until no other process holds the lock, and takes it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn lock(&self) -> Result<Lock, LocalError> {
        let path = self.0.join("lock");
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let failed = |error| LocalError::file("lock", &path, error);
        let file = options.open(&path).map_err(failed)?;
        loop {
            match flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from) {
                Ok(()) => return Ok(Lock(file)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The key of the CA, with its certificate.
    pub(super) fn authority_key(&self) -> PathBuf {
        self.0.join("ca-key.pem")
    }

    /// The certificate of the CA.
    pub(super) fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// A key and its certificate, for a server.
    pub(super) fn server(&self, name: &str) -> PathBuf {
        self.0.join("serve").join(name)
    }

    /// Makes `text` what is in the file at `path`, and the directory above it if that is not there. Others
    /// find the old file or the new one.
    ///
    /// # Errors
    /// If it cannot be written. The file is as it was.
    pub(super) fn replace(
        &self,
        path: &Path,
        text: &str,
        access: Access,
    ) -> Result<(), LocalError> {
        make(path.parent().unwrap_or(&self.0))?;
        let written = draft(path, text, access).and_then(|file| {
            let persisted = file.persist(path);
            persisted.map_err(|error| error.error)
        });
        written.map_err(|error| LocalError::file("write", path, error))?;
        Ok(())
    }
}

fn make(path: &Path) -> Result<(), LocalError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(|error| LocalError::file("make the directory", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_where_the_users_data_are() {
        for (data, home, expected) in [
            (Some("/data"), Some("/home/ada"), Some("/data/tidegate")),
            (
                None,
                Some("/home/ada"),
                Some("/home/ada/.local/share/tidegate"),
            ),
            (
                Some(""),
                Some("/home/ada"),
                Some("/home/ada/.local/share/tidegate"),
            ),
            (
                Some("data"),
                Some("/home/ada"),
                Some("/home/ada/.local/share/tidegate"),
            ),
            (Some("/data"), None, Some("/data/tidegate")),
            (Some("data"), Some("home"), None),
            (None, Some(""), None),
            (None, None, None),
        ] {
            let variable = |name: &str| match name {
                "XDG_DATA_HOME" => data.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            };
            let found = of_user(variable).ok();
            assert_eq!(found, expected.map(PathBuf::from), "{data:?} {home:?}");
        }
    }
}
