//! Spans of an exchange, by the semantic conventions of OpenTelemetry for HTTP.

use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use crate::address::ClientAddress;
use crate::http::trace_context::{SpanId, TraceId};
use crate::log::record::AccessRecord;
use crate::message::trace::{Recording, Trace, Try, TryEnd};
use crate::reason::Reason;

/// A part of a trace that has ended.
#[derive(Debug)]
pub(crate) struct Span {
    pub(super) trace: TraceId,
    pub(super) id: SpanId,
    pub(super) parent: Option<SpanId>,
    /// Whether the parent is a span of another program.
    pub(super) has_remote_parent: bool,
    /// Of Trace Context.
    pub(super) flags: u8,
    pub(super) state: String,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) started: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) is_error: bool,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// What this server is in the span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(i64),
}

/// Octets of a text that are told; a client may send as many as `max_head` says.
const MAX_TEXT: usize = 1024;

/// The methods that have their own name in spans (RFC 9110 §9, RFC 5789). Clients make up others.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];

/// The spans of the exchange of `record`, which has ended and from which what logs leave out is taken: its own,
/// then one for each try.
pub(super) fn of_exchange(
    record: &AccessRecord<'_>,
    trace: &Trace,
    recording: &Recording,
) -> Vec<Span> {
    let now = Instant::now();
    let method = method(record.method());
    let own = trace.own();
    let state = trace.state.as_deref().map(text).unwrap_or_default();
    let server = Span {
        trace: own.trace,
        id: own.span,
        parent: trace.parent,
        has_remote_parent: trace.parent.is_some(),
        flags: own.flags(),
        state,
        kind: Kind::Server,
        name: name(method, record.route),
        started: recording.started(),
        ended: recording.time_of(now),
        is_error: is_error(record),
        attributes: attributes(record, recording.is_https, method),
    };
    let tries = recording.tries();
    let tries = tries
        .iter()
        .map(|it| of_try(it, &server, method, recording, now));
    let tries: Vec<Span> = tries.collect();
    let mut spans = vec![server];
    spans.extend(tries);
    spans
}

/// `GET /shop/{id}`; only the method where no route answers.
fn name(method: Option<&str>, route: Option<&str>) -> String {
    let method = method.unwrap_or("HTTP");
    match route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

/// The method, if it is one that has a name of its own.
fn method(method: &[u8]) -> Option<&'static str> {
    let mut known = METHODS.into_iter();
    known.find(|known| known.as_bytes() == method)
}

/// Whether the exchange failed, and not because of what the client asked for.
fn is_error(record: &AccessRecord<'_>) -> bool {
    let status = record.status.code();
    // A response that was not sent to its end has the status that its head had.
    let is_broken_off = matches!(
        record.reason,
        Some(
            Reason::SendTimeout
                | Reason::ContentBrokeOff
                | Reason::ContentTooShort
                | Reason::UpstreamIncomplete
                | Reason::UpstreamBroken
                | Reason::FileShrank
                | Reason::FileUnreadable
        )
    );
    status >= 500 || is_broken_off || status < 400 && record.reason.is_some()
}

fn attributes(
    record: &AccessRecord<'_>,
    is_https: bool,
    method: Option<&'static str>,
) -> Vec<(&'static str, Value)> {
    let mut all = Attributes::default();
    all.method(method, record.method());
    all.text("url.scheme", if is_https { "https" } else { "http" });
    all.octets("url.path", path(record.path()));
    all.octets("url.query", record.query());
    all.text("http.route", record.route.unwrap_or_default());
    let status = record.status.code();
    all.number("http.response.status_code", status.into());
    let sent = i64::try_from(record.content_length).unwrap_or(i64::MAX);
    all.number("http.response.body.size", sent);
    all.server(&text(record.host));
    match record.client {
        ClientAddress::Ip(address) => all.text("client.address", &address.to_string()),
        ClientAddress::Unix | ClientAddress::Unknown => {}
    }
    all.octets("user_agent.original", record.user_agent.unwrap_or_default());
    let version = record.version().strip_prefix(b"HTTP/");
    all.octets("network.protocol.version", version.unwrap_or_default());
    if let Some(reason) = record.reason {
        all.text("tidegate.reason", reason.id());
    }
    all.text("tidegate.request_id", record.request_id.unwrap_or_default());
    if is_error(record) {
        match record.reason {
            Some(reason) => all.text("error.type", reason.id()),
            None => all.text("error.type", &status.to_string()),
        }
    }
    all.0
}

/// The span of one try, whose parent is the span of the exchange.
fn of_try(
    it: &Try,
    server: &Span,
    method: Option<&'static str>,
    recording: &Recording,
    now: Instant,
) -> Span {
    let (begun, ended, how) = it.times(now);
    let mut all = Attributes::default();
    all.text("http.request.method", method.unwrap_or("_OTHER"));
    all.server(&it.server);
    all.text("url.full", &it.url);
    if it.resent > 0 {
        all.number("http.request.resend_count", it.resent.into());
    }
    let is_error = match how {
        TryEnd::Response(status) => {
            all.number("http.response.status_code", status.code().into());
            if status.code() >= 400 {
                all.text("error.type", &status.code().to_string());
            }
            status.code() >= 400
        }
        TryEnd::Failed(reason) => {
            all.text("error.type", reason.id());
            true
        }
        TryEnd::Abandoned => false,
    };
    Span {
        trace: server.trace,
        id: it.span,
        parent: Some(server.id),
        has_remote_parent: false,
        flags: server.flags,
        state: server.state.clone(),
        kind: Kind::Client,
        name: method.unwrap_or("HTTP").to_owned(),
        started: recording.time_of(begun),
        ended: recording.time_of(ended),
        is_error,
        attributes: all.0,
    }
}

/// Attributes, of which those without a value are left out.
#[derive(Default)]
struct Attributes(Vec<(&'static str, Value)>);

impl Attributes {
    fn text(&mut self, key: &'static str, value: &str) {
        self.octets(key, value.as_bytes());
    }

    fn octets(&mut self, key: &'static str, value: &[u8]) {
        if !value.is_empty() {
            self.0.push((key, Value::Text(text(value))));
        }
    }

    fn number(&mut self, key: &'static str, value: i64) {
        self.0.push((key, Value::Number(value)));
    }

    fn method(&mut self, known: Option<&'static str>, written: &[u8]) {
        self.text("http.request.method", known.unwrap_or("_OTHER"));
        if known.is_none() {
            self.octets("http.request.method_original", written);
        }
    }

    /// The name and the port in `authority`, which may have none.
    fn server(&mut self, authority: &str) {
        let is_address = authority.parse::<IpAddr>().is_ok();
        let end = authority.rfind(']').map_or(0, |end| end + 1);
        let colon = authority[end..].find(':').map(|at| end + at);
        let port = colon.and_then(|colon| authority[colon + 1..].parse::<u16>().ok());
        match (colon, port) {
            (Some(colon), Some(port)) if !is_address => {
                self.text("server.address", bare(&authority[..colon]));
                self.number("server.port", port.into());
            }
            _ => self.text("server.address", bare(authority)),
        }
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// `value` as text, of a bounded length.
fn text(value: &[u8]) -> String {
    let end = value.len().min(MAX_TEXT);
    String::from_utf8_lossy(&value[..end]).into_owned()
}

/// The path in a request-target without its query: a proxy may be sent an absolute-form.
fn path(target: &[u8]) -> &[u8] {
    let Some(authority) = memchr::memmem::find(target, b"://") else {
        return target;
    };
    if target.starts_with(b"/") {
        return target;
    }
    let rest = &target[authority + 3..];
    memchr::memchr(b'/', rest).map_or(b"/", |start| &rest[start..])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::http::status::Status;
    use crate::reason::Reason;

    impl Span {
        /// A span of some trace.
        pub(in crate::trace) fn for_tests() -> Self {
            let (record, trace) = (record(b"GET / HTTP/1.1", Status::OK), sampled());
            let recording = trace.recording().expect("it is recorded");
            of_exchange(&record, &trace, recording).remove(0)
        }
    }

    pub(super) fn sampled() -> Trace {
        Trace::begin(Some(Recording::begin(true)))
    }

    pub(super) fn record(line: &'static [u8], status: Status) -> AccessRecord<'static> {
        AccessRecord {
            host: b"shop.example:8443",
            route: Some("/a/{id}"),
            user_agent: Some(b"curl/8"),
            content_length: 612,
            ..AccessRecord::unreadable(ClientAddress::Ip([192, 0, 2, 7].into()), line, status)
        }
    }

    /// The value of an attribute as text.
    fn value(span: &Span, key: &str) -> Option<String> {
        let mut found = span.attributes.iter();
        let (_, value) = found.find(|(name, _)| *name == key)?;
        Some(match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
        })
    }

    fn spans(record: &AccessRecord<'_>, trace: &Trace) -> Vec<Span> {
        of_exchange(record, trace, trace.recording().expect("it is recorded"))
    }

    #[test]
    fn the_span_of_an_exchange_says_what_its_record_says() {
        let record = record(b"GET /a/7?b=1 HTTP/1.1", Status::OK);
        let spans = spans(&record, &sampled());
        let [span] = &spans[..] else {
            panic!("one span")
        };
        assert_eq!((span.kind, &*span.name), (Kind::Server, "GET /a/{id}"));
        for (key, expected) in [
            ("http.request.method", "GET"),
            ("url.scheme", "https"),
            ("url.path", "/a/7"),
            ("url.query", "b=1"),
            ("http.route", "/a/{id}"),
            ("http.response.status_code", "200"),
            ("http.response.body.size", "612"),
            ("server.address", "shop.example"),
            ("server.port", "8443"),
            ("client.address", "192.0.2.7"),
            ("user_agent.original", "curl/8"),
            ("network.protocol.version", "1.1"),
        ] {
            assert_eq!(value(span, key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!((value(span, "error.type"), span.is_error), (None, false));
        assert!(span.started <= span.ended);
    }

    #[test]
    fn an_exchange_that_failed_says_why() {
        for (status, reason, expected) in [
            (Status::NOT_FOUND, Some(Reason::NoRoute), None),
            (Status::INTERNAL_SERVER_ERROR, None, Some("500")),
            (
                Status::BAD_GATEWAY,
                Some(Reason::UpstreamTimeout),
                Some("upstream_timeout"),
            ),
            // It broke off behind its head, whatever that said.
            (Status::OK, Some(Reason::SendTimeout), Some("send_timeout")),
            (
                Status::NOT_FOUND,
                Some(Reason::UpstreamIncomplete),
                Some("upstream_incomplete"),
            ),
        ] {
            let record = AccessRecord {
                reason,
                ..record(b"GET / HTTP/1.1", status)
            };
            let span = spans(&record, &sampled()).remove(0);
            assert_eq!(value(&span, "error.type").as_deref(), expected, "{status}");
            assert_eq!(span.is_error, expected.is_some(), "{status}");
            let told = value(&span, "tidegate.reason");
            assert_eq!(told.as_deref(), reason.map(Reason::id));
        }
    }

    #[test]
    fn a_method_that_a_client_makes_up_is_no_name() {
        let record = record(b"BREW /pot HTTP/1.1", Status::OK);
        let span = spans(&record, &sampled()).remove(0);
        assert_eq!(span.name, "HTTP /a/{id}");
        assert_eq!(
            value(&span, "http.request.method").as_deref(),
            Some("_OTHER")
        );
        let original = value(&span, "http.request.method_original");
        assert_eq!(original.as_deref(), Some("BREW"));
    }

    #[test]
    fn each_try_has_a_span_below_that_of_the_exchange() {
        let trace = sampled();
        let server = |port: u16| -> Arc<str> { format!("127.0.0.1:{port}").into() };
        let url = |port: u16| move || format!("http://127.0.0.1:{port}/a");
        trace.begin_try(&server(1), url(1), 0);
        trace.end_try(TryEnd::Failed(Reason::UpstreamConnectRefused));
        trace.begin_try(&server(2), url(2), 1);
        trace.end_try(TryEnd::Response(Status::OK));
        let spans = spans(&record(b"GET / HTTP/1.1", Status::OK), &trace);
        let [own, first, second] = &spans[..] else {
            panic!("three spans")
        };
        for (span, port, resent, error) in [
            (first, "1", None, Some("upstream_connect_refused")),
            (second, "2", Some("1"), None),
        ] {
            assert_eq!((span.kind, span.parent), (Kind::Client, Some(own.id)));
            assert_eq!(value(span, "server.port").as_deref(), Some(port));
            let url = format!("http://127.0.0.1:{port}/a");
            assert_eq!(value(span, "url.full"), Some(url));
            let count = value(span, "http.request.resend_count");
            assert_eq!(count.as_deref(), resent);
            assert_eq!(value(span, "error.type").as_deref(), error);
            assert_eq!(span.is_error, error.is_some());
            assert!(own.started <= span.started && span.ended <= own.ended);
        }
        let status = value(second, "http.response.status_code");
        assert_eq!(status.as_deref(), Some("200"));
    }

    #[test]
    fn a_host_may_have_a_port_and_brackets() {
        for (authority, address, port) in [
            ("a.example", "a.example", None),
            ("a.example:80", "a.example", Some("80")),
            ("[::1]", "::1", None),
            ("[::1]:80", "::1", Some("80")),
            ("::1", "::1", None),
            ("a.example:x", "a.example:x", None),
        ] {
            let mut all = Attributes::default();
            all.server(authority);
            let span = Span {
                attributes: all.0,
                ..Span::for_tests()
            };
            assert_eq!(value(&span, "server.address").as_deref(), Some(address));
            assert_eq!(value(&span, "server.port").as_deref(), port, "{authority}");
        }
    }

    #[test]
    fn the_path_of_an_absolute_form_is_behind_its_authority() {
        for (target, expected) in [
            ("/a://b", "/a://b"),
            ("http://h/a/b", "/a/b"),
            ("http://h", "/"),
            ("*", "*"),
        ] {
            assert_eq!(path(target.as_bytes()), expected.as_bytes(), "{target}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(text(&[b'a'; 5000]).len(), MAX_TEXT);
    }
}
