//! What the server tells of itself each second, as `GET /live` of the control socket sends it.
//!
//! A key that is missing is not known. Totals count from the start of the process.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::log::line::is_format;

/// What the server has told at one moment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Snapshot {
    /// Milliseconds since 1970, as all `*_ms`.
    pub(super) time_ms: i64,
    pub(super) started_ms: i64,
    pub(super) version: String,
    pub(super) process_id: u32,
    pub(super) phase: String,
    pub(super) generation: Running,
    /// Oldest first.
    pub(super) reloads: Vec<Reload>,
    pub(super) connections: Connections,
    pub(super) requests: u64,
    /// How many exchanges ended in which way.
    pub(super) ends: BTreeMap<String, u64>,
    pub(super) reasons: BTreeMap<String, u64>,
    /// The upper bounds of [`Series::buckets`], in microseconds; one bucket more is for what is longer.
    pub(super) bounds_us: Vec<u64>,
    pub(super) series: Vec<Series>,
    pub(super) workers: Vec<Worker>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) process: Process,
    /// Newest first.
    pub(super) failures: Vec<Failure>,
}

/// The configuration that runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Running {
    pub(super) number: u64,
    pub(super) since_ms: i64,
}

/// A reload that was tried.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reload {
    pub(super) time_ms: i64,
    /// `applied` or `refused`.
    pub(super) outcome: String,
    /// The first line of what the operator was told.
    pub(super) message: String,
}

/// Open connections by state.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Connections {
    pub(super) http: u64,
    /// Those of `http` that wait for a request.
    pub(super) idle: Option<u64>,
    pub(super) tunnel: u64,
    pub(super) stream: u64,
    pub(super) accepted: u64,
}

/// The exchanges of one route that had the same method and class of status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Series {
    pub(super) server: String,
    pub(super) route: String,
    pub(super) method: String,
    /// The first digit of the status.
    pub(super) class: usize,
    pub(super) count: u64,
    /// Octets of content.
    pub(super) received: u64,
    pub(super) sent: u64,
    /// How many took how long, each bucket by itself.
    pub(super) buckets: Vec<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Worker {
    pub(super) id: u64,
    /// How late its loop is; `None` if it has not answered.
    pub(super) delay_us: Option<u64>,
    pub(super) connections: u64,
    pub(super) requests: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Upstream {
    pub(super) name: String,
    /// How many requests wait for a server.
    pub(super) waiting: u64,
    pub(super) retries: u64,
    pub(super) servers: Vec<UpstreamServer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UpstreamServer {
    pub(super) address: String,
    /// One word, as `tidegate status --json` has it.
    pub(super) state: String,
    /// How long it is still paused.
    pub(super) seconds_left: Option<u64>,
    /// The share of its requests that it gets while it is rising.
    pub(super) percent: Option<u64>,
    pub(super) in_flight: u64,
    pub(super) requests: u64,
    pub(super) failures: u64,
}

/// What the system says of the process.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Process {
    pub(super) cpu_us: Option<u64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) open_fds: Option<u64>,
    pub(super) max_fds: Option<u64>,
}

/// An exchange that failed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    pub(super) time_ms: i64,
    pub(super) client: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: String,
    pub(super) status: Option<u64>,
    pub(super) reason: String,
    pub(super) route: String,
    pub(super) duration_us: Option<u64>,
    pub(super) upstream: String,
}

impl Snapshot {
    /// Reads the data of an event. No string in it can move the cursor of a terminal afterwards.
    ///
    /// # Errors
    /// A sentence, if it is not what this program understands.
    pub(super) fn parse(data: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(data)
            .map_err(|error| format!("the server sent what is no JSON: {error}"))?;
        serde_json::from_value(visible(value))
            .map_err(|error| format!("the server sent what this version does not read: {error}"))
    }

    /// Whether `later` tells of another process than this one, so that no total of the two can be compared.
    pub(super) fn is_of_other_process(&self, later: &Self) -> bool {
        self.process_id != later.process_id
            || self.started_ms != later.started_ms
            || later.requests < self.requests
            || later.time_ms < self.time_ms
    }
}

/// The value with [`clean`] applied to every string in it, names of members included.
fn visible(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(visible).collect()),
        Value::Object(members) => {
            let members = members.into_iter();
            let members = members.map(|(name, value)| (clean(&name), visible(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// A text of others that is safe to show: characters that control a terminal, end a line or turn the
/// direction of the text behind them are replaced.
pub(super) fn clean(text: &str) -> String {
    let is_harmful = |c: char| c.is_control() || is_format(c);
    text.replace(is_harmful, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_not_known_and_what_is_new_is_skipped() {
        let data = r#"{"requests":3,"apps":[{"x":1}],"series":[{"route":"/","count":3}],"workers":[{"id":1}]}"#;
        let snapshot = Snapshot::parse(data).expect("readable");
        assert_eq!(snapshot.requests, 3);
        assert_eq!(snapshot.series[0].route, "/");
        assert_eq!(snapshot.workers[0].delay_us, None);
        assert_eq!(snapshot.process.cpu_us, None);
        assert_eq!(snapshot.connections.idle, None);
    }

    #[test]
    fn what_cannot_be_read_is_a_sentence() {
        for (data, part) in [
            ("{", "no JSON"),
            (r#"{"requests":"many"}"#, "this version does not read"),
        ] {
            let sentence = Snapshot::parse(data).expect_err("unreadable");
            assert!(sentence.contains(part), "{sentence}");
        }
    }

    #[test]
    fn no_string_can_control_a_terminal() {
        let data = r#"{"reasons":{"a\u001b[2J":1},"failures":[{"path":"/\u001b]0;x\u0007\u009b2J\u202egnp\r\n"}]}"#;
        let snapshot = Snapshot::parse(data).expect("readable");
        let shown = format!("{}{:?}", snapshot.failures[0].path, snapshot.reasons.keys());
        assert!(
            !shown.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{shown:?}"
        );
        assert!(
            shown.starts_with("/\u{fffd}]0;x\u{fffd}\u{fffd}2J\u{fffd}gnp"),
            "{shown:?}"
        );
    }

    #[test]
    fn another_process_is_known_by_its_id_its_start_or_a_total_that_falls() {
        let first = Snapshot {
            process_id: 1,
            started_ms: 5,
            requests: 9,
            ..Snapshot::default()
        };
        assert!(!first.is_of_other_process(&first));
        for other in [
            Snapshot {
                process_id: 2,
                ..first.clone()
            },
            Snapshot {
                started_ms: 6,
                ..first.clone()
            },
            Snapshot {
                requests: 8,
                ..first.clone()
            },
        ] {
            assert!(first.is_of_other_process(&other), "{other:?}");
        }
    }
}
