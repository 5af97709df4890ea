//! The access log: takes lines from the workers and writes them to a file. No request waits for that.
//!
//! A worker appends lines to a buffer of its own, and hands the buffer over at the latest
//! [`HAND_OVER`] after its first line. One thread puts the lines of all workers in the order of time
//! ([`order`]) and writes them ([`output`], [`destination`]). If that thread is stuck, on a disk that hangs, its
//! queue fills; then lines are lost, and counted.
//!
//! ```text
//! worker ─ AccessBuffer ─┐
//! worker ─ AccessBuffer ─┼─→ queue ─→ Order ─→ Output ─→ Destination
//! worker ─ AccessBuffer ─┘
//!             └───────────← Spares ←──┘
//! ```

mod destination;
mod order;
mod output;
mod several;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::{diagnostic, record};
use crate::config::model::LogDestination;
use crate::runtime::spawn_thread;

use destination::{Destination, count};
pub(crate) use destination::{OpenLogError, check};
pub(crate) use order::HAND_OVER;
use order::{BUFFER_SIZE, Batch, MAX_WAITING, Order, Spares};
pub(crate) use output::LostLines;
use output::Output;
pub(crate) use several::{AccessBuffers, AccessWriters};

/// How long the writer may take to write the last lines when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// How many messages may wait for the writer: far more than workers that serve little send in a second. The octets
/// of their lines have a bound of their own, [`MAX_WAITING`].
const QUEUE: usize = 1024;

/// What the writer is asked to do.
enum Message {
    /// Write these lines.
    Lines(Batch),
    /// A buffer is gone; its lines were handed over before.
    Gone,
    /// Close the file and open its path again: log rotation has renamed the file.
    Reopen,
    /// End: no further lines will follow.
    Finish,
}

/// A thread that writes an access log.
struct AccessWriter {
    queue: SyncSender<Message>,
    shared: Shared,
    /// Receives when the thread has written everything.
    finished: Receiver<()>,
}

/// What the buffers of a log and its writer share.
#[derive(Clone, Default)]
struct Shared {
    flow: Arc<Flow>,
    spares: Spares,
    lost: LostLines,
}

#[derive(Default)]
struct Flow {
    /// How many buffers there are. One that is dropped counts until the writer has taken its last lines. If the queue
    /// is full when it is dropped, it counts until a restart.
    buffers: AtomicUsize,
    /// Octets of lines that were handed over, and that the writer has not taken yet.
    waiting: AtomicUsize,
}

impl Flow {
    /// Whether there is room for so many octets more; they wait then. There is always room for the first.
    fn admit(&self, octets: usize) -> bool {
        let before = self.waiting.fetch_add(octets, Ordering::Relaxed);
        let is_admitted = before == 0 || before + octets <= MAX_WAITING;
        if !is_admitted {
            self.taken(octets);
        }
        is_admitted
    }

    /// So many octets wait no longer.
    fn taken(&self, octets: usize) {
        self.waiting.fetch_sub(octets, Ordering::Relaxed);
    }

    /// A buffer is gone.
    fn leave(&self) {
        self.buffers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether all lines come from one buffer.
    fn is_of_one(&self) -> bool {
        self.buffers.load(Ordering::Relaxed) <= 1
    }
}

/// The buffer in which one worker collects its lines.
struct AccessBuffer {
    batch: Batch,
    queue: SyncSender<Message>,
    shared: Shared,
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
        let shared = Shared::default();
        let writer = Writer {
            order: Order::new(shared.spares.clone()),
            output: Output::new(destination, shared.lost.clone()),
            flow: Arc::clone(&shared.flow),
        };
        spawn_thread("tidegate-log", move || {
            writer.run(&messages);
            let _ = finish.send(());
        })
        .map_err(OpenLogError::Thread)?;
        Ok(Self {
            queue,
            shared,
            finished,
        })
    }

    /// How many lines were lost.
    fn lost(&self) -> LostLines {
        self.shared.lost.clone()
    }

    /// Returns a buffer for a worker.
    fn buffer(&self) -> AccessBuffer {
        self.shared.flow.buffers.fetch_add(1, Ordering::Relaxed);
        AccessBuffer {
            batch: Batch::default(),
            queue: self.queue.clone(),
            shared: self.shared.clone(),
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

    /// Hands the lines over. If too many wait for the writer, they are lost, and counted.
    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let octets = self.batch.octets();
        if !self.shared.flow.admit(octets) {
            self.shared.lost.add(count(self.batch.text()));
            self.batch.clear();
            return;
        }
        let batch = self.batch.take(&self.shared.spares);
        if let Err(TrySendError::Full(Message::Lines(batch))) =
            self.queue.try_send(Message::Lines(batch))
        {
            self.shared.flow.taken(octets);
            self.shared.lost.add(count(batch.text()));
        }
    }
}

impl Drop for AccessBuffer {
    fn drop(&mut self) {
        self.flush();
        let _ = self.queue.try_send(Message::Gone);
    }
}

/// The state of the thread.
struct Writer {
    order: Order,
    output: Output,
    flow: Arc<Flow>,
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
                Ok(Message::Lines(batch)) => {
                    self.flow.taken(batch.octets());
                    self.order.add(batch);
                }
                Ok(Message::Gone) => {
                    self.flow.leave();
                    self.order.note_gone(Instant::now());
                }
                Ok(Message::Reopen) => {
                    self.write_all();
                    self.output.reopen();
                }
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let (now, is_alone) = (Instant::now(), self.flow.is_of_one());
            self.order
                .take_due(now, is_alone, |lines| self.output.put(lines));
            self.output.flush();
            self.output.report_lost();
        }
        self.write_all();
        self.output.finish();
    }

    /// Writes the lines that are held, too.
    fn write_all(&mut self) {
        self.order.take_all(|lines| self.output.put(lines));
        self.output.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::TemporaryDirectory;

    /// How long the writer may take at most. It takes far less.
    const SAFETY: Duration = Duration::from_secs(30);

    /// Appends a line of that many octets, and hands it over.
    fn hand_over(buffer: &mut AccessBuffer, octets: usize) {
        buffer.append(Instant::now(), |out| {
            out.resize(octets - 1, b'x');
            out.push(b'\n');
        });
        buffer.flush();
    }

    #[test]
    fn what_waits_has_a_bound_and_what_is_beyond_it_is_counted() {
        let (queue, messages) = sync_channel(2);
        let shared = Shared::default();
        let mut buffer = AccessBuffer {
            batch: Batch::default(),
            queue,
            shared: shared.clone(),
        };
        let waiting = || shared.flow.waiting.load(Ordering::Relaxed);
        // The first may be larger than all that may wait.
        for (octets, expected) in [(MAX_WAITING + 1, 0), (1, 1), (1, 2)] {
            hand_over(&mut buffer, octets);
            assert_eq!(shared.lost.count(), expected);
            assert_eq!(waiting(), MAX_WAITING + 1);
        }
        shared.flow.taken(MAX_WAITING);
        for expected in [2, 3] {
            hand_over(&mut buffer, 3);
            // The second finds no place among the messages.
            assert_eq!((shared.lost.count(), waiting()), (expected, 4));
        }
        drop((buffer, messages));
    }

    /// As when a disk has hung, and was mended: what was taken makes room again.
    #[test]
    fn many_times_as_much_as_may_wait_is_written_in_the_end() {
        let directory = TemporaryDirectory::new("access");
        let path = directory.path().join("log");
        let writer = AccessWriter::start(&LogDestination::File(path.clone())).expect("ours");
        let mut buffer = writer.buffer();
        let flow = Arc::clone(&writer.shared.flow);
        assert!(flow.is_of_one());
        for _ in 0..3 {
            hand_over(&mut buffer, MAX_WAITING / 2 + 1);
            let begun = Instant::now();
            while flow.waiting.load(Ordering::Relaxed) > 0 {
                assert!(begun.elapsed() < SAFETY, "the lines are never taken");
                std::thread::yield_now();
            }
        }
        let lost = writer.lost();
        drop(buffer);
        writer.finish();
        assert_eq!(lost.count(), 0);
        let length = path.metadata().expect("it is there").len();
        assert_eq!(length, 3 * (MAX_WAITING as u64 / 2 + 1));
    }

    /// As where `workers` has gone from 2 to 1, or another worker has taken the place of one.
    #[test]
    fn a_worker_that_has_ended_counts_no_longer() {
        let directory = TemporaryDirectory::new("access");
        let path = directory.path().join("log");
        let writer = AccessWriter::start(&LogDestination::File(path.clone())).expect("ours");
        let flow = Arc::clone(&writer.shared.flow);
        let [mut stays, mut leaves] = [writer.buffer(), writer.buffer()];
        hand_over(&mut leaves, 10);
        assert!(!flow.is_of_one());
        drop(leaves);
        let begun = Instant::now();
        while !flow.is_of_one() {
            assert!(begun.elapsed() < SAFETY, "it counts for ever");
            std::thread::yield_now();
        }
        hand_over(&mut stays, 5);
        drop(stays);
        writer.finish();
        assert_eq!(path.metadata().expect("it is there").len(), 15);
    }

    /// The lines of several workers are held; those that were handed over before a reopening belong to the old file.
    #[test]
    fn a_reopening_writes_what_is_held_to_the_old_file() {
        let directory = TemporaryDirectory::new("access");
        let [path, old] = ["log", "log.1"].map(|name| directory.path().join(name));
        let writer = AccessWriter::start(&LogDestination::File(path.clone())).expect("ours");
        let mut buffers = [writer.buffer(), writer.buffer()];
        assert!(!writer.shared.flow.is_of_one());
        hand_over(&mut buffers[0], 10);
        hand_over(&mut buffers[1], 10);
        std::fs::rename(&path, &old).expect("it is there");
        writer.reopen();
        hand_over(&mut buffers[0], 5);
        drop(buffers);
        writer.finish();
        let length = |path: &std::path::Path| path.metadata().expect("it is there").len();
        assert_eq!((length(&old), length(&path)), (20, 5));
    }
}
