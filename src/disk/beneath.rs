//! Opening files beneath a root, and no others.
//!
//! The kernel resolves the path and refuses to leave the root, whatever the path or a symbolic link
//! says: `openat2` with `RESOLVE_BENEATH`. What it refuses although the route may allow it, such as an
//! absolute link into the root, is opened by a [`walk`], which also finds the words for what may not be
//! opened.
//!
//! Every call says whether it may wait for a disk. If it may not, the kernel answers from memory
//! (`RESOLVE_CACHED`) or with `WouldBlock`; whatever needs a walk is `WouldBlock` too.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;

use super::identity::{Identity, Kind};
pub(crate) use super::root::{Root, Waiting};
use super::{openat2, walk};
use crate::config::model::Links;

/// No link is followed, and `..` does not lead out.
const WITHOUT_LINKS: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// An open file or directory.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fd: OwnedFd,
    pub(crate) kind: Kind,
    pub(crate) identity: Identity,
    /// Whether a symbolic link was on the way.
    pub(crate) through_link: bool,
}

impl Root {
    /// Opens the file or directory at `path`: relative, without `.` or `..`; empty for the root
    /// itself.
    ///
    /// # Errors
    /// What the system says, as a [`Barrier`](super::barrier::Barrier) where the operator may want to
    /// know more; `WouldBlock` if the call would have to wait and may not.
    pub(crate) fn open_beneath(&self, path: &[u8], waiting: Waiting) -> io::Result<Opened> {
        // Opening a pipe lets in the program that waits to write to it, and opening a device may do
        // anything. So what is neither a file nor a directory is not opened.
        if self.find(path, waiting)?.0 == Kind::Other {
            return Err(Errno::NXIO.into());
        }
        // Without NONBLOCK, opening a pipe would wait for its other end; NOCTTY is for terminals.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let (fd, through_link) = self.resolve(path, flags, waiting)?;
        let state = rustix::fs::fstat(&fd)?;
        let (kind, identity) = (Kind::of(&state), Identity::of(&state));
        Ok(Opened {
            fd,
            kind,
            identity,
            through_link,
        })
    }

    /// The kind and the identity of what [`open_beneath`](Self::open_beneath) would open, without
    /// opening it for reading.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn find(&self, path: &[u8], waiting: Waiting) -> io::Result<(Kind, Identity)> {
        let (fd, _) = self.resolve(path, OFlags::PATH | OFlags::CLOEXEC, waiting)?;
        let state = rustix::fs::fstat(&fd)?;
        Ok((Kind::of(&state), Identity::of(&state)))
    }

    /// A descriptor for the place of `path`, without waiting, if no link is on the way to it. Its
    /// content cannot be read through it.
    ///
    /// # Errors
    /// What the system says: `ELOOP` for a link, `WouldBlock` if the call would have to wait.
    pub(crate) fn place(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let opened = self.open_in_one(path, flags, WITHOUT_LINKS, Waiting::Never);
        Ok(opened.unwrap_or(Err(Errno::AGAIN))?)
    }

    /// Opens `path`; says whether a link was on the way.
    fn resolve(&self, path: &[u8], flags: OFlags, waiting: Waiting) -> io::Result<(OwnedFd, bool)> {
        match self.open_in_one(path, flags, WITHOUT_LINKS, waiting) {
            Some(Ok(fd)) => return Ok((fd, false)),
            Some(Err(Errno::LOOP)) => {
                if let Some(Ok(fd)) = self.open_through_links(path, flags, waiting) {
                    return Ok((fd, true));
                }
            }
            // The walk finds out which component may not be opened.
            None | Some(Err(Errno::ACCESS | Errno::PERM)) => {}
            Some(Err(error)) => return Err(error.into()),
        }
        match waiting {
            Waiting::Never => Err(Errno::AGAIN.into()),
            Waiting::Allowed => walk::open(self, path, flags),
        }
    }

    /// Opens a path with links in one call, as far as the kernel's rules and the route's agree.
    fn open_through_links(
        &self,
        path: &[u8],
        flags: OFlags,
        waiting: Waiting,
    ) -> Option<rustix::io::Result<OwnedFd>> {
        let resolve = match self.links() {
            Links::None => return None,
            Links::Inside | Links::Also(_) => ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
            Links::Anywhere => ResolveFlags::NO_MAGICLINKS,
        };
        self.open_in_one(path, flags, resolve, waiting)
    }

    /// Opens `path` with `openat2`; `None` if the system refuses the call.
    fn open_in_one(
        &self,
        path: &[u8],
        flags: OFlags,
        resolve: ResolveFlags,
        waiting: Waiting,
    ) -> Option<rustix::io::Result<OwnedFd>> {
        let path = if path.is_empty() { b"." } else { path };
        let Ok(path) = CString::new(path) else {
            return Some(Err(Errno::NOENT));
        };
        let open = |resolve| openat2::open(self.directory(), &path, flags, resolve);
        match waiting {
            // Kernels before 5.12 do not know CACHED, and return EINVAL.
            Waiting::Never => match open(resolve | ResolveFlags::CACHED) {
                Some(Err(Errno::INVAL)) => Some(Err(Errno::AGAIN)),
                opened => opened,
            },
            // EAGAIN: the name changed while the kernel walked through `..` of a link. A few tries
            // are enough.
            Waiting::Allowed => {
                const TRIES: usize = 8;
                (1..TRIES)
                    .map(|_| open(resolve))
                    .find(|opened| !matches!(opened, Some(Err(Errno::AGAIN))))
                    .unwrap_or_else(|| open(resolve))
            }
        }
    }
}

/// Whether a path leads through a name that begins with a dot. `/.well-known/` is public (RFC
/// 8615).
pub(crate) fn is_hidden(path: &[u8]) -> bool {
    let rest = path
        .strip_prefix(b"/.well-known")
        .filter(|rest| matches!(rest, [] | [b'/', ..]));
    rest.unwrap_or(path).windows(2).any(|pair| pair == b"/.")
}

#[cfg(test)]
mod tests;
