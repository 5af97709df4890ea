//! Loops whose system watches no further descriptor, as where it has no memory for that.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::runtime;

/// Longer than any test takes that does not hang.
const LONGEST: Duration = Duration::from_secs(60);

/// Runs `test` on a loop of a thread of its own, which calls [`watch_no_more`] when it likes. A thread that hangs
/// fails the test.
pub(crate) fn on_own_loop<F: Future<Output = ()> + 'static>(
    test: impl FnOnce() -> F + Send + 'static,
) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        runtime::run(test()).expect("a loop");
        let _ = done.send(());
    });
    let ended = is_done.recv_timeout(LONGEST);
    ended.expect("it ends, and does not hang or panic");
}

/// Has the system watch no further descriptor for the loop of this thread.
pub(crate) fn watch_no_more() {
    let refuse = SeccompAction::Errno(Errno::NOMEM.raw_os_error() as u32);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture");
    let rules = BTreeMap::from([(libc::SYS_epoll_ctl, Vec::new())]);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch);
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    apply_filter(&program).expect("this thread may give up a system call");
}
