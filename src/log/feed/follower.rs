//! A follower: what it wants to see, and the lines that wait to be sent to it.
//!
//! ```text
//! workers ─ offer ─→ lines ─ take ─→ the task of the follower's connection
//!             └ full: counted; the count stands behind the lines that were before it
//! ```

use std::io::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::filter::Filter;
use super::readable;
use crate::config::model::LogFormat;
use crate::log::record::{AccessRecord, LogTime};
use crate::log::stream_record::StreamRecord;
use crate::runtime::Sender;

/// How many octets of lines may wait. A follower's task takes all of them some thirty times a second, so
/// that this is room for tens of thousands of exchanges a second.
const MAX_WAITING: usize = 1024 * 1024;

/// What a follower wants to see.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) format: FeedFormat,
}

/// How a follower wants to see a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FeedFormat {
    /// For a person at a terminal.
    Readable,
    /// As access logs may have it.
    OfLog(LogFormat),
}

impl FeedFormat {
    pub(crate) fn is_json(&self) -> bool {
        *self == Self::OfLog(LogFormat::Json)
    }

    /// Appends the line of `record`, with its LF, to `out`.
    pub(super) fn write(&self, record: &AccessRecord<'_>, time: &LogTime, out: &mut Vec<u8>) {
        match self {
            Self::Readable => readable::write(record, time, out),
            Self::OfLog(format) => record.write(format, time, out),
        }
    }

    /// The same, of a connection of a stream; `access` is its record as one of an exchange.
    pub(super) fn write_stream(
        &self,
        record: &StreamRecord<'_>,
        access: &AccessRecord<'_>,
        time: &LogTime,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Readable => readable::write(access, time, out),
            Self::OfLog(format) => record.write(format, time, out),
        }
    }

    /// Appends the line that tells how many records were lost.
    fn write_lost(&self, lost: u64, out: &mut Vec<u8>) {
        if self.is_json() {
            writeln!(out, "{{\"lost\":{lost}}}")
        } else {
            writeln!(
                out,
                "… {lost} records lost: they came faster than they were read …"
            )
        }
        .expect("a Vec takes everything");
    }
}

/// A client that follows.
pub(crate) struct Follower {
    wanted: Wanted,
    queue: Mutex<Queue>,
    /// Wakes the task that takes the lines.
    wake: Sender<()>,
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// How many records found no room since the lines were last taken.
    lost: u64,
    state: State,
    /// The task waits to be woken.
    is_waiting: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// It takes no records yet: not every worker knows of it.
    #[default]
    Beginning,
    Open,
    /// No further record will come.
    Closed,
}

/// What [`Follower::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Lines,
    /// None yet: the task is woken when there are.
    Nothing,
    /// None, and none will come.
    End,
}

impl Follower {
    /// A follower that wants this, and whose task is woken by `wake`.
    pub(super) fn new(wanted: Wanted, wake: Sender<()>) -> Self {
        Self {
            wanted,
            queue: Mutex::default(),
            wake,
        }
    }

    /// Lets records in from now on, behind `first`, which are lines.
    pub(super) fn open(&self, first: &[u8]) {
        let mut queue = self.lock();
        if queue.state == State::Beginning {
            queue.lines.extend_from_slice(first);
            queue.state = State::Open;
        }
    }

    /// Lets no further record in. The task ends once it has taken what is there.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.state = State::Closed;
        self.unlock_and_wake(queue);
    }

    /// Puts the line of `record` into the queue, if the follower wants that. `write` writes the line;
    /// `room` is the caller's, so that no line needs memory of its own.
    pub(super) fn offer(
        &self,
        record: &AccessRecord<'_>,
        room: &mut Vec<u8>,
        write: impl FnOnce(&FeedFormat, &mut Vec<u8>),
    ) {
        if !self.wanted.filter.takes(record) {
            return;
        }
        room.clear();
        write(&self.wanted.format, room);
        let mut queue = self.lock();
        if queue.state != State::Open {
            return;
        }
        // Nothing goes in behind a gap, so that the gap is told in its place.
        if queue.lost > 0 || queue.lines.len() + room.len() > MAX_WAITING {
            queue.lost += 1;
        } else {
            queue.lines.extend_from_slice(room);
        }
        self.unlock_and_wake(queue);
    }

    /// Appends the lines that wait to `into`. If there are none, the task is woken with the next one.
    pub(crate) fn take(&self, into: &mut Vec<u8>) -> Taken {
        let mut queue = self.lock();
        if queue.lines.is_empty() && queue.lost == 0 {
            if queue.state == State::Closed {
                return Taken::End;
            }
            queue.is_waiting = true;
            return Taken::Nothing;
        }
        // Copied, so that the queue keeps its memory and no worker has to ask for it.
        into.extend_from_slice(&queue.lines);
        queue.lines.clear();
        let lost = std::mem::take(&mut queue.lost);
        drop(queue);
        if lost > 0 {
            self.wanted.format.write_lost(lost, into);
        }
        Taken::Lines
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unlock_and_wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let is_waiting = std::mem::take(&mut queue.is_waiting);
        drop(queue);
        if is_waiting {
            self.wake.send(());
        }
    }
}

impl Wanted {
    /// Appends the lines of the last `most` of `records` that are wanted, in their order.
    pub(super) fn write_last<'r>(
        &self,
        records: impl DoubleEndedIterator<Item = &'r super::failures::Failure>,
        most: usize,
        out: &mut Vec<u8>,
    ) {
        let wanted = records.rev().filter(|it| self.filter.takes(&it.record()));
        let mut last: Vec<_> = wanted.take(most).collect();
        last.reverse();
        for failure in last {
            let record = failure.record();
            self.format.write(&record, &failure.time(), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::http::status::Status;
    use crate::runtime::channel;

    fn record(line: &[u8]) -> AccessRecord<'_> {
        let client = IpAddr::from([192, 0, 2, 7]).into();
        AccessRecord::unreadable(client, line, Status::OK)
    }

    fn follower(format: FeedFormat) -> Follower {
        let filter = Filter::default();
        Follower::new(Wanted { filter, format }, channel().0)
    }

    fn offer(follower: &Follower, line: &str) {
        let record = record(b"GET / HTTP/1.1");
        follower.offer(&record, &mut Vec::new(), |_, out| {
            out.extend_from_slice(line.as_bytes());
        });
    }

    fn take(follower: &Follower) -> (Taken, String) {
        let mut lines = Vec::new();
        let taken = follower.take(&mut lines);
        (taken, String::from_utf8(lines).expect("it is text"))
    }

    #[test]
    fn lines_come_in_their_order_and_once() {
        let follower = follower(FeedFormat::Readable);
        offer(&follower, "too early\n");
        follower.open(b"before\n");
        offer(&follower, "a\n");
        offer(&follower, "b\n");
        let expected = (Taken::Lines, "before\na\nb\n".to_owned());
        assert_eq!(take(&follower), expected);
        assert_eq!(take(&follower), (Taken::Nothing, String::new()));
    }

    #[test]
    fn what_finds_no_room_is_told_in_its_place() {
        for (format, told) in [
            (
                FeedFormat::Readable,
                "… 2 records lost: they came faster than they were read …\n",
            ),
            (FeedFormat::OfLog(LogFormat::Json), "{\"lost\":2}\n"),
        ] {
            let follower = follower(format);
            follower.open(b"");
            let long = "x".repeat(MAX_WAITING);
            offer(&follower, &long);
            offer(&follower, "lost\n");
            offer(&follower, "");
            assert_eq!(take(&follower), (Taken::Lines, format!("{long}{told}")));
            offer(&follower, "after\n");
            assert_eq!(take(&follower), (Taken::Lines, "after\n".to_owned()));
        }
    }

    #[test]
    fn a_line_that_is_too_long_for_any_queue_is_told_as_lost() {
        let follower = follower(FeedFormat::Readable);
        follower.open(b"");
        offer(&follower, &"x".repeat(MAX_WAITING + 1));
        let (taken, told) = take(&follower);
        assert!(
            taken == Taken::Lines && told.starts_with("… 1 records lost"),
            "{told}"
        );
    }

    #[test]
    fn what_waits_at_the_end_is_taken_before_it() {
        let follower = follower(FeedFormat::Readable);
        follower.open(b"");
        offer(&follower, "a\n");
        follower.close();
        offer(&follower, "too late\n");
        assert_eq!(take(&follower), (Taken::Lines, "a\n".to_owned()));
        assert_eq!(take(&follower), (Taken::End, String::new()));
    }
}
