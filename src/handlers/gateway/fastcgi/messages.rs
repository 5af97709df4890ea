//! What a script writes to its error stream, on its way to the log.

use std::sync::Arc;

use memchr::memchr;

use crate::log::diagnostic;

/// Lines logged for one request; who has more to say has a log of its own.
const MAX_LINES: usize = 32;

/// Octets of a line; the rest of it is left out.
const MAX_LINE: usize = 2048;

/// The messages of one request, a warning for each line.
pub(super) struct Messages {
    /// As diagnostics name it.
    route: Arc<str>,
    /// The line that has begun.
    line: Vec<u8>,
    lines: usize,
}

impl Messages {
    pub(super) fn new(route: Arc<str>) -> Self {
        Self {
            route,
            line: Vec::new(),
            lines: 0,
        }
    }

    /// Takes some octets of them.
    pub(super) fn push(&mut self, mut octets: &[u8]) {
        while let Some(end) = memchr(b'\n', octets) {
            self.extend_line(&octets[..end]);
            self.end_line();
            octets = &octets[end + 1..];
        }
        self.extend_line(octets);
    }

    fn extend_line(&mut self, octets: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.line
            .extend_from_slice(&octets[..octets.len().min(room)]);
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        self.lines += 1;
        match self.lines {
            ..=MAX_LINES => {
                // What a client can have put there must not write lines of its own, nor to terminals.
                let text = String::from_utf8_lossy(line);
                let text: String = text.chars().map(visible).collect();
                diagnostic::warn(format_args!("{}: {text}", self.route));
            }
            lines if lines == MAX_LINES + 1 => diagnostic::warn(format_args!(
                "{}: further messages for this request are left out",
                self.route
            )),
            _ => {}
        }
    }
}

fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.end_line();
    }
}
