//! What other people's programs write, as lines that can be logged: bounded in length, and without what
//! would make a line look like several.

use memchr::memchr;

/// Octets of a line that are logged; a longer line is cut.
const MAX_LINE: usize = 2048;

/// Splits octets into lines that can be logged.
#[derive(Default)]
pub(crate) struct Lines {
    /// A line whose end has not come, without the part that will not be logged.
    line: Vec<u8>,
    is_cut: bool,
}

impl Lines {
    /// Takes some octets, and gives `log` each line that ends in them, unless it is empty.
    pub(crate) fn push(&mut self, mut octets: &[u8], mut log: impl FnMut(&str)) {
        while let Some(end) = memchr(b'\n', octets) {
            self.extend(&octets[..end]);
            self.end(&mut log);
            octets = &octets[end + 1..];
        }
        self.extend(octets);
    }

    /// Gives `log` the line whose end has not come.
    pub(crate) fn end(&mut self, mut log: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end();
        if !text.is_empty() {
            // A line must not look like several, nor move the cursor of a terminal.
            let visible: String = text.chars().map(visible).collect();
            log(&format!("{visible}{}", if self.is_cut { "…" } else { "" }));
        }
        self.line.clear();
        self.is_cut = false;
    }

    fn extend(&mut self, octets: &[u8]) {
        let room = MAX_LINE - self.line.len();
        self.is_cut |= octets.len() > room;
        self.line
            .extend_from_slice(&octets[..octets.len().min(room)]);
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

    fn logged(blocks: &[&[u8]]) -> Vec<String> {
        let mut logged = Vec::new();
        let mut log = |line: &str| logged.push(line.to_owned());
        let mut lines = Lines::default();
        for block in blocks {
            lines.push(block, &mut log);
        }
        lines.end(&mut log);
        logged
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
    fn too_long_a_line_is_cut() {
        let long = [b"x".repeat(MAX_LINE), b"y\nz\n".to_vec()].concat();
        let expected = [format!("{}…", "x".repeat(MAX_LINE)), "z".to_owned()];
        assert_eq!(logged(&[&long]), expected);
    }
}
