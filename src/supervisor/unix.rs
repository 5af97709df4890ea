//! Listening Unix sockets, and the files by which clients find them.
//!
//! A path is the operator's, and a slip of the pen may name anything. So what stands there is removed
//! only if it is a socket to which no process is bound any more; the file of a socket that we bound
//! is removed only while it is still ours.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::address::ListenAddress;
use crate::config::model::{Account, SocketAccess};
use crate::server::ListeningSocket;

/// Who may use each Unix socket, by its address.
pub(super) type Accesses = BTreeMap<ListenAddress, SocketAccess>;

/// How the description of a file begins, and the letters for what a key has changed.
const FILE: &str = "file";
const CHANGED_MODE: char = 'm';
const CHANGED_OWNER: char = 'o';
const CHANGED_GROUP: char = 'g';

/// A listening Unix socket. Its file is removed when the last copy is dropped.
#[derive(Clone)]
pub(super) struct UnixSocket {
    pub(super) fd: Arc<OwnedFd>,
    file: Arc<SocketFile>,
}

struct SocketFile {
    /// Where clients find the socket.
    path: PathBuf,
    /// The file that we have to remove: at another path before [`UnixSocket::publish`], `None` while
    /// another process has to.
    present: Mutex<Option<PathBuf>>,
    /// Which file that is, wherever it was moved.
    identity: Identity,
    /// The permissions and owners that the system gave it.
    made: Made,
    /// Those that it was given last.
    access: Mutex<SocketAccess>,
    /// Keeps the socket, and so the number of its file, which no other file gets meanwhile.
    _fd: Arc<OwnedFd>,
}

/// What tells a file from every other one: its device and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity(u64, u64);

/// The permissions and owners of a file that no key has changed.
#[derive(Clone, Copy)]
struct Made {
    mode: u32,
    owner: u32,
    group: u32,
}

impl SocketFile {
    fn present(&self) -> MutexGuard<'_, Option<PathBuf>> {
        self.present
            .lock()
            .expect("no thread panics while it holds the lock")
    }

    fn access(&self) -> MutexGuard<'_, SocketAccess> {
        self.access
            .lock()
            .expect("no thread panics while it holds the lock")
    }
}

impl Made {
    /// `next`, with a value for what `last` names and `next` does not.
    fn restored(&self, last: &SocketAccess, next: &SocketAccess) -> SocketAccess {
        let account = |last: &Option<Account>, next: &Option<Account>, number: u32| {
            let made = last.as_ref().map(|_| Account {
                written: number.to_string(),
                number,
            });
            next.clone().or(made)
        };
        SocketAccess {
            mode: next.mode.or(last.mode.map(|_| self.mode)),
            owner: account(&last.owner, &next.owner, self.owner),
            group: account(&last.group, &next.group, self.group),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Some(path) = self.present().take()
            && Identity::of(&path).ok() == Some(self.identity)
        {
            // If the file stays, the next start replaces it.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl UnixSocket {
    /// Binds a socket at `path` and listens, as [`reserve`](Self::reserve) and [`listen`](Self::listen) do.
    ///
    /// # Errors
    /// As `reserve`.
    pub(super) fn bind(path: &Path, access: &SocketAccess) -> io::Result<Self> {
        let socket = Self::reserve(path, access)?;
        socket.listen()?;
        Ok(socket)
    }

    /// Binds a socket at `path`; the system refuses connections until it listens. The file of a process
    /// that has died is replaced. The file gets the permissions and owners of `access`.
    ///
    /// # Errors
    /// The system's error, or a sentence; `AddrInUse` if a living process has the path.
    pub(super) fn reserve(path: &Path, access: &SocketAccess) -> io::Result<Self> {
        Self::bind_at(path, path, access)
    }

    fn listen(&self) -> io::Result<()> {
        Ok(rustix::net::listen(&*self.fd, ListeningSocket::BACKLOG)?)
    }

    /// Binds a socket beside `path` and listens; [`publish`](Self::publish) moves its file to `path`.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub(super) fn bind_beside(path: &Path, access: &SocketAccess) -> io::Result<Self> {
        let draft = path.with_extension(format!("{}.sock", std::process::id()));
        let socket = Self::bind_at(path, &draft, access)?;
        socket.listen()?;
        Ok(socket)
    }

    /// Removes the files of sockets that were bound [beside](Self::bind_beside) `path`, and whose processes ended before
    /// they published them.
    pub(super) fn remove_dead_drafts(path: &Path) {
        let stem = path.file_stem().unwrap_or_default().as_bytes();
        let is_draft = |name: &OsStr| {
            let rest = name.as_bytes().strip_prefix(stem);
            let rest = rest.and_then(|rest| rest.strip_prefix(b"."));
            let process = rest.and_then(|rest| rest.strip_suffix(b".sock"));
            process.is_some_and(|process| process.iter().all(u8::is_ascii_digit))
        };
        let entries = std::fs::read_dir(directory_of(path)).into_iter().flatten();
        for entry in entries.flatten() {
            if is_draft(&entry.file_name()) {
                // One that cannot be removed does no harm.
                let _ = remove_if_dead(&entry.path());
            }
        }
    }

    /// Binds a socket at `present`, which clients are to find at `path`. No client can connect before it
    /// listens, and by then its file has its permissions.
    fn bind_at(path: &Path, present: &Path, access: &SocketAccess) -> io::Result<Self> {
        let fd = Arc::new(socket()?);
        let address = address_of(present)?;
        match rustix::net::bind(&*fd, &address) {
            Err(Errno::ADDRINUSE) => {
                remove_if_dead(present)?;
                rustix::net::bind(&*fd, &address)?;
            }
            bound => bound.map_err(|errno| explained(present, errno))?,
        }
        let state = std::fs::symlink_metadata(present)?;
        let file = Arc::new(SocketFile {
            path: path.to_owned(),
            present: Mutex::new(Some(present.to_owned())),
            identity: Identity(state.dev(), state.ino()),
            made: Made {
                mode: state.mode() & 0o7777,
                owner: state.uid(),
                group: state.gid(),
            },
            access: Mutex::new(access.clone()),
            _fd: Arc::clone(&fd),
        });
        allow(present, access)?;
        Ok(Self { fd, file })
    }

    /// Describes the file to a successor, for [`inherit`](Self::inherit): the permissions and owners that the
    /// system gave it, and which of the three a key has changed. `None` if the file is not ours any more.
    pub(super) fn description(&self) -> Option<String> {
        self.file.present().as_ref()?;
        if !self.is_found() {
            return None;
        }
        let Made { mode, owner, group } = self.file.made;
        let last = self.file.access();
        let changed = [
            (last.mode.is_some(), CHANGED_MODE),
            (last.owner.is_some(), CHANGED_OWNER),
            (last.group.is_some(), CHANGED_GROUP),
        ];
        let changed = changed.into_iter().filter(|(is_changed, _)| *is_changed);
        let changed: String = changed.map(|(_, letter)| letter).collect();
        Some(format!("{FILE}-{mode:o}-{owner}-{group}-{changed}"))
    }

    /// The socket `fd`, which a predecessor bound at `path` and describes so. Its file is the predecessor's
    /// until [`own_file`](Self::own_file). `None` if the description is not one, or no file is there.
    pub(super) fn inherit(path: &Path, fd: &Arc<OwnedFd>, description: &str) -> Option<Self> {
        let mut parts = description.split('-');
        if parts.next() != Some(FILE) {
            return None;
        }
        let made = Made {
            mode: u32::from_str_radix(parts.next()?, 8).ok()?,
            owner: parts.next()?.parse().ok()?,
            group: parts.next()?.parse().ok()?,
        };
        let changed = parts.next()?;
        let account = |letter, number: u32| {
            changed.contains(letter).then(|| Account {
                written: number.to_string(),
                number,
            })
        };
        let access = SocketAccess {
            mode: changed.contains(CHANGED_MODE).then_some(made.mode),
            owner: account(CHANGED_OWNER, made.owner),
            group: account(CHANGED_GROUP, made.group),
        };
        let file = Arc::new(SocketFile {
            path: path.to_owned(),
            present: Mutex::new(None),
            identity: Identity::of(path).ok()?,
            made,
            access: Mutex::new(access),
            _fd: Arc::clone(fd),
        });
        let fd = Arc::clone(fd);
        Some(Self { fd, file })
    }

    /// Has the file removed at the end: the predecessor leaves it to us.
    pub(super) fn own_file(&self) {
        *self.file.present() = Some(self.file.path.clone());
    }

    /// Gives the file the permissions and owners of `access`, if it is still ours. What `access` no longer
    /// names becomes again what the system had made it; what it never named stays as it is, because the
    /// operator may have changed it by hand.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn set_access(&self, access: &SocketAccess) -> io::Result<()> {
        if !self.is_found() {
            return Ok(());
        }
        let mut last = self.file.access();
        allow(self.path(), &self.file.made.restored(&last, access))?;
        *last = access.clone();
        Ok(())
    }

    /// Looks whether [`bind`](Self::bind) would find a place at `path`, and changes nothing.
    ///
    /// # Errors
    /// What `bind` would say.
    pub(super) fn try_path(path: &Path) -> io::Result<()> {
        SocketAddrUnix::new(path)?;
        match look(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let directory = path.parent().filter(|parent| *parent != Path::new(""));
        let directory = directory.unwrap_or(Path::new("."));
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        accessat(CWD, directory, wanted, AtFlags::EACCESS).map_err(|errno| explained(path, errno))
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

    /// Whether clients find the socket at its path: the file there is ours.
    pub(super) fn is_found(&self) -> bool {
        Identity::of(self.path()).ok() == Some(self.file.identity)
    }

    /// Where clients find the socket.
    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Identity {
    /// The identity of the file at `path` itself, not of what a link leads to.
    fn of(path: &Path) -> io::Result<Self> {
        let state = std::fs::symlink_metadata(path)?;
        Ok(Self(state.dev(), state.ino()))
    }
}

/// Gives the file at `path` the permissions and owners of `access`.
fn allow(path: &Path, access: &SocketAccess) -> io::Result<()> {
    let number = |account: &Option<Account>| account.as_ref().map(|account| account.number);
    let (owner, group) = (number(&access.owner), number(&access.group));
    if owner.is_some() || group.is_some() {
        lchown(path, owner, group).map_err(|error| {
            let written = |account: &Option<Account>| {
                account.as_ref().map_or("", |account| account.written.as_str()).to_owned()
            };
            let sentence = format!(
                "this user may not give the socket to `{}:{}` (the system says: {error}); only root may give it to another user, and others to a group that they are in",
                written(&access.owner),
                written(&access.group)
            );
            io::Error::new(error.kind(), sentence)
        })?;
    }
    if let Some(mode) = access.mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// A new socket that does not block.
fn socket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// The address of the socket at `path`: absolute, so that [`is_bound`] of another server can tell which
/// file it is, unless the system has no room for that.
fn address_of(path: &Path) -> rustix::io::Result<SocketAddrUnix> {
    let absolute = std::path::absolute(path).ok();
    let absolute = absolute.and_then(|path| SocketAddrUnix::new(path).ok());
    absolute.map_or_else(|| SocketAddrUnix::new(path), Ok)
}

/// Removes the file at `path` if it is a socket that no process has.
///
/// # Errors
/// As [`look`].
fn remove_if_dead(path: &Path) -> io::Result<()> {
    match look(path) {
        Ok(dead) if Identity::of(path)? == dead => std::fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Looks at what stands at `path`, without waiting. Returns which file it is if it is a
/// socket that no process has.
///
/// # Errors
/// `NotFound` if there is nothing; `AddrInUse` if a process is bound to it; a sentence if it is no
/// socket.
fn look(path: &Path) -> io::Result<Identity> {
    let state = std::fs::symlink_metadata(path)?;
    if !state.file_type().is_socket() {
        let kind = describe(state.file_type());
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{kind} stands there, and is left as it is; choose another path, or remove it"),
        ));
    }
    let identity = Identity(state.dev(), state.ino());
    let is_alive = match rustix::net::connect(socket()?, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => is_bound(path, identity),
        // Its queue is full, it is of another kind, we may not connect: a process has it.
        _ => true,
    };
    if is_alive {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another program has the socket there; stop it, or choose another path",
        ));
    }
    Ok(identity)
}

/// Whether the system knows a socket that is bound to the file. One that is bound and does not listen
/// yet refuses connections as a dead one does.
fn is_bound(path: &Path, identity: Identity) -> bool {
    // Without /proc, what refuses connections counts as dead.
    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    let bound = table.split(|byte| *byte == b'\n').filter_map(bound_path);
    bound
        .filter(|bound| bound.file_name() == path.file_name())
        // A relative path starts at a directory that we do not know: it may be this one.
        .any(|bound| bound.is_relative() || Identity::of(bound).ok() == Some(identity))
}

/// The path in a line of `/proc/net/unix`, which stands behind seven numbers.
fn bound_path(line: &[u8]) -> Option<&Path> {
    let mut rest = line;
    for _ in 0..7 {
        rest = rest.trim_ascii_start();
        rest = &rest[rest.iter().position(|byte| *byte == b' ')?..];
    }
    Some(Path::new(OsStr::from_bytes(&rest[1..])))
}

fn describe(kind: std::fs::FileType) -> &'static str {
    if kind.is_file() {
        "a regular file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a FIFO"
    } else {
        "a device"
    }
}

/// The directory that the file at `path` stands in, as it is written; for a name alone, the working directory.
fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(directory) if directory.as_os_str().is_empty() => {
            std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
        }
        directory => directory.unwrap_or(path).to_owned(),
    }
}

/// The system's error about the directory of `path`, in a sentence where it says too little.
fn explained(path: &Path, errno: Errno) -> io::Error {
    let directory = directory_of(path);
    let directory = directory.display();
    let sentence = match errno {
        Errno::NOENT => format!("the directory {directory} does not exist; make it"),
        Errno::NOTDIR => format!("{directory} is no directory"),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => format!(
            "this user may not make a file in {directory} (the system says: {errno}); choose another, or allow it"
        ),
        _ => return errno.into(),
    };
    io::Error::new(io::Error::from(errno).kind(), sentence)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    use super::*;
    use crate::test_support::TemporaryDirectory;

    const OURS_ALONE: SocketAccess = SocketAccess {
        mode: Some(0o600),
        owner: None,
        group: None,
    };

    fn kind(path: &Path) -> Option<io::ErrorKind> {
        UnixSocket::bind(path, &SocketAccess::default())
            .err()
            .map(|error| error.kind())
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let directory = TemporaryDirectory::new("unix");
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).expect("the directory is ours"));
        assert!(path.exists(), "a dead process leaves its file");
        UnixSocket::try_path(&path).expect("it may be replaced");
        let socket = UnixSocket::bind(&path, &OURS_ALONE).expect("no process answers there");
        let mode = std::fs::metadata(&path)
            .expect("bound")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(kind(&path), Some(io::ErrorKind::AddrInUse));
        let error = UnixSocket::try_path(&path).expect_err("it lives");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(socket);
        assert!(!path.exists());
    }

    /// `listen = "unix:notes.db"` removed the file, and so did a check.
    #[test]
    fn what_is_no_dead_socket_stays() {
        let directory = TemporaryDirectory::new("unix");
        let at = |name: &str| directory.path().join(name);
        directory.write("notes.db", b"dear to us");
        std::fs::create_dir(at("directory")).expect("ours");
        std::os::unix::fs::symlink("nowhere", at("link")).expect("ours");
        rustix::fs::mkfifoat(CWD, at("fifo"), rustix::fs::Mode::RWXU).expect("ours");
        let datagram = UnixDatagram::bind(at("datagram")).expect("ours");
        let stream = UnixListener::bind(at("stream")).expect("ours");
        let silent = socket().expect("a socket");
        let address = SocketAddrUnix::new(at("silent")).expect("short");
        rustix::net::bind(&silent, &address).expect("it is bound, and does not listen");
        let full = socket().expect("a socket");
        let address = SocketAddrUnix::new(at("full")).expect("short");
        rustix::net::bind(&full, &address).expect("ours");
        rustix::net::listen(&full, 0).expect("bound");
        let waiting = UnixStream::connect(at("full")).expect("its queue takes one");
        for (name, expected) in [
            ("notes.db", io::ErrorKind::AlreadyExists),
            ("directory", io::ErrorKind::AlreadyExists),
            ("link", io::ErrorKind::AlreadyExists),
            ("fifo", io::ErrorKind::AlreadyExists),
            ("datagram", io::ErrorKind::AddrInUse),
            ("stream", io::ErrorKind::AddrInUse),
            ("silent", io::ErrorKind::AddrInUse),
            ("full", io::ErrorKind::AddrInUse),
        ] {
            let before = Identity::of(&at(name)).expect("it is there");
            let tried = UnixSocket::try_path(&at(name)).expect_err("it is in the way");
            assert_eq!(tried.kind(), expected, "{name}: {tried}");
            assert_eq!(kind(&at(name)), Some(expected), "{name}");
            assert_eq!(Identity::of(&at(name)).ok(), Some(before), "{name}");
        }
        drop((datagram, stream, silent, full, waiting));
    }

    #[test]
    fn a_try_leaves_nothing_and_names_what_is_missing() {
        let directory = TemporaryDirectory::new("unix");
        UnixSocket::try_path(&directory.path().join("s")).expect("there is room");
        let entries = std::fs::read_dir(directory.path()).expect("ours").count();
        assert_eq!(entries, 0);
        let beneath = directory.path().join("gone").join("s");
        let said = [
            UnixSocket::try_path(&beneath).err(),
            UnixSocket::bind(&beneath, &SocketAccess::default()).err(),
        ];
        for error in said {
            let error = error.expect("no directory").to_string();
            assert!(error.contains("gone does not exist"), "{error}");
        }
    }

    /// The sentence had nothing in place of the directory.
    #[test]
    fn the_directory_of_a_name_alone_is_named() {
        let here = std::env::current_dir().expect("tests run somewhere");
        for (path, directory) in [("s", here.as_path()), ("run/s", Path::new("run"))] {
            let error = explained(Path::new(path), Errno::ACCESS).to_string();
            let expected = format!("may not make a file in {} (", directory.display());
            assert!(error.contains(&expected), "{error}");
        }
    }

    /// The file of a process that took the path over was removed at our end.
    #[test]
    fn the_file_of_another_process_stays_at_the_end() {
        let directory = TemporaryDirectory::new("unix");
        let path = directory.path().join("s");
        let ours =
            UnixSocket::bind(&path, &SocketAccess::default()).expect("the directory is ours");
        std::fs::remove_file(&path).expect("ours");
        let theirs = UnixListener::bind(&path).expect("the path is free");
        drop(ours);
        UnixStream::connect(&path).expect("the other one listens");
        drop(theirs);
    }

    #[test]
    fn a_successor_takes_the_place_without_a_gap() {
        let directory = TemporaryDirectory::new("unix");
        let path = directory.path().join("s");
        let entries = || std::fs::read_dir(directory.path()).expect("ours").count();
        let old = UnixSocket::bind(&path, &OURS_ALONE).expect("the directory is ours");
        drop(UnixSocket::bind_beside(&path, &OURS_ALONE).expect("another name"));
        assert_eq!(
            entries(),
            1,
            "one that did not take the place leaves nothing"
        );
        let new = UnixSocket::bind_beside(&path, &OURS_ALONE).expect("another name");
        new.publish().expect("the directory is ours");
        old.leave_file();
        drop(old);
        UnixStream::connect(&path).expect("the new one listens");
        drop(new);
        assert_eq!(entries(), 0);
    }

    /// What a new process left that was killed before it served stood in the directory for ever.
    #[test]
    fn what_was_never_published_is_removed_once_its_process_is_dead() {
        let directory = TemporaryDirectory::new("drafts");
        let at = |name: &str| directory.path().join(name);
        let dead = ["0a.7.sock", "0b.7.sock", "0a.sock", "0a.x.sock"];
        for name in dead {
            drop(UnixListener::bind(at(name)).expect("the directory is ours"));
        }
        let _living = UnixListener::bind(at("0a.8.sock")).expect("the directory is ours");
        directory.write("0a.9.sock", b"no socket");
        UnixSocket::remove_dead_drafts(&at("0a.sock"));
        assert!(!at("0a.7.sock").exists());
        for left in [&dead[1..], &["0a.8.sock", "0a.9.sock"]].concat() {
            assert!(at(left).exists(), "{left}");
        }
    }
}
