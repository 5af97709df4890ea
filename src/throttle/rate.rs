//! A rate that holds: what the operator says of it, and its buckets, which outlive reloads.

use std::collections::TryReserveError;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::gcra::{Decision, Gcra};
use super::key::{self, Asked};
use super::table::Table;
use crate::config::model;

/// A `[rates.NAME]`.
#[derive(Debug)]
pub(crate) struct Rate {
    pub(crate) options: model::Rate,
    buckets: Arc<Buckets>,
}

/// The buckets of a rate, and what became of requests.
#[derive(Debug)]
pub(crate) struct Buckets {
    gcra: Gcra,
    keys: Vec<model::RateKey>,
    /// So that no client knows the hash of a key.
    secret: RandomState,
    table: Table,
    /// The moment that times are counted from.
    epoch: Instant,
    held: AtomicU64,
    refused: AtomicU64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) verdict: Verdict,
    /// Requests that are left in its bucket.
    pub(crate) left: u32,
    /// Seconds until the bucket is full, rounded up.
    pub(crate) full_after: u32,
}

/// Whether a request goes on. Times are rounded up: who comes then does not come too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Passes,
    /// After so many milliseconds.
    Held(u32),
    /// A request after so many milliseconds would pass.
    Refused(u32),
}

impl Verdict {
    /// How long the request has to wait, or would have to.
    pub(crate) fn wait(self) -> Duration {
        match self {
            Self::Passes => Duration::ZERO,
            Self::Held(wait) | Self::Refused(wait) => Duration::from_millis(wait.into()),
        }
    }
}

/// What `status` tells of a rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateCounts {
    /// Requests that had to wait.
    pub(crate) held: u64,
    pub(crate) refused: u64,
    /// Keys that were forgotten for others before their buckets were full again.
    pub(crate) evicted: u64,
}

impl Rate {
    /// A rate whose buckets are `buckets`, which were made for the same.
    pub(crate) fn new(options: &model::Rate, buckets: Arc<Buckets>) -> Self {
        Self {
            options: options.clone(),
            buckets,
        }
    }

    /// Takes a request out of its bucket at `now`, if it is not refused.
    pub(super) fn take(&self, asked: &Asked<'_>, now: Instant) -> Taken {
        self.buckets.take(asked, now, self.options.max_delay)
    }

    /// Puts a request back into its bucket.
    pub(super) fn give_back(&self, asked: &Asked<'_>, now: Instant) {
        self.buckets.give_back(asked, now);
    }

    /// What would become of a request, which takes nothing.
    pub(crate) fn look(&self, asked: &Asked<'_>, now: Instant) -> Taken {
        self.buckets.look(asked, now, self.options.max_delay)
    }

    pub(crate) fn counts(&self) -> RateCounts {
        RateCounts {
            held: self.buckets.held.load(Ordering::Relaxed),
            refused: self.buckets.refused.load(Ordering::Relaxed),
            evicted: self.buckets.table.evicted(),
        }
    }
}

impl Buckets {
    /// Full ones, for every key, at `epoch`.
    ///
    /// # Errors
    /// The system does not give the memory for them.
    pub(crate) fn new(options: &model::Bucket, epoch: Instant) -> Result<Self, TryReserveError> {
        Ok(Self {
            gcra: Gcra::new(options.requests, options.period, options.burst),
            keys: options.keys.clone(),
            secret: RandomState::new(),
            table: Table::new(options.max_keys)?,
            epoch,
            held: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    fn take(&self, asked: &Asked<'_>, now: Instant, patience: Duration) -> Taken {
        let (key, now) = (self.key(asked), self.nanos(now));
        let patience = nanos(patience);
        let taken = self.table.change(key, now, |full_at, now| {
            match self.gcra.decide(full_at, now, patience) {
                Decision::Taken { full_at, wait } => {
                    (Some(full_at), self.taken(full_at, now, wait))
                }
                Decision::Refused { wait } => (None, self.refused(full_at, now, wait)),
            }
        });
        match taken.verdict {
            Verdict::Passes => {}
            Verdict::Held(_) => count(&self.held),
            Verdict::Refused(_) => count(&self.refused),
        }
        taken
    }

    fn give_back(&self, asked: &Asked<'_>, now: Instant) {
        self.table
            .change(self.key(asked), self.nanos(now), |full_at, _| {
                // A key that was forgotten meanwhile has a full bucket.
                let is_known = full_at > 0;
                (is_known.then(|| self.gcra.give_back(full_at)), ())
            });
    }

    fn look(&self, asked: &Asked<'_>, now: Instant, patience: Duration) -> Taken {
        let (key, now) = (self.key(asked), self.nanos(now));
        let decide = |full_at, now| match self.gcra.decide(full_at, now, nanos(patience)) {
            Decision::Taken { full_at, wait } => self.taken(full_at, now, wait),
            Decision::Refused { wait } => self.refused(full_at, now, wait),
        };
        self.table
            .change(key, now, |full_at, now| (None, decide(full_at, now)))
    }

    fn taken(&self, full_at: u64, now: u64, wait: u64) -> Taken {
        let verdict = match wait {
            0 => Verdict::Passes,
            wait => Verdict::Held(milliseconds(wait)),
        };
        self.standing(verdict, full_at, now)
    }

    fn refused(&self, full_at: u64, now: u64, wait: u64) -> Taken {
        self.standing(Verdict::Refused(milliseconds(wait)), full_at, now)
    }

    fn standing(&self, verdict: Verdict, full_at: u64, now: u64) -> Taken {
        let full_after = full_at.saturating_sub(now).div_ceil(NANOS_OF_SECOND);
        Taken {
            verdict,
            left: u32::try_from(self.gcra.left(full_at, now)).unwrap_or(u32::MAX),
            full_after: u32::try_from(full_after).unwrap_or(u32::MAX),
        }
    }

    fn key(&self, asked: &Asked<'_>) -> u64 {
        key::hash(&self.secret, &self.keys, asked)
    }

    fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.epoch))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Without the 128 bits of `Duration::as_nanos`: every request is counted at some moment.
fn nanos(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(NANOS_OF_SECOND);
    whole.saturating_add(duration.subsec_nanos().into())
}

fn milliseconds(nanos: u64) -> u32 {
    u32::try_from(nanos.div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

const NANOS_OF_SECOND: u64 = 1_000_000_000;
