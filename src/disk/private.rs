//! Directories that hold keys, which other users must not look into.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use super::file_error::FileError;

const DIRECTORY_MODE: u32 = 0o700;

/// Makes the directory at `path`, and those above it, for the user alone. One that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn make_directory(path: &Path) -> Result<(), FileError> {
    let mut builder = DirBuilder::new();
    let made = builder.recursive(true).mode(DIRECTORY_MODE).create(path);
    made.map_err(|error| FileError::new("make the directory", path, error))
}

/// A sentence for the operator if other users may look into the directory at `path`, which the operator may
/// have made. `None`: they may not, or there is no such directory.
pub(crate) fn doubt_about_mode(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    mode_doubt(path, metadata.permissions().mode())
}

/// What is wrong with the mode of the directory at `path`.
fn mode_doubt(path: &Path, mode: u32) -> Option<String> {
    let others = mode & 0o077;
    (others != 0).then(|| {
        format!(
            "the directory `{}` has the mode {:04o} and holds keys; chmod {DIRECTORY_MODE:o} keeps \
             other users out",
            path.display(),
            mode & 0o7777
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_other_users_may_read_is_doubted() {
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
}
