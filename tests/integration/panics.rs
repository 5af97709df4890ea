//! A panic ends an exchange or a worker, never the server. The hooks that panic are in
//! `src/server/test_hooks.rs`; only debug builds have them.

use crate::support::{Server, Site};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn server(workers: u32) -> Server {
    Site::new("'/' = { respond = 'ok' }")
        .top(&format!("workers = {workers}"))
        .environment("TIDEGATE_TEST_HOOKS", "panic")
        .start()
}

#[test]
fn a_panic_costs_one_exchange() {
    let server = server(1);
    let mut other = server.connect();
    assert_eq!(other.exchange(GET).status, 200);
    let mut client = server.connect();
    client.send(
        [
            "GET /.tidegate-test/panic-exchange HTTP/1.1\r\nHost: h\r\n\r\n",
            GET,
        ]
        .concat(),
    );
    assert_eq!(client.response().status, 500);
    assert_eq!(
        client.response().status,
        200,
        "the next request on the connection"
    );
    assert_eq!(
        other.exchange(GET).status,
        200,
        "another connection of the worker"
    );
    server.wait_for_line(|line| line.contains("error") && line.contains("panicked"));
    server.wait_for_reason("handler_panicked");
}

#[test]
fn a_worker_that_dies_is_replaced_and_no_connection_is_refused() {
    let server = server(2);
    for round in 0..5 {
        let mut client = server.connect();
        client.send("GET /.tidegate-test/panic-worker HTTP/1.1\r\nHost: h\r\n\r\n");
        // The connections of the worker end with it.
        client.count_rest();
        for number in 0..40 {
            let mut client = server.connect();
            assert_eq!(
                client.exchange(GET).status,
                200,
                "connection {number} of round {round}"
            );
        }
    }
    let (lines, _) = server.stop();
    assert_eq!(
        lines.iter().filter(|line| line.contains("died")).count(),
        5,
        "{lines:?}"
    );
    let ended = |index: u32| {
        lines
            .iter()
            .any(|line| line.contains(&format!("worker {index}: ")))
    };
    assert!(
        ended(0) && ended(1),
        "two workers run in the end: {lines:?}"
    );
}

#[test]
fn connections_that_wait_for_a_dead_worker_are_served_by_the_next() {
    let server = server(1);
    let mut client = server.connect();
    client.send("GET /.tidegate-test/panic-worker HTTP/1.1\r\nHost: h\r\n\r\n");
    client.count_rest();
    let mut clients: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(GET);
    }
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn connections_lost_with_a_worker_are_not_counted_any_more() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .top("workers = 1")
        .limits("max_connections = 3")
        .environment("TIDEGATE_TEST_HOOKS", "panic")
        .start();
    for round in 0..4 {
        let mut lost = server.connect();
        assert_eq!(lost.exchange(GET).status, 200, "round {round}");
        let mut fatal = server.connect();
        fatal.send("GET /.tidegate-test/panic-worker HTTP/1.1\r\nHost: h\r\n\r\n");
        fatal.count_rest();
        lost.count_rest();
    }
}

#[test]
fn two_panics_in_one_turn_cost_one_worker() {
    let mut server = Site::new("'/' = { respond = 'ok' }")
        .top("workers = 1")
        .log("access = '-'")
        .environment("TIDEGATE_TEST_HOOKS", "panic")
        .start();
    let mut client = server.connect();
    client.send("GET /.tidegate-test/panic-worker HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2));
    client.count_rest();
    assert_eq!(server.get("/").status, 200);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
    let lines = server.diagnostics();
    assert!(
        !lines.iter().any(|line| line.contains("log is stuck")),
        "what the dead worker logged is handed over: {lines:?}"
    );
}

#[test]
fn a_panic_outside_of_handlers_costs_one_connection() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .environment("TIDEGATE_TEST_HOOKS", "panic")
        .top("workers = 1")
        .start();
    let mut other = server.connect();
    assert_eq!(other.exchange(GET).status, 200);
    let mut client = server.connect();
    client.send("GET /.tidegate-test/panic-connection HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.rest_before_cut(), b"");
    assert_eq!(other.exchange(GET).status, 200, "on the same worker");
    assert_eq!(server.get("/").text(), "ok");
}

#[test]
fn the_hooks_are_off_unless_asked_for() {
    let server = Site::new("'/' = { respond = 'ok' }").start();
    for hook in ["panic-exchange", "panic-worker"] {
        assert_eq!(server.get(&format!("/.tidegate-test/{hook}")).text(), "ok");
    }
}
