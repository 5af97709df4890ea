//! Snapshots for tests.

use super::snapshot::{Failure, Reload, Series, Snapshot, Upstream, UpstreamServer, Worker};

/// 2025-11-27 12:00:00 UTC.
pub(super) const NOON: i64 = 1_764_244_800_000;

/// A snapshot of a process that has done nothing, so many milliseconds after noon.
pub(super) fn snapshot(after_noon_ms: i64) -> Snapshot {
    let mut snapshot = Snapshot {
        time_ms: NOON + after_noon_ms,
        started_ms: NOON - 9_960_000,
        version: "0.1.0".to_owned(),
        process_id: 4711,
        phase: "ready".to_owned(),
        bounds_us: vec![500, 1_000, 10_000, 100_000],
        ..Snapshot::default()
    };
    snapshot.generation.number = 3;
    snapshot.generation.since_ms = NOON - 60_000;
    snapshot
}

/// So many exchanges of a route, each of which took between 0.5 and 1 ms and sent 1,000 octets.
pub(super) fn series(route: &str, class: usize, count: u64) -> Series {
    Series {
        server: "localhost".to_owned(),
        route: route.to_owned(),
        method: "GET".to_owned(),
        class,
        count,
        received: 0,
        sent: count * 1_000,
        buckets: vec![0, count, 0, 0, 0],
    }
}

/// A snapshot of a process that is busy: in each second since noon it has answered 100 requests of `/`,
/// 20 of `/api`, of which 2 with 502, and one of a route with a long name.
pub(super) fn busy(seconds: u64) -> Snapshot {
    let mut snapshot = snapshot(i64::try_from(seconds * 1_000).expect("a few seconds"));
    let long = "/downloads/さくら/releases/2025/with-a-name-that-no-column-holds-in-full";
    snapshot.requests = 1_000 + seconds * 121;
    snapshot.series = vec![
        series("/", 2, 700 + seconds * 100),
        series("/api", 2, 200 + seconds * 18),
        series("/api", 5, 50 + seconds * 2),
        series(long, 2, 50 + seconds),
    ];
    snapshot.connections.http = 12;
    snapshot.connections.idle = Some(3);
    snapshot.process.cpu_us = Some(5_000_000 + seconds * 340_000);
    snapshot.process.resident_bytes = Some(9_000_000);
    snapshot.process.open_fds = Some(40);
    snapshot.process.max_fds = Some(1_024);
    snapshot
        .ends
        .insert("answered".to_owned(), 990 + seconds * 121);
    snapshot.ends.insert("client_left".to_owned(), 10);
    snapshot
        .reasons
        .insert("upstream_connect_refused".to_owned(), 50 + seconds * 2);
    snapshot.reasons.insert("no_route".to_owned(), 7);
    snapshot.reloads = vec![Reload {
        time_ms: NOON - 60_000,
        outcome: "applied".to_owned(),
        message: "reloaded: generation 3".to_owned(),
    }];
    snapshot.workers = vec![
        worker(0, Some(120), 600 + seconds * 60),
        worker(1, None, 400 + seconds * 61),
    ];
    snapshot.upstreams = vec![Upstream {
        name: "shop".to_owned(),
        waiting: 1,
        retries: 5,
        servers: vec![
            server("127.0.0.1:8000", "up", 200 + seconds * 18, 0),
            server("127.0.0.1:8001", "paused", 50, 50 + seconds * 2),
        ],
    }];
    snapshot.failures = vec![
        failure(2_000, "/api/pay", 502),
        failure(1_000, "/api/\u{fffd}x", 504),
    ];
    snapshot
}

fn worker(id: u64, delay_us: Option<u64>, requests: u64) -> Worker {
    Worker {
        id,
        delay_us,
        connections: 6,
        requests,
    }
}

fn server(address: &str, state: &str, requests: u64, failures: u64) -> UpstreamServer {
    UpstreamServer {
        address: address.to_owned(),
        state: state.to_owned(),
        seconds_left: (state == "paused").then_some(3),
        percent: None,
        in_flight: 2,
        requests,
        failures,
    }
}

fn failure(before_noon_ms: i64, path: &str, status: u64) -> Failure {
    Failure {
        time_ms: NOON - before_noon_ms,
        client: "127.0.0.1".to_owned(),
        method: "GET".to_owned(),
        path: path.to_owned(),
        host: "localhost".to_owned(),
        status: Some(status),
        reason: "upstream_connect_refused".to_owned(),
        route: "/api".to_owned(),
        duration_us: Some(900),
        upstream: "127.0.0.1:8001".to_owned(),
    }
}
