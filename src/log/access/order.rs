//! Puts the lines of all workers in the order of time.
//!
//! A client's requests may be answered by several workers, each of which hands its lines over when it
//! suits it. So lines are held until every worker must have handed over what is older. The lines of a worker
//! that is alone are in order as they come: nothing is held.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a line may stay in a worker's buffer.
pub(crate) const HAND_OVER: Duration = Duration::from_millis(250);

/// So many octets of lines may wait for the thread that writes.
pub(super) const MAX_WAITING: usize = 8 << 20;

/// A buffer of this many octets is handed over. Each wakes the thread that writes, and the larger a write is, the
/// larger are the pieces in which the system takes memory for it: a line as JSON cost that thread 0.18 µs with
/// 128 KiB, 0.11 µs with 512 KiB, and 0.10 µs with four times that.
pub(super) const BUFFER_SIZE: usize = 512 * 1024;

/// How long a line is held: a worker hands its lines over within [`HAND_OVER`], and a little later where
/// it is busy.
const HOLD: Duration = HAND_OVER.saturating_add(Duration::from_millis(150));

/// How much longer lines may be held, so that one write takes many: the lines of each turn of a loop are due at
/// a moment of their own, and the writes for each took a quarter of the CPU of a loaded server.
const GATHER: Duration = Duration::from_millis(50);

/// So many octets are held at most; then they are written at once.
const MAX_HELD: usize = 16 << 20;

/// How many buffers are kept for use again.
const SPARES: usize = 8;

/// Lines of one worker, in the order of time.
#[derive(Clone, Default)]
pub(super) struct Batch {
    text: Vec<u8>,
    runs: Vec<Run>,
}

/// Lines of exchanges that ended at the same moment, as all of one turn of the loop do.
#[derive(Clone)]
struct Run {
    at: Instant,
    /// Where the lines end in the text of their batch.
    end: usize,
}

impl Batch {
    /// Appends a line of an exchange that ended at `at`, which `write` writes.
    #[inline]
    pub(super) fn append(&mut self, at: Instant, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.text);
        let end = self.text.len();
        match self.runs.last_mut() {
            Some(last) if last.at == at => last.end = end,
            _ => self.runs.push(Run { at, end }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(super) fn octets(&self) -> usize {
        self.text.len()
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.runs.clear();
    }

    /// Takes the lines out. Few are copied, so that none that wait hold the memory of many.
    pub(super) fn take(&mut self, spares: &Spares) -> Self {
        if self.text.len() >= BUFFER_SIZE / 4 {
            return std::mem::replace(self, spares.take());
        }
        let few = self.clone();
        self.clear();
        few
    }

    /// The octets of the lines of those runs.
    fn text_of(&self, runs: Range<usize>) -> &[u8] {
        let end_of = |index: usize| self.runs[index].end;
        let start = runs.start.checked_sub(1).map_or(0, end_of);
        let end = runs.end.checked_sub(1).map_or(0, end_of);
        &self.text[start..end]
    }
}

/// Buffers that were written, for the workers to use again: their memory is in the caches of the processor,
/// that of a new one is not. The one that was written last is given first.
#[derive(Clone, Default)]
pub(super) struct Spares(Arc<Mutex<Vec<Batch>>>);

impl Spares {
    /// An empty batch with room for as many octets as a worker collects.
    pub(super) fn take(&self) -> Batch {
        let spare = self.lock().pop();
        spare.unwrap_or_else(|| Batch {
            // Room for the line that makes it full.
            text: Vec::with_capacity(BUFFER_SIZE + 1024),
            runs: Vec::new(),
        })
    }

    /// Keeps a batch for later, unless enough are kept, it is a copy of few lines, or a line has made it large.
    fn put(&self, mut batch: Batch) {
        batch.clear();
        let is_of_use = (BUFFER_SIZE..=4 * BUFFER_SIZE).contains(&batch.text.capacity());
        let mut spares = self.lock();
        if is_of_use && spares.len() < SPARES {
            spares.push(batch);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Batch>> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines that are held.
#[derive(Default)]
pub(super) struct Order {
    held: Vec<Held>,
    /// Their octets.
    octets: usize,
    spares: Spares,
    /// Until when lines of a worker that has ended may have to be put among those of the others; `None`: none has
    /// ended.
    mixed_until: Option<Instant>,
}

/// A batch of which some lines may have been taken.
struct Held {
    batch: Batch,
    /// How many runs were taken.
    taken: usize,
}

impl Order {
    /// Holds nothing yet. Batches whose lines are taken become spares.
    pub(super) fn new(spares: Spares) -> Self {
        Self {
            spares,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, batch: Batch) {
        self.octets += batch.octets();
        self.held.push(Held { batch, taken: 0 });
    }

    /// When lines are to be taken; `None` if none is held.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let next = self.held.iter().map(|held| held.batch.runs[held.taken].at);
        next.min().map(|at| at + HOLD + GATHER)
    }

    /// Takes note that at `now` a worker has ended. Its last lines have come; older ones of the others may come yet.
    pub(super) fn note_gone(&mut self, now: Instant) {
        self.mixed_until = Some(now + HOLD);
    }

    /// Gives the lines that are due at `now` to `put`, in their order. `is_alone` says that all further lines come
    /// from one worker: then each is due, once no line of another can lie between them.
    pub(super) fn take_due(&mut self, now: Instant, is_alone: bool, put: impl FnMut(&[u8])) {
        let is_mixed = self.mixed_until.is_some_and(|until| now < until);
        if is_alone && !is_mixed || self.octets > MAX_HELD {
            return self.take_all(put);
        }
        self.take(|run| run.at + HOLD <= now, put);
    }

    /// Gives all lines to `put`, in their order.
    pub(super) fn take_all(&mut self, put: impl FnMut(&[u8])) {
        self.take(|_| true, put);
    }

    /// Takes the runs that are wanted, which in each batch are the first ones: as many at a time as follow each
    /// other, from the batch whose next run is the oldest.
    fn take(&mut self, is_wanted: impl Fn(&Run) -> bool, mut put: impl FnMut(&[u8])) {
        while let Some((place, others)) = self.oldest() {
            let held = &mut self.held[place];
            let is_next = |run: &Run| is_wanted(run) && others.is_none_or(|other| run.at <= other);
            let rest = &held.batch.runs[held.taken..];
            let end = held.taken + rest.partition_point(is_next);
            if end == held.taken {
                break;
            }
            let lines = held.batch.text_of(held.taken..end);
            put(lines);
            self.octets -= lines.len();
            held.taken = end;
            if end == held.batch.runs.len() {
                self.spares.put(self.held.remove(place).batch);
            }
        }
    }

    /// The place of the batch whose next line is the oldest, and when the next line of any other batch
    /// was.
    fn oldest(&self) -> Option<(usize, Option<Instant>)> {
        let next = |held: &Held| held.batch.runs[held.taken].at;
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

    fn due(order: &mut Order, now: Instant, is_alone: bool) -> String {
        let mut text = Vec::new();
        order.take_due(now, is_alone, |lines| text.extend_from_slice(lines));
        String::from_utf8(text).expect("text")
    }

    /// As where `workers` has gone from 2 to 1: the last lines of the worker that has ended come first.
    #[test]
    fn the_lines_of_a_worker_that_has_ended_are_held_for_older_ones_of_the_other() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut order = Order::default();
        order.add(batch(start, &[(2, "b"), (4, "d")]));
        order.note_gone(at(5));
        assert_eq!(due(&mut order, at(5), true), "");
        order.add(batch(start, &[(1, "a"), (3, "c"), (6, "e")]));
        assert_eq!(due(&mut order, at(5) + HOLD, true), "abcde");
        // From then on nothing is held.
        order.add(batch(start, &[(900, "f")]));
        assert_eq!(due(&mut order, at(900), true), "f");
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
        assert_eq!(due(&mut order, start + HOLD, false), "");
        let later = start + Duration::from_millis(100) + HOLD;
        assert_eq!(due(&mut order, later, false), "abcdef");
        let mut rest = Vec::new();
        order.take_all(|lines| rest.extend_from_slice(lines));
        assert_eq!(rest, b"gh");
        assert_eq!((order.next_due(), order.octets), (None, 0));
    }

    #[test]
    fn the_lines_of_one_worker_are_not_held() {
        let start = Instant::now();
        let mut order = Order::default();
        order.add(batch(start, &[(1, "a"), (4, "b"), (4, "c")]));
        assert_eq!(due(&mut order, start, true), "abc");
        assert_eq!(order.next_due(), None);
    }

    #[test]
    fn what_is_held_has_a_bound() {
        let mut order = Order::default();
        let long = "x".repeat(MAX_HELD + 1);
        order.add(batch(Instant::now(), &[(0, &long)]));
        assert_eq!(due(&mut order, Instant::now(), false).len(), long.len());
    }

    #[test]
    fn what_was_taken_is_held_no_longer() {
        let start = Instant::now();
        let mut order = Order::default();
        order.add(batch(start, &[(0, "abc"), (900, "d")]));
        order.add(batch(start, &[(800, "e")]));
        assert_eq!(due(&mut order, start + HOLD, false), "abc");
        assert_eq!(order.octets, 2);
    }

    #[test]
    fn a_buffer_is_used_again_unless_it_is_small_or_large() {
        let spares = Spares::default();
        let mut order = Order::new(spares.clone());
        for (octets, is_kept) in [
            (BUFFER_SIZE, true),
            (BUFFER_SIZE + 1500, true),
            (5 * BUFFER_SIZE, false),
        ] {
            let mut filled = spares.take();
            filled.append(Instant::now(), |out| out.resize(octets, b'x'));
            order.add(filled.take(&spares));
            order.take_all(|lines| assert_eq!(lines.len(), octets));
            assert_eq!(spares.lock().len(), usize::from(is_kept), "{octets}");
        }
        for _ in 0..2 * SPARES {
            spares.put(Batch::default());
            let text = Vec::with_capacity(BUFFER_SIZE);
            spares.put(Batch {
                text,
                ..Batch::default()
            });
        }
        assert_eq!(spares.lock().len(), SPARES);
    }

    #[test]
    fn few_lines_leave_the_buffer_where_it_is() {
        let spares = Spares::default();
        let mut filling = spares.take();
        let memory = filling.text.as_ptr();
        filling.append(Instant::now(), |out| out.extend_from_slice(b"few\n"));
        let few = filling.take(&spares);
        assert_eq!((few.text(), few.runs.len()), (&b"few\n"[..], 1));
        assert!(few.text.capacity() < BUFFER_SIZE);
        assert!(filling.is_empty() && filling.text.as_ptr() == memory);
    }
}
