//! What the system tells of this process. It may read files of `/proc`, so it is not for an event loop.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The process at one moment. What the system does not tell is `None`.
#[derive(Debug)]
pub(crate) struct ProcessFacts {
    /// Processor time, user and system.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) virtual_bytes: Option<u64>,
    pub(crate) open_fds: Option<u64>,
    /// `None`: as many as the system has.
    pub(crate) max_fds: Option<u64>,
}

impl ProcessFacts {
    pub(crate) fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bytes = |name| kibibytes(&status, name).map(|count| count * 1024);
        Self {
            cpu: Duration::try_from(cpu).unwrap_or_default(),
            virtual_bytes: bytes("VmSize:"),
            resident_bytes: bytes("VmRSS:"),
            // Without the descriptor by which they are listed.
            open_fds: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|all| all.count() as u64 - 1),
            max_fds: getrlimit(Resource::Nofile).current,
        }
    }
}

/// The number of the line `NAME 123 kB`.
fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_of_this_process() {
        let facts = ProcessFacts::now();
        let (resident, all) = (facts.resident_bytes, facts.virtual_bytes);
        assert!(
            resident.is_some_and(|bytes| bytes > 0) && resident <= all,
            "{facts:?}"
        );
        assert!(facts.open_fds.is_some_and(|count| count > 2), "{facts:?}");
    }
}
