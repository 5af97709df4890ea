//! `traceparent` and `tracestate`: what servers and scripts behind this one are told, and whose word counts.

use super::{CALLER, CLIENT, SERVER, TAKEN, TRACE, get, of_kind, site, spans, traceparent, value};
use crate::cgi::script;
use crate::fastcgi::Peer;
use crate::support::{Request, Server, Site, Upstream};

/// A `traceparent` in its parts: version, trace, span, flags.
fn parts(value: &str) -> [String; 4] {
    let parts: Vec<String> = value.split('-').map(str::to_owned).collect();
    parts.try_into().unwrap_or_else(|_| panic!("{value:?}"))
}

/// What `upstream` gets for a request with these field lines.
fn asked(server: &Server, upstream: &Upstream, lines: &str) -> Request {
    let mut client = server.connect();
    client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
    let (_connection, request) = upstream.answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    request
}

/// The `traceparent` that an upstream was told, of which there is one.
fn told(request: &Request) -> [String; 4] {
    let values = request.values("traceparent");
    let [value] = &values[..] else {
        panic!("one traceparent: {values:?}")
    };
    parts(value)
}

#[test]
fn a_trace_goes_on_through_the_server() {
    let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::listen());
    let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
    let server = site(&routes, &collector, "sample = '0%'").start();
    let lines = format!(
        "{}tracestate: a=1, b=2\r\nTracestate: c=3\r\n",
        traceparent()
    );
    let request = asked(&server, &upstream, &lines);
    let [version, trace, span, flags] = told(&request);
    assert_eq!((&*version, &*trace, &*flags), ("00", TRACE, "01"));
    assert_eq!(request.values("tracestate"), ["a=1,b=2,c=3"]);
    server.stop();
    let spans = spans(&collector);
    let ([own], [of_try]) = (&of_kind(&spans, SERVER)[..], &of_kind(&spans, CLIENT)[..]) else {
        panic!("two spans: {spans:?}")
    };
    assert_eq!(own["parentSpanId"], CALLER);
    assert_eq!(of_try["parentSpanId"], own["spanId"]);
    assert_eq!(of_try["spanId"], *span);
    assert_eq!(own["traceState"], "a=1,b=2,c=3");
}

#[test]
fn a_trace_that_is_not_recorded_is_passed_on_as_such() {
    let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::listen());
    let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
    let server = site(&routes, &collector, "sample = '0%'").start();
    let unsampled = traceparent().replace("-01\r", "-00\r");
    let [_, trace, span, flags] = told(&asked(&server, &upstream, &unsampled));
    assert_eq!((&*trace, &*flags), (TRACE, "00"));
    assert_ne!(span, CALLER);
    let [_, begun, _, flags] = told(&asked(&server, &upstream, ""));
    // Its id is random, and so the flag says (level 2).
    assert_eq!(flags, "02");
    assert!(begun != TRACE && begun.len() == 32, "{begun}");
    server.stop();
    assert_eq!(spans(&collector).len(), 0);
}

#[test]
fn the_trace_of_a_client_that_is_not_trusted_begins_anew() {
    for (settings, trusted, is_followed) in [
        ("", "10.0.0.1", false),
        ("parent = 'always'", "10.0.0.1", true),
        ("parent = 'never'", "127.0.0.1", false),
    ] {
        let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::listen());
        let top = format!(
            "workers = 1\ntrusted_proxies = ['{trusted}']\n[tracing]\nendpoint = '{}'\n{settings}",
            collector.url()
        );
        let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
        let server = Site::new(&routes).top(&top).start();
        let lines = format!("{}tracestate: a=1\r\n", traceparent());
        let request = asked(&server, &upstream, &lines);
        let [_, trace, _, flags] = told(&request);
        assert_eq!(trace == TRACE, is_followed, "{settings}");
        assert_eq!(flags, if is_followed { "01" } else { "03" });
        let states = request.values("tracestate");
        assert_eq!(states.is_empty(), !is_followed, "{states:?}");
        server.stop();
        let own = spans(&collector);
        let own = of_kind(&own, SERVER)[0];
        assert_eq!(own["parentSpanId"] == CALLER, is_followed, "{own}");
    }
}

#[test]
fn what_is_not_valid_begins_a_trace_anew() {
    let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::listen());
    let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
    let server = site(&routes, &collector, "").start();
    for value in [
        format!("ff-{TRACE}-{CALLER}-01"),
        format!("00-{}-{CALLER}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{CALLER}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{CALLER}-01-more"),
        format!("00-{TRACE}-{CALLER}"),
    ] {
        let lines = format!("traceparent: {value}\r\ntracestate: a=1\r\n");
        let request = asked(&server, &upstream, &lines);
        let [_, trace, _, flags] = told(&request);
        assert!(trace != TRACE && flags == "03", "{value}: {trace} {flags}");
        assert_eq!(request.values("tracestate"), [""; 0], "{value}");
    }
    // Two of them are none.
    let request = asked(&server, &upstream, &traceparent().repeat(2));
    assert_ne!(told(&request)[1], TRACE);
}

#[test]
fn without_tracing_the_fields_pass_as_they_are() {
    let upstream = Upstream::listen();
    let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
    let server = Site::new(&routes)
        .log("access = '-'\nformat = 'json'")
        .start();
    let request = asked(
        &server,
        &upstream,
        "traceparent: mine\r\ntracestate: a=1,\r\n",
    );
    assert_eq!(request.values("traceparent"), ["mine"]);
    assert_eq!(request.values("tracestate"), ["a=1,"]);
    let line = server.wait_for_record(|line| line.contains("\"GET\""));
    assert!(!line.contains("trace_id"), "{line}");
}

#[test]
fn the_operator_has_the_last_word_on_the_field() {
    let (collector, upstream) = (Upstream::answering(TAKEN), Upstream::listen());
    let routes = format!(
        "'/' = {{ proxy = '{}', request_headers = {{ remove = 'Traceparent' }} }}",
        upstream.url()
    );
    let server = site(&routes, &collector, "").start();
    let request = asked(&server, &upstream, &traceparent());
    assert_eq!(request.values("traceparent"), [""; 0]);
}

#[test]
fn a_service_that_says_who_is_let_in_is_told_it_too() {
    let (collector, service) = (Upstream::answering(TAKEN), Upstream::listen());
    let routes = format!(
        "'/' = {{ respond = 'a', auth = {{ forward = '{}/verify' }} }}",
        service.url()
    );
    let server = site(&routes, &collector, "").start();
    let [_, trace, span, _] = told(&asked(&server, &service, &traceparent()));
    assert_eq!(trace, TRACE);
    server.stop();
    let spans = spans(&collector);
    let of_try = of_kind(&spans, CLIENT);
    assert_eq!(of_try.len(), 1, "{spans:?}");
    assert_eq!(of_try[0]["spanId"], *span);
}

#[test]
fn scripts_are_told_the_span_of_the_exchange() {
    let collector = Upstream::answering(TAKEN);
    let site = site("'/cgi' = { cgi = 'scripts' }", &collector, "");
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    let body = "printf 'Content-Type: text/plain\\n\\n'; echo $HTTP_TRACEPARENT/$HTTP_TRACESTATE\n";
    script(site.directory(), "told", body);
    let server = site.start();
    let lines = format!("{}tracestate: a=1\r\n", traceparent());
    let response = get(&server, "/cgi/told", &lines).text();
    let (parent, state) = response.trim().split_once('/').expect("both");
    let [_, trace, span, flags] = parts(parent);
    assert_eq!((&*trace, &*flags, state), (TRACE, "01", "a=1"));
    server.stop();
    let spans = spans(&collector);
    assert_eq!(spans.len(), 1, "{spans:?}");
    assert_eq!(spans[0]["spanId"], *span);
}

/// The span named the route of the script.
#[test]
fn the_span_names_the_route_that_a_local_redirect_leads_to() {
    let collector = Upstream::answering(TAKEN);
    let routes = "'/cgi' = { cgi = 'scripts' }\n'/b' = { respond = 'b' }";
    let site = site(routes, &collector, "");
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    script(site.directory(), "a", "printf 'Location: /b\\n\\n'");
    let server = site.start();
    assert_eq!(get(&server, "/cgi/a", "").text(), "b");
    server.stop();
    let spans = spans(&collector);
    assert_eq!(value(&spans[0], "http.route").as_deref(), Some("/b"));
}

#[test]
fn application_servers_of_fastcgi_are_told_it_too() {
    let collector = Upstream::answering(TAKEN);
    let site = site(
        "'/' = { fastcgi = 'unix:php.sock', script = 'app', root = 'www' }",
        &collector,
        "",
    );
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send(format!(
        "GET /a HTTP/1.1\r\nHost: h\r\n{}\r\n",
        traceparent()
    ));
    let asked = peer.answer("Content-Type: text/plain\r\n\r\nok");
    assert_eq!(client.response().status, 200);
    let [_, trace, span, _] = parts(&asked.parameters["HTTP_TRACEPARENT"]);
    assert_eq!(trace, TRACE);
    assert!(!asked.parameters.contains_key("HTTP_TRACESTATE"));
    server.stop();
    assert_eq!(spans(&collector)[0]["spanId"], *span);
}
