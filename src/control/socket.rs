//! The control socket: where it is, and how a command finds it.
//!
//! A server is found by its configuration file: the socket's name is made from the file's path, in a
//! directory that only its owner may enter.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Names the directory of the sockets, where the usual one will not do.
const DIRECTORY_VARIABLE: &str = "TIDEGATE_RUNTIME_DIR";

/// Why there is no control socket. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("cannot find the configuration file {}", path.display())]
    NoFile { path: PathBuf, source: io::Error },
    #[error(
        "cannot use {} for the control socket; set {DIRECTORY_VARIABLE} to a directory of your own",
        path.display()
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "{} belongs to another user, or others may enter it; set {DIRECTORY_VARIABLE} to a directory of your own",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error(
        "a tidegate already runs from this configuration file (its control socket {} answers); `tidegate reload` changes it, `tidegate stop` ends it",
        path.display()
    )]
    AlreadyRunning { path: PathBuf },
    #[error("cannot bind the control socket {}", path.display())]
    Bind { path: PathBuf, source: io::Error },
}

/// Where the server that runs from `configuration` can be spoken to.
///
/// # Errors
/// If there is no such file.
pub(crate) fn socket_path(configuration: &Path) -> Result<PathBuf, ControlError> {
    let file = configuration
        .canonicalize()
        .map_err(|source| ControlError::NoFile {
            path: configuration.to_owned(),
            source,
        })?;
    let name = format!("{:016x}.sock", hash(file.as_os_str().as_encoded_bytes()));
    Ok(runtime_directory().join(name))
}

fn runtime_directory() -> PathBuf {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let user = rustix::process::geteuid();
    variable(DIRECTORY_VARIABLE).unwrap_or_else(|| match variable("XDG_RUNTIME_DIR") {
        _ if user.is_root() => PathBuf::from("/run/tidegate"),
        Some(directory) => directory.join("tidegate"),
        None => std::env::temp_dir().join(format!("tidegate-{}", user.as_raw())),
    })
}

/// Makes the directory, or checks that the one that is there is ours alone: in a directory that all
/// may write to, somebody else could have made it first.
pub(crate) fn prepare_directory(path: &Path) -> Result<(), ControlError> {
    let error = |source| ControlError::Directory {
        path: path.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(error)?;
    let state = std::fs::symlink_metadata(path).map_err(error)?;
    let is_ours = state.uid() == rustix::process::geteuid().as_raw();
    match is_ours && state.is_dir() && state.mode() & 0o022 == 0 {
        true => Ok(()),
        false => Err(ControlError::NotOurs {
            path: path.to_owned(),
        }),
    }
}

/// FNV-1a, 64 bits: the same in every build, for a command may be newer than the server.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_hash_is_fnv_1a() {
        for (text, expected) in [
            ("", 0xcbf2_9ce4_8422_2325),
            ("a", 0xaf63_dc4c_8601_ec8c),
            ("foobar", 0x8594_4171_f739_67e8),
        ] {
            assert_eq!(hash(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let directory = crate::test_support::TemporaryDirectory::new("control");
        let path = directory.path().join("run");
        prepare_directory(&path).expect("made");
        prepare_directory(&path).expect("and ours");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
            .expect("it is ours");
        assert!(matches!(
            prepare_directory(&path),
            Err(ControlError::NotOurs { .. })
        ));
    }
}
