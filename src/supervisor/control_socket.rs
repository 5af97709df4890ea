//! Binds the control socket of a server. Only the user that runs the server may connect to it, and
//! write to its directory.
//!
//! [`socket_path`] says where the socket is; commands find it there.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::unix::UnixSocket;
use crate::config::model::SocketAccess;
use crate::control::socket::{DIRECTORY_VARIABLE, MissingFile, alias_path, socket_path};

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
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ControlError::AlreadyRunning { path },
        _ => ControlError::Bind { path, source },
    })
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

/// The second path of a control socket: a symbolic link. It is removed once it leads to no socket any more.
pub(super) struct Alias(PathBuf);

impl Alias {
    /// Has the server that runs from `configuration` be found at its control socket by the path that it was given, too.
    /// A link that a predecessor has made, or a server that has died, is replaced. `None`: both paths are the same.
    ///
    /// # Errors
    /// If the link cannot be made.
    pub(super) fn make(
        configuration: &Path,
        socket: &UnixSocket,
    ) -> Result<Option<Self>, ControlError> {
        let path = alias_path(configuration);
        if path == socket.path() {
            return Ok(None);
        }
        // Of another name first, so that a command finds the old link or the new one.
        let draft = path.with_extension(format!("{}.link", std::process::id()));
        let made = std::os::unix::fs::symlink(socket.path(), &draft)
            .and_then(|()| std::fs::rename(&draft, &path));
        match made {
            Ok(()) => Ok(Some(Self(path))),
            Err(source) => {
                let _ = std::fs::remove_file(draft);
                Err(ControlError::Bind { path, source })
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
