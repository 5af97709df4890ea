//! Why a path that has a file is not opened, in words for the operator: which component, and what
//! stands in the way.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::runtime::descriptors::is_lack;

/// What stands in the way of opening a path beneath a root. As an [`io::Error`] it keeps the system's
/// error; see [`errno`].
#[derive(Debug)]
pub(crate) struct Barrier {
    /// The component, as a path of the file system.
    component: PathBuf,
    reason: Reason,
    errno: Errno,
}

#[derive(Debug)]
pub(super) enum Reason {
    /// A symbolic link, with the target that is written in it.
    Link(Vec<u8>, LinkTrouble),
    /// A directory in which the system does not let us look for names.
    Search(Owner),
    /// A file or directory that the system does not let us read.
    Read(Owner),
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkTrouble {
    /// It leads out of where links may lead.
    LeadsOut,
    /// The route follows no links.
    NotFollowed,
    Circle,
    /// What it leads to is not there.
    Dangling,
}

/// Who may do what with a file, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Owner(Option<(u32, u32, u32)>);

impl Owner {
    /// Mode, owner and group of an open file.
    pub(super) fn of(fd: impl AsFd) -> Self {
        let state = rustix::fs::fstat(fd).ok();
        Self(state.map(|state| (state.st_mode & 0o7777, state.st_uid, state.st_gid)))
    }
}

impl Barrier {
    pub(super) fn new(component: PathBuf, reason: Reason, errno: Errno) -> Self {
        Self {
            component,
            reason,
            errno,
        }
    }

    /// The barrier that `error` holds, if it is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The barrier that `error` holds, if it is one.
    pub(crate) fn from(error: io::Error) -> Option<Self> {
        let held = error.into_inner()?;
        held.downcast().ok().map(|barrier| *barrier)
    }

    /// Whether the operator should hear of it from the log: not of a link to what is not there, which
    /// is as harmless as a name that is not there.
    pub(crate) fn is_worth_a_line(&self) -> bool {
        !matches!(self.reason, Reason::Link(_, LinkTrouble::Dangling))
    }

    pub(super) fn into_io(self) -> io::Error {
        let kind = io::Error::from(self.errno).kind();
        io::Error::new(kind, self)
    }
}

/// The system's error in `error`, also where a [`Barrier`] holds it.
pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    Barrier::of(error)
        .map(|barrier| barrier.errno)
        .or_else(|| Errno::from_io_error(error))
}

/// Whether `error` says that the system [lacks something](is_lack) that a call needs.
pub(crate) fn is_of_lack(error: &io::Error) -> bool {
    errno(error).is_some_and(is_lack)
}

/// The path of an open directory, where the system tells it.
pub(super) fn path_of(fd: impl AsFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).ok()
}

/// The path of `beneath`, which is relative to `root`.
pub(super) fn joined(root: &Path, beneath: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(beneath))
}

impl std::error::Error for Barrier {}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let component = shown(self.component.as_os_str().as_bytes());
        match &self.reason {
            Reason::Link(target, trouble) => {
                let target = shown(target);
                write!(f, "`{component}` is a link to `{target}`, ")?;
                match trouble {
                    LinkTrouble::LeadsOut => f.write_str(
                        "which leads out of the root; `links` of the route can allow where it leads",
                    ),
                    LinkTrouble::NotFollowed => {
                        f.write_str("and `links` of the route says that none is followed")
                    }
                    LinkTrouble::Circle => f.write_str("and it leads in a circle"),
                    LinkTrouble::Dangling => f.write_str("which is not there"),
                }
            }
            Reason::Search(owner) => {
                let error = self.error();
                write!(
                    f,
                    "the server may not look into the directory `{component}`: {error}{owner}"
                )
            }
            Reason::Read(owner) => {
                write!(
                    f,
                    "the server may not read `{component}`: {}{owner}",
                    self.error()
                )
            }
        }
    }
}

impl Barrier {
    fn error(&self) -> io::Error {
        self.errno.into()
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((mode, user, group)) = self.0 else {
            return Ok(());
        };
        let us = rustix::process::geteuid().as_raw();
        let our_group = rustix::process::getegid().as_raw();
        write!(
            f,
            "; it has mode {mode:04o} and belongs to user {user}, group {group}, and the server runs \
             as user {us}, group {our_group}"
        )
    }
}

/// A name that may hold anything, so that no terminal obeys it.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).escape_debug().to_string()
}
