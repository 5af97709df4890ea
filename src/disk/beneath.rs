//! Opening files beneath a root, and no others.
//!
//! The kernel resolves the path and refuses to leave the root, whatever the path or a symbolic link
//! says: `openat2` with `RESOLVE_BENEATH`. If the kernel does not know that call, a walk opens one
//! component after the other and follows no link at all.
//!
//! Every call says whether it may wait for a disk. If it may not, the kernel answers from memory
//! (`RESOLVE_CACHED`) or with `WouldBlock`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::identity::{Identity, Kind};

/// Whether a call may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// On the loop. What is not in memory is `WouldBlock`.
    Never,
    /// On the blocking pool.
    Allowed,
}

/// What happens to symbolic links on the way, the last component's included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// They are followed as long as they stay beneath the root.
    Followed,
    /// They are an error, `ELOOP`.
    Refused,
}

/// An open file or directory.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) fd: OwnedFd,
    pub(crate) kind: Kind,
    pub(crate) identity: Identity,
}

/// Set once the kernel has said that it does not know `openat2`.
static WALKS: AtomicBool = AtomicBool::new(false);

/// Opens the root itself. Links on the way to it are the operator's business.
pub(crate) fn open_root(path: &Path, waiting: Waiting) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match waiting {
        Waiting::Allowed => Ok(rustix::fs::open(path, flags, Mode::empty())?),
        Waiting::Never => {
            let opened = rustix::fs::openat2(
                rustix::fs::CWD,
                path,
                flags,
                Mode::empty(),
                ResolveFlags::CACHED,
            );
            opened.map_err(|error| {
                io::Error::from(if is_unknown(error) {
                    Errno::AGAIN
                } else {
                    error
                })
            })
        }
    }
}

/// Opens the file or directory at `path` beneath `root`: relative, without `.` or `..`; empty for
/// the root itself.
///
/// # Errors
/// What the system says; `WouldBlock` if the call would have to wait and may not.
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    links: Links,
    waiting: Waiting,
) -> io::Result<Opened> {
    // Without NONBLOCK, opening a pipe would wait for its other end; NOCTTY is for terminals.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = open_with(root, path, flags, links, waiting)?;
    let state = rustix::fs::fstat(&fd)?;
    let (kind, identity) = (Kind::of(&state), Identity::of(&state));
    Ok(Opened { fd, kind, identity })
}

/// The kind and the identity of what [`open_beneath`] would open, without opening it for reading.
pub(crate) fn find_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    links: Links,
    waiting: Waiting,
) -> io::Result<(Kind, Identity)> {
    let fd = open_path(root, path, links, waiting)?;
    let state = rustix::fs::fstat(&fd)?;
    Ok((Kind::of(&state), Identity::of(&state)))
}

/// A descriptor for a path beneath `root`. Its content cannot be read through it.
pub(crate) fn open_path(
    root: BorrowedFd<'_>,
    path: &[u8],
    links: Links,
    waiting: Waiting,
) -> io::Result<OwnedFd> {
    open_with(root, path, OFlags::PATH | OFlags::CLOEXEC, links, waiting)
}

fn open_with(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    links: Links,
    waiting: Waiting,
) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    if !WALKS.load(Ordering::Relaxed) {
        match open_resolved(root, path, flags, links, waiting) {
            Err(Errno::NOSYS) => WALKS.store(true, Ordering::Relaxed),
            opened => return Ok(opened?),
        }
    }
    match waiting {
        Waiting::Never => Err(Errno::AGAIN.into()),
        Waiting::Allowed => Ok(open_by_walking(root, path, flags)?),
    }
}

fn open_resolved(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    links: Links,
    waiting: Waiting,
) -> rustix::io::Result<OwnedFd> {
    let path = CString::new(path).map_err(|_| Errno::NOENT)?;
    let beneath = ResolveFlags::BENEATH
        | match links {
            Links::Followed => ResolveFlags::NO_MAGICLINKS,
            Links::Refused => ResolveFlags::NO_SYMLINKS,
        };
    let open = |resolve| rustix::fs::openat2(root, &path, flags, Mode::empty(), resolve);
    match waiting {
        // Kernels before 5.12 do not know CACHED, and return EINVAL.
        Waiting::Never => open(beneath | ResolveFlags::CACHED).map_err(|error| {
            if error == Errno::INVAL {
                Errno::AGAIN
            } else {
                error
            }
        }),
        // EAGAIN: the name changed while the kernel walked through `..` of a link. A few tries are
        // enough.
        Waiting::Allowed => {
            const TRIES: usize = 8;
            (1..TRIES)
                .map(|_| open(beneath))
                .find(|opened| !matches!(opened, Err(Errno::AGAIN)))
                .unwrap_or_else(|| open(beneath))
        }
    }
}

/// Opens a path on kernels without `openat2`. No component may be a symbolic link or `..`, so none
/// can lead out of the root.
fn open_by_walking(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |directory: BorrowedFd<'_>, name: &[u8], flags| {
        let name = CString::new(name).map_err(|_| Errno::NOENT)?;
        rustix::fs::openat(directory, &name, flags, Mode::empty())
    };
    let mut components = path
        .split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty())
        .peekable();
    let mut directory: Option<OwnedFd> = None;
    while let Some(name) = components.next() {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        let here = directory.as_ref().map_or(root, AsFd::as_fd);
        if components.peek().is_none() {
            return open(here, name, flags | OFlags::NOFOLLOW);
        }
        directory = Some(open(here, name, on_the_way)?);
    }
    Err(Errno::NOENT)
}

/// Whether a path leads through a name that begins with a dot. `/.well-known/` is public (RFC
/// 8615).
pub(crate) fn is_hidden(path: &[u8]) -> bool {
    let rest = path
        .strip_prefix(b"/.well-known")
        .filter(|rest| matches!(rest, [] | [b'/', ..]));
    rest.unwrap_or(path).windows(2).any(|pair| pair == b"/.")
}

fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory tree with links that lead out of it. It is removed when it is dropped.
    fn tree(name: &str) -> (crate::test_support::TemporaryDirectory, OwnedFd) {
        let tree = crate::test_support::TemporaryDirectory::new(name);
        tree.write("outside.txt", b"secret");
        tree.write("root/a/b.txt", b"b");
        for (link, target) in [
            ("in", "a/b.txt"),
            ("up", "a/../a/b.txt"),
            ("out", "../outside.txt"),
            ("abs", "/etc/passwd"),
        ] {
            std::os::unix::fs::symlink(target, tree.path().join("root").join(link))
                .expect("a link");
        }
        let root =
            open_root(&tree.path().join("root"), Waiting::Allowed).expect("the root is there");
        (tree, root)
    }

    #[test]
    fn no_link_leads_outside() {
        let (_tree, root) = tree("beneath");
        for (path, found) in [
            ("a/b.txt", true),
            ("in", true),
            ("up", true),
            ("", true),
            ("out", false),
            ("abs", false),
            ("../outside.txt", false),
            ("a/../../outside.txt", false),
            ("/etc/passwd", false),
            ("missing", false),
            ("a/b.txt/", false),
            ("nul\0", false),
        ] {
            let path = path.as_bytes();
            let opened = open_beneath(root.as_fd(), path, Links::Followed, Waiting::Allowed);
            assert_eq!(opened.is_ok(), found, "{path:?}: {opened:?}");
        }
    }

    #[test]
    fn links_are_refused_where_they_matter() {
        let (tree, root) = tree("refused");
        std::os::unix::fs::symlink("a", tree.path().join("root/dir")).expect("a link");
        for (path, found) in [
            ("a/b.txt", Ok(Kind::File)),
            ("a", Ok(Kind::Directory)),
            ("", Ok(Kind::Directory)),
            ("in", Err(Some(Errno::LOOP))),
            ("dir/b.txt", Err(Some(Errno::LOOP))),
            ("missing", Err(Some(Errno::NOENT))),
        ] {
            let there = find_beneath(
                root.as_fd(),
                path.as_bytes(),
                Links::Refused,
                Waiting::Allowed,
            );
            let there = there
                .map(|(kind, _)| kind)
                .map_err(|error| Errno::from_io_error(&error));
            assert_eq!(there, found, "{path:?}");
        }
    }

    #[test]
    fn the_walk_follows_no_link() {
        let (_tree, root) = tree("walk");
        for (path, found) in [
            ("a/b.txt", true),
            ("a", true),
            (".", true),
            ("in", false),
            ("out", false),
            ("abs", false),
            ("a/b.txt/c", false),
            ("..", false),
            ("../outside.txt", false),
            ("a/../../outside.txt", false),
        ] {
            let opened = open_by_walking(root.as_fd(), path.as_bytes(), OFlags::RDONLY);
            assert_eq!(opened.is_ok(), found, "{path:?}: {opened:?}");
        }
    }

    #[test]
    fn dotfiles_are_hidden() {
        for (path, hidden) in [
            ("/", false),
            ("/a.b", false),
            ("/.git/config", true),
            ("/a/.env", true),
            ("/.well-known", false),
            ("/.well-known/acme", false),
            ("/.well-known/.secret", true),
            ("/.well-knownish", true),
            ("/a/.well-known/b", true),
        ] {
            assert_eq!(is_hidden(path.as_bytes()), hidden, "{path}");
        }
    }

    #[test]
    fn tells_what_it_opened() {
        let (tree, root) = tree("kinds");
        let open = |path: &[u8]| {
            open_beneath(root.as_fd(), path, Links::Followed, Waiting::Allowed)
                .expect("it is there")
        };
        let file = open(b"a/b.txt");
        assert_eq!((file.kind, file.identity.size), (Kind::File, 1));
        assert_eq!(open(b"a").kind, Kind::Directory);
        tree.write("root/a/b.txt", b"changed");
        assert_ne!(open(b"a/b.txt").identity, file.identity);
    }
}
