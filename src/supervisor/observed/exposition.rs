//! The metrics, in a form of Prometheus.

use std::time::{SystemTime, UNIX_EPOCH};

use super::readings::{Observed, OpenConnections, PATIENCE, Running, SeriesRow};
use super::reloads::Outcome;
use crate::control::reach::Phase;
use crate::generation::Generation;
use crate::handlers;
use crate::log::diagnostic;
use crate::metrics::exchanges::ExchangeSum;
use crate::metrics::exposition::{Exposition, Form, Seconds, Written};
use crate::metrics::families as of;
use crate::metrics::process::ProcessFacts;
use crate::metrics::{Counter, Counters, FileCacheCounters, HeldCounters};
use crate::supervisor::rates::{self, RateFacts};
use crate::supervisor::{certificates, upstreams};
use crate::upstream::ServerReport;

impl Observed {
    /// All metrics, in that form. It waits for the event loops, but not for long.
    pub(crate) fn expose(&self, form: Form) -> String {
        let running = self.running();
        let mut out = Exposition::new(form);
        self.expose_server(&running, &mut out);
        self.expose_loops(&mut out);
        self.expose_exchanges(&running, &mut out);
        self.expose_connections(&mut out);
        expose_rates(&running.generation, &mut out);
        expose_certificates(&running.generation, &mut out);
        expose_upstreams(&running.generation, &mut out);
        self.expose_caches(&mut out);
        self.expose_queues(&running, &mut out);
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
        let reloads = self.reloads();
        for outcome in Outcome::ALL {
            let labels = [("outcome", outcome.word())];
            out.sample(&of::RELOADS, &labels, reloads.total(outcome));
        }
        out.single(&of::RELOAD_SUCCESS, u8::from(!reloads.was_refused()));
        out.single(&of::WORKERS, self.tally().workers());
    }

    fn expose_loops(&self, out: &mut Exposition) {
        out.begin(&of::LOOP_DELAY);
        for report in self.loops() {
            let delay = report.delay.unwrap_or(PATIENCE);
            let seconds = Seconds(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
            let labels = [("worker", &*report.id.to_string())];
            out.sample(&of::LOOP_DELAY, &labels, seconds);
        }
    }

    fn expose_exchanges(&self, running: &Running, out: &mut Exposition) {
        let written = |row: SeriesRow| {
            let labels = [
                ("server", &*row.name.server),
                ("route", &*row.name.route),
                ("method", row.method()),
                ("code", CLASSES[row.kind.class() - 1]),
            ];
            (Written::of(&labels), row.sum)
        };
        let rows: Vec<_> = self.series(running).into_iter().map(written).collect();
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
        let OpenConnections {
            http,
            tunnel,
            stream,
        } = OpenConnections::of(&tally);
        out.begin(&of::CONNECTIONS);
        for (state, count) in [("http", http), ("tunnel", tunnel), ("stream", stream)] {
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
        let values: [(&of::Family, CounterOf); 2] = [
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

    fn expose_queues(&self, running: &Running, out: &mut Exposition) {
        let pools = self.pools(running);
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
        out.single(&of::LOG_LOST, self.log_lost());
        out.single(&of::DIAGNOSTICS_LOST, diagnostic::lost());
        let spans = running.generation.spans();
        out.single(&of::SPANS_EXPORTED, spans.exported());
        out.single(&of::SPANS_DROPPED, spans.dropped());
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

/// Finds a counter of what a cache holds.
type CounterOf = fn(&HeldCounters) -> &Counter;

/// Finds what one of the caches of files holds.
type HeldOf = fn(&FileCacheCounters) -> &HeldCounters;

/// Reads a number of `T`.
type ValueOf<T> = fn(&T) -> u64;

/// The classes of status as labels write them.
const CLASSES: [&str; 9] = [
    "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx",
];

fn expose_rates(generation: &Generation, out: &mut Exposition) {
    let rates = rates::facts(generation);
    let values: [(&of::Family, ValueOf<RateFacts>); 2] = [
        (&of::RATE_REFUSED, |rate| rate.counts.refused),
        (&of::RATE_HELD, |rate| rate.counts.held),
    ];
    for (family, value) in values {
        out.begin(family);
        for rate in &rates {
            out.sample(family, &[("rate", &rate.name)], value(rate));
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
    let upstreams = upstreams::facts(generation.upstreams());
    out.begin(&of::UPSTREAM_WAITING);
    for upstream in &upstreams {
        let labels = [("upstream", &*upstream.name)];
        out.sample(&of::UPSTREAM_WAITING, &labels, upstream.waiting);
    }
    out.begin(&of::UPSTREAM_RETRIES);
    for upstream in &upstreams {
        let labels = [("upstream", &*upstream.name)];
        out.sample(&of::UPSTREAM_RETRIES, &labels, upstream.retries);
    }
    let servers: Vec<(&str, &ServerReport)> = upstreams
        .iter()
        .flat_map(|upstream| {
            let servers = upstream.servers.iter();
            servers.map(move |server| (&*upstream.name, server))
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
