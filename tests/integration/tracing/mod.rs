//! `[tracing]`: traces that go on from the caller to the upstream, and the spans that a collector gets.
//!
//! A collector is an upstream that the test plays. A server that is stopped sends what it still has, so most
//! tests stop it and look then.

// What the collector may do wrong, and what happens to the spans then.
mod collector;
// What upstreams and scripts are told.
mod passed_on;

use serde_json::Value;

use crate::support::{
    Certificate, Response, Server, Site, Upstream, ended_with, is_tls_wanted, tls_fixture,
};

const TAKEN: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A field line with a caller's trace, which is sampled.
fn traceparent() -> String {
    format!("traceparent: 00-{TRACE}-{CALLER}-01\r\n")
}

/// A site whose spans go to `collector`; `settings` are further lines of `[tracing]`. Peers are trusted.
fn site(routes: &str, collector: &Upstream, settings: &str) -> Site {
    let endpoint = collector.url();
    let top = format!(
        "workers = 1\ntrusted_proxies = ['127.0.0.1']\n[tracing]\nendpoint = '{endpoint}'\n{settings}"
    );
    Site::new(routes)
        .top(&top)
        .log("access = '-'\nformat = 'json'")
}

/// The spans that have come, in their order.
fn spans(collector: &Upstream) -> Vec<Value> {
    let of_request = |request: crate::support::Request| {
        assert_eq!(request.line(), "POST /v1/traces HTTP/1.1");
        assert_eq!(
            request.field("Content-Type").as_deref(),
            Some("application/json")
        );
        let sent: Value = serde_json::from_slice(&request.content).expect("JSON");
        let scope = &sent["resourceSpans"][0]["scopeSpans"][0];
        scope["spans"].as_array().expect("spans").clone()
    };
    collector
        .requests()
        .into_iter()
        .flat_map(of_request)
        .collect()
}

/// The value of an attribute as text.
fn value(of: &Value, key: &str) -> Option<String> {
    let all = of["attributes"].as_array().expect("attributes");
    let found = all.iter().find(|attribute| attribute["key"] == key)?;
    let value = &found["value"];
    let text = value["stringValue"].as_str().or(value["intValue"].as_str());
    Some(text.expect("a text or a number").to_owned())
}

/// The kinds of spans.
const SERVER: u64 = 2;
const CLIENT: u64 = 3;

fn of_kind(spans: &[Value], kind: u64) -> Vec<&Value> {
    spans.iter().filter(|span| span["kind"] == kind).collect()
}

/// The record of the exchange whose target holds `target`.
fn record(server: &Server, target: &str) -> Value {
    let line = server.wait_for_record(|line| line.contains(target));
    serde_json::from_str(&line).expect("JSON")
}

/// The response to a GET for `target`, of a client that waits for it.
fn get(server: &Server, target: &str, lines: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    server.connect().exchange(request)
}

#[test]
fn a_request_that_is_refused_before_its_route_belongs_to_its_trace() {
    let collector = Upstream::answering(TAKEN);
    let server = site("'/' = { respond = 'ok' }", &collector, "").start();
    let lines = format!("{}Expect: foo\r\n", traceparent());
    assert_eq!(get(&server, "/refused", &lines).status, 417);
    assert_eq!(record(&server, "/refused")["trace_id"], TRACE);
    server.stop();
    assert_eq!(spans(&collector).len(), 1);
}

#[test]
fn an_exchange_that_is_answered_at_once_has_a_span() {
    let collector = Upstream::answering(TAKEN);
    let server = site(
        "'/files' = { files = 'www', strip_prefix = true }",
        &collector,
        "service = 'shop'",
    )
    .file("a.txt", "hello")
    .start();
    let lines = format!("{}User-Agent: curl/8\r\n", traceparent());
    let response = server.get_with("/files/a.txt?token=secret&b=1", &lines);
    assert_eq!(response.status, 200);
    assert_eq!(record(&server, "/files/a.txt")["trace_id"], TRACE);
    server.stop();
    let spans = spans(&collector);
    let [span] = &spans[..] else {
        panic!("one span: {spans:?}")
    };
    assert_eq!(span["name"], "GET /files");
    assert_eq!(span["kind"], SERVER);
    assert_eq!(span["traceId"], TRACE);
    assert_eq!(span["parentSpanId"], CALLER);
    assert_ne!(span["spanId"], CALLER);
    assert_eq!(span.get("status"), None);
    let scheme = if is_tls_wanted() { "https" } else { "http" };
    for (key, expected) in [
        ("http.request.method", "GET"),
        ("url.scheme", scheme),
        ("url.path", "/files/a.txt"),
        ("url.query", "token=[redacted]&b=1"),
        ("http.route", "/files"),
        ("http.response.status_code", "200"),
        ("server.address", "h"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "curl/8"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(value(span, key).as_deref(), Some(expected), "{key}");
    }
    let nanoseconds = |key: &str| -> u128 {
        let text = span[key].as_str().expect("a string");
        text.parse().expect("a number")
    };
    assert!(nanoseconds("startTimeUnixNano") <= nanoseconds("endTimeUnixNano"));
    let sent: Value = serde_json::from_slice(&collector.requests()[0].content).expect("JSON");
    let resource = &sent["resourceSpans"][0]["resource"];
    assert_eq!(value(resource, "service.name").as_deref(), Some("shop"));
}

/// It left the fast path: the request's buffer was gone when it was recorded.
#[test]
fn a_response_that_the_client_takes_slowly_has_a_span() {
    let collector = Upstream::answering(TAKEN);
    let server = site("'/' = { files = 'www' }", &collector, "")
        .file("large.bin", vec![b'x'; 24 * 1024 * 1024])
        .start();
    let mut client = server.connect();
    let lines = traceparent();
    client.send(format!("GET /large.bin HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    client.read(1024);
    client.finish_sending();
    client.count_rest();
    assert_eq!(record(&server, "/large.bin")["trace_id"], TRACE);
    server.stop();
    let spans = spans(&collector);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0]["traceId"], TRACE);
    let size = value(&spans[0], "http.response.body.size");
    assert_eq!(size, Some((24 * 1024 * 1024).to_string()));
}

#[test]
fn an_exchange_that_failed_has_a_status_and_a_reason() {
    let collector = Upstream::answering(TAKEN);
    let mut gone = Upstream::listen();
    let routes = format!(
        "'/' = {{ proxy = '{}' }}\n'/here' = {{ respond = 'a' }}",
        gone.url()
    );
    gone.close();
    let server = site(&routes, &collector, "").start();
    assert_eq!(get(&server, "/", "").status, 502);
    assert_eq!(
        server
            .answer("BREW /here HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        501
    );
    assert_eq!(
        server
            .answer("POST /here HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
            .status,
        405
    );
    server.stop();
    let spans = spans(&collector);
    let of_status = |status: &str| {
        let mut found = spans.iter().filter(|span| span["kind"] == SERVER);
        let found =
            found.find(|span| value(span, "http.response.status_code").as_deref() == Some(status));
        found.unwrap_or_else(|| panic!("a span with {status}: {spans:?}"))
    };
    let failed = of_status("502");
    assert_eq!(failed["status"]["code"], 2);
    let why = Some("upstream_connect_refused");
    assert_eq!(value(failed, "error.type").as_deref(), why);
    let refused = of_status("405");
    assert_eq!(refused.get("status"), None);
    assert_eq!(value(refused, "error.type"), None);
    let reason = value(refused, "tidegate.reason");
    assert_eq!(reason.as_deref(), Some("method_not_allowed"));
    let tries = of_kind(&spans, CLIENT);
    assert!(!tries.is_empty());
    for span in tries {
        assert_eq!(value(span, "error.type").as_deref(), why);
        assert_eq!(span["status"]["code"], 2);
    }
}

#[test]
fn a_server_asked_again_has_a_span_of_its_own() {
    let collector = Upstream::answering(TAKEN);
    let (failing, good) = (Upstream::listen(), Upstream::listen());
    let text = |name: &str| format!("HTTP/1.1 {name}\r\nContent-Length: 0\r\n\r\n");
    let failing = failing.run({
        let text = text("503 Busy");
        move |connection| {
            while connection.next_request().is_some() {
                connection.send(&text);
            }
        }
    });
    let good = good.run({
        let text = text("200 OK");
        move |connection| {
            while connection.next_request().is_some() {
                connection.send(&text);
            }
        }
    });
    let (first, second) = (failing.address(), good.address());
    let top = format!(
        "workers = 1\n[tracing]\nendpoint = '{}'\n[upstreams.shop]\n\
         servers = ['{first}', {{ address = '{second}', backup = true }}]\nretry = {{ statuses = [503] }}",
        collector.url()
    );
    let server = Site::new("'/' = { proxy = 'shop' }").top(&top).start();
    assert_eq!(get(&server, "/a?token=secret", "").status, 200);
    server.stop();
    let spans = spans(&collector);
    let [own] = of_kind(&spans, SERVER)[..] else {
        panic!("one span of the exchange: {spans:?}")
    };
    let [busy, answered] = of_kind(&spans, CLIENT)[..] else {
        panic!("two tries: {spans:?}")
    };
    for (span, server, status, resent) in [
        (busy, &failing, "503", None),
        (answered, &good, "200", Some("1")),
    ] {
        assert_eq!(span["parentSpanId"], own["spanId"]);
        assert_eq!(span["traceId"], own["traceId"]);
        let code = value(span, "http.response.status_code");
        assert_eq!(code.as_deref(), Some(status));
        let count = value(span, "http.request.resend_count");
        assert_eq!(count.as_deref(), resent);
        let port = server
            .address()
            .rsplit_once(':')
            .map(|(_, port)| port.to_owned());
        assert_eq!(value(span, "server.port"), port);
        let url = value(span, "url.full");
        assert_eq!(url, Some(format!("http://{}/a", server.address())));
        let told = server.requests()[0]
            .field("traceparent")
            .expect("it is told");
        let id = span["spanId"].as_str().expect("an id");
        assert!(told.contains(&format!("-{id}-")), "{told} {id}");
    }
}

#[test]
fn a_tunnel_has_a_span_when_it_has_ended() {
    let collector = Upstream::answering(TAKEN);
    let upstream = Upstream::listen();
    let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
    let server = site(&routes, &collector, "").start();
    let mut client = server.connect();
    client.send(format!(
        "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{}\r\n",
        traceparent()
    ));
    let mut connection = upstream.accept();
    connection.head();
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    );
    assert_eq!(client.response_head().status, 101);
    drop(connection);
    client.finish_sending();
    client.count_rest();
    assert_eq!(record(&server, "/socket")["trace_id"], TRACE);
    server.stop();
    let spans = spans(&collector);
    let [own] = of_kind(&spans, SERVER)[..] else {
        panic!("one span of the exchange: {spans:?}")
    };
    assert_eq!(own["traceId"], TRACE);
    let code = value(own, "http.response.status_code");
    assert_eq!(code.as_deref(), Some("101"));
}

#[test]
fn no_trace_is_recorded_that_is_not_sampled() {
    let collector = Upstream::answering(TAKEN);
    let server = site("'/' = { respond = 'a' }", &collector, "sample = '0%'").start();
    for _ in 0..20 {
        server.get("/begun");
    }
    assert_eq!(record(&server, "/begun").get("trace_id"), None);
    let unsampled = traceparent().replace("-01\r", "-00\r");
    server.get_with("/followed", &unsampled);
    // It is of no use to a collector, and the logs of the caller have it.
    assert_eq!(record(&server, "/followed")["trace_id"], TRACE);
    server.get_with("/recorded", &traceparent());
    server.stop();
    let spans = spans(&collector);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(value(&spans[0], "url.path").as_deref(), Some("/recorded"));
}

/// An exchange that has to be waited for had the id of a trace in the log that no other program knew.
#[test]
fn the_log_has_no_trace_that_is_only_here() {
    let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::answering(TAKEN));
    let routes = format!(
        "'/echo' = {{ echo = true }}\n'/metrics' = {{ metrics = true }}\n'/asked' = {{ proxy = '{}' }}",
        upstream.url()
    );
    let server = site(&routes, &collector, "sample = '0%'").start();
    for target in ["/echo", "/metrics"] {
        assert_eq!(server.get(target).status, 200);
        assert_eq!(record(&server, target).get("trace_id"), None, "{target}");
    }
    get(&server, "/asked", "");
    let told = upstream.requests()[0].field("traceparent");
    let told = told.expect("that it is not recorded");
    let logged = record(&server, "/asked");
    assert_eq!(logged["trace_id"].as_str(), told.split('-').nth(1));
}

#[test]
fn what_logs_leave_out_no_span_has() {
    let collector = Upstream::answering(TAKEN);
    let server = site("'/' = { respond = 'a' }", &collector, "")
        .log("access = false\nredact = { fields = ['client', 'query', 'user_agent', 'host'] }")
        .start();
    server.get_with("/a?b=1", "User-Agent: curl/8\r\n");
    server.stop();
    let spans = spans(&collector);
    assert_eq!(value(&spans[0], "url.path").as_deref(), Some("/a"));
    for key in [
        "client.address",
        "url.query",
        "user_agent.original",
        "server.address",
    ] {
        assert_eq!(value(&spans[0], key), None, "{key}");
    }
}

#[test]
fn a_collector_may_be_asked_over_tls_with_fields_that_are_not_printed() {
    let collector = Upstream::listen().over_tls(&Certificate::of("localhost"));
    let port = collector
        .address()
        .rsplit_once(':')
        .expect("a port")
        .1
        .to_owned();
    let collector = collector.run(|connection| {
        while connection.next_request().is_some() {
            connection.send(TAKEN);
        }
    });
    let ca = tls_fixture("ca.pem");
    let site = Site::new("'/' = { respond = 'a' }").top(&format!(
        "workers = 1\n[tracing]\nendpoint = 'https://localhost:{port}'\nca = {ca:?}\n\
         headers = {{ Authorization = 'Bearer ${{SECRET:-hushhush}}' }}"
    ));
    let dumped = site.command_line(&["check", "--dump"]);
    let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
    assert!(text.contains("Authorization = \"[redacted]\""), "{text}");
    assert!(!text.contains("hushhush"), "{text}");
    let server = site.start();
    server.get("/");
    let (stderr, _) = server.stop();
    let requests = collector.requests();
    let [request] = &requests[..] else {
        panic!("one batch: {stderr:?}")
    };
    let sent = request.field("Authorization");
    assert_eq!(sent.as_deref(), Some("Bearer hushhush"));
    assert!(
        !stderr.iter().any(|line| line.contains("hushhush")),
        "{stderr:?}"
    );
}

#[test]
fn a_path_that_a_route_has_made_is_in_no_span() {
    let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::answering(TAKEN));
    let routes = format!(
        "'/a' = {{ proxy = '{}', rewrite = '/key-0123{{path}}' }}",
        upstream.url()
    );
    let server = site(&routes, &collector, "").start();
    assert_eq!(server.get("/a").status, 200);
    server.stop();
    assert_eq!(upstream.requests()[0].line(), "GET /key-0123/a HTTP/1.1");
    let spans = spans(&collector);
    assert_eq!(spans.len(), 2);
    assert!(
        spans
            .iter()
            .all(|span| !span.to_string().contains("0123/a")),
        "{spans:?}"
    );
}

#[test]
fn a_reload_reads_the_authority_of_the_collector_again() {
    let collector = Upstream::listen().over_tls(&Certificate::of("localhost"));
    let (_, port) = collector.address().rsplit_once(':').expect("a port");
    let top =
        format!("workers = 1\n[tracing]\nendpoint = 'https://localhost:{port}'\nca = 'ca.pem'");
    let collector = collector.run(|connection| {
        while connection.next_request().is_some() {
            connection.send(TAKEN);
        }
    });
    let fixture = |name| std::fs::read(tls_fixture(name)).expect("a fixture");
    let site = Site::new("'/' = { respond = 'a' }").top(&top);
    site.directory().write("ca.pem", fixture("own.pem"));
    let server = site.start();
    server.directory().write("ca.pem", fixture("ca.pem"));
    ended_with(0, &server.command_line(&["reload"]));
    server.get("/");
    server.stop();
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn explain_tells_what_becomes_of_a_trace() {
    let collector = Upstream::listen();
    let endpoint = format!("http://{}/v1/traces", collector.address());
    let server = site("'/' = { respond = 'a' }", &collector, "sample = '12.5%'").start();
    let explained = |arguments: &[&str]| {
        let all = [&["explain"], arguments].concat();
        String::from_utf8(server.command_line(&all).stdout).expect("text")
    };
    let begun = explained(&["/"]);
    let expected = format!(
        "trace     begins here: 12.5% of these are recorded, for {endpoint}; a `traceparent` of trusted proxies is followed"
    );
    assert!(begun.contains(&expected), "{begun}");
    let field = traceparent();
    let followed = explained(&["/", "--header", field.trim_end()]);
    let expected =
        format!("trace     {TRACE} goes on here: recorded, as the caller's is, for {endpoint}");
    assert!(followed.contains(&expected), "{followed}");
    collector.expect_no_connection();
}
