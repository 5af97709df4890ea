//! The same numbers as one JSON object: what `tidegate top` and the live page are made from.
//!
//! Counts are totals since the process started, so that a reader computes rates from any two snapshots.
//! Times (`…_ms`) are milliseconds since 1970, durations (`…_us`) microseconds. What is not known has no
//! key. docs/live.md lists the keys.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::readings::{Observed, OpenConnections, PATIENCE, Running, SeriesRow};
use super::reloads::{Reload, Reloads};
use crate::control::reach::Phase;
use crate::generation::Generation;
use crate::metrics::Counters;
use crate::metrics::exchanges::BOUNDS;
use crate::metrics::process::ProcessFacts;
use crate::metrics::tally::Tally;
use crate::runtime::PoolState;
use crate::server::LoopReport;
use crate::supervisor::apps::AppFacts;
use crate::supervisor::certificates;
use crate::supervisor::rates::{self, RateFacts};
use crate::supervisor::upstreams::{self, UpstreamFacts};
use crate::upstream::ServerReport;

impl Observed {
    /// The server at this moment. It waits for the event loops, but not for long.
    pub(crate) fn snapshot(&self) -> Value {
        let running = self.running();
        let workers: Vec<Value> = self.loops().iter().map(worker).collect();
        let mut snapshot = json!({
            "time_ms": since_1970_ms(SystemTime::now()),
            "started_ms": since_1970_ms(self.started),
            "version": env!("CARGO_PKG_VERSION"),
            "process_id": std::process::id(),
            "phase": phase(self.readiness.phase()),
            "generation": {
                "number": running.number,
                "since_ms": since_1970_ms(running.since),
            },
            "reloads": reloads(&self.reloads()),
            "bounds_us": BOUNDS.iter().map(|(_, nanoseconds)| nanoseconds / 1000).collect::<Vec<_>>(),
            "series": self.series(&running).iter().map(series).collect::<Vec<_>>(),
            "workers": workers,
            "upstreams": upstreams(&running.generation),
            "certificates": certificates(&running.generation),
            "rates": rates::facts(&running.generation).iter().map(RateFacts::to_json).collect::<Vec<_>>(),
            "pools": self.describe_pools(&running),
            "log_lost": self.log_lost(),
            "process": process(&ProcessFacts::now()),
            "failures": self.feed.failures(),
        });
        count(&self.tally(), &mut snapshot);
        if let Some(apps) = self.apps.facts(PATIENCE) {
            snapshot["apps"] = apps.iter().map(AppFacts::to_json).collect();
        }
        snapshot
    }

    fn describe_pools(&self, running: &Running) -> Vec<Value> {
        let describe = |(name, state): (&str, PoolState)| {
            json!({
                "name": name,
                "queued": state.queued,
                "running": state.running,
                "refused": state.refused,
            })
        };
        self.pools(running).into_iter().map(describe).collect()
    }
}

/// Adds what the workers have counted.
fn count(tally: &Tally, snapshot: &mut Value) {
    let OpenConnections {
        http,
        tunnel,
        stream,
    } = OpenConnections::of(tally);
    snapshot["connections"] = json!({
        "http": http,
        "idle": tally.total(|counters| counters.idle.read()),
        "tunnel": tunnel,
        "stream": stream,
        "accepted": tally.total(|counters| counters.accepted.read()),
    });
    snapshot["requests"] = tally.total(Counters::requests).into();
    let ends = Counters::ends().map(|(end, count)| (end.to_owned(), tally.total(count).into()));
    snapshot["ends"] = Value::Object(ends.collect());
    let reasons = tally.reasons().into_iter();
    let reasons: Map<_, _> = reasons
        .map(|(reason, count)| (reason.id().to_owned(), count.into()))
        .collect();
    snapshot["reasons"] = Value::Object(reasons);
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Stopping => "stopping",
    }
}

fn reloads(reloads: &Reloads) -> Vec<Value> {
    let describe = |reload: &Reload| {
        json!({
            "time_ms": since_1970_ms(reload.time),
            "outcome": reload.outcome.word(),
            "generation": reload.generation,
            "message": reload.message,
        })
    };
    reloads.last().map(describe).collect()
}

fn series(row: &SeriesRow) -> Value {
    json!({
        "server": &*row.name.server,
        "route": &*row.name.route,
        "method": row.method(),
        "class": row.kind.class(),
        "count": row.sum.count(),
        "sum_us": row.sum.nanoseconds / 1000,
        "received": row.sum.received,
        "sent": row.sum.sent,
        "buckets": row.sum.buckets,
    })
}

fn worker(report: &LoopReport) -> Value {
    let mut worker = json!({
        "id": report.id,
        "connections": report.counters.open.read(),
        "requests": report.counters.requests(),
    });
    if let Some(delay) = report.delay {
        worker["delay_us"] = microseconds(delay).into();
    }
    worker
}

fn upstreams(generation: &Generation) -> Vec<Value> {
    let describe = |upstream: &UpstreamFacts| {
        let servers = upstream.servers.iter();
        json!({
            "name": upstream.name,
            "waiting": upstream.waiting,
            "retries": upstream.retries,
            "servers": servers.map(ServerReport::to_json).collect::<Vec<_>>(),
        })
    };
    let facts = upstreams::facts(generation.upstreams());
    facts.iter().map(describe).collect()
}

fn certificates(generation: &Generation) -> Vec<Value> {
    let expiries = certificates::expiries(generation).into_iter();
    expiries
        .map(|(name, expiry)| json!({ "name": name, "expires_ms": since_1970_ms(expiry) }))
        .collect()
}

fn process(facts: &ProcessFacts) -> Value {
    let mut process = json!({ "cpu_us": microseconds(facts.cpu) });
    for (key, value) in [
        ("resident_bytes", facts.resident_bytes),
        ("open_fds", facts.open_fds),
        ("max_fds", facts.max_fds),
    ] {
        if let Some(value) = value {
            process[key] = value.into();
        }
    }
    process
}

fn since_1970_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
