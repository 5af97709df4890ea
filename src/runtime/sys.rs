//! System calls that no library wraps: the only file with `unsafe`.
#![allow(
    unsafe_code,
    reason = "unsafe code is in this file alone, so that one file has to be reviewed for it"
)]

use std::ffi::{CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::Rlimit;

/// Has a listening TCP socket hand out a connection when its first octets have arrived, or when
/// `patience` is over (Linux, `TCP_DEFER_ACCEPT`; whole seconds), so that the read that follows the
/// accept finds something. Without patience a connection is handed out at once.
///
/// # Errors
/// The error of `setsockopt`.
pub(crate) fn set_defer_accept(socket: BorrowedFd<'_>, patience: Duration) -> io::Result<()> {
    let seconds = libc::c_int::try_from(patience.as_secs()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is borrowed, so it is open; the option's value is a C int, which
    // `seconds` is, and it is read, not kept, during the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// How many octets the system at the other end of a TCP connection has acknowledged, or `None` if this
/// system does not tell. The SYN counts as one octet. A connection that has ended still tells.
pub(crate) fn tcp_acknowledged(socket: BorrowedFd<'_>) -> Option<u64> {
    tcp_info(socket).map(|info| info.bytes_acked)
}

/// How much of what was sent on a connected socket its peer has not taken, or `None` if this system does not
/// tell: of TCP the octets that are not acknowledged, of a Unix socket the memory of those that are not read
/// (Linux, `SIOCOUTQ`).
pub(crate) fn untaken(socket: BorrowedFd<'_>) -> Option<u32> {
    let mut untaken: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed, so it is open; of a socket the request, which has the number of
    // `SIOCOUTQ`, writes a C int to `untaken`, and keeps no pointer.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut untaken) };
    (result == 0)
        .then_some(untaken)
        .and_then(|untaken| u32::try_from(untaken).ok())
}

/// How many connections wait at a listening TCP socket to be accepted, or `None` if this system does not
/// tell or the socket is not TCP's.
pub(crate) fn tcp_queued(socket: BorrowedFd<'_>) -> Option<usize> {
    tcp_info(socket).map(|info| info.unacked as usize)
}

/// The beginning of `struct tcp_info` (linux/tcp.h): the structure of the libc crate ends before
/// `bytes_acked`.
#[repr(C)]
struct TcpInfo {
    before: [u8; 24],
    /// Of a listening socket: the connections that wait to be accepted (`tcp_get_info` in Linux).
    unacked: u32,
    between: [u8; 92],
    bytes_acked: u64,
}

/// What Linux tells about a TCP socket (`TCP_INFO`).
fn tcp_info(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
    let mut info = MaybeUninit::<TcpInfo>::zeroed();
    let mut length = size_of::<TcpInfo>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, so it is open; the system writes at most `length` octets to
    // `info`, which has as many, and keeps no pointer.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // Linux before 4.1 writes less.
    let is_told = result == 0 && length as usize == size_of::<TcpInfo>();
    // SAFETY: it is zeroed, or written by the system, and numbers may have any value.
    is_told.then(|| unsafe { info.assume_init() })
}

/// Blocks SIGPIPE in this thread: a write without a reader is an error here and nothing more. Ignoring
/// the signal would be simpler, but that holds for the whole process, which may not be ours. Programs
/// that this thread starts would inherit it; [`start_clean`] prevents that.
pub(crate) fn block_broken_pipe() {
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that `sigaddset` changes and `pthread_sigmask` reads. The
    // last argument may be null: the mask of before is not wanted. None of them keeps a pointer, and none
    // can fail with these arguments.
    unsafe {
        libc::sigemptyset(signals.as_mut_ptr());
        libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, signals.as_ptr(), std::ptr::null_mut());
    }
}

/// Whether the process ignores `signal`, as `nohup` has it ignore SIGHUP.
pub(crate) fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call changes nothing; it writes the current one to `action`, which
    // is read only if the call succeeded.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// The first descriptor behind standard input, output and error (`sd_listen_fds(3)`).
const FIRST_INHERITED: RawFd = 3;

/// Takes over the descriptors that this process's parent left open for it: up to `count` from
/// [`FIRST_INHERITED`] on, ending before the first number that is not open. Marks them to be closed on
/// exec. To be called before this process opens anything else; a second call returns none.
pub(crate) fn take_inherited(count: usize) -> Vec<OwnedFd> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Vec::new();
    }
    let numbers = (FIRST_INHERITED..).take(count);
    numbers.map_while(take_one).collect()
}

/// Takes over the descriptor `number`, if it is open.
fn take_one(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: `fcntl` with F_SETFD touches no memory of ours, and fails if nothing is open there.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the descriptor is open, for `fcntl` took it. Nothing else owns it: it was open
    // before this process opened anything, as the caller upholds, and `TAKEN` lets it be taken only once.
    (result == 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has `command` start without the open files of this process, except for its standard streams, with no
/// signal blocked, and with `limit` as its limit of open files, where one is given.
pub(crate) fn start_clean(command: &mut Command, limit: Option<Rlimit>) {
    let limit = limit.map(|limit| libc::rlimit {
        rlim_cur: limit.current.unwrap_or(libc::RLIM_INFINITY),
        rlim_max: limit.maximum.unwrap_or(libc::RLIM_INFINITY),
    });
    let prepare = move || {
        close_on_exec();
        unblock_signals();
        if let Some(limit) = &limit {
            // SAFETY: `setrlimit` reads the limit during the call, and keeps nothing. A program with
            // more open files than it expects is better than none, so its error counts for nothing.
            unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, limit) };
        }
        Ok(())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be called: `prepare` makes
    // system calls, and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// A user, as a process becomes it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    /// All groups that the user is in.
    pub(crate) groups: Vec<u32>,
}

/// Has `command` run as that user. Only root may have another than itself.
pub(crate) fn become_user(command: &mut Command, identity: Identity) {
    let become_it = move || {
        let Identity {
            user,
            group,
            groups,
        } = &identity;
        // SAFETY: `setgroups` reads so many numbers during the call, which the vector holds; the others
        // touch no memory of ours. The groups come first, because only root may set them.
        let is_it = unsafe {
            libc::setgroups(groups.len(), groups.as_ptr()) == 0
                && libc::setgid(*group) == 0
                && libc::setuid(*user) == 0
        };
        if is_it {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    };
    // SAFETY: `become_it` makes system calls and reads `errno`, and allocates nothing.
    unsafe { command.pre_exec(become_it) };
}

/// Has the program of `command` killed when the thread that starts it has ended, however that
/// happens: this thread must live as long as the program may. To be called after [`become_user`],
/// which would undo it.
pub(crate) fn end_with_parent(command: &mut Command) {
    let parent = std::process::id();
    let tie = move || {
        // SAFETY: with this option the call takes a number, and touches no memory; `getppid` none either.
        let is_tied = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) == 0
                // The parent may have ended before.
                && u32::try_from(libc::getppid()) == Ok(parent)
        };
        if is_tied {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: `tie` makes system calls, and allocates nothing: an error of a kind alone needs no memory.
    unsafe { command.pre_exec(tie) };
}

/// Has `command` start the file at its path and no other, with the variables that are set for it and no
/// others. The standard library would give a file that is no program to a shell. To be called last.
///
/// # Errors
/// If the path, an argument or a variable holds NUL.
pub(crate) fn start_exactly(command: &mut Command) -> io::Result<()> {
    let name = command.get_program().to_owned();
    start_exactly_as(&name, command)
}

/// As [`start_exactly`]. The program is told `name` as the one that it was started by.
fn start_exactly_as(name: &OsStr, command: &mut Command) -> io::Result<()> {
    let program = CString::new(command.get_program().as_bytes())?;
    let arguments = command
        .get_args()
        .map(|argument| argument.as_bytes().to_vec());
    let arguments = std::iter::once(name.as_bytes().to_vec()).chain(arguments);
    let arguments = Strings::new(arguments)?;
    let variables = command.get_envs().filter_map(|(name, value)| {
        let (name, value) = (name.as_bytes(), value?.as_bytes());
        Some([name, b"=", value].concat())
    });
    let variables = Strings::new(variables)?;
    let start = move || {
        // The closure must own all of `Strings`, and not the field alone.
        let (arguments, variables) = (&arguments, &variables);
        // SAFETY: the path ends in NUL, and both arrays end in a null pointer and hold pointers to
        // strings that end in NUL. `execve` allocates nothing, and returns only if it fails.
        unsafe {
            libc::execve(
                program.as_ptr(),
                arguments.pointers.as_ptr(),
                variables.pointers.as_ptr(),
            )
        };
        Err(io::Error::last_os_error())
    };
    // SAFETY: `start` calls what is safe in a signal handler, and allocates nothing.
    unsafe { command.pre_exec(start) };
    Ok(())
}

/// Strings, in the form that `execve` takes.
struct Strings {
    _owned: Vec<CString>,
    /// To each of the strings; the last pointer is null.
    pointers: Vec<*const libc::c_char>,
}

// SAFETY: the pointers lead to memory that the value itself owns and does not change.
unsafe impl Send for Strings {}
// SAFETY: as above; nothing in it can be changed.
unsafe impl Sync for Strings {}

impl Strings {
    fn new(strings: impl Iterator<Item = Vec<u8>>) -> io::Result<Self> {
        let owned: Vec<CString> = strings.map(CString::new).collect::<Result<_, _>>()?;
        let pointers = owned.iter().map(|string| string.as_ptr());
        let pointers = pointers.chain([std::ptr::null()]).collect();
        Ok(Self {
            _owned: owned,
            pointers,
        })
    }
}

/// Unblocks every signal in this thread. `std::process::Command` passes on the mask of the thread that
/// starts a program, and execve(2) keeps it. With SIGPIPE blocked, a program that does not look at the
/// errors of its writes runs on when its reader has gone.
fn unblock_signals() {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that `pthread_sigmask` reads. The last argument may be
    // null: the mask of before is not wanted. Neither keeps a pointer, and neither can fail with these
    // arguments.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// Has every descriptor behind standard error closed on exec. Those of this process are so already, but
/// it may have been started with others.
fn close_on_exec() {
    /// Descriptors that are looked at one by one on systems without `close_range` (Linux before 5.11).
    const FEW: RawFd = 1024;
    // SAFETY: the call changes a flag of descriptors, and touches no memory of ours.
    let changed = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST_INHERITED,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if changed != 0 {
        for number in FIRST_INHERITED..FEW {
            // SAFETY: as above; where nothing is open, the call fails.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Starts `command`, as [`start_exactly`] says, with copies of `descriptors` from [`FIRST_INHERITED`] on, and with
/// `limit` as its limit of open files, where one is given. The program is told `name` as the one that it was started by.
///
/// # Errors
/// The error of `fork`, `exec` or the copying.
pub(crate) fn spawn_with(
    name: &OsStr,
    mut command: Command,
    descriptors: &[BorrowedFd<'_>],
    limit: Option<Rlimit>,
) -> io::Result<Child> {
    let count = RawFd::try_from(descriptors.len()).map_err(io::Error::other)?;
    let first_free = FIRST_INHERITED + count;
    start_clean(&mut command, limit);
    // The child puts the copies at these numbers, so no descriptor that it still needs may be there.
    // The sources are copied to higher numbers, and placeholders keep the numbers from the descriptors
    // that `spawn` opens for itself.
    let sources: Vec<OwnedFd> = descriptors
        .iter()
        .map(|fd| fcntl_dupfd_cloexec(fd, first_free))
        .collect::<Result<_, _>>()?;
    let mut placeholders = Vec::new();
    for fd in descriptors.iter().cycle() {
        let placeholder = fcntl_dupfd_cloexec(fd, FIRST_INHERITED)?;
        if placeholder.as_raw_fd() >= first_free {
            break;
        }
        placeholders.push(placeholder);
    }
    let numbers: Vec<RawFd> = sources.iter().map(|fd| fd.as_raw_fd()).collect();
    let copy = move || {
        for (source, target) in numbers.iter().zip(FIRST_INHERITED..) {
            // SAFETY: `dup2` touches no memory of ours.
            if unsafe { libc::dup2(*source, target) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be called: `copy` calls
    // `dup2` and reads `errno`, and allocates nothing. The sources are open until `spawn` returns.
    unsafe { command.pre_exec(copy) };
    start_exactly_as(name, &mut command)?;
    command.spawn()
}
