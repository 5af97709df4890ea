//! What the server counts: each worker's own counters, those that all workers share, and the form in which
//! monitoring systems read them.
//!
//! `status` and `metrics` are two views of the same counters.

mod counter;
pub(crate) mod exchanges;
pub(crate) mod exposition;
pub(crate) mod families;
pub(crate) mod process;
pub(crate) mod series;
pub(crate) mod tally;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

pub(crate) use counter::Counter;
use exchanges::ExchangeCells;

use crate::reason::Reason;
use crate::throttle::clients::Clients;

/// The counters that all workers share.
#[derive(Debug, Default)]
pub(crate) struct ProcessCounters {
    /// How many connections are open, for `max_connections`.
    pub(crate) connections: AtomicUsize,
    /// How many each client has open, for `connections_per_client`.
    pub(crate) clients: Arc<Clients>,
}

/// The ways in which an exchange can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its response was sent to the end, or put with others into one write.
    Answered,
    /// Its request could not be read, and was answered 4xx or 5xx.
    Refused,
    /// The head of its request did not come in time, and was answered 408.
    TimedOut,
    /// It came on one connection too many, and was answered 503.
    TurnedAway,
    /// Its client left before there was a response.
    ClientLeft,
    /// Its response could not be sent to the end: the client left or took nothing, or the content
    /// broke off.
    BrokenOff,
    /// It was under way when `grace` was over, or when its connection panicked.
    Cut,
}

impl End {
    const COUNT: usize = Self::ALL.len();

    /// In the order of their numbers.
    const ALL: [Self; 7] = [
        Self::Answered,
        Self::Refused,
        Self::TimedOut,
        Self::TurnedAway,
        Self::ClientLeft,
        Self::BrokenOff,
        Self::Cut,
    ];

    /// How it ended, as a label tells it.
    fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::TurnedAway => "turned_away",
            Self::ClientLeft => "client_left",
            Self::BrokenOff => "broken_off",
            Self::Cut => "cut",
        }
    }

    /// How it ended, as the log tells it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Answered => "it was answered",
            Self::Refused => "the request could not be read",
            Self::TimedOut => "the head of the request did not come in time",
            Self::TurnedAway => "it was one connection too many",
            Self::ClientLeft => "the client left before there was a response",
            Self::BrokenOff => "the response was not sent to its end",
            Self::Cut => "it was cut by the end of the grace period, or by a panic",
        }
    }
}

/// The counters of one worker. Only that worker writes to them, so it needs no locked instruction; and
/// they share no cache line with those of another.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// How many connections are open now.
    pub(crate) open: Counter,
    /// How many connections were accepted.
    pub(crate) accepted: Counter,
    /// How many connections were refused because their clients had as many as they may.
    pub(crate) too_many_of_client: Counter,
    /// How many connections are tunnels now.
    pub(crate) tunnels: Counter,
    /// The handshakes of TLS.
    pub(crate) handshakes: HandshakeCounters,
    /// Those of them that belong to streams.
    pub(crate) streams: StreamCounters,
    /// How many connections of HTTP are idle. Written when the loop is probed, which every scrape does.
    pub(crate) idle: Counter,
    /// The caches of files. Written when the loop is probed, as `idle`.
    pub(crate) files: FileCacheCounters,
    /// How many exchanges have ended, by [`End`].
    ended: [Counter; End::COUNT],
    /// How many of them had a reason, by reason.
    pub(crate) reasons: ReasonCounters,
    /// The same by route, method and status, with durations and sizes.
    pub(crate) exchanges: ExchangeCells,
}

/// How many exchanges have ended for each reason.
#[derive(Debug)]
pub(crate) struct ReasonCounters([Counter; Reason::COUNT]);

impl Default for ReasonCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl ReasonCounters {
    /// Counts an exchange that has ended for `reason`.
    pub(crate) fn count(&self, reason: Reason) {
        self.0[reason as usize].add(1);
    }

    /// How many exchanges have ended for `reason`.
    pub(crate) fn read(&self, reason: Reason) -> u64 {
        self.0[reason as usize].read()
    }
}

/// The handshakes of TLS that clients began: at least a first octet of one has come.
#[derive(Debug, Default)]
pub(crate) struct HandshakeCounters {
    /// How many led to a session.
    pub(crate) complete: Counter,
    /// How many did not.
    pub(crate) failed: Counter,
}

/// The connections of streams.
#[derive(Debug, Default)]
pub(crate) struct StreamCounters {
    /// How many are open now.
    pub(crate) open: Counter,
    /// How many were accepted.
    pub(crate) accepted: Counter,
}

/// What a worker's caches of files hold, and what became of the looks into them.
#[derive(Debug, Default)]
pub(crate) struct FileCacheCounters {
    /// Looks that the caches answered.
    pub(crate) hits: Counter,
    /// Looks at the disk, because the caches had no answer.
    pub(crate) misses: Counter,
    /// Files whose content is in memory.
    pub(crate) content: HeldCounters,
    /// Files that are open.
    pub(crate) open: HeldCounters,
    /// Paths that lead to no file.
    pub(crate) no_file: HeldCounters,
}

/// What a cache holds now.
#[derive(Debug, Default)]
pub(crate) struct HeldCounters {
    pub(crate) entries: Counter,
    /// What they weigh.
    pub(crate) bytes: Counter,
}

impl FileCacheCounters {
    /// Says that the caches are gone. Looks stay counted.
    fn hold_nothing(&self) {
        for held in [&self.content, &self.open, &self.no_file] {
            held.entries.set(0);
            held.bytes.set(0);
        }
    }
}

impl Counters {
    /// Says that the worker is gone, and with it what it held.
    pub(crate) fn hold_nothing(&self) {
        self.idle.set(0);
        self.files.hold_nothing();
    }

    /// Counts an exchange that has ended.
    pub(crate) fn ended(&self, end: End) {
        self.ended[end as usize].add(1);
    }

    /// How many exchanges have ended, in any way.
    pub(crate) fn requests(&self) -> u64 {
        self.ended.iter().map(Counter::read).sum()
    }

    /// How many exchanges have ended so, and the word for it.
    pub(crate) fn ends() -> impl Iterator<Item = (&'static str, impl Fn(&Self) -> u64)> {
        let of_end = |end: End| {
            (end.word(), move |counters: &Self| {
                counters.ended[end as usize].read()
            })
        };
        End::ALL.into_iter().map(of_end)
    }

    /// Adds the counts of a worker that has ended.
    pub(crate) fn absorb(&self, ended: &Self) {
        self.open.add(ended.open.read());
        self.accepted.add(ended.accepted.read());
        self.tunnels.add(ended.tunnels.read());
        self.too_many_of_client.add(ended.too_many_of_client.read());
        self.handshakes
            .complete
            .add(ended.handshakes.complete.read());
        self.handshakes.failed.add(ended.handshakes.failed.read());
        self.streams.open.add(ended.streams.open.read());
        self.streams.accepted.add(ended.streams.accepted.read());
        // A worker that has ended holds nothing, so the rest of its `files` is not added.
        self.files.hits.add(ended.files.hits.read());
        self.files.misses.add(ended.files.misses.read());
        for (sum, counter) in self.ended.iter().zip(&ended.ended) {
            sum.add(counter.read());
        }
        for (sum, counter) in self.reasons.0.iter().zip(&ended.reasons.0) {
            sum.add(counter.read());
        }
        self.exchanges.absorb(&ended.exchanges);
    }
}
