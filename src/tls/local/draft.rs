//! A file that is written before it has its name, so that others find the old file or the new one.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::NamedTempFile;

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Owner,
    Everyone,
}

/// Writes `text` to the disk, in the directory of `target`. The caller gives it that name, or drops it.
///
/// # Errors
/// If the system refuses.
pub(crate) fn draft(target: &Path, text: &str, access: Access) -> io::Result<NamedTempFile> {
    let mode = match access {
        Access::Owner => 0o600,
        Access::Everyone => 0o644,
    };
    let mut file = NamedTempFile::new_in(target.parent().unwrap_or(Path::new(".")))?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}
