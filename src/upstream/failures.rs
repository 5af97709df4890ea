//! What clients' requests show of a server: failures, and the pauses that follow from them.
//!
//! ```text
//!          `max` failures within `within`               the pause is over, and a request is chosen for it
//!   Well ────────────────────────────────→ Paused ──────────────────────────────────→ Tried
//!    ↑                                       ↑  ↑                                     │ │ │
//!    │ SLOW_START is over                    │  └── it fails: a longer pause ─────────┘ │ │
//!    │                                       └── it ends without an outcome ────────────┘ │
//!   Rising ←──────────────────────────────────── it succeeds ─────────────────────────────┘
//! ```
//!
//! In `Rising` the server's share grows, for a server that has just started may be slow, and would fail
//! again under all that it had before. A pause that begins in `Rising` or `Tried` follows another, and
//! is twice as long as that.
//!
//! Workers ask for the state with every request, so it is one atomic. It is changed seldom, under a lock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::model::Failures;

/// How long the share of a server grows that was in a pause.
const SLOW_START: Duration = Duration::from_secs(10);

/// The longest pause, as a multiple of the first.
const LONGEST_PAUSE: u32 = 20;

/// A server's full share. Less of it, in steps of one, is a server that rises.
pub(super) const FULL_SHARE: u64 = 256;

/// The share that a server begins to rise with.
const FIRST_SHARE: u64 = 16;

/// The failures of one server.
#[derive(Debug)]
pub(super) struct Record {
    /// Times are counted from here.
    start: Instant,
    /// A [`Phase`].
    phase: AtomicU64,
    /// Milliseconds from `start` to the last failure.
    last: AtomicU64,
    /// All failures there were.
    total: AtomicU64,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    /// Milliseconds from the start to each of the last failures.
    recent: VecDeque<u64>,
    /// How many pauses have followed one another.
    pauses: u32,
}

/// Whether a server is asked at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is asked. `share` of [`FULL_SHARE`] is what it gets of its weight.
    Asked { share: u64 },
    /// It is not asked until this time has passed.
    Paused { left: Duration },
    /// Its pause is over: one request shall try it.
    Due,
    /// A request is trying it.
    Tried,
}

/// What a request has changed, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Paused(Duration),
    Returned,
}

/// The state; times are milliseconds from the start of the record.
#[derive(Clone, Copy)]
enum Phase {
    Well,
    Paused { until: u64 },
    Tried,
    Rising { since: u64 },
}

impl Phase {
    const TIME: u64 = (1 << 62) - 1;

    fn decode(bits: u64) -> Self {
        let time = bits & Self::TIME;
        match bits >> 62 {
            0 => Self::Well,
            1 => Self::Paused { until: time },
            2 => Self::Tried,
            _ => Self::Rising { since: time },
        }
    }

    fn encode(self) -> u64 {
        match self {
            Self::Well => 0,
            Self::Paused { until } => 1 << 62 | until,
            Self::Tried => 2 << 62,
            Self::Rising { since } => 3 << 62 | since,
        }
    }
}

impl Record {
    /// No failures, at `start`.
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            phase: AtomicU64::new(Phase::Well.encode()),
            last: AtomicU64::new(0),
            total: AtomicU64::new(0),
            history: Mutex::default(),
        }
    }

    /// Whether the server is asked at `now`.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        match self.phase() {
            Phase::Well => Standing::Asked { share: FULL_SHARE },
            Phase::Tried => Standing::Tried,
            Phase::Paused { until } => match until.checked_sub(self.time(now)) {
                None | Some(0) => Standing::Due,
                Some(left) => Standing::Paused {
                    left: Duration::from_millis(left),
                },
            },
            Phase::Rising { since } => Standing::Asked {
                share: share_after(self.time(now).saturating_sub(since)),
            },
        }
    }

    /// All failures there were.
    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// When it failed last, as a number that grows with time.
    pub(super) fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Has the caller's request try the server, whose pause is over. Returns `false` if another
    /// request does so already.
    pub(super) fn begin_trial(&self, now: Instant) -> bool {
        let _history = self.lock();
        let is_due = self.standing(now) == Standing::Due;
        if is_due {
            self.set(Phase::Tried);
        }
        is_due
    }

    /// Takes note that the request which tried the server has ended without an outcome. The next
    /// request tries the server.
    pub(super) fn abandon_trial(&self) {
        let _history = self.lock();
        if let Phase::Tried = self.phase() {
            self.set(Phase::Paused { until: 0 });
        }
    }

    /// Takes note that a request has succeeded: the one that tried the server, or one that was sent during a
    /// pause.
    pub(super) fn note_trial_success(&self, now: Instant) -> Option<Change> {
        let mut history = self.lock();
        match self.phase() {
            Phase::Well | Phase::Rising { .. } => None,
            Phase::Paused { .. } | Phase::Tried => {
                history.recent.clear();
                self.set(Phase::Rising {
                    since: self.time(now),
                });
                Some(Change::Returned)
            }
        }
    }

    /// Takes note that a request has failed; `is_trial`: it is the one that tried the server.
    pub(super) fn note_failure(
        &self,
        now: Instant,
        limits: &Failures,
        is_trial: bool,
    ) -> Option<Change> {
        let time = self.time(now);
        self.total.fetch_add(1, Ordering::Relaxed);
        self.last.fetch_max(time, Ordering::Relaxed);
        let mut history = self.lock();
        let follows = match self.phase() {
            // The request began before the pause.
            Phase::Paused { .. } => return None,
            Phase::Tried if !is_trial => return None,
            Phase::Tried => return self.pause(&mut history, time, limits, true),
            Phase::Rising { since } => share_after(time.saturating_sub(since)) < FULL_SHARE,
            Phase::Well => false,
        };
        if limits.max == 0 {
            return None;
        }
        history.recent.push_back(time);
        let within = milliseconds(limits.within);
        let first = history.recent.len().saturating_sub(limits.max as usize);
        history.recent.drain(..first);
        let is_full = history.recent.len() == limits.max as usize;
        let is_soon = time.saturating_sub(history.recent[0]) <= within;
        if is_full && is_soon {
            return self.pause(&mut history, time, limits, follows);
        }
        None
    }

    /// Begins a pause; `follows`: the server has hardly returned from another.
    fn pause(
        &self,
        history: &mut History,
        time: u64,
        limits: &Failures,
        follows: bool,
    ) -> Option<Change> {
        history.recent.clear();
        history.pauses = if follows { history.pauses + 1 } else { 1 };
        let doubled = 1u32.checked_shl(history.pauses - 1).unwrap_or(u32::MAX);
        let pause = limits.pause.saturating_mul(doubled.min(LONGEST_PAUSE));
        let until = time.saturating_add(milliseconds(pause)).min(Phase::TIME);
        self.set(Phase::Paused { until });
        Some(Change::Paused(pause))
    }

    /// Forgets the failures, and lets the share grow: a health check has shown that the server is
    /// well again.
    pub(super) fn restart(&self, now: Instant) {
        let mut history = self.lock();
        *history = History::default();
        self.set(Phase::Rising {
            since: self.time(now),
        });
    }

    fn phase(&self) -> Phase {
        Phase::decode(self.phase.load(Ordering::Acquire))
    }

    /// Changes the phase. Only called under the lock.
    fn set(&self, phase: Phase) {
        self.phase.store(phase.encode(), Ordering::Release);
    }

    fn time(&self, now: Instant) -> u64 {
        milliseconds(now.saturating_duration_since(self.start))
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        // A poisoned lock does no harm: every change is one assignment, so that none is left half done.
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of a server that has been rising for so many milliseconds.
fn share_after(elapsed: u64) -> u64 {
    let grown = (FULL_SHARE - FIRST_SHARE) * elapsed / milliseconds(SLOW_START);
    (FIRST_SHARE + grown).min(FULL_SHARE)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(Phase::TIME)
        .min(Phase::TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Failures = Failures {
        max: 3,
        within: Duration::from_secs(10),
        pause: Duration::from_secs(5),
    };

    /// A record, and a function from seconds to moments.
    fn record() -> (Record, impl Fn(f64) -> Instant) {
        let start = Instant::now();
        let at = move |seconds| start + Duration::from_secs_f64(seconds);
        (Record::new(start), at)
    }

    fn paused(seconds: u64) -> Option<Change> {
        Some(Change::Paused(Duration::from_secs(seconds)))
    }

    #[test]
    fn so_many_failures_within_the_time_are_a_pause() {
        let (record, at) = record();
        assert_eq!(record.note_failure(at(0.0), &LIMITS, false), None);
        assert_eq!(record.note_failure(at(6.0), &LIMITS, false), None);
        // The first is longer ago than the time.
        assert_eq!(record.note_failure(at(11.0), &LIMITS, false), None);
        assert_eq!(record.note_failure(at(12.0), &LIMITS, false), paused(5));
        let left = Duration::from_secs(4);
        assert_eq!(record.standing(at(13.0)), Standing::Paused { left });
        assert_eq!(record.standing(at(17.0)), Standing::Due);
        assert_eq!(record.total(), 4);
    }

    #[test]
    fn without_a_maximum_there_is_no_pause() {
        let (record, at) = record();
        let limits = Failures { max: 0, ..LIMITS };
        for _ in 0..100 {
            assert_eq!(record.note_failure(at(0.0), &limits, false), None);
        }
        assert_eq!(
            record.standing(at(0.0)),
            Standing::Asked { share: FULL_SHARE }
        );
    }

    fn one_failure() -> Failures {
        Failures { max: 1, ..LIMITS }
    }

    #[test]
    fn pauses_in_a_row_double_up_to_twenty_times() {
        let (record, at) = record();
        let limits = one_failure();
        let mut now = 0.0;
        for expected in [5, 10, 20, 40, 80, 100, 100] {
            assert_eq!(
                record.note_failure(at(now), &limits, true),
                paused(expected)
            );
            now += expected as f64;
            assert!(record.begin_trial(at(now)), "after {expected} s");
        }
    }

    #[test]
    fn one_request_tries_a_server_after_its_pause() {
        let (record, at) = record();
        record.note_failure(at(0.0), &one_failure(), false);
        assert!(!record.begin_trial(at(4.9)), "it is still paused");
        assert!(record.begin_trial(at(5.0)));
        assert!(!record.begin_trial(at(5.0)), "another one tries it");
        assert_eq!(record.standing(at(5.0)), Standing::Tried);
        // A failure of a request that began before the pause says nothing about the trial.
        let other = record.note_failure(at(5.1), &one_failure(), false);
        assert_eq!((other, record.standing(at(5.1))), (None, Standing::Tried));
        record.abandon_trial();
        assert_eq!(record.standing(at(5.2)), Standing::Due);
        assert!(record.begin_trial(at(5.2)), "the next one tries it");
    }

    #[test]
    fn after_a_trial_the_share_grows() {
        let (record, at) = record();
        record.note_failure(at(0.0), &one_failure(), false);
        assert!(record.begin_trial(at(5.0)));
        assert_eq!(record.note_trial_success(at(5.0)), Some(Change::Returned));
        assert_eq!(record.note_trial_success(at(5.0)), None);
        let share = |seconds| match record.standing(at(seconds)) {
            Standing::Asked { share } => share,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            [5.0, 10.0, 15.0, 99.0].map(share),
            [FIRST_SHARE, 136, FULL_SHARE, FULL_SHARE]
        );
    }

    #[test]
    fn a_pause_after_the_slow_start_does_not_follow_the_one_before() {
        for (seconds, expected) in [(14.0, 10), (15.0, 5)] {
            let (record, at) = record();
            record.note_failure(at(0.0), &one_failure(), false);
            assert!(record.begin_trial(at(5.0)));
            record.note_trial_success(at(5.0));
            let change = record.note_failure(at(seconds), &one_failure(), false);
            assert_eq!(change, paused(expected), "after {seconds} s");
        }
    }

    #[test]
    fn failures_during_a_pause_do_not_prolong_it() {
        let (record, at) = record();
        record.note_failure(at(0.0), &one_failure(), false);
        assert_eq!(record.note_failure(at(4.0), &one_failure(), false), None);
        assert_eq!(record.standing(at(5.0)), Standing::Due);
        assert_eq!(record.last(), 4000);
    }
}
