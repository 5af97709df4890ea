//! What can be read of the server on any thread: the metrics, while the supervisor's thread is busy with a
//! reload, too.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::certificates;
use crate::control::reach::{Phase, Readiness};
use crate::generation::Generation;
use crate::handlers;
use crate::log::access::LostLines;
use crate::log::diagnostic;
use crate::metrics::exchanges::ExchangeSum;
use crate::metrics::exposition::{Exposition, Form, Seconds, Written};
use crate::metrics::families as of;
use crate::metrics::process::ProcessFacts;
use crate::metrics::series::UNKNOWN;
use crate::metrics::tally::Tally;
use crate::metrics::{Counter, Counters, FileCacheCounters, HeldCounters};
use crate::runtime::{PoolState, Pools};
use crate::server::Roster;
use crate::throttle::rate::RateCounts;
use crate::upstream::ServerReport;

/// How long a scrape waits for the event loops.
const PATIENCE: Duration = Duration::from_millis(250);

/// What can be read of the server on any thread.
pub(super) struct Observed {
    started: SystemTime,
    pub(super) readiness: Arc<Readiness>,
    running: ArcSwap<Running>,
    reloads_applied: AtomicU64,
    reloads_refused: AtomicU64,
    /// Whether the last reload was refused.
    was_refused: AtomicBool,
    tally: Mutex<Tally>,
    roster: Arc<Roster>,
    pools: Pools,
    /// Of each access log.
    lost: Vec<LostLines>,
}

/// The configuration that runs.
struct Running {
    number: u64,
    since: SystemTime,
    generation: Arc<Generation>,
}

impl Observed {
    /// What is known at the start, with the first generation.
    pub(super) fn new(
        generation: &Arc<Generation>,
        pools: &Pools,
        roster: &Arc<Roster>,
        lost: Vec<LostLines>,
    ) -> Arc<Self> {
        let started = SystemTime::now();
        Arc::new(Self {
            started,
            readiness: Arc::default(),
            running: ArcSwap::from_pointee(Running {
                number: 1,
                since: started,
                generation: Arc::clone(generation),
            }),
            reloads_applied: AtomicU64::new(0),
            reloads_refused: AtomicU64::new(0),
            was_refused: AtomicBool::new(false),
            tally: Mutex::default(),
            roster: Arc::clone(roster),
            pools: pools.clone(),
            lost,
        })
    }

    /// Takes note that another generation runs.
    pub(super) fn adopt(&self, number: u64, since: SystemTime, generation: &Arc<Generation>) {
        self.running.store(Arc::new(Running {
            number,
            since,
            generation: Arc::clone(generation),
        }));
    }

    /// Takes note of how a reload ended.
    pub(super) fn note_reload(&self, is_applied: bool) {
        let count = if is_applied {
            &self.reloads_applied
        } else {
            &self.reloads_refused
        };
        count.fetch_add(1, Ordering::Relaxed);
        self.was_refused.store(!is_applied, Ordering::Relaxed);
    }

    /// The counters of all workers.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All metrics, in that form. It waits for the event loops, but not for long.
    pub(super) fn expose(&self, form: Form) -> String {
        let running = self.running.load_full();
        let mut out = Exposition::new(form);
        self.expose_server(&running, &mut out);
        self.expose_loops(&mut out);
        self.expose_exchanges(&running, &mut out);
        self.expose_connections(&mut out);
        expose_rates(&running.generation, &mut out);
        expose_certificates(&running.generation, &mut out);
        expose_upstreams(&running.generation, &mut out);
        self.expose_caches(&mut out);
        self.expose_queues(&running.generation, &mut out);
        self.expose_process(&mut out);
        out.end()
    }

    fn expose_server(&self, running: &Running, out: &mut Exposition) {
        out.begin(&of::BUILD_INFO);
        out.sample(
            &of::BUILD_INFO,
            &[("version", env!("CARGO_PKG_VERSION"))],
            1,
        );
        let is_ready = self.readiness.phase() == Phase::Ready;
        out.single(&of::READY, u8::from(is_ready));
        out.single(&of::GENERATION, running.number);
        out.single(&of::GENERATION_TIME, timestamp(running.since));
        out.begin(&of::RELOADS);
        for (outcome, count) in [
            ("applied", &self.reloads_applied),
            ("refused", &self.reloads_refused),
        ] {
            let count = count.load(Ordering::Relaxed);
            out.sample(&of::RELOADS, &[("outcome", outcome)], count);
        }
        let was_refused = self.was_refused.load(Ordering::Relaxed);
        out.single(&of::RELOAD_SUCCESS, u8::from(!was_refused));
        out.single(&of::WORKERS, self.tally().workers());
    }

    fn expose_loops(&self, out: &mut Exposition) {
        out.begin(&of::LOOP_DELAY);
        let mut delays = self.roster.delays(PATIENCE);
        delays.sort();
        for (id, delay) in delays {
            let seconds = Seconds(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
            out.sample(&of::LOOP_DELAY, &[("worker", &id.to_string())], seconds);
        }
    }

    fn expose_exchanges(&self, running: &Running, out: &mut Exposition) {
        let sums = self.tally().exchanges();
        // Not before: a series may be new, and have been counted in.
        let names = running.generation.series().names();
        let mut rows: Vec<_> = sums
            .iter()
            .map(|((series, kind), sum)| (&names[series.index()], *kind, sum))
            .collect();
        rows.sort_by_key(|(name, kind, _)| (*name, *kind));
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(name, kind, sum)| {
                let method = kind.method().map_or(UNKNOWN, |method| method.as_str());
                let labels = [
                    ("server", &*name.server),
                    ("route", &*name.route),
                    ("method", method),
                    ("code", CLASSES[kind.class() - 1]),
                ];
                (Written::of(&labels), sum)
            })
            .collect();
        type Write = fn(&mut Exposition, &of::Family, &Written, &ExchangeSum);
        let mut write = |family, value: Write| {
            out.begin(family);
            for (labels, sum) in &rows {
                value(out, family, labels, sum);
            }
        };
        write(&of::REQUESTS, |out, family, labels, sum| {
            out.sample_of(family, labels, sum.count());
        });
        write(&of::DURATION, |out, family, labels, sum| {
            out.histogram(family, labels, sum);
        });
        write(&of::RECEIVED, |out, family, labels, sum| {
            out.sample_of(family, labels, sum.received);
        });
        write(&of::SENT, |out, family, labels, sum| {
            out.sample_of(family, labels, sum.sent);
        });
    }

    fn expose_connections(&self, out: &mut Exposition) {
        let tally = self.tally();
        out.begin(&of::ENDS);
        for (end, count) in Counters::ends() {
            out.sample(&of::ENDS, &[("end", end)], tally.total(count));
        }
        out.begin(&of::REASONS);
        for (reason, count) in tally.reasons() {
            out.sample(&of::REASONS, &[("reason", reason.id())], count);
        }
        let tunnels = tally.total(|counters| counters.tunnels.read());
        let streams = tally.total(|counters| counters.streams.open.read());
        let open = tally.total(|counters| counters.open.read());
        // The counters are read one after the other, while they change.
        let http = open.saturating_sub(tunnels + streams);
        out.begin(&of::CONNECTIONS);
        for (state, count) in [("http", http), ("tunnel", tunnels), ("stream", streams)] {
            out.sample(&of::CONNECTIONS, &[("state", state)], count);
        }
        out.single(&of::IDLE, tally.total(|counters| counters.idle.read()));
        out.single(
            &of::ACCEPTED,
            tally.total(|counters| counters.accepted.read()),
        );
        let refused = tally.total(|counters| counters.too_many_of_client.read());
        out.single(&of::TOO_MANY_OF_CLIENT, refused);
        let streams = tally.total(|counters| counters.streams.accepted.read());
        out.single(&of::STREAMS_ACCEPTED, streams);
        out.begin(&of::HANDSHAKES);
        let complete = tally.total(|counters| counters.handshakes.complete.read());
        let failed = tally.total(|counters| counters.handshakes.failed.read());
        for (outcome, count) in [("complete", complete), ("failed", failed)] {
            out.sample(&of::HANDSHAKES, &[("outcome", outcome)], count);
        }
    }

    fn expose_caches(&self, out: &mut Exposition) {
        let tally = self.tally();
        let total = |of: fn(&FileCacheCounters) -> &Counter| {
            tally.total(|counters| of(&counters.files).read())
        };
        out.begin(&of::FILE_CACHE_LOOKUPS);
        let results = [
            ("hit", total(|files| &files.hits)),
            ("miss", total(|files| &files.misses)),
        ];
        for (result, count) in results {
            out.sample(&of::FILE_CACHE_LOOKUPS, &[("result", result)], count);
        }
        let kinds: [(&str, HeldOf); 3] = [
            ("content", |files| &files.content),
            ("open", |files| &files.open),
            ("no_file", |files| &files.no_file),
        ];
        let values: [(&of::Family, fn(&HeldCounters) -> &Counter); 2] = [
            (&of::FILE_CACHE_ENTRIES, |held| &held.entries),
            (&of::FILE_CACHE_BYTES, |held| &held.bytes),
        ];
        for (family, value) in values {
            out.begin(family);
            for (kind, held) in kinds {
                let sum = tally.total(|counters| value(held(&counters.files)).read());
                out.sample(family, &[("kind", kind)], sum);
            }
        }
        let compressed = handlers::compressed();
        out.single(&of::SHELF_ENTRIES, compressed.entries);
        out.single(&of::SHELF_BYTES, compressed.bytes);
    }

    fn expose_queues(&self, generation: &Generation, out: &mut Exposition) {
        let disk = self.pools.disk.state();
        let of_routes = generation.pool_states();
        let code = of_routes.fold(self.pools.code.state(), PoolState::plus);
        let pools = [("disk", disk), ("code", code)];
        out.begin(&of::QUEUED);
        for (pool, state) in &pools {
            out.sample(&of::QUEUED, &[("pool", pool)], state.queued);
        }
        out.begin(&of::RUNNING);
        for (pool, state) in &pools {
            out.sample(&of::RUNNING, &[("pool", pool)], state.running);
        }
        out.begin(&of::REFUSED);
        for (pool, state) in &pools {
            out.sample(&of::REFUSED, &[("pool", pool)], state.refused);
        }
        let lost = self.lost.iter().map(LostLines::count).sum::<u64>();
        out.single(&of::LOG_LOST, lost);
        out.single(&of::DIAGNOSTICS_LOST, diagnostic::lost());
    }

    fn expose_process(&self, out: &mut Exposition) {
        let facts = ProcessFacts::now();
        let cpu = u64::try_from(facts.cpu.as_nanos()).unwrap_or(u64::MAX);
        out.single(&of::CPU, Seconds(cpu));
        for (family, value) in [
            (&of::RESIDENT, facts.resident_bytes),
            (&of::VIRTUAL, facts.virtual_bytes),
            (&of::OPEN_FDS, facts.open_fds),
            (&of::MAX_FDS, facts.max_fds),
        ] {
            if let Some(value) = value {
                out.single(family, value);
            }
        }
        out.single(&of::START_TIME, timestamp(self.started));
    }
}

/// Finds what one of the caches of files holds.
type HeldOf = fn(&FileCacheCounters) -> &HeldCounters;

/// Reads a number of `T`.
type ValueOf<T> = fn(&T) -> u64;

/// The classes of status as labels write them.
const CLASSES: [&str; 9] = [
    "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx",
];

fn expose_rates(generation: &Generation, out: &mut Exposition) {
    let rates = generation.rates();
    let values: [(&of::Family, ValueOf<RateCounts>); 2] = [
        (&of::RATE_REFUSED, |counts| counts.refused),
        (&of::RATE_HELD, |counts| counts.held),
    ];
    for (family, value) in values {
        out.begin(family);
        for rate in &rates {
            out.sample(
                family,
                &[("rate", &rate.options.name)],
                value(&rate.counts()),
            );
        }
    }
}

fn expose_certificates(generation: &Generation, out: &mut Exposition) {
    out.begin(&of::CERTIFICATE);
    for (name, expiry) in certificates::expiries(generation) {
        out.sample(&of::CERTIFICATE, &[("name", &name)], timestamp(expiry));
    }
}

fn expose_upstreams(generation: &Generation, out: &mut Exposition) {
    let now = Instant::now();
    let groups = generation.upstreams();
    out.begin(&of::UPSTREAM_WAITING);
    for group in groups {
        let labels = [("upstream", &*group.options().name)];
        out.sample(&of::UPSTREAM_WAITING, &labels, group.waiting());
    }
    out.begin(&of::UPSTREAM_RETRIES);
    for group in groups {
        let labels = [("upstream", &*group.options().name)];
        out.sample(&of::UPSTREAM_RETRIES, &labels, group.further_tries());
    }
    let servers: Vec<_> = groups
        .iter()
        .flat_map(|group| {
            let reports = group.report(now).into_iter();
            reports.map(|report| (&*group.options().name, report))
        })
        .collect();
    let values: [(&of::Family, ValueOf<ServerReport>); 4] = [
        (&of::UPSTREAM_IN_FLIGHT, |report| report.in_flight as u64),
        (&of::UPSTREAM_REQUESTS, |report| report.requests),
        (&of::UPSTREAM_FAILURES, |report| report.failures),
        (&of::UPSTREAM_UP, |report| report.state.is_asked().into()),
    ];
    for (family, value) in values {
        out.begin(family);
        for (upstream, report) in &servers {
            let labels = [("upstream", *upstream), ("server", &*report.address)];
            out.sample(family, &labels, value(report));
        }
    }
}

/// Seconds since 1970.
fn timestamp(time: SystemTime) -> Seconds {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
