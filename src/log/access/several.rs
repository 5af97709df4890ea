//! All access logs of a server: a thread for each, and for each worker a buffer for each.

use std::time::Instant;

use super::{AccessBuffer, AccessWriter, LostLines, OpenLogError};
use crate::config::model::{AccessLog, LogDestination, LogFormat, WHOLE_SAMPLE};
use crate::log::condition::holds;
use crate::log::record::AccessRecord;

/// The threads that write the access logs. The supervisor owns them.
pub(crate) struct AccessWriters(Vec<(LogDestination, AccessWriter)>);

/// The buffers in which one worker collects the lines of each log.
pub(crate) struct AccessBuffers(Vec<Buffered>);

struct Buffered {
    destination: LogDestination,
    buffer: AccessBuffer,
    /// How much of a record the sample owes by now, in millionths of one.
    sampled: u32,
}

impl AccessWriters {
    /// How many lines of each log have been reported as lost.
    pub(crate) fn lost(&self) -> Vec<LostLines> {
        self.0.iter().map(|(_, writer)| writer.lost()).collect()
    }

    /// Opens the logs and starts their threads. Returns `None` if the configuration wants no log.
    ///
    /// # Errors
    /// If a file cannot be opened or created.
    pub(crate) fn start(logs: &[AccessLog]) -> Result<Option<Self>, OpenLogError> {
        let start = |log: &AccessLog| {
            let writer = AccessWriter::start(&log.destination)?;
            Ok((log.destination.clone(), writer))
        };
        let writers: Vec<_> = logs.iter().map(start).collect::<Result<_, _>>()?;
        Ok((!writers.is_empty()).then_some(Self(writers)))
    }

    /// Returns buffers for a worker.
    pub(crate) fn buffers(&self) -> AccessBuffers {
        let buffered = |(destination, writer): &(LogDestination, AccessWriter)| Buffered {
            destination: destination.clone(),
            buffer: writer.buffer(),
            sampled: 0,
        };
        AccessBuffers(self.0.iter().map(buffered).collect())
    }

    /// Asks the threads to close their files and to open their paths again.
    pub(crate) fn reopen(&self) {
        self.0.iter().for_each(|(_, writer)| writer.reopen());
    }

    /// Waits until the threads have written everything.
    pub(crate) fn finish(self) {
        self.0.into_iter().for_each(|(_, writer)| writer.finish());
    }
}

impl AccessBuffers {
    /// Appends a record, which is made at `now`, to each log that is to have it. `logs` are those of the
    /// configuration that holds now: a log that it no longer has goes on until a restart, in `format`.
    /// `write` writes a line.
    pub(crate) fn append(
        &mut self,
        record: &AccessRecord<'_>,
        now: Instant,
        (logs, format): (&[AccessLog], &LogFormat),
        mut write: impl FnMut(&LogFormat, &mut Vec<u8>),
    ) {
        let is_one = self.0.len() == 1;
        for buffered in &mut self.0 {
            let same = |log: &&AccessLog| log.destination == buffered.destination;
            let log = match logs {
                // Not compared: paths are compared part by part.
                [only] if is_one => Some(only),
                _ => logs.iter().find(same),
            };
            if log.is_none_or(|log| buffered.takes(log, record)) {
                let format = log.and_then(|log| log.format.as_ref()).unwrap_or(format);
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
