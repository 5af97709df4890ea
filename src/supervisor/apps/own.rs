//! What an instance gets as its own: a Unix socket in our directory, or a port of 127.0.0.1.
//!
//! ```text
//! /run/tidegate/3f….apps/            0711: others may pass through
//!                 4711-1/            0700, of the user who runs the instance
//!                        blog.sock   0600, once the instance listens
//! ```
//!
//! The program itself makes the socket, so that its directory must be one that it may write to. Each start
//! has a directory of its own: what a process leaves behind disturbs no other.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::address::{LONGEST_SOCKET_PATH, UpstreamAddress};
use crate::config::model::Endpoint;

/// What an instance has as its own. Dropping it removes its files.
pub(super) enum Own {
    Socket { directory: PathBuf, socket: PathBuf },
    Port(u16),
}

/// The directory for the sockets of all instances.
pub(super) struct SocketDirectory {
    path: PathBuf,
    /// The number of the next instance.
    next: u64,
}

impl SocketDirectory {
    /// The directory at `path`, which is made when it is needed.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, next: 1 }
    }

    /// Makes what an instance of the application `app` gets; `owner` runs it, if that is another user.
    ///
    /// # Errors
    /// The system's error, or a sentence.
    pub(super) fn make(
        &mut self,
        endpoint: Endpoint,
        app: &str,
        owner: Option<u32>,
    ) -> io::Result<Own> {
        match endpoint {
            Endpoint::Socket => self.make_socket(app, owner),
            Endpoint::Port => free_port().map(Own::Port),
        }
    }

    fn make_socket(&mut self, app: &str, owner: Option<u32>) -> io::Result<Own> {
        let directory = self
            .path
            .join(format!("{}-{}", std::process::id(), self.next));
        let socket = directory.join(format!("{app}.sock"));
        if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            let sentence = format!(
                "the path {} is too long for a socket: a path has at most {LONGEST_SOCKET_PATH} bytes; set \
                 TIDEGATE_RUNTIME_DIR to a shorter directory, or use ${{PORT}}",
                socket.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, sentence));
        }
        self.next += 1;
        make_directory(&self.path, 0o711)?;
        let made = Own::Socket {
            directory: directory.clone(),
            socket,
        };
        make_directory(&directory, 0o700)?;
        if let Some(owner) = owner {
            lchown(&directory, Some(owner), None)?;
            self.let_others_pass()?;
        }
        Ok(made)
    }

    /// Lets other users reach what is theirs in the directory, without listing what there is. The control
    /// socket is in the directory above, and has permissions of its own.
    fn let_others_pass(&self) -> io::Result<()> {
        let above = self.path.parent().unwrap_or(&self.path);
        let mode = std::fs::metadata(above)?.permissions().mode();
        let with_passage = mode | 0o011;
        if mode != with_passage {
            std::fs::set_permissions(above, std::fs::Permissions::from_mode(with_passage))?;
        }
        Ok(())
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        // It stays if an instance of another process still has its socket there.
        let _ = std::fs::remove_dir(&self.path);
    }
}

impl Own {
    /// Where the instance is asked.
    pub(super) fn address(&self) -> UpstreamAddress {
        match self {
            Self::Socket { socket, .. } => UpstreamAddress::Unix(socket.clone()),
            Self::Port(port) => UpstreamAddress::Ip((Ipv4Addr::LOCALHOST, *port).into()),
        }
    }

    /// What stands in its command for `${SOCKET}` or `${PORT}`.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Socket { socket, .. } => socket.to_string_lossy().into_owned(),
            Self::Port(port) => port.to_string(),
        }
    }

    /// Lets only the user who runs the instance connect to its socket, and root.
    ///
    /// # Errors
    /// The system's error, or a sentence: what stands there is no socket.
    pub(super) fn protect(&self) -> io::Result<()> {
        let Self::Socket { socket, .. } = self else {
            return Ok(());
        };
        // The directory is the program's: it could put a link there while we look.
        let file = openat(
            CWD,
            socket,
            OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::Socket {
            return Err(io::Error::other("it is no socket"));
        }
        let file = format!("/proc/self/fd/{}", file.as_raw_fd());
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Self::Socket { directory, .. } = self {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path);
    made.and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .map_err(|error| {
            let sentence = format!("cannot make the directory {}: {error}", path.display());
            io::Error::new(error.kind(), sentence)
        })
}

/// A port of 127.0.0.1 that is free at the moment. Another program may take it before the instance does;
/// then the instance ends, and the next one gets another port.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    fn mode(path: &Path) -> u32 {
        let state = std::fs::metadata(path).expect("it is there");
        state.permissions().mode() & 0o777
    }

    #[test]
    fn a_socket_is_its_user_s_alone_and_goes_with_the_instance() {
        let directory = TemporaryDirectory::new("own");
        let path = directory.path().join("a.apps");
        let mut sockets = SocketDirectory::new(path.clone());
        let own = sockets.make(Endpoint::Socket, "blog", None).expect("ours");
        let Own::Socket { directory, socket } = &own else {
            panic!("a socket")
        };
        assert_eq!((mode(&path), mode(directory)), (0o711, 0o700));
        let _listener = std::os::unix::net::UnixListener::bind(socket).expect("ours");
        own.protect().expect("it is a socket");
        assert_eq!(mode(socket), 0o600);
        drop(own);
        assert!(!socket_exists(&path), "nothing is left");
        drop(sockets);
        assert!(!path.exists());
    }

    fn socket_exists(path: &Path) -> bool {
        std::fs::read_dir(path)
            .expect("it is there")
            .next()
            .is_some()
    }

    #[test]
    fn what_a_program_puts_in_place_of_its_socket_is_left_alone() {
        let directory = TemporaryDirectory::new("own-link");
        directory.write("secret", b"");
        let mut sockets = SocketDirectory::new(directory.path().join("a.apps"));
        let own = sockets.make(Endpoint::Socket, "blog", None).expect("ours");
        let secret = directory.path().join("secret");
        let before = mode(&secret);
        std::os::unix::fs::symlink(&secret, own.text()).expect("ours");
        own.protect().expect_err("it is a link");
        assert_eq!(mode(&secret), before);
    }

    #[test]
    fn a_path_that_is_too_long_is_told() {
        let mut sockets = SocketDirectory::new(PathBuf::from(format!("/{}", "x".repeat(100))));
        let error = sockets.make(Endpoint::Socket, "blog", None).err();
        let error = error.expect("it is too long").to_string();
        assert!(error.contains("TIDEGATE_RUNTIME_DIR"), "{error}");
    }
}
