//! `openat2`, or the knowledge that the system refuses it.
//!
//! Kernels before 5.6 do not know the call, and profiles of containers (seccomp) may refuse it with any
//! error they like: ENOSYS, EPERM, EACCES. An error alone does not tell a refused call from a file that
//! may not be opened. So the first use asks for `/`, which every kernel opens that knows the call.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::log::diagnostic;

/// Whether the system takes the call: one of [`UNKNOWN`], [`TAKEN`], [`REFUSED`].
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const TAKEN: u8 = 1;
const REFUSED: u8 = 2;

/// Opens `path` beneath `directory` in one call.
///
/// # Errors
/// What the system says about the path. `None`: it takes no such call, and a walk must do.
pub(super) fn open(
    directory: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlags,
    resolve: ResolveFlags,
) -> Option<rustix::io::Result<OwnedFd>> {
    match STATE.load(Ordering::Relaxed) {
        TAKEN => {}
        REFUSED => return None,
        _ if !is_taken() => return None,
        _ => {}
    }
    Some(rustix::fs::openat2(
        directory,
        path,
        flags,
        Mode::empty(),
        resolve,
    ))
}

/// Asks the system whether it takes the call. If not, says so: it does so once in the life of the
/// process, or once for each thread that asks at the same moment.
fn is_taken() -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let probe = rustix::fs::openat2(CWD, c"/", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS);
    let state = judge(probe.as_ref().map(drop).map_err(|error| *error));
    let before = STATE.swap(state, Ordering::Relaxed);
    if let Err(error) = probe
        && state == REFUSED
        && before != REFUSED
    {
        diagnostic::warn(format_args!(
            "the system refuses the call openat2 ({error}), so paths beneath roots are opened one \
             component after the other, which is slower; kernels from 5.6 on know the call, and a \
             seccomp profile can allow it"
        ));
    }
    state == TAKEN
}

/// What the outcome of the question for `/` says. A shortage passes, so it says nothing.
fn judge(probe: Result<(), Errno>) -> u8 {
    match probe {
        Ok(()) => TAKEN,
        Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => UNKNOWN,
        Err(_) => REFUSED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_but_a_shortage_is_a_refusal() {
        for (probe, expected) in [
            (Ok(()), TAKEN),
            (Err(Errno::NOSYS), REFUSED),
            (Err(Errno::PERM), REFUSED),
            (Err(Errno::ACCESS), REFUSED),
            (Err(Errno::INVAL), REFUSED),
            (Err(Errno::MFILE), UNKNOWN),
            (Err(Errno::NOMEM), UNKNOWN),
        ] {
            assert_eq!(judge(probe), expected, "{probe:?}");
        }
    }
}
