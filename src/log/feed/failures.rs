//! The last exchanges that failed, copied, so that an operator who comes later can see them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::address::ClientAddress;
use crate::http::status::Status;
use crate::http::trace_context::TraceId;
use crate::log::record::{AccessRecord, LogTime, UpstreamRecord};
use crate::reason::Reason;

/// How many failures are kept: as many as a person looks through.
const KEPT: usize = 50;

/// How many octets of what a client sent are kept, for each part of a record: with [`KEPT`] this bounds
/// the memory. Longer parts are cut.
const MAX_PART: usize = 2048;

/// The last failures, the oldest first.
#[derive(Default)]
pub(super) struct Failures(VecDeque<Arc<Failure>>);

/// An exchange that failed, as its redacted record tells it.
pub(super) struct Failure {
    at: SystemTime,
    client: ClientAddress,
    request_line: Box<[u8]>,
    host: Box<[u8]>,
    referer: Option<Box<[u8]>>,
    user_agent: Option<Box<[u8]>>,
    user: Option<Box<str>>,
    route: Option<Box<str>>,
    request_id: Option<Box<str>>,
    trace_id: Option<TraceId>,
    status: Status,
    content_length: u64,
    duration: Duration,
    reason: Option<Reason>,
    upstream: Option<Upstream>,
}

/// An [`UpstreamRecord`], copied.
struct Upstream {
    server: Option<Box<str>>,
    tries: u32,
    connect: Option<Duration>,
    head: Option<Duration>,
    error: Option<Box<str>>,
}

impl Failures {
    /// Takes in an exchange that failed at `at`, in the place of the oldest one.
    pub(super) fn add(&mut self, failure: Failure) {
        if self.0.len() >= KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Arc::new(failure));
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Failure>> {
        self.0.iter().cloned().collect()
    }
}

impl Failure {
    pub(super) fn new(record: &AccessRecord<'_>, at: SystemTime) -> Self {
        let cut = |part: &[u8]| part[..part.len().min(MAX_PART)].into();
        let upstream = record.upstream.map(|upstream| Upstream {
            server: upstream.server.map(Box::from),
            tries: upstream.tries,
            connect: upstream.connect,
            head: upstream.head,
            error: upstream.error.map(Box::from),
        });
        Self {
            at,
            client: record.client,
            request_line: cut(record.request_line),
            host: cut(record.host),
            referer: record.referer.map(cut),
            user_agent: record.user_agent.map(cut),
            user: record.user.map(Box::from),
            route: record.route.map(Box::from),
            request_id: record.request_id.map(Box::from),
            trace_id: record.trace_id,
            status: record.status,
            content_length: record.content_length,
            duration: record.duration,
            reason: record.reason,
            upstream,
        }
    }

    /// The record that it was made of.
    pub(super) fn record(&self) -> AccessRecord<'_> {
        let upstream = self.upstream.as_ref().map(|upstream| UpstreamRecord {
            server: upstream.server.as_deref(),
            tries: upstream.tries,
            connect: upstream.connect,
            head: upstream.head,
            error: upstream.error.as_deref(),
        });
        AccessRecord {
            client: self.client,
            user: self.user.as_deref(),
            request_line: &self.request_line,
            host: &self.host,
            status: self.status,
            content_length: self.content_length,
            referer: self.referer.as_deref(),
            user_agent: self.user_agent.as_deref(),
            route: self.route.as_deref(),
            request_id: self.request_id.as_deref(),
            trace_id: self.trace_id,
            duration: self.duration,
            reason: self.reason,
            upstream,
        }
    }

    /// The time at which the exchange ended.
    pub(super) fn time(&self) -> LogTime {
        LogTime::new(self.at)
    }

    /// The failure as the live snapshot has it: what is not known is left out, and so is the query.
    pub(super) fn to_json(&self) -> Value {
        let record = self.record();
        let since = self.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let client = match self.client {
            ClientAddress::Unknown => None,
            client => Some(client.to_string()),
        };
        let (method, path) = match record.target() {
            // It could not be read, so that no part of it is known for what it is.
            b"" => (None, None),
            _ => (text(record.method()), text(record.path())),
        };
        let upstream = record.upstream.and_then(|upstream| upstream.server);
        let texts = [
            ("client", client),
            ("method", method),
            ("path", path),
            ("host", text(record.host)),
            ("reason", record.reason.map(|reason| reason.id().to_owned())),
            ("request_id", record.request_id.map(str::to_owned)),
            ("route", record.route.map(str::to_owned)),
            ("upstream", upstream.map(str::to_owned)),
        ];
        let known = texts
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
        let mut all: Map<String, Value> = known.collect();
        let numbers = [
            ("time_ms", since.as_millis()),
            ("status", u128::from(record.status.code())),
            ("duration_us", record.duration.as_micros()),
        ];
        for (name, value) in numbers {
            all.insert(
                name.to_owned(),
                u64::try_from(value).unwrap_or(u64::MAX).into(),
            );
        }
        Value::Object(all)
    }
}

/// What a client sent, as text without control characters; `None` if that is nothing.
fn text(octets: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(octets).replace(char::is_control, "\u{fffd}");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn record(line: &[u8]) -> AccessRecord<'_> {
        let client = IpAddr::from([192, 0, 2, 7]).into();
        AccessRecord::unreadable(client, line, Status::BAD_GATEWAY)
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let mut failures = Failures::default();
        for number in 0..KEPT + 3 {
            let line = format!("GET /{number} HTTP/1.1");
            failures.add(Failure::new(&record(line.as_bytes()), UNIX_EPOCH));
        }
        let all = failures.all();
        assert_eq!(all.len(), KEPT);
        assert_eq!(all[0].record().path(), b"/3");
        assert_eq!(all[KEPT - 1].record().path(), b"/52");
    }

    #[test]
    fn what_is_kept_of_a_request_has_a_bound() {
        let mut failures = Failures::default();
        let long = vec![b'x'; 1024 * 1024];
        let long = AccessRecord {
            referer: Some(&long),
            user_agent: Some(&long),
            host: &long,
            ..record(&long)
        };
        failures.add(Failure::new(&long, UNIX_EPOCH));
        let kept = &failures.all()[0];
        let kept = kept.record();
        let parts = [
            kept.request_line,
            kept.host,
            kept.referer.unwrap_or_default(),
            kept.user_agent.unwrap_or_default(),
        ];
        assert_eq!(parts.map(<[u8]>::len), [MAX_PART; 4]);
    }

    #[test]
    fn json_has_what_is_known_and_no_query() {
        let failed = AccessRecord {
            host: b"h",
            reason: Some(Reason::UpstreamTimeout),
            route: Some("/a"),
            duration: Duration::from_micros(900),
            upstream: Some(UpstreamRecord {
                server: Some("127.0.0.1:8000"),
                tries: 1,
                connect: None,
                head: None,
                error: None,
            }),
            ..record(b"GET /a/\x1b?b=c HTTP/1.1")
        };
        let at = UNIX_EPOCH + Duration::from_millis(1_234_567);
        assert_eq!(
            Failure::new(&failed, at).to_json(),
            serde_json::json!({
                "time_ms": 1_234_567, "client": "192.0.2.7", "method": "GET", "path": "/a/\u{fffd}",
                "host": "h", "status": 502, "reason": "upstream_timeout", "route": "/a",
                "duration_us": 900, "upstream": "127.0.0.1:8000"
            })
        );
        let unread = AccessRecord {
            client: ClientAddress::Unknown,
            ..record(b"\x16\x03")
        };
        assert_eq!(
            Failure::new(&unread, at).to_json(),
            serde_json::json!({ "time_ms": 1_234_567, "status": 502, "duration_us": 0 })
        );
    }

    #[test]
    fn its_time_is_that_of_its_end() {
        let at = UNIX_EPOCH + Duration::from_millis(86_400_042);
        let failure = Failure::new(&record(b""), at);
        assert_eq!(failure.time().iso(), b"1970-01-02T00:00:00.042Z");
    }
}
