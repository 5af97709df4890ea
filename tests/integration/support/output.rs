//! What a process writes, line by line; a test can wait for a line or for the end.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::SAFETY;

/// The lines of a pipe, read by a thread of its own so that the writer never waits for us.
#[derive(Clone, Default)]
pub(super) struct Output(Arc<(Mutex<Written>, Condvar)>);

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    is_closed: bool,
}

impl Output {
    pub(super) fn of(pipe: impl Read + Send + 'static) -> Self {
        let output = Self::default();
        let reader = output.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                reader.change(|written| written.lines.push(line));
            }
            reader.change(|written| written.is_closed = true);
        });
        output
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0
            .0
            .lock()
            .expect("no thread panics while it holds the lock")
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// Waits for the first line for which `is_meant`; `None` if the pipe ends before, or if it takes
    /// too long.
    pub(super) fn wait_for(&self, is_meant: impl Fn(&str) -> bool) -> Option<String> {
        let find = |written: &Written| written.lines.iter().find(|line| is_meant(line)).cloned();
        let waiting = |written: &mut Written| find(written).is_none() && !written.is_closed;
        let (written, _) = self
            .0
            .1
            .wait_timeout_while(self.lock(), SAFETY, waiting)
            .expect("as above");
        find(&written)
    }

    /// Waits until the process has closed the pipe. Returns whether it has, in time.
    pub(super) fn wait_for_end(&self) -> bool {
        let waiting = |written: &mut Written| !written.is_closed;
        let (written, _) = self
            .0
            .1
            .wait_timeout_while(self.lock(), SAFETY, waiting)
            .expect("as above");
        written.is_closed
    }
}
