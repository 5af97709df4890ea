//! What a script writes to standard error, into the log: so many lines of such a length, since
//! whoever makes a script complain must not fill a disk.

use std::io;

use memchr::memchr;

use crate::log::diagnostic;
use crate::runtime::{self, Either, PolledFd, Receiver, either};

/// Octets of a line that are logged.
const MAX_LINE: usize = 1024;

/// Lines of one script that are logged.
const MAX_LINES: usize = 100;

/// Octets read at once.
const BLOCK: usize = 4096;

/// Logs what comes at `errors`, as from the script called `name`, until nobody writes any more or
/// `until` is told.
pub(super) async fn log_errors(errors: PolledFd, name: String, mut until: Receiver<()>) {
    let log = |line: &str| diagnostic::warn(format_args!("{name}: {line}"));
    let mut lines = Lines::default();
    let mut block = Vec::with_capacity(BLOCK);
    let mut is_last = false;
    loop {
        block.clear();
        match errors.try_read(&mut block) {
            Ok(0) => break,
            Ok(_) => {
                lines.push(&block, log);
                runtime::yield_now().await;
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock || is_last => break,
            Err(_) => match either(errors.readable(), until.receive()).await {
                Either::First(Ok(())) => {}
                // What it wrote until now is there.
                Either::First(Err(_)) | Either::Second(_) => is_last = true,
            },
        }
    }
    lines.end(log);
}

/// Octets taken apart into lines that can be logged.
#[derive(Default)]
struct Lines {
    /// A line whose end has not come, as far as it is logged.
    line: Vec<u8>,
    is_cut: bool,
    /// How many were told.
    count: usize,
}

impl Lines {
    fn push(&mut self, mut octets: &[u8], log: impl Fn(&str)) {
        while let Some(end) = memchr(b'\n', octets) {
            self.extend(&octets[..end]);
            self.tell(&log);
            octets = &octets[end + 1..];
        }
        self.extend(octets);
    }

    /// What is left is a line too.
    fn end(&mut self, log: impl Fn(&str)) {
        self.tell(log);
    }

    fn extend(&mut self, octets: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.is_cut |= octets.len() > room;
        self.line
            .extend_from_slice(&octets[..octets.len().min(room)]);
    }

    fn tell(&mut self, log: impl Fn(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end();
        if !text.is_empty() {
            self.count += 1;
            if self.count <= MAX_LINES {
                // A line must not pass for another, nor move the terminal it is read at.
                let visible: String = text.chars().map(visible).collect();
                log(&format!("{visible}{}", if self.is_cut { "…" } else { "" }));
            } else if self.count == MAX_LINES + 1 {
                log("it says more, which is left out");
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

    fn told(blocks: &[&[u8]]) -> Vec<String> {
        let told = RefCell::new(Vec::new());
        let log = |line: &str| told.borrow_mut().push(line.to_owned());
        let mut lines = Lines::default();
        for block in blocks {
            lines.push(block, log);
        }
        lines.end(log);
        told.take()
    }

    #[test]
    fn lines_are_told_one_by_one() {
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
            assert_eq!(told(blocks), expected, "{blocks:?}");
        }
    }

    #[test]
    fn too_long_a_line_is_cut_and_too_many_are_left_out() {
        let long = [b"x".repeat(MAX_LINE), b"y\nz\n".to_vec()].concat();
        let expected = [format!("{}…", "x".repeat(MAX_LINE)), "z".to_owned()];
        assert_eq!(told(&[&long]), expected);
        let many = told(&[&b"line\n".repeat(3 * MAX_LINES)]);
        assert_eq!(many.len(), MAX_LINES + 1);
        assert_eq!(many[MAX_LINES], "it says more, which is left out");
    }
}
