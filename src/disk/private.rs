//! Directories and files that hold keys, which other users must not look into.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Access;
use rustix::io::Errno;

use super::file_error::FileError;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes the directory at `path`, and those above it, for the user alone. One that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_directory(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(|error| FileError::new("make the directory", path, error))
}

/// Looks whether [`make_directory`] could make `path`, or finds it, and whether files can be made there. Makes nothing.
///
/// # Errors
/// Why it cannot.
pub(crate) fn check_directory(path: &Path) -> Result<(), FileError> {
    let fails = |error| FileError::new("make the directory", path, error);
    for there in path.ancestors() {
        let there = if there.as_os_str().is_empty() {
            Path::new(".")
        } else {
            there
        };
        match there.metadata() {
            Ok(state) if !state.is_dir() => return Err(fails(Errno::NOTDIR.into())),
            Ok(_) => {
                let access = rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK);
                return access.map_err(|error| {
                    if there == path {
                        FileError::new("write to", path, error.into())
                    } else {
                        fails(error.into())
                    }
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fails(error)),
        }
    }
    Ok(())
}

/// A sentence for the operator if other users may look into the directory or the file at `path`, which the
/// operator may have made. `None`: they may not, or there is nothing.
pub(crate) fn doubt_about_mode(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    mode_doubt(path, metadata.permissions().mode())
}

/// What is wrong with `mode`, which holds the kind as well, at `path`.
fn mode_doubt(path: &Path, mode: u32) -> Option<String> {
    let others = mode & 0o077;
    let (kind, good) = match mode & libc::S_IFMT {
        libc::S_IFDIR => ("directory", DIRECTORY_MODE),
        _ => ("file", FILE_MODE),
    };
    (others != 0).then(|| {
        format!(
            "the {kind} `{}` has the mode {:04o} and holds keys; chmod {good:o} keeps other users out",
            path.display(),
            mode & 0o7777
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_users_may_read_is_doubted() {
        let path = Path::new("/acme");
        for mode in [0o40_700, 0o40_500, 0o42_700, 0o100_600, 0o100_400] {
            assert_eq!(mode_doubt(path, mode), None, "{mode:o}");
        }
        for mode in [0o40_750, 0o40_705, 0o40_701, 0o41_777, 0o100_640] {
            assert!(mode_doubt(path, mode).is_some(), "{mode:o}");
        }
        let doubt = mode_doubt(path, 0o40_755).unwrap_or_default();
        assert!(
            doubt.contains("directory `/acme` has the mode 0755"),
            "{doubt}"
        );
        assert!(doubt.contains("chmod 700"), "{doubt}");
        let doubt = mode_doubt(path, 0o100_644).unwrap_or_default();
        assert!(doubt.contains("file `/acme` has the mode 0644"), "{doubt}");
        assert!(doubt.contains("chmod 600"), "{doubt}");
    }
}
