//! What an instance writes, on its way to the log, and its end: a thread for each instance waits for both.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::log::diagnostic;
use crate::log::program_lines::Lines;

/// Lines of one instance that are logged within a second. An application with more to say has a log of its
/// own.
const LINES_PER_SECOND: u32 = 200;

/// How many octets are read at a time.
const BLOCK: usize = 8 * 1024;

/// How much is read of what an instance wrote before its end.
const LAST_BLOCKS: usize = 32;

/// The output of an instance.
pub(super) struct Output {
    pub(super) pipe: PipeReader,
    /// Readable when the instance has ended.
    pub(super) end: OwnedFd,
    pub(super) log: OutputLog,
}

/// Logs the lines of an instance, as many as its share is.
pub(super) struct OutputLog {
    /// How the log names the instance.
    name: String,
    lines: Lines,
    share: Share,
}

/// How many lines were logged lately.
#[derive(Default)]
struct Share {
    /// When the present second began, and how many lines it has.
    second: Option<(Instant, u32)>,
    left_out: u64,
}

impl Output {
    /// Logs what the instance writes until it has ended.
    pub(super) fn log_until_end(mut self) {
        while let Ok(has_ended) = self.wait() {
            if has_ended {
                break;
            }
            if self.read().unwrap_or(0) == 0 {
                // It has closed its outputs, and goes on.
                let mut end = [PollFd::new(&self.end, PollFlags::IN)];
                // A signal of the process may arrive at this thread.
                let _ = rustix::io::retry_on_intr(|| poll(&mut end, None));
                return;
            }
        }
        for _ in 0..LAST_BLOCKS {
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let mut pipe = [PollFd::new(&self.pipe, PollFlags::IN)];
            let readable = rustix::io::retry_on_intr(|| poll(&mut pipe, Some(&now)));
            if !matches!(readable, Ok(1)) || self.read().unwrap_or(0) == 0 {
                break;
            }
        }
        self.log.end();
    }

    /// Waits for output or the end. Returns whether there is no output, but the end.
    fn wait(&self) -> io::Result<bool> {
        let mut both = [
            PollFd::new(&self.pipe, PollFlags::IN),
            PollFd::new(&self.end, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut both, None))?;
        Ok(both[0].revents().is_empty())
    }

    fn read(&mut self) -> io::Result<usize> {
        let mut block = [0; BLOCK];
        let count = self.pipe.read(&mut block)?;
        self.log.push(&block[..count]);
        Ok(count)
    }
}

impl OutputLog {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            lines: Lines::default(),
            share: Share::default(),
        }
    }

    fn push(&mut self, octets: &[u8]) {
        let Self { name, lines, share } = self;
        lines.push(octets, |line| log(name, share, line));
    }

    fn end(&mut self) {
        let Self { name, lines, share } = self;
        lines.end(|line| log(name, share, line));
    }
}

fn log(name: &str, share: &mut Share, line: &str) {
    match share.admit(Instant::now()) {
        None => {}
        Some(0) => diagnostic::info(format_args!("{name}: {line}")),
        Some(left_out) => diagnostic::info(format_args!(
            "{name}: {line} (before this, {left_out} lines were left out)"
        )),
    }
}

impl Share {
    /// Whether a line may be logged: `None` if not, otherwise how many were left out since the last one.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let is_present = |(begun, _): &(Instant, u32)| now - *begun < Duration::from_secs(1);
        let (begun, count) = self.second.filter(is_present).unwrap_or((now, 0));
        if count >= LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.second = Some((begun, count + 1));
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_bounded_and_counted() {
        let (mut share, now) = (Share::default(), Instant::now());
        let admitted = (0..1000).filter_map(|_| share.admit(now)).count();
        assert_eq!(admitted, LINES_PER_SECOND as usize);
        let later = now + Duration::from_secs(1);
        assert_eq!(share.admit(later), Some(1000 - u64::from(LINES_PER_SECOND)));
        assert_eq!(share.admit(later), Some(0));
    }
}
