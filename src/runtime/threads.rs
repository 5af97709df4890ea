//! Starting threads, which the system may refuse.

use std::io;
use std::thread::{Builder, JoinHandle};

use super::sys;

/// Starts a thread that runs `work`. A write to a connection or a pipe whose reader has gone does not
/// end the process there, whatever the program around this server has made of SIGPIPE.
///
/// # Errors
/// A sentence for the operator, if the system has no more threads.
pub(crate) fn spawn_thread(
    name: &str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let work = move || {
        sys::block_broken_pipe();
        work();
    };
    let started = Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|error| {
        let sentence = format!(
            "the system has no more threads ({error}); the limit of processes (ulimit -u) or of its container (pids.max) may be reached"
        );
        io::Error::new(error.kind(), sentence)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_outlives_a_broken_pipe() {
        let (sender, status) = std::sync::mpsc::channel();
        let thread = spawn_thread("test", move || {
            let status = std::fs::read_to_string("/proc/thread-self/status");
            sender.send(status).expect("the test waits");
        });
        let status = status.recv().expect("it sends").expect("Linux has it");
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let blocked = u64::from_str_radix(blocked.expect("a line").trim(), 16);
        assert_ne!(blocked.expect("a number") & (1 << (libc::SIGPIPE - 1)), 0);
        thread.expect("started").join().expect("it did not panic");
    }
}
