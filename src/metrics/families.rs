//! The names of all metrics, each with what it means. docs/prometheus.md and the dashboard are held to this
//! list.
//!
//! Names follow Prometheus' conventions: `tidegate_`, what is measured, its unit (`seconds`, `bytes`), and
//! `_total` where it only grows. What is true of any process is called as every client library calls it.

/// What kind of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Counter,
    Gauge,
    Histogram,
}

impl Type {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// All samples of one name.
#[derive(Debug)]
pub(crate) struct Family {
    /// With `_total`, if it is a counter.
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) help: &'static str,
}

/// Declares the families: constant, kind, name, help.
macro_rules! families {
    ($($constant:ident $kind:ident $name:literal $help:literal,)+) => {
        $(
            #[doc = $help]
            pub(crate) const $constant: Family = Family {
                name: $name,
                kind: Type::$kind,
                help: $help,
            };
        )+

        /// Every family, in the order of the exposition.
        #[cfg(test)]
        pub(crate) const ALL: &[Family] = &[$($constant,)+];
    };
}

families! {
    BUILD_INFO Gauge "tidegate_build_info"
        "Always 1; the version is a label.",
    READY Gauge "tidegate_ready"
        "Whether clients may be sent to this server: 1, or 0 while it starts or is about to stop.",
    GENERATION Gauge "tidegate_config_generation"
        "The number of the configuration that runs; the one at the start has 1.",
    GENERATION_TIME Gauge "tidegate_config_generation_start_timestamp_seconds"
        "Since when the configuration that runs does so.",
    RELOADS Counter "tidegate_config_reloads_total"
        "Reloads by outcome: applied, or refused, after which the configuration before goes on.",
    RELOAD_SUCCESS Gauge "tidegate_config_last_reload_successful"
        "Whether the last reload was applied; 1 before the first.",
    WORKERS Gauge "tidegate_workers"
        "Event loops that accept connections.",
    LOOP_DELAY Gauge "tidegate_worker_loop_delay_seconds"
        "How long an event loop took to answer the scrape, by worker; 0.25 if it has not answered by then.",
    REQUESTS Counter "tidegate_http_requests_total"
        "Requests whose exchange has ended; as many as the access log has lines.",
    DURATION Histogram "tidegate_http_request_duration_seconds"
        "Time from a request's head to the end of its response.",
    RECEIVED Counter "tidegate_http_request_content_bytes_total"
        "Octets of the content of requests that were read.",
    SENT Counter "tidegate_http_response_content_bytes_total"
        "Octets of the content of responses that were sent; the sum of the access log.",
    ENDS Counter "tidegate_http_exchanges_total"
        "Exchanges by their end: answered, or why not.",
    REASONS Counter "tidegate_http_reasons_total"
        "Exchanges that the server answered itself or that ended badly, by reason: see `tidegate reasons`.",
    CONNECTIONS Gauge "tidegate_connections"
        "Open connections by state: http, tunnel (a WebSocket) or stream.",
    IDLE Gauge "tidegate_idle_connections"
        "Connections of state http on which nothing is under way.",
    ACCEPTED Counter "tidegate_connections_accepted_total"
        "Connections that were accepted, streams included.",
    TOO_MANY_OF_CLIENT Counter "tidegate_connections_too_many_of_client_total"
        "Connections that were refused because their client had `connections_per_client` of them.",
    RATE_REFUSED Counter "tidegate_rate_refused_requests_total"
        "Requests that were refused at a rate, or would have been but for `dry_run`.",
    RATE_HELD Counter "tidegate_rate_held_requests_total"
        "Requests that had to wait at a rate, or would have had to but for `dry_run`.",
    STREAMS_ACCEPTED Counter "tidegate_streams_accepted_total"
        "Connections of streams that were accepted.",
    HANDSHAKES Counter "tidegate_tls_handshakes_total"
        "Handshakes of TLS that clients began, by outcome: complete or failed.",
    CERTIFICATE Gauge "tidegate_tls_certificate_expiry_timestamp_seconds"
        "When a certificate of a server expires, or one behind it in its file, by its first name.",
    UPSTREAM_WAITING Gauge "tidegate_upstream_waiting_requests"
        "Requests that wait for a server of the upstream with room.",
    UPSTREAM_RETRIES Counter "tidegate_upstream_retries_total"
        "How often a server was chosen for a request because one before it had failed.",
    UPSTREAM_IN_FLIGHT Gauge "tidegate_upstream_server_in_flight_requests"
        "Requests and connections that a server has.",
    UPSTREAM_REQUESTS Counter "tidegate_upstream_server_requests_total"
        "Requests and connections that a server was chosen for, retries included.",
    UPSTREAM_FAILURES Counter "tidegate_upstream_server_failures_total"
        "Requests and connections that a server has failed.",
    UPSTREAM_UP Gauge "tidegate_upstream_server_up"
        "1 for a server that is asked; 0 while it is paused, unhealthy or drained. If all are paused, one of them is asked all the same.",
    FILE_CACHE_LOOKUPS Counter "tidegate_file_cache_lookups_total"
        "How often a path was looked for in the caches of files, by result: hit, or miss, after which the disk was asked.",
    FILE_CACHE_ENTRIES Gauge "tidegate_file_cache_entries"
        "Paths in the caches of files, by kind: content (in memory), open (a file), no_file (it leads to none).",
    FILE_CACHE_BYTES Gauge "tidegate_file_cache_bytes"
        "What the paths in the caches of files take of the room there is for them, with their content, by kind.",
    SHELF_ENTRIES Gauge "tidegate_compressed_files"
        "Files that were compressed to be sent, or found not to be worth it, and are kept so for all workers.",
    SHELF_BYTES Gauge "tidegate_compressed_files_bytes"
        "Octets of the compressed files that are kept.",
    QUEUED Gauge "tidegate_blocking_queued_jobs"
        "Jobs that wait for a thread of a pool: disk, archives, or code (handlers).",
    RUNNING Gauge "tidegate_blocking_running_jobs"
        "Jobs that run on a thread of a pool.",
    REFUSED Counter "tidegate_blocking_refused_jobs_total"
        "Jobs that found the queue of a pool full.",
    LOG_LOST Counter "tidegate_access_log_lost_lines_total"
        "Lines of the access log that were lost.",
    DIAGNOSTICS_LOST Counter "tidegate_diagnostics_lost_lines_total"
        "Lines of the diagnostics that were lost, because standard error was not read.",
    SPANS_EXPORTED Counter "tidegate_trace_spans_exported_total"
        "Spans of traces that the collector has taken.",
    SPANS_DROPPED Counter "tidegate_trace_spans_dropped_total"
        "Spans of traces that were dropped: the collector did not take them, or not as fast as they came.",
    CPU Counter "process_cpu_seconds_total"
        "Processor time of the process, user and system.",
    RESIDENT Gauge "process_resident_memory_bytes"
        "Memory of the process that is in RAM.",
    VIRTUAL Gauge "process_virtual_memory_bytes"
        "Address space of the process.",
    OPEN_FDS Gauge "process_open_fds"
        "File descriptors that are open.",
    MAX_FDS Gauge "process_max_fds"
        "File descriptors that may be open.",
    START_TIME Gauge "process_start_time_seconds"
        "When the server started, in seconds since 1970.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for (nth, family) in ALL.iter().enumerate() {
            let Family { name, kind, help } = family;
            assert!(
                name.starts_with("tidegate_") || name.starts_with("process_"),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), *kind == Type::Counter, "{name}");
            assert!(help.ends_with('.'), "{name}");
            assert!(ALL[..nth].iter().all(|other| other.name != *name), "{name}");
        }
    }

    /// The names in `text` that look like those of metrics.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("tidegate_") || word.starts_with("process_"))
    }

    /// The family of a sample, whose name may be that of a part of a histogram.
    fn family_of(sample: &str) -> Option<&'static Family> {
        let is_it = |family: &&Family| {
            let rest = sample.strip_prefix(family.name);
            match family.kind {
                Type::Histogram => matches!(rest, Some("" | "_bucket" | "_sum" | "_count")),
                _ => rest == Some(""),
            }
        };
        ALL.iter().find(is_it)
    }

    #[test]
    fn the_document_and_the_dashboard_name_what_there_is() {
        let document = include_str!("../../docs/prometheus.md");
        let dashboard = include_str!("../../dist/grafana-dashboard.json");
        for name in named(document).chain(named(dashboard)) {
            assert!(family_of(name).is_some(), "there is no {name}");
        }
        for Family { name, kind, help } in ALL {
            let row = format!("| `{name}` | {} | ", kind.word());
            let row = document.lines().find(|line| line.starts_with(&row));
            assert!(
                row.is_some_and(|row| row.ends_with(&format!("| {help} |"))),
                "{name}"
            );
            let is_shown =
                named(dashboard).any(|shown| family_of(shown).is_some_and(|it| it.name == *name));
            assert!(is_shown, "the dashboard does not show {name}");
        }
    }

    #[test]
    fn the_dashboard_is_one() {
        let dashboard = include_str!("../../dist/grafana-dashboard.json");
        let dashboard: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let mut ids: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(
            ids.len(),
            panels.len(),
            "each panel has a number of its own"
        );
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            let targets = panel["targets"].as_array().expect("queries");
            assert!(
                targets.iter().all(|target| target["expr"].is_string()),
                "{panel}"
            );
        }
    }
}
