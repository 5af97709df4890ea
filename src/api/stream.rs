//! Writing content that is made while it is sent.

use std::io::{self, Write};

use crate::runtime::PipeWriter;

/// Writes the content of a streamed response.
///
/// A write waits while the client is slower than the writer, and fails with
/// [`BrokenPipe`](io::ErrorKind::BrokenPipe) once the client has gone. What is written is sent soon:
/// there is nothing to flush. Dropped, it says that the content is complete; by a panic, that it is
/// not.
pub struct StreamWriter(PipeWriter<String>);

impl StreamWriter {
    pub(crate) fn new(pipe: PipeWriter<String>) -> Self {
        Self(pipe)
    }

    /// Waits until the server begins to send the content; returns whether it does.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_wanted()
    }

    /// Writes as much as there is room for without waiting; 0 if there is none, because the client
    /// is slower. For code that writes to many clients and must not be held up by one.
    ///
    /// # Errors
    /// `BrokenPipe` if the client has gone.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    /// Whether the client has gone, so that what is written reaches no reader.
    pub fn client_has_gone(&self) -> bool {
        self.0.is_abandoned()
    }

    /// Says that the content cannot be completed, and why: the client sees a connection that is cut,
    /// and the log has the reason.
    pub fn break_off(self, why: impl Into<String>) {
        self.0.break_off(why.into());
    }
}

impl Write for StreamWriter {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl std::fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamWriter").finish_non_exhaustive()
    }
}
