//! The directory of a user's CA: where it is, its lock, and how its files are written.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::LocalError;
use crate::disk::{self, Access, Lock};

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

impl Directory {
    /// The directory at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn open(path: &Path) -> Result<Self, LocalError> {
        disk::make_directory(path)?;
        Ok(Self(path.to_owned()))
    }

    /// Waits until no other process holds the lock, and takes it.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn lock(&self) -> Result<Lock, LocalError> {
        Ok(Lock::wait(&self.0.join("lock"))?)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
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
    /// find the old file or the new one. The caller holds the lock.
    ///
    /// # Errors
    /// If it cannot be written. The file is as it was.
    pub(super) fn replace(
        &self,
        path: &Path,
        text: &str,
        access: Access,
    ) -> Result<(), LocalError> {
        disk::make_directory(path.parent().unwrap_or(&self.0))?;
        disk::remove_prepared(path)?;
        disk::prepare(path, text.as_bytes(), access)?.commit()?;
        Ok(())
    }
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
