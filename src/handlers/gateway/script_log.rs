//! A script's error stream on its way to the log: a warning for each line. Lines are bounded in
//! number and length, because a client that makes a script complain must not fill a disk.

use std::fmt;
use std::sync::Arc;

use memchr::memchr;

use crate::http::method::Method;
use crate::http::request::line_in_log;
use crate::log::diagnostic;
use crate::message::request::Request;

/// The name of a script's run in the log: the route that leads to it, the request, and the script,
/// whose path a client may have chosen. It is put together when it is written: nearly every script has
/// nothing to say.
#[derive(Clone, Debug)]
pub(crate) struct RunName {
    route: Arc<str>,
    method: Method,
    target: Box<str>,
    script: Box<[u8]>,
}

impl RunName {
    /// The run of `script`, to which `route` leads, for `request`.
    pub(crate) fn new(route: &Arc<str>, request: &Request<'_>, script: &[u8]) -> Self {
        Self {
            route: Arc::clone(route),
            method: request.head.method,
            target: request.head.raw_target.into(),
            script: script.into(),
        }
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = line_in_log(&format!("{} {}", self.method, self.target));
        let script = String::from_utf8_lossy(&self.script);
        write!(
            f,
            "{}: {request}: script `{}`",
            self.route,
            script.escape_debug()
        )
    }
}

/// Octets of a line that are logged; a longer line is cut.
const MAX_LINE: usize = 2048;

/// Lines that are logged for one request. A script with more to say has a log of its own.
const MAX_LINES: usize = 100;

/// The error stream of one request's script. Dropping it logs what is left as a line.
pub(crate) struct ScriptLog {
    /// How the log names the script.
    name: Box<dyn fmt::Display>,
    lines: Lines,
}

impl ScriptLog {
    /// An error stream of the script that the log calls `name`.
    pub(crate) fn new(name: impl fmt::Display + 'static) -> Self {
        Self {
            name: Box::new(name),
            lines: Lines::default(),
        }
    }

    /// Takes some octets of the stream, and logs the lines that end in them.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        let Self { name, lines } = self;
        lines.push(octets, |line| warn(name, line));
    }
}

impl Drop for ScriptLog {
    fn drop(&mut self) {
        let Self { name, lines } = self;
        lines.end(|line| warn(name, line));
    }
}

fn warn(name: &dyn fmt::Display, line: &str) {
    diagnostic::warn(format_args!("{name}: {line}"));
}

/// Splits octets into lines that can be logged.
#[derive(Default)]
struct Lines {
    /// A line whose end has not come, without the part that will not be logged.
    line: Vec<u8>,
    is_cut: bool,
    /// How many lines have ended.
    count: usize,
}

impl Lines {
    fn push(&mut self, mut octets: &[u8], log: impl Fn(&str)) {
        while let Some(end) = memchr(b'\n', octets) {
            self.extend(&octets[..end]);
            self.end(&log);
            octets = &octets[end + 1..];
        }
        self.extend(octets);
    }

    fn extend(&mut self, octets: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.is_cut |= octets.len() > room;
        self.line
            .extend_from_slice(&octets[..octets.len().min(room)]);
    }

    /// Logs the line, unless it is empty or one too many.
    fn end(&mut self, log: impl Fn(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end();
        if !text.is_empty() {
            self.count += 1;
            if self.count <= MAX_LINES {
                // A line must not look like several, nor move the cursor of a terminal.
                let visible: String = text.chars().map(visible).collect();
                log(&format!("{visible}{}", if self.is_cut { "…" } else { "" }));
            } else if self.count == MAX_LINES + 1 {
                log("further messages for this request are left out");
            }
        }
        self.line.clear();
        self.is_cut = false;
    }
}

fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn logged(blocks: &[&[u8]]) -> Vec<String> {
        let logged = RefCell::new(Vec::new());
        let log = |line: &str| logged.borrow_mut().push(line.to_owned());
        let mut lines = Lines::default();
        for block in blocks {
            lines.push(block, log);
        }
        lines.end(log);
        logged.take()
    }

    #[test]
    fn lines_are_logged_one_by_one() {
        for (blocks, expected) in [
            (&[&b"a\nb\n"[..]][..], &["a", "b"][..]),
            (&[b"a", b"b\n\nc"], &["ab", "c"]),
            (&[b"a\r\n"], &["a"]),
            (
                &[b"\x1b[31mred\x07\ttab\n"],
                &["\u{fffd}[31mred\u{fffd} tab"],
            ),
            (&[b"\xff\n"], &["\u{fffd}"]),
            (&[], &[]),
        ] {
            assert_eq!(logged(blocks), expected, "{blocks:?}");
        }
    }

    #[test]
    fn too_long_a_line_is_cut_and_too_many_are_left_out() {
        let long = [b"x".repeat(MAX_LINE), b"y\nz\n".to_vec()].concat();
        let expected = [format!("{}…", "x".repeat(MAX_LINE)), "z".to_owned()];
        assert_eq!(logged(&[&long]), expected);
        let many = logged(&[&b"line\n".repeat(3 * MAX_LINES)]);
        assert_eq!(many.len(), MAX_LINES + 1);
        assert_eq!(
            many[MAX_LINES],
            "further messages for this request are left out"
        );
    }
}
