//! Counts of exchanges by series, method and class of status: how many, how long they took, and how much
//! content they carried.
//!
//! ```text
//! worker: ExchangeTable    series → method and class → ─┐
//!                                                        ├→ Arc<ExchangeCounters>: one thread writes
//! scrape: ExchangeCells    (series, method and class) → ─┘
//! ```
//!
//! The worker finds its counters by two indices and adds to them with plain loads and stores. Counters are
//! made with the first exchange of their kind; only then is the lock taken that a scrape takes, too.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counter::Counter;
use super::series::{SeriesId, UNKNOWN};
use crate::http::method::Method;
use crate::http::status::Status;

/// The upper bounds of the histogram's buckets, as the exposition writes them, in seconds and in nanoseconds.
/// The last bucket has none.
pub(crate) const BOUNDS: [(&str, u64); 15] = [
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1.0", 1_000_000_000),
    ("2.5", 2_500_000_000),
    ("5.0", 5_000_000_000),
    ("10.0", 10_000_000_000),
    ("30.0", 30_000_000_000),
];

/// The buckets, with the one for all that is longer.
pub(crate) const BUCKETS: usize = BOUNDS.len() + 1;

/// The classes of status: `1xx` to `9xx`.
const CLASSES: usize = 9;

/// How many methods are counted each by itself: those up to SEARCH. The others share one count, [`OTHER`], because
/// each worker has a place for each kind in each series, and because any client may send any of them.
const COUNTED_ALONE: usize = Method::Search as usize + 1;

/// How labels and JSON name the methods that share a count.
const OTHER: &str = "other";

/// Each class for each method that is counted by itself, for all others, and for requests whose method is not known.
const KINDS: usize = (COUNTED_ALONE + 2) * CLASSES;

/// The method and the class of status of an exchange, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind(u8);

const _: () = assert!(KINDS <= u8::MAX as usize);

impl Kind {
    #[inline]
    pub(crate) fn of(method: Option<Method>, status: Status) -> Self {
        let method = method.map_or(0, |method| (method as usize).min(COUNTED_ALONE) + 1);
        let class = usize::from(status.code()) / 100 - 1;
        // A status has three digits.
        Self((method * CLASSES + class) as u8)
    }

    #[inline]
    fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The method, as labels and JSON write it.
    pub(crate) fn method(self) -> &'static str {
        match self.index() / CLASSES {
            0 => UNKNOWN,
            nth if nth <= COUNTED_ALONE => Method::ALL[nth - 1].as_str(),
            _ => OTHER,
        }
    }

    /// The first digit of the status.
    pub(crate) fn class(self) -> usize {
        self.index() % CLASSES + 1
    }
}

/// What was measured of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) duration: Duration,
    /// Octets of the request's content that were read, without the framing of chunks.
    pub(crate) received: u64,
    /// The same of the response's content that were sent.
    pub(crate) sent: u64,
}

/// The counts of the exchanges of one kind in one series. Only one thread adds to them.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct ExchangeCounters {
    received: Counter,
    sent: Counter,
    nanoseconds: Counter,
    buckets: [Counter; BUCKETS],
}

impl ExchangeCounters {
    #[inline]
    fn add(&self, measured: Measured) {
        self.sent.add(measured.sent);
        if measured.duration.is_zero() && measured.received == 0 {
            self.buckets[0].add(1);
        } else {
            self.add_waited(measured);
        }
    }

    /// Adds the counts of a worker that has ended.
    fn absorb(&self, ended: &Self) {
        self.received.add(ended.received.read());
        self.sent.add(ended.sent.read());
        self.nanoseconds.add(ended.nanoseconds.read());
        for (sum, bucket) in self.buckets.iter().zip(&ended.buckets) {
            sum.add(bucket.read());
        }
    }

    fn add_waited(&self, measured: Measured) {
        let (seconds, rest) = (
            measured.duration.as_secs(),
            measured.duration.subsec_nanos(),
        );
        let nanoseconds = seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(rest));
        self.received.add(measured.received);
        self.nanoseconds.add(nanoseconds);
        let bucket = BOUNDS.iter().position(|(_, bound)| nanoseconds <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].add(1);
    }
}

/// The sum of such counts over several workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExchangeSum {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) nanoseconds: u64,
    pub(crate) buckets: [u64; BUCKETS],
}

impl ExchangeSum {
    fn add(&mut self, counters: &ExchangeCounters) {
        self.received += counters.received.read();
        self.sent += counters.sent.read();
        self.nanoseconds += counters.nanoseconds.read();
        for (sum, bucket) in self.buckets.iter_mut().zip(&counters.buckets) {
            *sum += bucket.read();
        }
    }

    /// How many exchanges there were.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// Sums by series and kind.
pub(crate) type ExchangeSums = HashMap<(SeriesId, Kind), ExchangeSum>;

/// The counters of one worker, for those that read them.
#[derive(Debug, Default)]
pub(crate) struct ExchangeCells(Mutex<HashMap<(SeriesId, Kind), Arc<ExchangeCounters>>>);

impl ExchangeCells {
    /// Those of this kind, which are made if there are none.
    fn get(&self, series: SeriesId, kind: Kind) -> Arc<ExchangeCounters> {
        Arc::clone(self.lock().entry((series, kind)).or_default())
    }

    /// Adds the counts of a worker that has ended.
    pub(super) fn absorb(&self, ended: &Self) {
        for ((series, kind), counters) in &*ended.lock() {
            self.get(*series, *kind).absorb(counters);
        }
    }

    /// Adds the counts to `sums`.
    pub(super) fn add_to(&self, sums: &mut ExchangeSums) {
        for (key, counters) in &*self.lock() {
            sums.entry(*key).or_default().add(counters);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(SeriesId, Kind), Arc<ExchangeCounters>>> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters of a series by kind.
type OfSeries = Box<[Option<Arc<ExchangeCounters>>; KINDS]>;

/// The counters of one worker, as the worker finds them.
#[derive(Default)]
pub(crate) struct ExchangeTable(RefCell<Vec<Option<OfSeries>>>);

impl ExchangeTable {
    /// Counts an exchange; `cells` has the counters of the worker that this table is of.
    #[inline]
    pub(crate) fn count(
        &self,
        cells: &ExchangeCells,
        series: SeriesId,
        kind: Kind,
        measured: Measured,
    ) {
        let table = self.0.borrow();
        if let Some(Some(of_series)) = table.get(series.index())
            && let Some(counters) = &of_series[kind.index()]
        {
            return counters.add(measured);
        }
        drop(table);
        self.count_first(cells, series, kind, measured);
    }

    /// Counts the first exchange of its kind.
    #[cold]
    fn count_first(&self, cells: &ExchangeCells, series: SeriesId, kind: Kind, measured: Measured) {
        let mut table = self.0.borrow_mut();
        if table.len() <= series.index() {
            table.resize_with(series.index() + 1, || None);
        }
        let none = || Box::new([const { None }; KINDS]);
        let of_series = table[series.index()].get_or_insert_with(none);
        let counters = of_series[kind.index()].insert(cells.get(series, kind));
        counters.add(measured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> Status {
        Status::from_code(code).expect("valid")
    }

    #[test]
    fn a_kind_is_a_method_and_a_class_of_status() {
        let mut seen = std::collections::HashSet::new();
        let (alone, others) = Method::ALL.split_at(COUNTED_ALONE);
        let methods = alone.iter().map(|method| (Some(*method), method.as_str()));
        for (method, name) in methods.chain([(None, "-"), (Some(others[0]), "other")]) {
            for class in 1..=9 {
                let kind = Kind::of(method, status(class * 100 + 7));
                assert_eq!((kind.method(), kind.class()), (name, usize::from(class)));
                assert!(seen.insert(kind) && kind.index() < KINDS);
            }
        }
        assert_eq!(seen.len(), KINDS);
        for method in others {
            assert_eq!(Kind::of(Some(*method), Status::OK).method(), "other");
        }
    }

    #[test]
    fn counts_stand_in_the_bucket_of_their_duration() {
        let (cells, table) = (ExchangeCells::default(), ExchangeTable::default());
        let kind = Kind::of(Some(Method::Get), Status::OK);
        let count = |nanoseconds, received, sent| {
            let duration = Duration::from_nanos(nanoseconds);
            let measured = Measured {
                duration,
                received,
                sent,
            };
            table.count(&cells, SeriesId::NONE, kind, measured);
        };
        count(0, 0, 3);
        count(0, 2, 3);
        count(1_000_000, 0, 1);
        count(1_000_001, 0, 0);
        count(31_000_000_000, 0, 0);
        let mut sums = ExchangeSums::new();
        cells.add_to(&mut sums);
        let sum = sums[&(SeriesId::NONE, kind)];
        assert_eq!((sum.received, sum.sent, sum.count()), (2, 7, 5));
        assert_eq!(sum.nanoseconds, 31_002_000_001);
        assert_eq!(sum.buckets[..3], [2, 1, 1]);
        assert_eq!(sum.buckets[BUCKETS - 1], 1);
    }

    #[test]
    fn a_worker_in_the_place_of_another_goes_on_counting() {
        let cells = ExchangeCells::default();
        let kind = Kind::of(None, Status::BAD_REQUEST);
        for _ in 0..2 {
            let table = ExchangeTable::default();
            table.count(&cells, SeriesId::NONE, kind, Measured::default());
        }
        let mut sums = ExchangeSums::new();
        cells.add_to(&mut sums);
        assert_eq!(sums[&(SeriesId::NONE, kind)].count(), 2);
    }

    #[test]
    fn bounds_are_what_they_are_called() {
        for (name, nanoseconds) in BOUNDS {
            let seconds: f64 = name.parse().expect("a number");
            assert_eq!(
                Duration::from_secs_f64(seconds),
                Duration::from_nanos(nanoseconds)
            );
        }
        assert!(BOUNDS.is_sorted_by_key(|(_, nanoseconds)| *nanoseconds));
    }
}
