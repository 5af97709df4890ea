//! A certificate and its key as two files of a directory, which are replaced together or not at all.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{self, Access, FileError, Prepared};
use crate::tls::local::Issued;

/// Where a certificate and its key are written to.
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    /// Files in `directory`, which is made if it is not there.
    pub(super) fn new(directory: &Path, name: &str) -> Result<Self, String> {
        let made = std::fs::create_dir_all(directory).and_then(|()| directory.canonicalize());
        let directory = made.map_err(|error| {
            let directory = directory.display();
            format!(
                "error: cannot write to `{directory}`: {error}; name another directory with --out"
            )
        })?;
        Ok(Self {
            certificate: directory.join(format!("{name}.pem")),
            key: directory.join(format!("{name}-key.pem")),
        })
    }

    /// # Errors
    /// If one of them is there and must not be replaced: files are if `is_forced`, and nothing else ever is.
    pub(super) fn refuse_existing(&self, is_forced: bool) -> Result<(), String> {
        for file in [&self.certificate, &self.key] {
            match file.symlink_metadata() {
                Ok(found) if !found.is_file() => return Err(is_no_file(file)),
                Ok(_) if !is_forced => return Err(is_there(file)),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// The caller holds the lock of the CA.
    ///
    /// # Errors
    /// If they cannot be written, or are there and must not be replaced.
    pub(super) fn write(&self, issued: &Issued, is_forced: bool) -> Result<(), String> {
        let written = |target: &Path, text: &str, access| {
            // What another user's process has left in a directory for all may not be ours to remove.
            let _ = disk::remove_prepared(target);
            disk::prepare(target, text.as_bytes(), access).map_err(|error| unwritten(&error))
        };
        let key = written(&self.key, &issued.key, Access::Owner)?;
        let certificate = written(&self.certificate, &issued.certificate, Access::Everyone)?;
        self.refuse_existing(is_forced)?;
        self.put(key, certificate, is_forced)
    }

    /// Gives both files their names. If that fails, the old pair is as it was: its key is kept under another
    /// name until the new certificate is in place, for no other key fits the old certificate.
    fn put(&self, key: Prepared, certificate: Prepared, is_forced: bool) -> Result<(), String> {
        let old = if is_forced { self.set_aside()? } else { None };
        let put = commit(key, false).and_then(|()| {
            commit(certificate, is_forced).inspect_err(|_| {
                let _ = std::fs::remove_file(&self.key);
            })
        });
        match (put, old) {
            (put, None) => put,
            (Ok(()), Some(old)) => std::fs::remove_file(&old)
                .map_err(|error| unwritten(&FileError::new("remove", &old, error))),
            (Err(message), Some(old)) => Err(self.put_back(&old, message)),
        }
    }

    /// Renames the key that is to be replaced. Returns its other name, or `None` if there is no key.
    ///
    /// # Errors
    /// If it cannot be renamed, or one is there that was renamed before and never put back.
    fn set_aside(&self) -> Result<Option<PathBuf>, String> {
        let mut old = self.key.as_os_str().to_owned();
        old.push(".old");
        let old = PathBuf::from(old);
        if old.symlink_metadata().is_ok() {
            return Err(format!(
                "error: `{}` is there: a process that was killed has left in it the key that `{}` \
                 was; move it back or away",
                old.display(),
                self.key.display()
            ));
        }
        match std::fs::rename(&self.key, &old) {
            Ok(()) => Ok(Some(old)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unwritten(&FileError::new("rename", &self.key, error))),
        }
    }

    /// Gives the old key its name again. Returns `message`, with what the user has to know if that fails.
    fn put_back(&self, old: &Path, message: String) -> String {
        match std::fs::rename(old, &self.key) {
            Ok(()) => message,
            Err(error) => format!(
                "{message}\nerror: the old key is in `{}` and cannot be renamed: {error}; \
                 rename it to `{}`",
                old.display(),
                self.key.display()
            ),
        }
    }
}

fn is_no_file(file: &Path) -> String {
    format!(
        "error: `{}` is there and is no regular file, which --force does not replace; \
         move it away, or name another directory with --out",
        file.display()
    )
}

fn is_there(file: &Path) -> String {
    format!(
        "error: `{}` is there already; replace it with --force, or name another directory with \
         --out",
        file.display()
    )
}

fn unwritten(error: &FileError) -> String {
    format!("error: {error}; name a directory that you can write to with --out")
}

/// Gives a file its name. A file of that name is replaced only if `is_forced`.
fn commit(file: Prepared, is_forced: bool) -> Result<(), String> {
    let committed = if is_forced {
        file.commit()
    } else {
        file.commit_new()
    };
    committed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => is_there(&error.path),
        _ => unwritten(&error),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::SystemTime;

    use super::*;

    fn issued() -> Issued {
        Issued {
            certificate: "certificate".to_owned(),
            key: "key".to_owned(),
            not_after: SystemTime::UNIX_EPOCH,
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("it is there");
        let names = entries.map(|entry| entry.expect("a file").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a name")).collect();
        names.sort();
        names
    }

    /// The key was replaced before the certificate, and the old key was gone when that failed.
    #[test]
    fn an_old_key_is_kept_if_the_certificate_cannot_be_put_in_its_place() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path(), "x").expect("it is there");
        std::fs::write(&files.key, "old key").expect("it can be written");
        std::fs::create_dir(&files.certificate).expect("it can be made");
        let said = files.write(&issued(), true).expect_err("a directory");
        assert!(
            said.contains("x.pem` is there and is no regular file"),
            "{said}"
        );
        assert!(said.contains("move it away"), "{said}");
        // It may come between the look and the renaming.
        let prepared = |target| disk::prepare(target, b"new", Access::Owner).expect("room");
        let put = files.put(prepared(&files.key), prepared(&files.certificate), true);
        let said = put.expect_err("a directory");
        assert!(said.contains("x.pem`: "), "{said}");
        let key = std::fs::read_to_string(&files.key);
        assert_eq!(key.ok().as_deref(), Some("old key"));
        assert_eq!(names(directory.path()), ["x-key.pem", "x.pem"]);
    }

    #[test]
    fn a_key_that_a_killed_process_has_set_aside_is_told_and_stays() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(directory.path(), "x").expect("it is there");
        files.write(&issued(), false).expect("it is not there");
        let old = directory.path().join("x-key.pem.old");
        std::fs::write(&old, "old key").expect("it can be written");
        let said = files.write(&issued(), true).expect_err("it is there");
        assert!(said.contains("x-key.pem.old` is there"), "{said}");
        assert_eq!(
            std::fs::read_to_string(&old).ok().as_deref(),
            Some("old key")
        );
        assert_eq!(
            names(directory.path()),
            ["x-key.pem", "x-key.pem.old", "x.pem"]
        );
    }

    #[test]
    fn no_file_is_replaced_and_no_half_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(&directory.path().join("a/b"), "x").expect("it can be made");
        let issued = issued();
        std::fs::write(&files.certificate, "mine").expect("it can be written");
        for said in [files.refuse_existing(false), files.write(&issued, false)] {
            let said = said.expect_err("a file is there");
            assert!(
                said.contains("x.pem` is there already") && said.contains("--force"),
                "{said}"
            );
        }
        assert!(!files.key.exists());
        assert_eq!(
            std::fs::read_to_string(&files.certificate).ok().as_deref(),
            Some("mine")
        );
        files.write(&issued, true).expect("it can be replaced");
        let mode = |file: &Path| file.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&files.key), mode(&files.certificate)), (0o600, 0o644));
        let there = names(&directory.path().join("a/b"));
        assert_eq!(there, ["x-key.pem", "x.pem"]);
    }
}
