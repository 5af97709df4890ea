//! How the server does as a whole: the lines above the tables.

use jiff::tz::TimeZone;

use super::change::{Change, Quantile, RouteChange};
use super::snapshot::Snapshot;
use super::tables::Tone;
use super::units::{self, UNKNOWN};

/// The lines, each of several parts; the first parts are the most important ones.
pub(super) struct Summary {
    pub(super) server: Vec<Part>,
    pub(super) requests: Vec<Part>,
    pub(super) process: Vec<Part>,
    pub(super) reload: Part,
}

pub(super) struct Part {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl Summary {
    /// What has changed, over a window of so many seconds.
    pub(super) fn of(change: Change<'_>, window: i64, zone: &TimeZone) -> Self {
        Self {
            server: server(change.to, zone),
            requests: requests(change, window),
            process: process(change),
            reload: reload(change.to, zone),
        }
    }
}

impl Part {
    fn plain(text: String) -> Self {
        Self {
            text,
            tone: Tone::Plain,
        }
    }
}

fn server(snapshot: &Snapshot, zone: &TimeZone) -> Vec<Part> {
    let Snapshot {
        time_ms,
        started_ms,
        version,
        process_id,
        phase,
        generation,
        ..
    } = snapshot;
    let since = units::clock(generation.since_ms, *time_ms, zone);
    vec![
        Part::plain(format!("tidegate {version}")),
        Part {
            text: phase.clone(),
            tone: if phase == "ready" {
                Tone::Good
            } else {
                Tone::Warning
            },
        },
        Part::plain(format!("up {}", units::age(time_ms - started_ms))),
        Part::plain(format!("generation {} since {since}", generation.number)),
        Part::plain(format!("process {process_id}")),
    ]
}

fn requests(change: Change<'_>, window: i64) -> Vec<Part> {
    let known = |rate: Option<f64>| rate.map_or_else(|| UNKNOWN.to_owned(), units::rate);
    let buckets = change.buckets();
    let quantile = |part| match change.seconds() {
        Some(_) => units::quantile(change.quantile(&buckets, part)),
        None => units::quantile(Quantile::None),
    };
    let routes = change.routes();
    let of_all = |read: fn(&RouteChange) -> u64| change.rate(routes.values().map(read).sum());
    let errors = of_all(|route| route.server_errors);
    let sent = of_all(|route| route.sent).map_or_else(|| UNKNOWN.to_owned(), units::bytes);
    // Shorter than the window at first.
    let over = match change.seconds().map(f64::round) {
        Some(seconds) if (seconds as i64) < window => format!("over {seconds} of {window} s"),
        _ => format!("over {window} s"),
    };
    vec![
        Part::plain(format!(
            "{} requests/s",
            known(change.rate_of(|snapshot| snapshot.requests))
        )),
        Part::plain(format!("p50 {}", quantile(0.5))),
        Part::plain(format!("p99 {}", quantile(0.99))),
        Part {
            text: format!("5xx {}/s", known(errors)),
            tone: if errors.is_some_and(|rate| rate > 0.0) {
                Tone::Bad
            } else {
                Tone::Plain
            },
        },
        Part::plain(over),
        Part::plain(format!("sent {sent}/s")),
    ]
}

fn process(change: Change<'_>) -> Vec<Part> {
    let connections = &change.to.connections;
    let process = &change.to.process;
    let mut parts = Vec::new();
    let idle = connections.idle.map(|idle| format!(" ({idle} idle)"));
    parts.push(Part::plain(format!(
        "connections: {} http{}, {} tunnel, {} stream",
        connections.http,
        idle.unwrap_or_default(),
        connections.tunnel,
        connections.stream
    )));
    let cpu = change
        .cpu()
        .map_or_else(|| UNKNOWN.to_owned(), units::percent);
    parts.push(Part::plain(format!("cpu {cpu}")));
    if let Some(resident) = process.resident_bytes {
        let resident = units::bytes(resident as f64);
        parts.push(Part::plain(format!("memory {resident}")));
    }
    if let (Some(open), Some(most)) = (process.open_fds, process.max_fds) {
        parts.push(Part {
            text: format!("files {open}/{most}"),
            // The limit comes near.
            tone: if open * 10 >= most * 9 {
                Tone::Warning
            } else {
                Tone::Plain
            },
        });
    }
    parts
}

fn reload(snapshot: &Snapshot, zone: &TimeZone) -> Part {
    let Some(last) = snapshot.reloads.last() else {
        return Part::plain("no reload yet".to_owned());
    };
    let time = units::clock(last.time_ms, snapshot.time_ms, zone);
    let is_refused = last.outcome == "refused";
    // The message of a reload that was applied says so, and which generation it has led to.
    let text = match (is_refused, &*last.message) {
        (_, "") => format!("last reload {time} {}", last.outcome),
        (true, message) => format!("last reload {time} refused: {message}"),
        (false, message) => format!("last reload {time}: {message}"),
    };
    Part {
        text,
        tone: if is_refused { Tone::Bad } else { Tone::Plain },
    }
}
