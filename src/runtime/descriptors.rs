//! How many descriptors caches may keep open, and what tells them that descriptors have run out.
//!
//! The limit of open files (`RLIMIT_NOFILE`) is the whole process's: connections, scripts and files
//! share it. What is kept only because it may be asked for again gets a quarter of it, in equal shares
//! for the workers that keep anything.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// The part of the limit that caches may use: one in so many.
const PART: usize = 4;

/// The most that one share is, whatever the limit: a descriptor pins kernel memory too.
const MAX_SHARE: usize = 4096;

/// How many shares there are.
static SHARES: AtomicUsize = AtomicUsize::new(0);

/// How often descriptors have run out in this process. Only a count: nothing is published by it.
static SHORTAGES: AtomicU64 = AtomicU64::new(0);

/// A worker's share of the descriptors that caches may keep open.
pub(crate) struct DescriptorShare {
    /// Whether it makes the shares of the others smaller: a worker that keeps no files, such as that of the
    /// control socket, takes none.
    is_counted: Cell<bool>,
    /// The shortages that the worker has answered.
    answered: Cell<u64>,
}

impl Default for DescriptorShare {
    /// A share that is counted once its size is asked for.
    fn default() -> Self {
        Self {
            is_counted: Cell::new(false),
            answered: Cell::new(SHORTAGES.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for DescriptorShare {
    fn drop(&mut self) {
        if self.is_counted.get() {
            SHARES.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl DescriptorShare {
    /// How many descriptors the worker's caches may keep open, as the limit is now; at least one.
    pub(crate) fn size(&self) -> usize {
        if !self.is_counted.replace(true) {
            SHARES.fetch_add(1, Ordering::Relaxed);
        }
        let limit = getrlimit(Resource::Nofile).current;
        share_of(limit, SHARES.load(Ordering::Relaxed))
    }

    /// Whether descriptors have run out, in any worker, since this was asked the last time. Then the
    /// worker has to close what it need not keep.
    pub(crate) fn is_called_in(&self) -> bool {
        let shortages = SHORTAGES.load(Ordering::Relaxed);
        self.answered.replace(shortages) != shortages
    }
}

fn share_of(limit: Option<u64>, shares: usize) -> usize {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(usize::MAX);
    (limit / PART / shares.max(1)).clamp(1, MAX_SHARE)
}

/// Whether `error` says that there is no descriptor left, in the process or in the system. If so, the
/// caches of all workers are told to close what they keep.
pub(crate) fn note_shortage(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    let is_shortage = matches!(errno, Some(Errno::MFILE | Errno::NFILE));
    if is_shortage {
        SHORTAGES.fetch_add(1, Ordering::Relaxed);
    }
    is_shortage
}

/// Whether `error` says that there is no descriptor left, in the process or in the system, or no memory: then
/// it says nothing of a file or of a server.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    ) || error.kind() == io::ErrorKind::OutOfMemory
}

/// The error of a socket that the system does not watch, because of `error`. It is a [shortage](is_shortage).
pub(super) fn unwatched(error: io::Error) -> io::Error {
    let why = match Errno::from_io_error(&error) {
        Some(Errno::NOSPC) => "fs.epoll.max_user_watches allows no more".to_owned(),
        _ => error.to_string(),
    };
    let sentence = format!("the system does not watch the connection ({why})");
    io::Error::new(io::ErrorKind::OutOfMemory, sentence)
}

/// Whether `errno` says that the system has no more of something that a call needs: descriptors, as
/// [`is_shortage`], but also memory or processes. The same call may succeed later.
pub(crate) fn is_lack(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_share_a_quarter_of_the_limit() {
        for (limit, shares, expected) in [
            (Some(1024), 1, 256),
            (Some(1024), 2, 128),
            (Some(1024), 0, 256),
            (Some(64), 40, 1),
            (Some(0), 1, 1),
            (Some(1 << 20), 2, MAX_SHARE),
            (None, 8, MAX_SHARE),
        ] {
            assert_eq!(share_of(limit, shares), expected, "{limit:?} {shares}");
        }
    }

    #[test]
    fn a_shortage_is_no_fault_of_a_server() {
        for (error, is_ours) in [
            (Errno::MFILE.into(), true),
            (Errno::NFILE.into(), true),
            (Errno::NOMEM.into(), true),
            (unwatched(Errno::NOMEM.into()), true),
            (unwatched(Errno::NOSPC.into()), true),
            // Of a file, a full disk.
            (Errno::NOSPC.into(), false),
            (Errno::CONNREFUSED.into(), false),
            (io::ErrorKind::TimedOut.into(), false),
        ] {
            assert_eq!(is_shortage(&error), is_ours, "{error}");
        }
    }

    #[test]
    fn a_shortage_calls_in_every_share_once() {
        let (one, other) = (DescriptorShare::default(), DescriptorShare::default());
        assert!(!note_shortage(&Errno::NOENT.into()));
        assert!(note_shortage(&Errno::NFILE.into()));
        for share in [one, other] {
            assert!(share.is_called_in());
        }
    }
}
