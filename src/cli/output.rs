//! Standard output: it takes what a command was asked for, and nothing else.

/// Writes `text` to standard output.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    // It is no failure if the reader has gone: `tidegate status | head -1`.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
