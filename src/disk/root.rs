//! A root: an open directory beneath which files are opened, and what links in it may lead to.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::barrier::{Barrier, Owner, Reason};
use super::openat2;
use crate::config::model::Links;

/// Whether a call may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// On the loop. What is not in memory is `WouldBlock`.
    Never,
    /// On the blocking pool.
    Allowed,
}

/// An open directory, beneath which files are opened.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
    /// Its name, for the operator.
    path: PathBuf,
    links: Links,
    /// Directories outside of it that links may lead to.
    further: Vec<OwnedFd>,
}

impl Root {
    /// Opens the directory at `path`. Links on the way to it are the operator's business.
    ///
    /// # Errors
    /// What the system says; `WouldBlock` if the call would have to wait and may not. A further
    /// directory of `links` that is not there allows nothing.
    pub(crate) fn open(path: &Path, links: &Links, waiting: Waiting) -> io::Result<Self> {
        let mut further = Vec::new();
        if let Links::Also(directories) = links {
            for directory in directories {
                match open_directory(directory, waiting) {
                    Ok(directory) => further.push(directory),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                    Err(_) => {}
                }
            }
        }
        Ok(Self {
            directory: open_directory(path, waiting)?,
            path: path.to_owned(),
            links: links.clone(),
            further,
        })
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    /// The identities of the directories that links may lead to, and beneath.
    pub(super) fn permitted(&self) -> rustix::io::Result<Vec<(u64, u64)>> {
        let directories = [&self.directory].into_iter().chain(&self.further);
        let identity = |directory| rustix::fs::fstat(directory).map(|state| identity(&state));
        directories.map(identity).collect()
    }
}

fn open_directory(path: &Path, waiting: Waiting) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if waiting == Waiting::Allowed {
        return match rustix::fs::open(path, flags, Mode::empty()) {
            Err(error @ (Errno::ACCESS | Errno::PERM)) => Err(forbidden(path, error)),
            opened => Ok(opened?),
        };
    }
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::NOENT)?;
    match openat2::open(CWD, &path, flags, ResolveFlags::CACHED) {
        // What is forbidden is opened once more where there is time to find out by what.
        None | Some(Err(Errno::INVAL | Errno::ACCESS | Errno::PERM)) => Err(Errno::AGAIN.into()),
        Some(opened) => Ok(opened?),
    }
}

/// The error for a directory that may not be opened: it names the directory above that forbids it.
fn forbidden(path: &Path, error: Errno) -> io::Error {
    let open = |path: &Path| {
        let opened = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        opened.ok().map(|fd| (path.to_owned(), fd))
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.ancestors().find_map(open) {
        Some((above, fd)) => Barrier::new(above, Reason::Search(Owner::of(&fd)), error).into_io(),
        None => error.into(),
    }
}

/// What tells a directory or file from every other.
pub(super) fn identity(state: &Stat) -> (u64, u64) {
    (state.st_dev, state.st_ino)
}
