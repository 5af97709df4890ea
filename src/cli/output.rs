//! Standard output: what a command was asked for, and nothing else.

/// Writes what was asked for to standard output.
pub(super) fn print(text: &str) {
    use std::io::Write as _;
    // A reader that has gone, `tidegate status | head -1`, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
