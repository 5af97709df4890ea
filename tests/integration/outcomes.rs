//! Every way in which an exchange can end: one access record, and one request counted.
//!
//! Each test drives an exchange to its end, often beside ordinary ones, and compares the records and
//! the counter with what it did.

use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::Signal;

use crate::support::{Client, Server, Site, speak_plainly, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// A site whose `/wait` asks an application server; a test that wants one is that server itself.
fn site() -> Site {
    let routes = "'/' = { respond = 'ok' }\n\
        '/echo' = { echo = true }\n\
        '/files' = { files = 'www', strip_prefix = true }\n\
        '/wait' = { fastcgi = 'unix:application.sock', root = 'www', fallback = 'x.php', timeout = '60s' }";
    Site::new(routes)
        .top("workers = 1\ngrace = '50ms'")
        .log("access = '-'\nformat = 'common'")
        .file("x.php", "")
        .file("large", vec![b'x'; 64 * 1024 * 1024])
}

/// The application server behind `/wait`: it takes requests, and never answers.
fn application(site: &Site) -> UnixListener {
    let path = site.directory().join("application.sock");
    UnixListener::bind(path).expect("the directory is new")
}

/// Waits until a request has reached the application server; its connection stays open as long as
/// the value that is returned.
fn accepted(application: &UnixListener) -> UnixStream {
    application.accept().expect("the server connects").0
}

/// What a record tells: the request line, the status, and the octets of content.
fn told(line: &str) -> String {
    let (_, rest) = line.split_once("] ").expect("a time, and what follows");
    rest.to_owned()
}

/// Waits until so many requests are counted.
fn wait_for_count(server: &Server, count: u64) {
    until("the exchange is counted", || {
        (server.status()["requests"].as_u64() == Some(count)).then_some(())
    });
}

/// Stops the server, and compares its records with `expected`.
fn assert_records(server: Server, expected: &[&str]) {
    let (diagnostics, records) = server.stop();
    let told: Vec<String> = records.iter().map(|line| told(line)).collect();
    assert_eq!(told, expected);
    let summary = diagnostics.iter().find(|line| line.contains("worker 0: "));
    assert!(summary.is_some(), "{diagnostics:?}");
}

#[test]
fn answered_at_once_and_after_a_wait() {
    let server = site().start();
    assert_eq!(server.get("/").status, 200);
    let post = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
    let length = server.answer(post).content.len();
    assert_eq!(server.get("/files/none").status, 404);
    wait_for_count(&server, 3);
    let missing = server.get("/files/none").content.len();
    assert_records(
        server,
        &[
            "\"GET / HTTP/1.1\" 200 2",
            &format!("\"POST /echo HTTP/1.1\" 200 {length}"),
            &format!("\"GET /files/none HTTP/1.1\" 404 {missing}"),
            &format!("\"GET /files/none HTTP/1.1\" 404 {missing}"),
        ],
    );
}

#[test]
fn pipelined_and_large() {
    let server = site().start();
    let mut client = server.connect();
    client.send([GET, GET, &get("/files/large"), GET].concat());
    let lengths = [2, 2, 64 * 1024 * 1024, 2];
    for length in lengths {
        assert_eq!(client.response().content.len(), length);
    }
    wait_for_count(&server, 4);
    drop(client);
    assert_records(
        server,
        &[
            "\"GET / HTTP/1.1\" 200 2",
            "\"GET / HTTP/1.1\" 200 2",
            "\"GET /files/large HTTP/1.1\" 200 67108864",
            "\"GET / HTTP/1.1\" 200 2",
        ],
    );
}

#[test]
fn refused_as_unreadable() {
    let server = site().start();
    let refused = server.answer("nonsense\r\n\r\n");
    assert_eq!(refused.status, 400);
    wait_for_count(&server, 1);
    let length = refused.content.len();
    assert_records(server, &[&format!("\"nonsense\" 400 {length}")]);
}

#[test]
fn a_head_that_does_not_come_in_time() {
    let server = site().limits("head_timeout = '10ms'").start();
    let mut client = server.connect();
    client.send("GET /late HTTP/1.1\r\nHo");
    let response = client.last_response();
    assert_eq!(response.status, 408);
    wait_for_count(&server, 1);
    let length = response.content.len();
    assert_records(server, &[&format!("\"GET /late HTTP/1.1\" 408 {length}")]);
}

#[test]
fn turned_away() {
    speak_plainly();
    let site = site().limits("max_connections = 1");
    let application = application(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send(get("/wait/d"));
    let _asked = accepted(&application);
    let mut turned_away = server.connect();
    turned_away.send(GET);
    let response = turned_away.response();
    assert_eq!(response.status, 503);
    let length = response.content.len();
    drop((client, turned_away));
    wait_for_count(&server, 2);
    server.wait_for_reason("too_many_connections");
    assert_records(
        server,
        &[
            &format!("\"GET / HTTP/1.1\" 503 {length}"),
            "\"GET /wait/d HTTP/1.1\" 499 -",
        ],
    );
}

#[test]
fn left_by_its_client_before_there_is_a_response() {
    let site = site();
    let application = application(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send(get("/wait/a"));
    let _asked = accepted(&application);
    drop(client);
    wait_for_count(&server, 1);
    assert_records(server, &["\"GET /wait/a HTTP/1.1\" 499 -"]);
}

/// A client that reads the head of a response, which is larger than any socket holds, and no more.
fn half_served(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(get("/files/large"));
    assert_eq!(client.response_head().status, 200);
    client
}

/// Whether a record is of the large file, sent in part.
fn is_partial(told: &str) -> bool {
    let sent = told.strip_prefix("\"GET /files/large HTTP/1.1\" 200 ");
    let sent = sent.and_then(|sent| sent.parse::<u64>().ok());
    sent.is_some_and(|sent| sent > 0 && sent < 64 * 1024 * 1024)
}

#[test]
fn left_by_its_client_while_the_response_is_sent() {
    let server = site().start();
    drop(half_served(&server));
    wait_for_count(&server, 1);
    server.wait_for_reason("client_gone");
    let (_, records) = server.stop();
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(is_partial(&told(&records[0])), "{records:?}");
}

#[test]
fn cut_at_the_end_of_grace() {
    let site = site();
    let application = application(&site);
    let server = site.start();
    let mut waiting = server.connect();
    waiting.send(get("/wait/b"));
    let _asked = accepted(&application);
    let taking = half_served(&server);
    let mut idle = server.connect();
    assert_eq!(idle.exchange(GET).status, 200);
    let (diagnostics, records) = server.stop();
    let mut told: Vec<String> = records.iter().map(|line| told(line)).collect();
    told.retain(|told| !is_partial(told));
    told.sort();
    assert_eq!(
        told,
        ["\"GET / HTTP/1.1\" 200 2", "\"GET /wait/b HTTP/1.1\" 503 -"]
    );
    assert_eq!(records.len(), 3, "{records:?}");
    // The summary was written before the exchanges that are cut were counted.
    let summary = "worker 0: 3 connections, 3 requests";
    let is_it = |line: &String| line.ends_with(summary);
    assert!(diagnostics.iter().any(is_it), "{diagnostics:?}");
    drop((waiting, taking, idle));
}

/// After a second signal the process ended before its workers had counted and recorded what they cut.
#[test]
fn cut_by_a_second_signal() {
    let site = site().top("workers = 1\ngrace = '1h'");
    let application = application(&site);
    let mut server = site.start();
    let mut waiting = server.connect();
    waiting.send(get("/wait/c"));
    let _asked = accepted(&application);
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("stopping"));
    server.signal(Signal::TERM);
    server.wait_for_record(|line| told(line) == "\"GET /wait/c HTTP/1.1\" 503 -");
    server.wait_for_line(|line| line.ends_with("worker 0: 1 connections, 1 requests"));
    assert!(server.wait().expect("it is our own child").success());
}

#[test]
fn cut_by_a_panic_of_its_connection() {
    let server = site().environment("TIDEGATE_TEST_HOOKS", "panic").start();
    let mut client = server.connect();
    client.send([GET, &get("/.tidegate-test/panic-connection")].concat());
    client.count_rest();
    wait_for_count(&server, 2);
    server.wait_for_reason("connection_panicked");
    assert_records(
        server,
        &[
            "\"GET / HTTP/1.1\" 200 2",
            "\"GET /.tidegate-test/panic-connection HTTP/1.1\" 500 -",
        ],
    );
}

/// The record named the proxy.
#[test]
fn cut_by_a_panic_behind_a_trusted_proxy() {
    let server = site()
        .top("workers = 1\ntrusted_proxies = ['127.0.0.1']")
        .environment("TIDEGATE_TEST_HOOKS", "panic")
        .start();
    let mut client = server.connect();
    client.send(
        "GET /.tidegate-test/panic-connection HTTP/1.1\r\nHost: h\r\n\
         X-Forwarded-For: 192.0.2.7\r\n\r\n",
    );
    client.count_rest();
    wait_for_count(&server, 1);
    let (_, records) = server.stop();
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(records[0].starts_with("192.0.2.7 "), "{records:?}");
}

#[test]
fn the_control_socket_has_no_records_and_is_not_counted() {
    let server = site().start();
    for target in ["/status", "/none", "*"] {
        server.control().exchange("GET", target);
    }
    let mut control = server.control();
    control.send("nonsense\r\n\r\n");
    assert_eq!(control.response().status, 400);
    assert_eq!(server.status()["requests"], 0);
    server.signal(Signal::USR1);
    assert_records(server, &[]);
}
