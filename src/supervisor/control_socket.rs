//! Binds the control socket of a server. Only the user that runs the server may connect to it, and
//! write to its directory.
//!
//! [`socket_path`] says where the socket is; commands find it there.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::unix::UnixSocket;
use crate::address::ListenAddress;
use crate::config::model::SocketAccess;
use crate::control::socket::{DIRECTORY_VARIABLE, MissingFile, alias_path, socket_path};
use crate::log::diagnostic;
use crate::server::ListeningSocket;

/// The permissions of the socket's file: its owner may connect.
const ACCESS: SocketAccess = SocketAccess {
    mode: Some(0o600),
    owner: None,
    group: None,
};

/// Why there is no control socket. The operator can mend it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error(transparent)]
    MissingFile(#[from] MissingFile),
    #[error(
        "cannot use {} for the control socket; set {DIRECTORY_VARIABLE} to a directory of your own",
        path.display()
    )]
    Directory { path: PathBuf, source: io::Error },
    #[error(
        "{} belongs to another user, or others may write to it; set {DIRECTORY_VARIABLE} to a directory of your own",
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

/// Binds the control socket of the server that runs from `configuration`. The socket of a successor
/// has another name beside its predecessor's, until [`publish`].
///
/// # Errors
/// Why the socket cannot be bound; above all, because a server runs from that file already.
pub(super) fn bind(configuration: &Path, is_successor: bool) -> Result<UnixSocket, ControlError> {
    let path = socket_path(configuration)?;
    prepare_directory(path.parent().unwrap_or(Path::new("/")))?;
    let alias = alias_path(configuration);
    if !is_successor && UnixStream::connect(&alias).is_ok() {
        return Err(ControlError::AlreadyRunning { path: alias });
    }
    UnixSocket::remove_dead_drafts(&path);
    let bound = if is_successor {
        UnixSocket::bind_beside(&path, &ACCESS)
    } else {
        UnixSocket::bind(&path, &ACCESS)
    };
    bound.map_err(|source| bind_error(path, source))
}

/// Moves a successor's control socket to the place of its predecessor's.
///
/// # Errors
/// If the file cannot be renamed.
pub(super) fn publish(socket: &UnixSocket) -> Result<(), ControlError> {
    socket.publish().map_err(|source| ControlError::Bind {
        path: socket.path().to_owned(),
        source,
    })
}

/// Binds the control socket at `path` again, whose file was removed, perhaps with its directory.
///
/// # Errors
/// Why it cannot be bound.
pub(super) fn bind_again(path: &Path) -> Result<UnixSocket, ControlError> {
    prepare_directory(path.parent().unwrap_or(Path::new("/")))?;
    UnixSocket::bind(path, &ACCESS).map_err(|source| bind_error(path.to_owned(), source))
}

/// Why the control socket cannot be bound at `path`.
fn bind_error(path: PathBuf, source: io::Error) -> ControlError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ControlError::AlreadyRunning { path },
        _ => ControlError::Bind { path, source },
    }
}

/// What the worker of the control socket listens at.
pub(super) fn listeners(control: &UnixSocket) -> Vec<ListeningSocket> {
    vec![ListeningSocket {
        address: address(control),
        ipv4: None,
        fd: Arc::clone(&control.fd),
        is_recorded: false,
    }]
}

/// The address of the control socket.
pub(super) fn address(control: &UnixSocket) -> ListenAddress {
    ListenAddress::Unix(control.path().to_owned().into())
}

/// The second path of a control socket: a symbolic link. It is removed once it leads to no socket any more.
pub(super) struct Alias(PathBuf);

impl Alias {
    /// Has the server that runs from `configuration` be found at its control socket by the path that it was given, too.
    /// A link that a predecessor has made, or a server that has died, is replaced. `None`: both paths are the same, or
    /// the link cannot be made, of which this warns: the server is found by the file that it is.
    pub(super) fn try_to_make(configuration: &Path, socket: &UnixSocket) -> Option<Self> {
        let path = alias_path(configuration);
        let made = Self::make(path.clone(), socket);
        made.unwrap_or_else(|error| {
            let path = path.display();
            diagnostic::warn(format_args!(
                "cannot make {path}, by which commands would find this server wherever the path of its file leads: {error}"
            ));
            None
        })
    }

    fn make(path: PathBuf, socket: &UnixSocket) -> io::Result<Option<Self>> {
        if path == socket.path() {
            return Ok(None);
        }
        // Both are in one directory, which may be named by a relative path.
        let target = socket.path().file_name().unwrap_or_default();
        if std::fs::read_link(&path).is_ok_and(|link| link == target) {
            return Ok(Some(Self(path)));
        }
        // Of another name first, so that a command finds the old link or the new one. A process that died between the
        // two may have left that.
        let draft = path.with_extension(format!("{}.link", std::process::id()));
        let _ = std::fs::remove_file(&draft);
        let made = std::os::unix::fs::symlink(target, &draft)
            .and_then(|()| std::fs::rename(&draft, &path));
        match made {
            Ok(()) => Ok(Some(Self(path))),
            Err(error) => {
                let _ = std::fs::remove_file(draft);
                Err(error)
            }
        }
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        let is_link = std::fs::symlink_metadata(&self.0).is_ok_and(|state| state.is_symlink());
        // A successor's socket may stand there by now.
        if is_link && !self.0.exists() {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

/// Makes the directory, or checks that an existing one is ours and that no other user may write to it:
/// its parent may be one that every user may write to, and another user could have made it first. Others
/// may enter a directory that was there, as systemd makes it; the socket itself keeps them out.
///
/// # Errors
/// If it cannot be made, or others may write to it.
fn prepare_directory(path: &Path) -> Result<(), ControlError> {
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
    if is_ours && state.is_dir() && state.mode() & 0o022 == 0 {
        Ok(())
    } else {
        Err(ControlError::NotOurs {
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

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
