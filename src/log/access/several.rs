//! All access logs of a server: a thread for each, and for each worker a buffer for each.

use std::time::Instant;

use super::{AccessBuffer, AccessWriter, LostLines, OpenLogError};
use crate::config::model::{AccessLog, LogFormat, WHOLE_SAMPLE};
use crate::log::condition::holds;
use crate::log::record::AccessRecord;

/// The threads that write the access logs, in the order of the configuration that the process began with. The
/// supervisor owns them.
pub(crate) struct AccessWriters(Vec<AccessWriter>);

/// The buffers in which one worker collects the lines of each log, in the same order.
pub(crate) struct AccessBuffers(Vec<Buffered>);

struct Buffered {
    buffer: AccessBuffer,
    /// How much of a record the sample owes by now, in millionths of one.
    sampled: u32,
}

impl AccessWriters {
    /// How many lines of each log have been reported as lost.
    pub(crate) fn lost(&self) -> Vec<LostLines> {
        self.0.iter().map(AccessWriter::lost).collect()
    }

    /// Opens the logs and starts their threads. Returns `None` if the configuration wants no log.
    ///
    /// # Errors
    /// If a file cannot be opened or created.
    pub(crate) fn start(logs: &[AccessLog]) -> Result<Option<Self>, OpenLogError> {
        let start = |log: &AccessLog| AccessWriter::start(&log.destination);
        let writers: Vec<_> = logs.iter().map(start).collect::<Result<_, _>>()?;
        Ok((!writers.is_empty()).then_some(Self(writers)))
    }

    /// Returns buffers for a worker.
    pub(crate) fn buffers(&self) -> AccessBuffers {
        let buffered = |writer: &AccessWriter| Buffered {
            buffer: writer.buffer(),
            sampled: 0,
        };
        AccessBuffers(self.0.iter().map(buffered).collect())
    }

    /// Asks the threads to close their files and to open their paths again.
    pub(crate) fn reopen(&self) {
        self.0.iter().for_each(AccessWriter::reopen);
    }

    /// Waits until the threads have written everything.
    pub(crate) fn finish(self) {
        self.0.into_iter().for_each(AccessWriter::finish);
    }
}

impl AccessBuffers {
    /// Appends a record, which is made at `now`, to each log that is to have it. `logs` say how these same logs
    /// are now, in the same order: `Generation` sees to that. `write` writes a line, in `format` where a log
    /// has no format of its own.
    pub(crate) fn append(
        &mut self,
        record: &AccessRecord<'_>,
        now: Instant,
        (logs, format): (&[AccessLog], &LogFormat),
        mut write: impl FnMut(&LogFormat, &mut Vec<u8>),
    ) {
        debug_assert_eq!(logs.len(), self.0.len(), "each log as it is now");
        for (buffered, log) in self.0.iter_mut().zip(logs) {
            if buffered.takes(log, record) {
                let format = log.format.as_ref().unwrap_or(format);
                buffered.buffer.append(now, |out| write(format, out));
            }
        }
    }

    /// Hands the lines over.
    pub(crate) fn flush(&mut self) {
        self.0
            .iter_mut()
            .for_each(|buffered| buffered.buffer.flush());
    }
}

impl Buffered {
    /// Whether the log is to have the record.
    fn takes(&mut self, log: &AccessLog, record: &AccessRecord<'_>) -> bool {
        if !holds(&log.when, record) {
            return false;
        }
        // Evenly spread, and exactly as many as is said: no random numbers.
        self.sampled += log.sample;
        let is_taken = self.sampled >= WHOLE_SAMPLE;
        if is_taken {
            self.sampled -= WHOLE_SAMPLE;
        }
        is_taken
    }
}
