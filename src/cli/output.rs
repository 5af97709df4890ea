//! Standard output: it takes what a command was asked for, and nothing else.

use std::io::{self, Write as _};

/// Writes `text` to standard output.
///
/// # Errors
/// A sentence, if it cannot be written. A reader that has gone is no failure: `tidegate status | head -1`.
pub(super) fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    match output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("error: cannot write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
