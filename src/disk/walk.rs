//! Opening a path beneath a root one component after the other: where `openat2` is refused, where a
//! link needs more than the kernel's `RESOLVE_BENEATH` allows, and to find out what stands in the way.
//!
//! The kernel refuses absolute links, and links that leave the root on their way back into it. Here
//! each link is read and its target walked, at most [`MAX_LINKS`] of them. What counts is where the
//! walk arrives: after each component that is a link, the directory reached must lie beneath the root,
//! or beneath a directory that the route allows.
//!
//! No step trusts a path a second time. Each opens one name in a directory that is open, without
//! following it, and what lies beneath the root is found by climbing from the open directory. So a name
//! that changes meanwhile leads to an error or to another file beneath the root, never out of it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::barrier::{Barrier, LinkTrouble, Owner, Reason, joined, path_of};
use super::root::{Root, identity};
use crate::config::model::Links;

/// How many links one path may lead through: as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// How often a walk is begun again because a name changed under it.
const TRIES: usize = 8;

/// How many directories may stand above another.
const MAX_DEPTH: usize = 4096;

const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the file or directory at `path` beneath `root`; says whether a link was on the way.
///
/// # Errors
/// A [`Barrier`] for what the operator may want to know, otherwise what the system says.
pub(super) fn open(root: &Root, path: &[u8], flags: OFlags) -> io::Result<(OwnedFd, bool)> {
    for _ in 1..TRIES {
        match Walk::new(root, path).open(flags) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            opened => return opened,
        }
    }
    Walk::new(root, path).open(flags)
}

/// A walk through the components of a path.
struct Walk<'r> {
    root: &'r Root,
    path: &'r [u8],
    /// Where it stands; `None` for the root.
    here: Option<OwnedFd>,
    links: usize,
}

/// What a component led to.
enum Reached {
    /// The directory where the walk stands, by this name in that directory if it has one.
    Directory(Option<(Option<OwnedFd>, Vec<u8>)>),
    /// A file of this name in the directory where the walk stands.
    File(Vec<u8>, (u64, u64)),
}

/// Why a component leads nowhere.
enum Stop {
    Link(LinkTrouble, Errno),
    /// The directory where the walk stands may not be searched.
    Search(Errno),
    /// What was found may not be read.
    Read(OwnedFd, Errno),
    Other(Errno),
}

impl From<Errno> for Stop {
    fn from(error: Errno) -> Self {
        Self::Other(error)
    }
}

impl<'r> Walk<'r> {
    fn new(root: &'r Root, path: &'r [u8]) -> Self {
        Self {
            root,
            path,
            here: None,
            links: 0,
        }
    }

    fn here(&self) -> BorrowedFd<'_> {
        let here = self.here.as_ref();
        here.map_or(self.root.directory(), AsFd::as_fd)
    }

    fn open(mut self, flags: OFlags) -> io::Result<(OwnedFd, bool)> {
        let path = self.path;
        let is_name = |name: &&[u8]| !name.is_empty();
        let mut names = path.split(|byte| *byte == b'/').filter(is_name).peekable();
        let mut reached = Reached::Directory(None);
        let mut component: &[u8] = b"";
        while let Some(name) = names.next() {
            // A request's path is normal; it has no `..` of its own.
            if name == b".." {
                return Err(Errno::XDEV.into());
            }
            if matches!(reached, Reached::File(..)) {
                return Err(Errno::NOTDIR.into());
            }
            // `name` is a part of `path`, so the difference is where it ends in it.
            let end = name.as_ptr() as usize + name.len() - path.as_ptr() as usize;
            component = &path[..end];
            let mut first_link = None;
            reached = match self.enter(name, &mut first_link) {
                Ok(reached) => reached,
                Err(stop) => return Err(self.stopped(component, first_link, stop)),
            };
            if names.peek().is_none()
                && path.ends_with(b"/")
                && matches!(reached, Reached::File(..))
            {
                return Err(Errno::NOTDIR.into());
            }
        }
        let met_link = self.links > 0;
        match self.reopen(&reached, flags) {
            Ok(fd) => Ok((fd, met_link)),
            Err(stop) => Err(self.stopped(component, None, stop)),
        }
    }

    /// Goes to `name` in the directory where the walk stands, through the links that it leads to.
    /// `first_link` gets the target of the first.
    fn enter(&mut self, name: &[u8], first_link: &mut Option<Vec<u8>>) -> Result<Reached, Stop> {
        let mut pending = vec![name.to_vec()];
        let mut reached = Reached::Directory(None);
        while let Some(name) = pending.pop() {
            if matches!(reached, Reached::File(..)) {
                return Err(Errno::NOTDIR.into());
            }
            if name == b"." {
                continue;
            }
            if name == b".." {
                let above = open_at(self.here(), b"..", ON_THE_WAY | OFlags::DIRECTORY);
                self.here = Some(above.map_err(searching)?);
                reached = Reached::Directory(None);
                continue;
            }
            let found = open_at(self.here(), &name, ON_THE_WAY).map_err(searching)?;
            let state = rustix::fs::fstat(&found)?;
            match FileType::from_raw_mode(state.st_mode) {
                FileType::Symlink => {
                    let target = self.follow(found)?;
                    reached = Reached::Directory(None);
                    push_components(&target, &mut pending);
                    first_link.get_or_insert(target);
                }
                FileType::Directory => {
                    let parent = self.here.replace(found);
                    reached = Reached::Directory(Some((parent, name)));
                }
                _ => reached = Reached::File(name, identity(&state)),
            }
        }
        if first_link.is_some() && !self.is_permitted()? {
            return Err(Stop::Link(LinkTrouble::LeadsOut, Errno::XDEV));
        }
        Ok(reached)
    }

    /// Reads the target of `link`, and goes to `/` if it begins there.
    fn follow(&mut self, link: OwnedFd) -> Result<Vec<u8>, Stop> {
        if *self.root.links() == Links::None {
            return Err(Stop::Link(LinkTrouble::NotFollowed, Errno::LOOP));
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Stop::Link(LinkTrouble::Circle, Errno::LOOP));
        }
        let target = rustix::fs::readlinkat(&link, c"", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            self.here = Some(open_at(CWD, b"/", ON_THE_WAY | OFlags::DIRECTORY)?);
        }
        Ok(target)
    }

    /// Whether links may lead to the directory where the walk stands, or to a file in it.
    fn is_permitted(&self) -> Result<bool, Stop> {
        if *self.root.links() == Links::Anywhere {
            return Ok(true);
        }
        let permitted = self.root.permitted()?;
        let mut at: Option<OwnedFd> = None;
        for _ in 0..MAX_DEPTH {
            let fd = at.as_ref().map_or(self.here(), AsFd::as_fd);
            let directory = identity(&rustix::fs::fstat(fd)?);
            if permitted.contains(&directory) {
                return Ok(true);
            }
            let above = match open_at(fd, b"..", ON_THE_WAY | OFlags::DIRECTORY) {
                Ok(above) => above,
                // No directory that is permitted was met on the way up to here.
                Err(Errno::ACCESS | Errno::PERM | Errno::NOENT) => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            if identity(&rustix::fs::fstat(&above)?) == directory {
                return Ok(false);
            }
            at = Some(above);
        }
        Ok(false)
    }

    /// Opens what was reached with the flags that the caller wants. It is an error if that is
    /// something else meanwhile.
    fn reopen(&self, reached: &Reached, flags: OFlags) -> Result<OwnedFd, Stop> {
        let flags = flags | OFlags::NOFOLLOW;
        let root = self.root.directory();
        let (directory, name, expected) = match reached {
            Reached::File(name, identity) => (self.here(), &name[..], *identity),
            Reached::Directory(named) => {
                let here = identity(&rustix::fs::fstat(self.here())?);
                match named {
                    Some((parent, name)) => {
                        (parent.as_ref().map_or(root, AsFd::as_fd), &name[..], here)
                    }
                    None => (self.here(), &b"."[..], here),
                }
            }
        };
        let opened = match open_at(directory, name, flags) {
            Ok(opened) => opened,
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                return Err(match open_at(directory, name, ON_THE_WAY) {
                    Ok(found) => Stop::Read(found, error),
                    Err(error) => error.into(),
                });
            }
            Err(Errno::LOOP) => return Err(Errno::AGAIN.into()),
            Err(error) => return Err(error.into()),
        };
        if identity(&rustix::fs::fstat(&opened)?) == expected {
            Ok(opened)
        } else {
            Err(Errno::AGAIN.into())
        }
    }

    /// The error for the caller. `component` is the part of the path at which the walk ended, `link`
    /// the target of the link that stands there.
    fn stopped(&self, component: &[u8], link: Option<Vec<u8>>, stop: Stop) -> io::Error {
        let at = || joined(self.root.path(), component);
        let barrier = match (stop, link) {
            (Stop::Link(trouble, errno), link) => {
                let link = link.or_else(|| self.target_of(component));
                Barrier::new(at(), Reason::Link(link.unwrap_or_default(), trouble), errno)
            }
            (Stop::Search(errno), _) => {
                let directory = self.place(component);
                Barrier::new(directory, Reason::Search(Owner::of(self.here())), errno)
            }
            (Stop::Read(found, errno), _) => {
                let place = path_of(&found).unwrap_or_else(at);
                Barrier::new(place, Reason::Read(Owner::of(&found)), errno)
            }
            (Stop::Other(errno @ Errno::NOENT), Some(link)) => {
                Barrier::new(at(), Reason::Link(link, LinkTrouble::Dangling), errno)
            }
            (Stop::Other(errno), _) => return errno.into(),
        };
        barrier.into_io()
    }

    /// The target of the link at `component`, whose last name is in the directory where the walk
    /// stands.
    fn target_of(&self, component: &[u8]) -> Option<Vec<u8>> {
        let name = component.rsplit(|byte| *byte == b'/').next()?;
        let name = CString::new(name).ok()?;
        let target = rustix::fs::readlinkat(self.here(), &name, Vec::new());
        target.ok().map(CString::into_bytes)
    }

    /// The directory where the walk stands, on its way to `component`.
    fn place(&self, component: &[u8]) -> PathBuf {
        let above = memchr::memrchr(b'/', component).unwrap_or(0);
        path_of(self.here()).unwrap_or_else(|| joined(self.root.path(), &component[..above]))
    }
}

/// The stop where a name could not be opened for its place alone: the directory forbids it.
fn searching(error: Errno) -> Stop {
    match error {
        Errno::ACCESS | Errno::PERM => Stop::Search(error),
        error => Stop::Other(error),
    }
}

fn open_at(directory: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let name = CString::new(name).map_err(|_| Errno::NOENT)?;
    rustix::io::retry_on_intr(|| rustix::fs::openat(directory, &name, flags, Mode::empty()))
}

/// Pushes the components of a link's target, so that the first is the next one.
fn push_components(target: &[u8], pending: &mut Vec<Vec<u8>>) {
    if target.ends_with(b"/") {
        // What it leads to must be a directory.
        pending.push(b".".to_vec());
    }
    let names = target.split(|byte| *byte == b'/').rev();
    pending.extend(names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec));
}
