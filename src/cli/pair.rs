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
    /// If one of them is there.
    pub(super) fn refuse_existing(&self) -> Result<(), String> {
        let mut files = [&self.certificate, &self.key].into_iter();
        match files.find(|file| file.symlink_metadata().is_ok()) {
            Some(file) => Err(is_there(file)),
            None => Ok(()),
        }
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
        commit(key, is_forced)?;
        commit(certificate, is_forced).inspect_err(|_| {
            if !is_forced {
                let _ = std::fs::remove_file(&self.key);
            }
        })
    }
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

    #[test]
    fn no_file_is_replaced_and_no_half_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = Files::new(&directory.path().join("a/b"), "x").expect("it can be made");
        let issued = Issued {
            certificate: "certificate".to_owned(),
            key: "key".to_owned(),
            not_after: SystemTime::UNIX_EPOCH,
        };
        std::fs::write(&files.certificate, "mine").expect("it can be written");
        for said in [files.refuse_existing(), files.write(&issued, false)] {
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
        let count = std::fs::read_dir(directory.path().join("a/b"))
            .expect("it is there")
            .count();
        assert_eq!(count, 2);
    }
}
