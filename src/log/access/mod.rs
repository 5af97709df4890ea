//! The access log: takes lines from the workers and writes them to a file. No request waits for that.
//!
//! A worker appends lines to a buffer of its own, and hands the buffer over at the latest
//! [`HAND_OVER`] after its first line. One thread puts the lines of all workers in the order of time
//! ([`order`]) and writes them ([`destination`]). If that thread is stuck, on a disk that hangs, its queue
//! fills; then lines are lost, and counted.
//!
//! ```text
//! worker ─ AccessBuffer ─┐
//! worker ─ AccessBuffer ─┼─→ queue ─→ Order ─→ Destination
//! worker ─ AccessBuffer ─┘
//! ```

mod destination;
mod order;
mod several;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::{diagnostic, record};
use crate::config::model::LogDestination;
use crate::runtime::spawn_thread;

use destination::{Destination, Incomplete};
pub(crate) use destination::{OpenLogError, check};
pub(crate) use order::HAND_OVER;
use order::{BUFFER_SIZE, Batch, Order, QUEUE};
pub(crate) use several::{AccessBuffers, AccessWriters};

/// How long the writer may take to write the last lines when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// What the writer is asked to do.
enum Message {
    /// Write these lines.
    Lines(Batch),
    /// Close the file and open its path again: log rotation has renamed the file.
    Reopen,
    /// End: no further lines will follow.
    Finish,
}

/// A thread that writes an access log.
struct AccessWriter {
    queue: SyncSender<Message>,
    lost: LostLines,
    /// Receives when the thread has written everything.
    finished: Receiver<()>,
}

/// How many lines of a log were lost since the start.
#[derive(Clone, Default)]
pub(crate) struct LostLines(Arc<AtomicU64>);

impl LostLines {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Ordering::Relaxed);
    }
}

/// The buffer in which one worker collects its lines.
struct AccessBuffer {
    batch: Batch,
    queue: SyncSender<Message>,
    lost: LostLines,
}

impl AccessWriter {
    /// Opens the log and starts its thread.
    ///
    /// # Errors
    /// If the file cannot be opened or created.
    fn start(destination: &LogDestination) -> Result<Self, OpenLogError> {
        let destination = Destination::open(destination)?;
        record::check_time_zone();
        diagnostic::debug(format_args!("the access log {destination} is open"));
        let (queue, messages) = sync_channel(QUEUE);
        let (finish, finished) = sync_channel(1);
        let lost = LostLines::default();
        let writer = Writer {
            destination,
            order: Order::default(),
            lost: lost.clone(),
            reported: 0,
            is_failing: false,
        };
        spawn_thread("tidegate-log", move || {
            writer.run(&messages);
            let _ = finish.send(());
        })
        .map_err(OpenLogError::Thread)?;
        Ok(Self {
            queue,
            lost,
            finished,
        })
    }

    /// How many lines were lost.
    fn lost(&self) -> LostLines {
        self.lost.clone()
    }

    /// Returns a buffer for a worker.
    fn buffer(&self) -> AccessBuffer {
        AccessBuffer {
            batch: Batch::default(),
            queue: self.queue.clone(),
            lost: self.lost.clone(),
        }
    }

    /// Asks the thread to close the file and to open its path again.
    fn reopen(&self) {
        if self.queue.try_send(Message::Reopen).is_err() {
            diagnostic::error(format_args!(
                "the access log is stuck and was not reopened; send SIGUSR1 again when its disk has recovered"
            ));
        }
    }

    /// Waits until the thread has written everything. Workers that had to stop at once may still hold
    /// buffers: their lines are lost.
    fn finish(self) {
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
    /// Appends the line of an exchange that ended at `at`; `write` writes it, with its LF.
    fn append(&mut self, at: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        self.batch.append(at, write);
        if self.batch.octets() >= BUFFER_SIZE {
            self.flush();
        }
    }

    /// Hands the lines over. If the writer's queue is full, they are lost, and counted.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let next = Batch::with_capacity(BUFFER_SIZE + 1024);
        let batch = std::mem::replace(&mut self.batch, next);
        if let Err(TrySendError::Full(Message::Lines(batch))) =
            self.queue.try_send(Message::Lines(batch))
        {
            self.lost.add(batch.count());
        }
    }
}

impl Drop for AccessBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The state of the thread.
struct Writer {
    destination: Destination,
    order: Order,
    lost: LostLines,
    /// How many of them the operator has read of.
    reported: u64,
    /// Whether the last write failed; the operator has read of it once.
    is_failing: bool,
}

impl Writer {
    /// Writes what is handed over, until the end.
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let received = match self.order.next_due() {
                None => messages.recv().map_err(RecvTimeoutError::from),
                Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(Message::Lines(batch)) => self.order.add(batch),
                Ok(Message::Reopen) => self.reopen(),
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let due = self.order.take_due(Instant::now());
            self.write(&due);
            if !self.is_failing {
                self.report_lost();
            }
        }
        let rest = self.order.take_all();
        self.write(&rest);
        let lost = self.destination.give_up();
        self.lost.add(lost);
        self.report_lost();
    }

    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        match self.destination.write(lines) {
            Ok(()) => self.is_failing = false,
            Err(Incomplete { lost, error }) => {
                self.lost.add(lost);
                if !std::mem::replace(&mut self.is_failing, true) {
                    diagnostic::error(format_args!(
                        "cannot write the access log {}: {error}; its lines are lost until that is mended",
                        self.destination
                    ));
                }
            }
        }
    }

    fn reopen(&mut self) {
        let before = self.order.take_all();
        self.write(&before);
        match self.destination.reopen() {
            Ok(lost) => self.lost.add(lost),
            Err(error) => diagnostic::error(format_args!("{error}; writing to the old file")),
        }
        diagnostic::debug(format_args!("the access log {} is open", self.destination));
    }

    /// Reports how many lines were lost, if there were any.
    fn report_lost(&mut self) {
        let lost = self.lost.count() - self.reported;
        if lost > 0 {
            self.reported += lost;
            diagnostic::warn(format_args!(
                "{lost} lines of the access log {} were lost",
                self.destination
            ));
        }
    }
}
