//! The access log: takes lines from the workers and writes them to a file. No request waits for that.
//!
//! A worker appends lines to a buffer of its own, and hands the buffer over at the latest a second
//! after its first line. One thread writes the buffers. If that thread is stuck, on a disk that hangs,
//! its queue fills; then lines are lost, and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rustix::fs::{Access, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::diagnostic;
use crate::config::model::AccessLog;
use crate::runtime::spawn_thread;

/// How many buffers may wait for the writer. With [`BUFFER_SIZE`] each, this bounds the memory.
const QUEUE: usize = 256;

/// A buffer of this many octets is handed over: large enough to make writes few.
const BUFFER_SIZE: usize = 32 * 1024;

/// How long the writer may take to write the last lines when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the access log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenLogError {
    #[error(
        "cannot open the access log {path}: {source}; create its directory or change log.access"
    )]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start the thread that writes the access log")]
    Thread(#[source] io::Error),
}

/// What the writer is asked to do.
enum Message {
    /// Write these lines.
    Lines(Vec<u8>),
    /// Close the file and open its path again: log rotation has renamed the file.
    Reopen,
    /// End: no further lines will follow.
    Finish,
}

/// A thread that writes the access log. The supervisor owns it.
pub(crate) struct AccessWriter {
    queue: SyncSender<Message>,
    /// Lines that were lost and have not been reported.
    lost: Arc<AtomicU64>,
    /// Receives when the thread has written everything.
    finished: Receiver<()>,
}

/// The buffer in which one worker collects its lines.
pub(crate) struct AccessBuffer {
    lines: Vec<u8>,
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl AccessWriter {
    /// Opens the log and starts its thread. Returns `None` if the configuration wants no log.
    ///
    /// # Errors
    /// If the file cannot be opened or created.
    pub(crate) fn start(log: &AccessLog) -> Result<Option<Self>, OpenLogError> {
        let destination = match log {
            AccessLog::Off => return Ok(None),
            AccessLog::StandardOutput => Destination::StandardOutput,
            AccessLog::File(path) => Destination::File(path.clone(), open(path)?),
        };
        let (queue, messages) = sync_channel(QUEUE);
        let (finish, finished) = sync_channel(1);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            destination,
            lost: Arc::clone(&lost),
            failing: false,
        };
        spawn_thread("tidegate-log", move || {
            writer.run(&messages);
            let _ = finish.send(());
        })
        .map_err(OpenLogError::Thread)?;
        Ok(Some(Self {
            queue,
            lost,
            finished,
        }))
    }

    /// Returns a buffer for a worker.
    pub(crate) fn buffer(&self) -> AccessBuffer {
        AccessBuffer {
            lines: Vec::new(),
            queue: self.queue.clone(),
            lost: Arc::clone(&self.lost),
        }
    }

    /// Asks the thread to close the file and to open its path again.
    pub(crate) fn reopen(&self) {
        if self.queue.try_send(Message::Reopen).is_err() {
            diagnostic::error(format_args!(
                "the access log is stuck and was not reopened; send SIGUSR1 again when its disk has recovered"
            ));
        }
    }

    /// Waits until the thread has written everything. Workers that had to stop at once may still hold
    /// buffers: their lines are lost.
    pub(crate) fn finish(self) {
        // If the queue is full, the thread ends when the queue is closed, here and by the workers.
        let _ = self.queue.try_send(Message::Finish);
        drop(self.queue);
        if self.finished.recv_timeout(STOP_TIMEOUT) == Err(RecvTimeoutError::Timeout) {
            diagnostic::error(format_args!(
                "the access log is stuck: its last lines are lost"
            ));
        }
    }
}

impl AccessBuffer {
    /// Append a line to these, then call [`flush_if_full`](Self::flush_if_full).
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Hands the lines over if they fill the buffer.
    pub(crate) fn flush_if_full(&mut self) {
        if self.lines.len() >= BUFFER_SIZE {
            self.flush();
        }
    }

    /// Hands the lines over. If the writer's queue is full, they are lost, and counted.
    pub(crate) fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        let lines = std::mem::replace(&mut self.lines, Vec::with_capacity(BUFFER_SIZE + 1024));
        if let Err(TrySendError::Full(Message::Lines(lines))) =
            self.queue.try_send(Message::Lines(lines))
        {
            let count = memchr::memchr_iter(b'\n', &lines).count();
            self.lost.fetch_add(count as u64, Ordering::Relaxed);
            // The next lines use the memory again.
            self.lines = lines;
            self.lines.clear();
        }
    }
}

impl Drop for AccessBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Where the access log goes.
enum Destination {
    StandardOutput,
    File(PathBuf, File),
}

/// The state of the thread.
struct Writer {
    destination: Destination,
    lost: Arc<AtomicU64>,
    /// Whether the last write failed; the operator has read of it once.
    failing: bool,
}

impl Writer {
    /// Writes what is handed over, until the end.
    fn run(mut self, messages: &Receiver<Message>) {
        for message in messages {
            match message {
                Message::Lines(lines) => self.write(&lines),
                Message::Reopen => self.reopen(),
                Message::Finish => break,
            }
            self.report_lost();
        }
        self.report_lost();
    }

    fn write(&mut self, lines: &[u8]) {
        let written = match &mut self.destination {
            Destination::StandardOutput => {
                let mut output = io::stdout().lock();
                output.write_all(lines).and_then(|()| output.flush())
            }
            Destination::File(_, file) => file.write_all(lines),
        };
        match written {
            Ok(()) => self.failing = false,
            Err(error) => {
                let count = memchr::memchr_iter(b'\n', lines).count() as u64;
                self.lost.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    diagnostic::error(format_args!(
                        "cannot write the access log {}: {error}; its lines are lost until that is mended",
                        self.name()
                    ));
                }
            }
        }
    }

    fn reopen(&mut self) {
        if let Destination::File(path, file) = &mut self.destination {
            match open(path) {
                Ok(opened) => *file = opened,
                Err(error) => diagnostic::error(format_args!("{error}; writing to the old file")),
            }
        }
    }

    /// Reports how many lines were lost, once the log can be written again.
    fn report_lost(&self) {
        if !self.failing {
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                diagnostic::warn(format_args!(
                    "{lost} lines of the access log {} were lost",
                    self.name()
                ));
            }
        }
    }

    fn name(&self) -> String {
        match &self.destination {
            Destination::StandardOutput => "on standard output".to_owned(),
            Destination::File(path, _) => path.display().to_string(),
        }
    }
}

/// Looks whether the access log could be opened. Creates nothing.
///
/// # Errors
/// If it could not: its directory is not there, it is a directory itself, or it must not be written.
pub(crate) fn check(log: &AccessLog) -> Result<(), OpenLogError> {
    let AccessLog::File(path) = log else {
        return Ok(());
    };
    let outcome = match path.metadata() {
        Ok(state) if state.is_dir() => Err(Errno::ISDIR),
        Ok(_) => rustix::fs::access(path, Access::WRITE_OK),
        Err(_) => {
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            match parent.metadata() {
                Ok(state) if !state.is_dir() => Err(Errno::NOTDIR),
                _ => rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK),
            }
        }
    };
    outcome.map_err(|error| OpenLogError::File {
        path: path.clone(),
        source: error.into(),
    })
}

/// Opens the log at `path`, or makes it. It may be a FIFO; then another program must read from it.
fn open(path: &Path) -> Result<File, OpenLogError> {
    open_at_once(path).map_err(|source| OpenLogError::File {
        path: path.to_owned(),
        source,
    })
}

/// Opens the file without waiting: opening a FIFO would wait until a program reads from it. Writing may
/// wait, as the thread of the log does.
fn open_at_once(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32);
    let file = options
        .open(path)
        .map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::NXIO) => io::Error::new(
                error.kind(),
                "it is a FIFO that no program reads from (or a socket); start the reader first",
            ),
            _ => error,
        })?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}
