//! Where the control socket is. The name of the socket is made from the path of the configuration
//! file, so that a command finds a server by its file; the directory is one that only the user enters.
//!
//! The supervisor binds the socket there, and commands connect to it there.

use std::io;
use std::path::{Path, PathBuf};

/// In the environment: the directory of the sockets, if it is not to be the usual one.
pub(crate) const DIRECTORY_VARIABLE: &str = "TIDEGATE_RUNTIME_DIR";

/// The configuration file that names the server does not exist. The operator can mend it.
#[derive(Debug, thiserror::Error)]
#[error("cannot find the configuration file {}", path.display())]
pub(crate) struct MissingFile {
    path: PathBuf,
    source: io::Error,
}

/// The path of the control socket of the server that runs from `configuration`.
///
/// # Errors
/// If there is no such file.
pub(crate) fn socket_path(configuration: &Path) -> Result<PathBuf, MissingFile> {
    let file = configuration.canonicalize().map_err(|source| MissingFile {
        path: configuration.to_owned(),
        source,
    })?;
    let name = format!("{:016x}.sock", hash(file.as_os_str().as_encoded_bytes()));
    Ok(runtime_directory().join(name))
}

/// The directory of the sockets: the operator's choice, or the user's own directory for sockets.
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

/// FNV-1a, 64 bits. The result is the same in every build, because a command may be newer than the
/// server that it looks for.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::hash;

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
}
