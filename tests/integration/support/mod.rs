//! What the tests use: a directory with files and a configuration, the server that runs from it, and
//! clients that send and read raw bytes.
//!
//! ```text
//! Site ── files, settings, routes ──→ Server ── connect ──→ Client ── bytes ──→ Response
//!                                   ↑
//!                                Upstream, a server behind the server
//! ```

mod client;
mod dashboard;
mod directory;
mod events;
mod output;
mod response;
mod server;
mod terminal;
mod unix;
mod upstream;
mod wire;

use std::time::Duration;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, apply_filter};

pub(crate) use client::{Client, client_of, client_trusting};
pub(crate) use dashboard::{Dashboard, command_of as dashboard_command};
pub(crate) use directory::Directory;
pub(crate) use events::Events;
pub(crate) use response::Response;
pub(crate) use server::{Server, Site, bound_address, program};
pub(crate) use terminal::Terminal;
pub(crate) use unix::UnixClient;
pub(crate) use upstream::{Certificate, Connection, Request, Upstream};
pub(crate) use wire::{is_tls_wanted, note_scheme, speak_plainly, tls_fixture};

/// How long any wait may take before the test fails; it keeps a test from hanging, and decides nothing
/// else.
pub(crate) const SAFETY: Duration = Duration::from_secs(30);

/// Has the system refuse a system call with this error to the calling thread, and to what it starts from now on.
/// With `rules`, it is refused only where one of them holds.
pub(crate) fn refuse(call: i64, rules: Vec<SeccompRule>, errno: rustix::io::Errno) {
    let refuse = SeccompAction::Errno(errno.raw_os_error() as u32);
    let arch = std::env::consts::ARCH.try_into().expect("an architecture");
    let rules = [(call, rules)].into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch);
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    apply_filter(&program).expect("this thread may give up a system call");
}

/// Standard output and standard error of a program that ended with `code`, one behind the other.
pub(crate) fn ended_with(code: i32, finished: &std::process::Output) -> String {
    let text = [&finished.stdout[..], &finished.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(finished.status.code(), Some(code), "{text}");
    text
}

/// Octets in which no two groups of eight are the same, so that a test sees any that are lost, doubled or
/// moved. `start` and `length` are multiples of eight.
pub(crate) fn pattern(start: usize, length: usize) -> Vec<u8> {
    (start as u64 / 8..(start + length) as u64 / 8)
        .flat_map(u64::to_be_bytes)
        .collect()
}

/// Repeats `attempt` until it returns `Some`. Each attempt is an exchange with the server, or a look at
/// what it does; there is no sleep between.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(start.elapsed() < SAFETY, "{what}: not within {SAFETY:?}");
    }
}
