//! Diagnostics about requests. Clients can cause as many of them as they like, so they are limited: the
//! same line is written once in a while, and only so many lines a second.

use std::collections::HashMap;
use std::fmt::Arguments;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::diagnostic;

/// How long a line is not written again.
const PAUSE: Duration = Duration::from_secs(10);

/// Lines that are written within a second.
const LINES_PER_SECOND: u32 = 10;

/// Lines that are remembered: more than can be written within [`PAUSE`].
const CAPACITY: usize = 256;

/// The limit of the whole process.
static LIMIT: LazyLock<Mutex<Limit>> = LazyLock::new(|| Mutex::new(Limit::default()));

/// Reports that something a client asked for is not as the operator may want it.
pub(crate) fn warn(message: Arguments<'_>) {
    write(message, diagnostic::warn);
}

/// Reports something of a client that is none of the operator's business, until they look for it.
pub(crate) fn info(message: Arguments<'_>) {
    write(message, diagnostic::info);
}

fn write(message: Arguments<'_>, diagnostic: fn(Arguments<'_>)) {
    let line = message.to_string();
    let admitted = {
        let mut limit = LIMIT.lock().unwrap_or_else(PoisonError::into_inner);
        limit.admit(&line, Instant::now())
    };
    match admitted {
        None => {}
        Some(0) => diagnostic(format_args!("{line}")),
        Some(left_out) => diagnostic(format_args!(
            "{line} (before this, {left_out} lines of this kind were left out)"
        )),
    }
}

/// Which lines have been written lately.
#[derive(Default)]
struct Limit {
    written: HashMap<Box<str>, Instant>,
    /// When the present second began, and how many lines were written in it.
    second: Option<(Instant, u32)>,
    left_out: u64,
}

impl Limit {
    /// Whether `line` may be written at `now`: `None` if not, otherwise how many lines were left out
    /// since the last one that was.
    fn admit(&mut self, line: &str, now: Instant) -> Option<u64> {
        let is_recent = |at: &Instant| now.duration_since(*at) < PAUSE;
        let is_repeated = self.written.get(line).is_some_and(is_recent);
        let (second, count) = self
            .second
            .filter(|(second, _)| now.duration_since(*second) < Duration::from_secs(1))
            .unwrap_or((now, 0));
        self.second = Some((second, count));
        if is_repeated || count >= LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        if self.written.len() >= CAPACITY {
            self.written.retain(|_, at| is_recent(at));
        }
        self.written.insert(line.into(), now);
        self.second = Some((second, count + 1));
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_repeated_after_a_pause() {
        let (mut limit, now) = (Limit::default(), Instant::now());
        assert_eq!(limit.admit("a", now), Some(0));
        assert_eq!(limit.admit("a", now), None);
        assert_eq!(limit.admit("b", now), Some(1), "one was left out");
        assert_eq!(limit.admit("a", now + PAUSE), Some(0));
    }

    #[test]
    fn a_flood_of_lines_is_bounded_in_time_and_memory() {
        let (mut limit, start) = (Limit::default(), Instant::now());
        let mut written = 0;
        for number in 0..10_000_u32 {
            let now = start + Duration::from_millis(u64::from(number));
            written += u32::from(limit.admit(&number.to_string(), now).is_some());
            assert!(limit.written.len() <= CAPACITY);
        }
        assert_eq!(written, 10 * LINES_PER_SECOND);
    }
}
