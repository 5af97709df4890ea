//! Unix listening sockets, and the files that name them.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A bound Unix socket; its file goes when the last hold on it does.
#[derive(Clone)]
pub(super) struct UnixSocket {
    pub(super) fd: Arc<OwnedFd>,
    file: Arc<SocketFile>,
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What is left behind is replaced at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl UnixSocket {
    /// Binds a socket at `path` and listens. One that a dead process left behind is replaced. With
    /// `mode`, these are its permissions; otherwise what the process's mask leaves.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` if a living process answers there.
    pub(super) fn bind(path: &Path, mode: Option<u32>) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(path).is_ok() {
                    return Err(error);
                }
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        let file = Arc::new(SocketFile(path.to_owned()));
        if let Some(mode) = mode {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        }
        listener.set_nonblocking(true)?;
        Ok(Self {
            fd: Arc::new(listener.into()),
            file,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let directory = crate::test_support::TemporaryDirectory::new("unix");
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).expect("the directory is ours"));
        assert!(path.exists(), "a dead process leaves its file");
        let socket = UnixSocket::bind(&path, Some(0o600)).expect("nobody answers there");
        let mode = std::fs::metadata(&path)
            .expect("bound")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = UnixSocket::bind(&path, None)
            .err()
            .expect("somebody answers there");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }
}
