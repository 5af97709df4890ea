//! `dashboard = true`: the page, the stream of events at its route, and who may open them.

use std::io::Write as _;

use rustix::process::Signal;

use crate::live::{LONG_GRACE, at_control, has_thread, number, rows, snapshot};
use crate::support::{Events, Response, Server, Site, ended_with, tls_fixture, until};

fn site() -> Site {
    Site::new("'/' = { respond = 'ok' }\n'/dash' = { dashboard = true }").top(LONG_GRACE)
}

/// Opens the stream at the route.
fn at_route(server: &Server) -> Events {
    let mut client = server.connect();
    client.send("GET /dash?events HTTP/1.1\r\nHost: h\r\n\r\n");
    client.events().1
}

#[test]
fn a_stream_says_what_keeps_proxies_from_holding_it_back() {
    let server = site().start();
    let mut client = server.connect();
    client.send("GET /dash?events HTTP/1.1\r\nHost: h\r\n\r\n");
    let (head, _) = client.events();
    assert_eq!(head.field("Cache-Control"), Some("no-store"));
    assert_eq!(head.field("X-Accel-Buffering"), Some("no"));
    assert_eq!(head.field("Transfer-Encoding"), Some("chunked"));
}

#[test]
fn a_stream_is_counted_with_its_route_when_it_ends() {
    let server = site().start();
    let mut events = at_route(&server);
    let first = events.next().expect("an event");
    assert_eq!(rows(&first, "/dash").count(), 0);
    drop(events);
    until("it is counted", || {
        let shown = snapshot(&server);
        rows(&shown, "/dash")
            .next()
            .map(|row| assert_eq!(number(row, "/count"), 1))
    });
}

#[test]
fn certificates_and_rates_are_shown() {
    let (certificate, key) = (tls_fixture("localhost.pem"), tls_fixture("localhost.key"));
    let server = Site::new("'/' = { respond = 'ok', rate = 'few' }\n'/dash' = { dashboard = true }")
        .top(&format!("{LONG_GRACE}\nrates.few = {{ rate = '1/h' }}"))
        .server(&format!(
            "listen = '127.0.0.1:0'\ntls = {{ certificate = {certificate:?}, key = {key:?} }}\ntls_default = true"
        ))
        .start();
    // Over TLS, because the server says so.
    let mut events = at_route(&server);
    assert_eq!(server.get("/").status, 200);
    assert_eq!(server.get("/").status, 429);
    let shown = events.until("the refusal", |now| number(now, "/rates/0/refused") == 1);
    assert_eq!(shown["rates"][0]["name"], "few");
    assert_eq!(shown["certificates"][0]["name"], "localhost");
    assert!(number(&shown, "/certificates/0/expires_ms") > number(&shown, "/time_ms"));
}

#[test]
fn viewers_at_routes_and_at_the_control_socket_share_the_places() {
    let server = site().start();
    let mut viewers: Vec<Events> = (0..48)
        .map(|nth| match nth % 2 {
            0 => at_control(&server),
            _ => at_route(&server),
        })
        .collect();
    let refused = server.get("/dash?events");
    assert_eq!(
        (refused.status, refused.field("Retry-After")),
        (503, Some("1"))
    );
    server.wait_for_reason("too_many_viewers");
    // However many look by routes, the operator has a place.
    viewers.push(at_control(&server));
    // The page is no viewer.
    assert_eq!(server.get("/dash").status, 200);
    drop(viewers);
    until("the thread ends with the last viewer", || {
        (!has_thread(&server)).then_some(())
    });
}

#[test]
fn a_reload_ends_no_stream() {
    let server = site().start();
    let mut events = at_route(&server);
    assert!(events.next().is_some());
    ended_with(0, &server.command_line(&["reload"]));
    let shown = events.until("the next one", |now| number(now, "/generation/number") == 2);
    assert_eq!(shown["reloads"][0]["outcome"], "applied");
}

/// Otherwise who was let in once could look on for as long as the connection lasts.
#[test]
fn a_reload_that_shuts_others_out_ends_their_streams() {
    // Another server has a route that is alike: it is not taken for the one that goes.
    let alike = "'/dash' = { dashboard = true }";
    let with = |dashboard: &str| {
        format!(
            "grace = '10m'\n[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n{dashboard}\n\
             [[server]]\nlisten = '127.0.0.1:0'\nhosts = 'other.test'\n[server.routes]\n{alike}\n"
        )
    };
    let before = "'/dash' = { dashboard = true }";
    for after in [
        "'/dash' = { dashboard = true, deny = '127.0.0.1' }",
        "'/dash' = { respond = 'gone' }",
        "'/dish' = { dashboard = true }",
    ] {
        let server = Site::configured(&with(before)).start();
        let mut events = at_route(&server);
        assert!(events.next().is_some());
        server.configure(with(after));
        ended_with(0, &server.command_line(&["reload"]));
        events.expect_end();
        // The operator looks on.
        assert_eq!(number(&snapshot(&server), "/generation/number"), 2);
    }
}

#[test]
fn a_stop_ends_streams_at_once() {
    let mut server = site().start();
    let mut events = at_route(&server);
    assert!(events.next().is_some());
    server.signal(Signal::TERM);
    // In order: with the last chunk.
    events.expect_end();
    drop(events);
    assert!(server.wait().expect("it is our own child").success());
}

#[test]
fn a_client_of_http_1_0_gets_events_up_to_the_end_of_the_connection() {
    let server = site().start();
    let mut client = server.connect();
    client.send("GET /dash?events HTTP/1.0\r\n\r\n");
    let (head, mut events) = client.events();
    assert_eq!(head.field("Transfer-Encoding"), None);
    assert!(head.says_close());
    let first = events.next().expect("an event");
    let second = events.next().expect("another");
    assert!(number(&second, "/time_ms") > number(&first, "/time_ms"));
}

/// A coding that held an event back until the next would show every number too late.
#[test]
fn compressed_events_come_one_by_one() {
    let server = site()
        .server("listen = '127.0.0.1:0'\ncompress = true")
        .start();
    let mut client = server.connect();
    client.send("GET /dash?events HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    let (head, mut events) = client.events();
    assert_eq!(head.field("Content-Encoding"), Some("gzip"));
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    let mut come = |count: usize| {
        until("the events", || {
            decoder.write_all(&events.chunk()).expect("gzip");
            decoder.flush().expect("gzip");
            let text = String::from_utf8_lossy(decoder.get_ref());
            assert!(text.matches("event: ").count() <= count, "{text}");
            (text.ends_with("}\n\n") && text.matches("event: ").count() == count).then_some(())
        });
    };
    come(1);
    come(2);
}

#[test]
fn the_page_is_sent_with_a_policy_and_revalidated() {
    let server = site().start();
    for target in ["/dash", "/dash/", "/dash?a=1"] {
        let page = server.get(target);
        assert_eq!(page.status, 200, "{target}");
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
        assert_eq!(page.field("Cache-Control"), Some("no-cache"));
        assert_eq!(page.field("X-Content-Type-Options"), Some("nosniff"));
        let policy = page.field("Content-Security-Policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "script-src 'sha256-",
            "connect-src 'self'",
        ] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(page.text().contains("?events"));
        let tag = page.field("ETag").expect("a tag");
        let known = server.get_with(target, &format!("If-None-Match: {tag}\r\n"));
        assert_eq!((known.status, known.text()), (304, String::new()));
    }
}

fn head(server: &Server, target: &str) -> Response {
    let mut client = server.connect();
    client.send(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
    client.response_to_head()
}

#[test]
fn other_methods_are_told_what_there_is_or_refused() {
    let server = site().start();
    let length = server.get("/dash").content_length();
    assert_eq!(head(&server, "/dash").content_length(), length);
    let stream = head(&server, "/dash?events");
    assert_eq!(stream.field("Content-Type"), Some("text/event-stream"));
    assert!(!has_thread(&server), "no one looks");
    for target in ["/dash", "/dash?events"] {
        let request = format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(server.answer(request).status, 405, "{target}");
    }
}

/// To explain a request is not to look.
#[test]
fn a_stream_is_explained_without_one() {
    let server = site().start();
    for arguments in [
        &["explain", "/dash?events"][..],
        &["explain", "--live", "/dash?events"],
    ] {
        let told = ended_with(0, &server.command_line(arguments));
        assert!(told.contains("text/event-stream"), "{told}");
    }
    assert!(!has_thread(&server));
}

#[test]
fn a_client_that_may_not_open_the_page_may_not_see_its_events() {
    let server = Site::new("'/dash' = { dashboard = true, deny = '127.0.0.1' }").start();
    for target in ["/dash", "/dash?events"] {
        assert_eq!(server.get(target).status, 403, "{target}");
    }
}
