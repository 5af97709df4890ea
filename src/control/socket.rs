//! Where the control socket is. The name of the socket is made from the path of the configuration
//! file, so that a command finds a server by its file; the directory is one that only the user may write
//! to. A server that runs as another user has its socket in that user's directory ([`of_other_users`]).
//!
//! A link on the way to the file may lead elsewhere while the server runs, as with releases of an application and with
//! volumes of Kubernetes. So the server is found by two names: that of the file which it was ([`socket_path`]), and
//! that of the path which it was given ([`alias_path`]).
//!
//! The supervisor binds the socket there, and commands connect to it there.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// In the environment: the directory of the sockets, if it is not to be the usual one.
pub(crate) const DIRECTORY_VARIABLE: &str = "TIDEGATE_RUNTIME_DIR";

/// The directory of root's sockets.
const OF_ROOT: &str = "/run/tidegate";

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
    Ok(runtime_directory().join(socket_name(configuration)?))
}

/// A second path of that socket, by which a command finds the server that was started with the same path, wherever
/// the path leads by now, and if it leads nowhere.
pub(crate) fn alias_path(configuration: &Path) -> PathBuf {
    runtime_directory().join(alias_name(configuration))
}

/// The directory for the sockets of the applications of the server that runs from `configuration`, or of
/// one without a file. It need not be there.
pub(crate) fn apps_directory(configuration: Option<&Path>) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let of_file = configuration.and_then(|file| socket_name(file).ok());
    let name = of_file.unwrap_or_else(|| {
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{}-{nth}.sock", std::process::id())
    });
    let directory = runtime_directory().join(name).with_extension("apps");
    // Applications are started in directories of their own.
    std::path::absolute(&directory).unwrap_or(directory)
}

/// The name of the socket in its directory.
fn socket_name(configuration: &Path) -> Result<String, MissingFile> {
    let file = configuration.canonicalize().map_err(|source| MissingFile {
        path: configuration.to_owned(),
        source,
    })?;
    Ok(name_for(&file))
}

/// The name of the second path in the same directory: that of the path as it is written, made absolute.
fn alias_name(configuration: &Path) -> String {
    let path = std::path::absolute(configuration);
    name_for(&path.unwrap_or_else(|_| configuration.to_owned()))
}

fn name_for(path: &Path) -> String {
    let hash = hash(path.as_os_str().as_encoded_bytes());
    format!("{hash:016x}.sock")
}

/// Where the socket would be if another user ran the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OtherUser {
    pub(crate) user: u32,
    pub(crate) socket: PathBuf,
}

/// Where the socket of the server that runs from `configuration` is if another user runs it: in each
/// directory of another user's sockets that there is, under both names. Only root can connect there, but others can
/// be told. None if the operator has chosen a directory.
pub(crate) fn of_other_users(configuration: &Path) -> Vec<OtherUser> {
    let mut names = vec![alias_name(configuration)];
    names.extend(socket_name(configuration));
    names.dedup();
    if std::env::var_os(DIRECTORY_VARIABLE).is_some_and(|value| !value.is_empty()) {
        return Vec::new();
    }
    let temporary = numbered(&std::env::temp_dir(), "tidegate-", "");
    let runtime = numbered(Path::new("/run/user"), "", "tidegate");
    let root = (0, PathBuf::from(OF_ROOT));
    let all = [root].into_iter().chain(runtime).chain(temporary);
    let ours = rustix::process::geteuid().as_raw();
    // Any user may make a directory beneath /tmp: it counts only if it belongs to the user it names.
    let is_theirs = |user: u32, directory: &Path| {
        std::fs::symlink_metadata(directory)
            .is_ok_and(|state| state.is_dir() && state.uid() == user)
    };
    all.filter(|(user, directory)| *user != ours && is_theirs(*user, directory))
        .flat_map(|(user, directory)| {
            let sockets = names.iter().map(move |name| directory.join(name));
            sockets.map(move |socket| OtherUser { user, socket })
        })
        .collect()
}

/// The entries of `directory` whose names are `prefix` and a number, each joined with `beneath`.
fn numbered(directory: &Path, prefix: &str, beneath: &str) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| {
        let name = entry.file_name();
        let user = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
        Some((user, entry.path().join(beneath)))
    };
    entries.filter_map(number).collect()
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
        _ if user.is_root() => PathBuf::from(OF_ROOT),
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
    use super::*;

    #[test]
    fn the_directories_of_other_users_are_found_by_their_numbers() {
        let directory = crate::test_support::TemporaryDirectory::new("sockets-of-others");
        for name in ["tidegate-33", "tidegate-x", "other-1"] {
            std::fs::create_dir(directory.path().join(name)).expect("ours");
        }
        let found = numbered(directory.path(), "tidegate-", "");
        assert_eq!(found, [(33, directory.path().join("tidegate-33").join(""))]);
    }

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
