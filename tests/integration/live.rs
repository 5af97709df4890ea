//! What the control socket shows live: one snapshot, a stream of them, and nothing is done where no one looks.

use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Events, Server, Site, Upstream, ended_with, until};

/// Long enough to be noticed if a stop waits for it.
pub(crate) const LONG_GRACE: &str = "workers = 2\ngrace = '10m'";

fn site() -> Site {
    Site::new("'/' = { respond = 'ok' }").top(LONG_GRACE)
}

/// Opens the stream at the control socket.
pub(crate) fn at_control(server: &Server) -> Events {
    let mut control = server.control();
    control.send("GET /live HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n");
    control.events().1
}

/// One snapshot.
pub(crate) fn snapshot(server: &Server) -> Value {
    let response = server.control().exchange("GET", "/live");
    assert_eq!(response.status, 200);
    assert_eq!(response.field("Content-Type"), Some("application/json"));
    assert_eq!(response.field("Cache-Control"), Some("no-store"));
    response.json()
}

pub(crate) fn number(snapshot: &Value, pointer: &str) -> u64 {
    let found = snapshot.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer}: {snapshot:#}"))
}

/// Whether the thread runs that makes snapshots.
pub(crate) fn has_thread(server: &Server) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("it runs");
    let names = tasks.flatten();
    let mut names = names.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.any(|name| name.trim() == "tidegate-live")
}

#[test]
fn a_snapshot_tells_what_was_done() {
    let server = site().start();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(server.get("/none").status, 200);
    assert_eq!(server.answer("nonsense\r\n\r\n").status, 400);
    let shown = until("they are counted", || {
        let shown = snapshot(&server);
        (number(&shown, "/requests") == 5).then_some(shown)
    });
    for (pointer, expected) in [
        ("/version", Value::from(env!("CARGO_PKG_VERSION"))),
        ("/process_id", server.id().into()),
        ("/phase", "ready".into()),
        ("/generation/number", 1.into()),
        ("/ends/answered", 4.into()),
        ("/ends/refused", 1.into()),
        ("/reasons", serde_json::json!({ "request_malformed": 1 })),
        ("/bounds_us/0", 500.into()),
        ("/bounds_us/14", 30_000_000.into()),
        ("/pools/0/name", "disk".into()),
        ("/log_lost", 0.into()),
        ("/reloads", serde_json::json!([])),
        ("/upstreams", serde_json::json!([])),
        ("/apps", serde_json::json!([])),
        ("/failures/0/reason", "request_malformed".into()),
        ("/failures/0/status", 400.into()),
    ] {
        assert_eq!(
            shown.pointer(pointer),
            Some(&expected),
            "{pointer}: {shown:#}"
        );
    }
    assert_eq!(shown.pointer("/failures/1"), None, "{shown:#}");
    for pointer in [
        "/time_ms",
        "/process/cpu_us",
        "/process/resident_bytes",
        "/process/open_fds",
    ] {
        assert!(number(&shown, pointer) > 0, "{pointer}");
    }
    assert!(number(&shown, "/started_ms") <= number(&shown, "/time_ms"));
    let workers = shown["workers"].as_array().expect("workers");
    let requests = workers.iter().map(|worker| number(worker, "/requests"));
    assert_eq!((workers.len(), requests.sum::<u64>()), (2, 5));
    assert!(
        workers.iter().all(|worker| worker["delay_us"].is_u64()),
        "{workers:?}"
    );
    let connections = workers.iter().map(|worker| number(worker, "/connections"));
    assert_eq!(
        connections.sum::<u64>(),
        number(&shown, "/connections/http")
    );
    let root: Vec<&Value> = rows(&shown, "/").collect();
    let [row] = root[..] else { panic!("{root:?}") };
    assert_eq!((&row["method"], &row["class"]), (&"GET".into(), &2.into()));
    assert_eq!((number(row, "/count"), number(row, "/sent")), (4, 8));
    let buckets = row["buckets"].as_array().expect("buckets");
    let sum: u64 = buckets.iter().filter_map(Value::as_u64).sum();
    assert_eq!((buckets.len(), sum), (16, 4));
}

/// The series of the route with this key.
pub(crate) fn rows<'s>(snapshot: &'s Value, route: &str) -> impl Iterator<Item = &'s Value> {
    let series = snapshot["series"].as_array().expect("series");
    series.iter().filter(move |row| row["route"] == route)
}

/// A reader of the metrics and one of snapshots must not come to different ends.
#[test]
fn snapshots_and_metrics_tell_the_same() {
    let server = site().start();
    for target in ["/", "/", "/dash"] {
        assert_eq!(server.get(target).status, 200);
    }
    let shown = until("they are counted", || {
        let shown = snapshot(&server);
        (number(&shown, "/requests") == 3).then_some(shown)
    });
    let metrics = server.control().exchange("GET", "/metrics").text();
    let has = |sample: &str, value: u64| {
        let found = metrics.lines().filter(|line| line.starts_with(sample));
        let found: Vec<&str> = found.collect();
        let end = format!(" {value}");
        assert!(
            found.len() == 1 && found[0].ends_with(&end),
            "{sample}: {found:?}, not {value}"
        );
    };
    has(
        "tidegate_connections_accepted_total",
        number(&shown, "/connections/accepted"),
    );
    has(
        "tidegate_http_exchanges_total{end=\"answered\"}",
        number(&shown, "/ends/answered"),
    );
    has(
        "tidegate_config_generation ",
        number(&shown, "/generation/number"),
    );
    for row in shown["series"].as_array().expect("series") {
        let text = |key: &str| row[key].as_str().expect("text");
        let labels = format!(
            "{{server=\"{}\",route=\"{}\",method=\"{}\",code=\"{}xx\"}}",
            text("server"),
            text("route"),
            text("method"),
            row["class"]
        );
        has(
            &format!("tidegate_http_requests_total{labels}"),
            number(row, "/count"),
        );
        let sent = format!("tidegate_http_response_content_bytes_total{labels}");
        has(&sent, number(row, "/sent"));
    }
}

#[test]
fn the_last_failures_are_shown_with_their_reasons() {
    let server = Site::new("'/' = { respond = 'ok' }\n'/shop' = { proxy = 'http://127.0.0.1:1' }")
        .top(LONG_GRACE)
        .start();
    let mut events = at_control(&server);
    assert_eq!(
        events.next().expect("an event")["failures"],
        serde_json::json!([])
    );
    assert_eq!(server.get("/").status, 200);
    let get = "GET /shop/<b>?token=secret HTTP/1.1\r\nHost: h\r\n\r\n";
    let get = get.replace("<b>", "%3Cb%3E");
    assert_eq!(server.connect().exchange(get).status, 502);
    let shown = events.until("the failure", |now| now["failures"][0].is_object());
    let failures = shown["failures"].as_array().expect("failures");
    let [failure] = &failures[..] else {
        panic!("{failures:?}")
    };
    for (key, expected) in [
        ("client", Value::from("127.0.0.1")),
        ("method", "GET".into()),
        ("host", "h".into()),
        ("status", 502.into()),
        ("reason", "upstream_connect_refused".into()),
        ("route", "/shop".into()),
        ("upstream", "127.0.0.1:1".into()),
    ] {
        assert_eq!(failure[key], expected, "{key}: {failure:#}");
    }
    assert!(number(failure, "/time_ms") >= number(&shown, "/started_ms"));
    assert!(!shown.to_string().contains("secret"), "{failure:#}");
}

#[test]
fn connections_that_wait_for_a_request_are_shown_among_those_of_http() {
    let server = site().start();
    let mut events = at_control(&server);
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(client.exchange(get).text(), "ok");
    }
    let shown = events.until("both", |now| number(now, "/connections/idle") == 2);
    assert_eq!(number(&shown, "/connections/http"), 2);
    drop(clients);
    events.until("their end", |now| number(now, "/connections/idle") == 0);
}

#[test]
fn a_stream_shows_one_snapshot_after_the_other() {
    let server = site().start();
    let mut events = at_control(&server);
    let first = events.next().expect("the first comes at once");
    assert_eq!(number(&first, "/requests"), 0);
    for _ in 0..5 {
        assert_eq!(server.get("/").text(), "ok");
    }
    let later = events.until("five requests", |now| number(now, "/requests") == 5);
    assert!(number(&later, "/time_ms") > number(&first, "/time_ms"));
}

#[test]
fn nothing_runs_where_no_one_looks() {
    let server = site().start();
    assert_eq!(server.get("/").text(), "ok");
    assert!(number(&snapshot(&server), "/requests") > 0);
    assert!(!has_thread(&server));
    let mut viewers = [at_control(&server), at_control(&server)];
    for events in &mut viewers {
        assert!(events.next().is_some() && has_thread(&server));
    }
    drop(viewers);
    until("the thread ends with the last viewer", || {
        (!has_thread(&server)).then_some(())
    });
    assert!(at_control(&server).next().is_some() && has_thread(&server));
}

#[test]
fn one_viewer_too_many_is_503_until_another_has_gone() {
    const STREAM: &str = "GET /live HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n";
    let server = site().start();
    let mut viewers: Vec<Events> = (0..64).map(|_| at_control(&server)).collect();
    for viewer in &mut viewers {
        assert!(viewer.next().is_some());
    }
    let mut control = server.control();
    control.send(STREAM);
    let refused = control.response();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.field("Retry-After"), Some("1"));
    assert!(refused.text().contains("too_many_viewers"), "{refused:?}");
    assert!(viewers.iter_mut().all(|viewer| viewer.next().is_some()));
    // One snapshot needs no place.
    assert_eq!(snapshot(&server)["phase"], "ready");
    viewers.pop();
    let head = until("a place", || {
        let mut control = server.control();
        control.send(STREAM);
        let head = control.response_head();
        (head.status == 200).then_some(head)
    });
    assert_eq!(head.field("Content-Type"), Some("text/event-stream"));
}

#[test]
fn a_reload_is_marked_and_ends_no_stream() {
    let server = site().start();
    let mut events = at_control(&server);
    assert_eq!(
        events.next().expect("an event")["reloads"],
        serde_json::json!([])
    );
    ended_with(0, &server.command_line(&["reload"]));
    let applied = events.until("a mark", |now| now["reloads"][0].is_object());
    let mark = &applied["reloads"][0];
    assert_eq!(
        (&mark["outcome"], &mark["generation"]),
        (&"applied".into(), &2.into())
    );
    assert_eq!(mark["message"], "reloaded: generation 2");
    assert_eq!(number(&applied, "/generation/number"), 2);
    assert!(number(mark, "/time_ms") >= number(&applied, "/started_ms"));
    server.configure(
        "nonsense = 1\n[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'ok' }\n",
    );
    ended_with(1, &server.command_line(&["reload"]));
    let refused = events.until("another", |now| now["reloads"][1].is_object());
    let mark = &refused["reloads"][1];
    assert_eq!(
        (&mark["outcome"], &mark["generation"]),
        (&"refused".into(), &2.into())
    );
    let message = mark["message"].as_str().expect("text");
    assert!(
        message.starts_with("error: ") && message.contains("nonsense"),
        "{message}"
    );
    assert_eq!(number(&refused, "/generation/number"), 2);
}

#[test]
fn a_reload_that_is_taken_back_is_marked() {
    let server = site().start();
    let mut events = at_control(&server);
    let other = "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'new' }\n";
    server.configure(format!("{LONG_GRACE}\n{other}"));
    ended_with(0, &server.command_line(&["reload", "--confirm", "1s"]));
    let back = events.until("the mark", |now| now["reloads"][1].is_object());
    let mark = &back["reloads"][1];
    assert_eq!(
        (&mark["outcome"], &mark["generation"]),
        (&"applied".into(), &3.into())
    );
    let message = mark["message"].as_str().expect("text");
    assert!(message.contains("not confirmed in time"), "{message}");
}

/// Something else stands at the address of the listener that the reload on trial took away, and goes again. It was
/// tried once to take the reload back.
#[test]
fn a_reload_that_cannot_be_taken_back_is_marked_and_tried_again() {
    let routes = "'/' = { respond = 'ok' }";
    let server = Site::new(routes)
        .top(LONG_GRACE)
        .server("listen = ['127.0.0.1:0', 'unix:taken']")
        .start();
    let mut events = at_control(&server);
    let without =
        format!("{LONG_GRACE}\n[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n{routes}\n");
    server.configure(without);
    ended_with(0, &server.command_line(&["reload", "--confirm", "1s"]));
    let taken = server.directory().path().join("taken");
    std::fs::write(&taken, "a file").expect("the socket is gone");
    let marked = events.until("the mark", |now| now["reloads"][1].is_object());
    let mark = &marked["reloads"][1];
    assert_eq!(
        (&mark["outcome"], &mark["generation"]),
        (&"refused".into(), &2.into())
    );
    let message = mark["message"].as_str().expect("text");
    assert!(
        message.contains("cannot run again") && message.contains("taken"),
        "{message}"
    );
    assert_eq!(server.get("/").text(), "ok");
    let waits = server.status()["generation"]["waits_for_confirmation"].clone();
    assert_eq!(waits, true);
    std::fs::remove_file(&taken).expect("ours");
    let back = events.until("the next mark", |now| now["reloads"][2].is_object());
    assert_eq!(back["reloads"][2]["outcome"], "applied");
    UnixStream::connect(&taken).expect("it listens there again");
}

#[test]
fn an_upstream_that_goes_down_changes_its_state() {
    let up = Upstream::start(|connection| {
        while connection.next_request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
        }
    });
    let servers = format!(
        "upstreams.shop = {{ servers = ['http://{}'], failures = {{ max = 1, within = '60s', pause = '10m' }} }}",
        up.address()
    );
    let server = Site::new("'/shop' = { proxy = 'shop' }")
        .top(&format!("{LONG_GRACE}\n{servers}"))
        .start();
    let mut events = at_control(&server);
    let get = "GET /shop HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.connect().exchange(get).text(), "a");
    let one = |now: &Value| number(now, "/upstreams/0/servers/0/requests") == 1;
    let shown = events.until("a request", one);
    let shop = &shown["upstreams"][0];
    assert_eq!(
        (&shop["name"], &shop["waiting"]),
        (&"shop".into(), &0.into())
    );
    let of_shop = &shop["servers"][0];
    assert_eq!(
        (&of_shop["state"], &of_shop["failures"]),
        (&"up".into(), &0.into())
    );
    assert_eq!(of_shop["address"], up.address());
    drop(up);
    assert_eq!(server.connect().exchange(get).status, 502);
    let is_paused = |now: &Value| now["upstreams"][0]["servers"][0]["state"] == "paused";
    let shown = events.until("its pause", is_paused);
    assert!(number(&shown, "/upstreams/0/servers/0/failures") > 0);
    assert!(number(&shown, "/ends/answered") >= 2);
}

#[test]
fn a_stop_ends_streams_at_once() {
    for end in [Signal::TERM, Signal::INT] {
        let mut server = site().start();
        let mut streams = [at_control(&server), at_control(&server)];
        for events in &mut streams {
            assert!(events.next().is_some());
        }
        server.signal(end);
        // In order: with the last chunk.
        for events in &mut streams {
            events.expect_end();
        }
        drop(streams);
        assert!(server.wait().expect("it is our own child").success());
    }
}

#[test]
fn an_upgrade_ends_streams_and_the_next_one_shows_the_successor() {
    let server = site().start();
    let mut events = at_control(&server);
    let first = events.next().expect("an event");
    assert_eq!(number(&first, "/process_id"), u64::from(server.id()));
    ended_with(0, &server.command_line(&["upgrade"]));
    events.expect_end();
    let next = at_control(&server).next().expect("an event");
    assert_ne!(next["process_id"], first["process_id"]);
    crate::upgrade::stop(server);
}

#[test]
fn other_methods_are_refused() {
    let server = site().start();
    assert_eq!(server.control().exchange("POST", "/live").status, 405);
}
