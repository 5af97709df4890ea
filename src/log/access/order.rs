//! Puts the lines of all workers in the order of time.
//!
//! A client's requests may be answered by several workers, each of which hands its lines over when it
//! suits it. So lines are held until every worker must have handed over what is older.

use std::ops::Range;
use std::time::{Duration, Instant};

/// How long a line may stay in a worker's buffer.
pub(crate) const HAND_OVER: Duration = Duration::from_millis(250);

/// How many buffers may wait for the writer. With [`BUFFER_SIZE`] each, this bounds the memory.
pub(super) const QUEUE: usize = 256;

/// A buffer of this many octets is handed over: large enough to make writes few.
pub(super) const BUFFER_SIZE: usize = 32 * 1024;

/// How long a line is held: a worker hands its lines over within [`HAND_OVER`], and a little later where
/// it is busy.
const HOLD: Duration = HAND_OVER.saturating_add(Duration::from_millis(150));

/// How much longer lines may be held, so that one write takes many: the lines of each turn of a loop are due at
/// a moment of their own, and a write for each would cost more than the exchanges.
const GATHER: Duration = Duration::from_millis(50);

/// So many octets are held at most; then they are written at once.
const MAX_HELD: usize = QUEUE * BUFFER_SIZE;

/// Lines of one worker, in the order of time.
#[derive(Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a line ends in the text of its batch, and when its exchange ended.
struct Line {
    at: Instant,
    end: usize,
}

impl Batch {
    /// A batch with room for so many octets.
    pub(super) fn with_capacity(octets: usize) -> Self {
        /// Most lines are longer.
        const SHORT_LINE: usize = 64;
        Self {
            text: Vec::with_capacity(octets),
            lines: Vec::with_capacity(octets / SHORT_LINE),
        }
    }

    /// Appends a line of an exchange that ended at `at`, which `write` writes.
    pub(super) fn append(&mut self, at: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        self.lines.push(Line {
            at,
            end: self.text.len(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn octets(&self) -> usize {
        self.text.len()
    }

    /// How many lines there are.
    pub(super) fn count(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The octets of the lines of those indices.
    fn text_of(&self, lines: Range<usize>) -> &[u8] {
        let end_of = |index: usize| self.lines[index].end;
        let start = lines.start.checked_sub(1).map_or(0, end_of);
        let end = lines.end.checked_sub(1).map_or(0, end_of);
        &self.text[start..end]
    }
}

/// The lines that are held.
#[derive(Default)]
pub(super) struct Order {
    held: Vec<Held>,
    /// The octets of all batches.
    octets: usize,
}

/// A batch of which some lines may have been taken.
struct Held {
    batch: Batch,
    /// How many lines were taken.
    taken: usize,
}

impl Order {
    pub(super) fn add(&mut self, batch: Batch) {
        self.octets += batch.octets();
        self.held.push(Held { batch, taken: 0 });
    }

    /// When lines are to be taken; `None` if none is held.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let next = self.held.iter().map(|held| held.batch.lines[held.taken].at);
        next.min().map(|at| at + HOLD + GATHER)
    }

    /// Takes the lines that are due at `now`, in their order.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u8> {
        if self.octets > MAX_HELD {
            return self.take_all();
        }
        self.take(|line| line.at + HOLD <= now)
    }

    /// Takes all lines, in their order.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        self.take(|_| true)
    }

    /// Takes the lines that are wanted, which in each batch are the first ones: run by run, each from the
    /// batch whose next line is the oldest.
    fn take(&mut self, is_wanted: impl Fn(&Line) -> bool) -> Vec<u8> {
        let mut text = Vec::new();
        while let Some((place, others)) = self.oldest() {
            let held = &mut self.held[place];
            let is_next =
                |line: &Line| is_wanted(line) && others.is_none_or(|other| line.at <= other);
            let rest = &held.batch.lines[held.taken..];
            let end = held.taken + rest.partition_point(is_next);
            if end == held.taken {
                break;
            }
            text.extend_from_slice(held.batch.text_of(held.taken..end));
            held.taken = end;
            if end == held.batch.lines.len() {
                let done = self.held.remove(place);
                self.octets -= done.batch.octets();
            }
        }
        text
    }

    /// The place of the batch whose next line is the oldest, and when the next line of any other batch
    /// was.
    fn oldest(&self) -> Option<(usize, Option<Instant>)> {
        let next = |held: &Held| held.batch.lines[held.taken].at;
        let mut places = self.held.iter().enumerate();
        let mut oldest = places.next().map(|(place, held)| (place, next(held)))?;
        let mut others: Option<Instant> = None;
        for (place, held) in places {
            let at = next(held);
            let later = if at < oldest.1 {
                std::mem::replace(&mut oldest, (place, at)).1
            } else {
                at
            };
            others = Some(others.map_or(later, |other| other.min(later)));
        }
        Some((oldest.0, others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(start: Instant, lines: &[(u64, &str)]) -> Batch {
        let mut batch = Batch::default();
        for (millis, text) in lines {
            let at = start + Duration::from_millis(*millis);
            batch.append(at, |out| out.extend_from_slice(text.as_bytes()));
        }
        batch
    }

    /// The lines of a client whose requests went to several workers came worker by worker.
    #[test]
    fn lines_of_several_workers_come_in_the_order_of_time() {
        let start = Instant::now();
        let mut order = Order::default();
        order.add(batch(start, &[(1, "a"), (4, "d"), (4, "e"), (900, "h")]));
        order.add(batch(start, &[(2, "b"), (3, "c"), (5, "f"), (800, "g")]));
        assert_eq!(
            order.next_due(),
            Some(start + Duration::from_millis(1) + HOLD + GATHER)
        );
        assert_eq!(order.take_due(start + HOLD), b"");
        let due = order.take_due(start + Duration::from_millis(100) + HOLD);
        assert_eq!(due, b"abcdef");
        assert_eq!(order.take_all(), b"gh");
        assert_eq!((order.next_due(), order.octets), (None, 0));
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut order = Order::default();
        let long = "x".repeat(MAX_HELD + 1);
        order.add(batch(Instant::now(), &[(0, &long)]));
        assert_eq!(order.take_due(Instant::now()).len(), long.len());
    }
}
