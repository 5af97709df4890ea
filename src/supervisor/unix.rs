//! Listening Unix sockets, and the files by which clients find them.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// A listening Unix socket. Its file is removed when the last copy is dropped.
#[derive(Clone)]
pub(super) struct UnixSocket {
    pub(super) fd: Arc<OwnedFd>,
    file: Arc<SocketFile>,
}

struct SocketFile {
    /// Where clients find the socket.
    path: PathBuf,
    /// The file that we have to remove: at another path before [`UnixSocket::publish`], `None` once
    /// another process listens at `path`.
    present: Mutex<Option<PathBuf>>,
}

impl SocketFile {
    fn present(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.present
            .lock()
            .expect("no thread panics while it holds the lock")
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(path) = self.present().take() {
            // If the file stays, the next start replaces it.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl UnixSocket {
    /// Binds a socket at `path` and listens. The file of a process that has died is replaced. The file
    /// gets the permissions `mode`; with `None`, those that the process's mask leaves.
    ///
    /// # Errors
    /// The system's error; `AddrInUse` if a living process listens there.
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
        Self::of(listener, path, path, mode)
    }

    /// Binds a socket beside `path` and listens; [`publish`](Self::publish) moves its file to `path`.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn bind_beside(path: &Path, mode: u32) -> io::Result<Self> {
        let draft = path.with_extension(format!("{}.sock", std::process::id()));
        let listener = UnixListener::bind(&draft)?;
        Self::of(listener, path, &draft, Some(mode))
    }

    fn of(
        listener: UnixListener,
        path: &Path,
        present: &Path,
        mode: Option<u32>,
    ) -> io::Result<Self> {
        let file = Arc::new(SocketFile {
            path: path.to_owned(),
            present: Mutex::new(Some(present.to_owned())),
        });
        if let Some(mode) = mode {
            std::fs::set_permissions(present, std::fs::Permissions::from_mode(mode))?;
        }
        listener.set_nonblocking(true)?;
        Ok(Self {
            fd: Arc::new(listener.into()),
            file,
        })
    }

    /// Moves the file to its place in one step: at every moment a client reaches the old socket or this
    /// one.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn publish(&self) -> io::Result<()> {
        let mut present = self.file.present();
        if let Some(draft) = present.as_deref().filter(|draft| *draft != self.path()) {
            std::fs::rename(draft, self.path())?;
            *present = Some(self.file.path.clone());
        }
        Ok(())
    }

    /// Keeps the file from being removed: another process listens there now.
    pub(super) fn leave_file(&self) {
        self.file.present().take();
    }

    /// Where clients find the socket.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
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
        let socket = UnixSocket::bind(&path, Some(0o600)).expect("no process answers there");
        let mode = std::fs::metadata(&path)
            .expect("bound")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = UnixSocket::bind(&path, None)
            .err()
            .expect("a process answers there");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_successor_takes_the_place_without_a_gap() {
        let directory = crate::test_support::TemporaryDirectory::new("unix");
        let path = directory.path().join("s");
        let entries = || std::fs::read_dir(directory.path()).expect("ours").count();
        let old = UnixSocket::bind(&path, Some(0o600)).expect("the directory is ours");
        drop(UnixSocket::bind_beside(&path, 0o600).expect("another name"));
        assert_eq!(
            entries(),
            1,
            "one that did not take the place leaves nothing"
        );
        let new = UnixSocket::bind_beside(&path, 0o600).expect("another name");
        new.publish().expect("the directory is ours");
        old.leave_file();
        drop(old);
        UnixStream::connect(&path).expect("the new one listens");
        drop(new);
        assert_eq!(entries(), 0);
    }
}
