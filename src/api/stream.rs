//! Writing content that is made while it is sent.

use std::io::{self, Write};

use crate::runtime::{Broken, PipeWriter, TaskReader, catch_panic, pipe_to_task};

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

impl StreamWriter {
    /// Reads all that the writer behind `reader` writes, on this thread.
    pub(super) fn read_all(mut reader: TaskReader<String>) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        loop {
            match reader.read_on_thread(&mut octets) {
                Ok(true) => {}
                Ok(false) => return Ok(octets),
                Err(Broken::Because(why)) => return Err(io::Error::other(why)),
                Err(Broken::Silently) => return Err(io::Error::other("the writer panicked")),
            }
        }
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

/// Writes all of the content of a response, once. It holds values of the program's own. Should one of
/// them panic when it is dropped, the panic is swallowed, because that may happen on an event loop.
pub(crate) struct Pump(Option<WriteAll>);

type WriteAll = Box<dyn FnOnce(&mut StreamWriter) -> io::Result<()> + Send>;

impl Pump {
    pub(super) fn new(
        write: impl FnOnce(&mut StreamWriter) -> io::Result<()> + Send + 'static,
    ) -> Self {
        Self(Some(Box::new(write)))
    }

    /// Writes the content into `writer`.
    ///
    /// # Errors
    /// Why the content is not complete.
    pub(crate) fn run(mut self, writer: &mut StreamWriter) -> io::Result<()> {
        self.0.take().map_or(Ok(()), |write| write(writer))
    }

    /// All that is written, by a thread of its own while this one reads.
    pub(super) fn into_octets(self) -> io::Result<Vec<u8>> {
        let (writer, reader) = pipe_to_task();
        let mut writer = StreamWriter::new(writer);
        let work = move || match self.run(&mut writer) {
            Ok(()) => {}
            Err(error) => writer.break_off(error.to_string()),
        };
        let thread = std::thread::Builder::new().spawn(work)?;
        let octets = StreamWriter::read_all(reader);
        // The panic hook has reported a panic, and `read_all` has returned an error.
        let _ = thread.join();
        octets
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let write = self.0.take();
        let _ = catch_panic(|| drop(write));
    }
}
