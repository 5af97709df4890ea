//! The spans that wait for the exporter: a queue that all workers fill, of a fixed size.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::span::Span;
use crate::runtime::Sender;

/// Spans that may wait. One has some 700 octets, so that all of them have some 3 MB. One of a client that fills its
/// fields has some 9 KB, because each text of a span is cut; so all have some 40 MB at most.
const CAPACITY: usize = 4096;

/// Spans that are sent at once.
pub(super) const BATCH: usize = 512;

/// How long a span waits for others to be sent with it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The spans that wait, and counts of the others. There is one for the process, which outlives reloads.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    queue: Mutex<Queue>,
    exported: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Span>,
    /// When the first of them came.
    since: Option<Instant>,
    /// Dropped because there was no room, and not reported yet.
    overflown: u64,
    /// Which exporter takes them, and what wakes it; `None`: there is none, and nothing is taken.
    exporter: Option<(Opening, Sender<()>)>,
    /// How many exporters there have been.
    openings: u64,
}

/// Which exporter takes the spans: while one ends, the next may have begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening(u64);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} spans", self.waiting.len())
    }
}

impl Spans {
    /// Takes the spans of an exchange, as far as there is room.
    pub(super) fn push(&self, spans: Vec<Span>) {
        let mut queue = self.lock();
        let before = queue.waiting.len();
        let room = match queue.exporter {
            Some(_) => CAPACITY - before,
            None => 0,
        };
        let left_out = spans.len().saturating_sub(room) as u64;
        queue.waiting.extend(spans.into_iter().take(room));
        queue.overflown += left_out;
        self.dropped.fetch_add(left_out, Ordering::Relaxed);
        let now = queue.waiting.len();
        if before == 0 && now > 0 {
            queue.since = Some(Instant::now());
        }
        let is_to_wake = before == 0 || (before < BATCH && now >= BATCH);
        if let (true, Some((_, exporter))) = (is_to_wake, &queue.exporter) {
            exporter.send(());
        }
    }

    /// Has an exporter be woken by `wakes` for the spans that come from now on.
    pub(super) fn open(&self, wakes: Sender<()>) -> Opening {
        let mut queue = self.lock();
        queue.openings += 1;
        let opening = Opening(queue.openings);
        queue.exporter = Some((opening, wakes));
        opening
    }

    /// Takes no more spans, unless another exporter has begun.
    pub(super) fn close(&self, opening: Opening) {
        let mut queue = self.lock();
        queue.exporter = queue.exporter.take().filter(|(other, _)| *other != opening);
    }

    /// The next batch, once there is a whole one, or a span has waited long enough. Without one, how long to
    /// wait; `None`: until a span comes.
    pub(super) fn take_due(&self) -> Result<Vec<Span>, Option<Duration>> {
        let mut queue = self.lock();
        let Some(since) = queue.since else {
            return Err(None);
        };
        let left = LONGEST_WAIT.saturating_sub(since.elapsed());
        if queue.waiting.len() < BATCH && !left.is_zero() {
            return Err(Some(left));
        }
        Ok(queue.take())
    }

    /// The next batch, whole or not; empty if nothing waits, or another exporter sends it.
    pub(super) fn take_any(&self, opening: Opening) -> Vec<Span> {
        let mut queue = self.lock();
        match &queue.exporter {
            Some((other, _)) if *other != opening => Vec::new(),
            _ => queue.take(),
        }
    }

    /// How many spans there was no room for, since this was asked last.
    pub(super) fn take_overflown(&self) -> u64 {
        std::mem::take(&mut self.lock().overflown)
    }

    /// Takes note of spans that the collector has.
    pub(super) fn note_exported(&self, count: u64) {
        self.exported.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes note of spans that no collector gets.
    pub(super) fn note_dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// How many spans the collector has got.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// How many spans were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self) -> Vec<Span> {
        let count = self.waiting.len().min(BATCH);
        let batch = self.waiting.drain(..count).collect();
        // Those that are left have waited for less, but are not asked how long.
        self.since = (!self.waiting.is_empty()).then(Instant::now);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::channel;

    fn some(count: usize) -> Vec<Span> {
        (0..count).map(|_| Span::for_tests()).collect()
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (sender, _receiver) = channel();
        let spans = Spans::default();
        spans.push(some(2));
        assert_eq!(spans.dropped(), 2, "there is no exporter");
        let opening = spans.open(sender);
        spans.push(some(CAPACITY - 1));
        spans.push(some(3));
        assert_eq!((spans.dropped(), spans.take_overflown()), (4, 4));
        assert_eq!(spans.take_overflown(), 0);
        let mut taken = 0;
        while let batch @ 1.. = spans.take_any(opening).len() {
            assert!(batch <= BATCH);
            taken += batch;
        }
        assert_eq!(taken, CAPACITY);
    }

    #[test]
    fn the_end_of_an_exporter_is_not_that_of_the_next() {
        let (spans, (first, _a), (second, _b)) = (Spans::default(), channel(), channel());
        let first = spans.open(first);
        let second = spans.open(second);
        spans.close(first);
        spans.push(some(1));
        assert_eq!(spans.take_any(first).len(), 0);
        assert_eq!(spans.take_any(second).len(), 1);
        spans.close(second);
        spans.push(some(1));
        assert_eq!(spans.dropped(), 1);
    }

    #[test]
    fn a_batch_is_due_when_it_is_whole() {
        let (sender, _receiver) = channel();
        let spans = Spans::default();
        spans.open(sender);
        assert!(matches!(spans.take_due(), Err(None)));
        spans.push(some(BATCH - 1));
        let wait = spans.take_due().expect_err("it is not whole");
        assert!(wait.is_some_and(|wait| wait <= LONGEST_WAIT));
        spans.push(some(2));
        assert_eq!(spans.take_due().map(|batch| batch.len()), Ok(BATCH));
        assert!(matches!(spans.take_due(), Err(Some(_))));
    }
}
