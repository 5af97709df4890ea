//! What the settings of an upstream's table change: `balance`, `retry`, `timeouts`.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::repeats::{closing, down, statuses};
use super::{HELLO, POST, get, site_of};
use crate::support::Upstream;

/// With Caddy, 19 of 20 POSTs failed while one server was down. Nothing was sent, so nothing was acted
/// upon: the next server is asked.
#[test]
fn a_server_that_is_down_costs_no_request() {
    for balance in ["round_robin", "least_connections", "random_two"] {
        let (first, second, gone) = (
            Upstream::answering(HELLO),
            Upstream::answering(HELLO),
            down(),
        );
        let settings = format!(", balance = '{balance}'");
        let server = site_of("", &settings, &[&first, &gone, &second]).start();
        for request in [&get("/"), POST] {
            assert_eq!(statuses(&server, request, 60), [200; 60], "{balance}");
        }
        assert_eq!(first.requests().len() + second.requests().len(), 120);
        assert!(
            !first.requests().is_empty() && !second.requests().is_empty(),
            "{balance}"
        );
    }
}

#[test]
fn no_more_is_tried_than_tries_says() {
    let (one, two, three) = (closing(), closing(), closing());
    for (tries, expected) in [(1, 1), (2, 2), (3, 3)] {
        let before: usize = [&one, &two, &three]
            .iter()
            .map(|upstream| upstream.connections())
            .sum();
        let settings = format!(", retry = {{ tries = {tries} }}");
        let server = site_of("", &settings, &[&one, &two, &three]).start();
        assert_eq!(server.connect().exchange(get("/")).status, 502);
        let after: usize = [&one, &two, &three]
            .iter()
            .map(|upstream| upstream.connections())
            .sum();
        assert_eq!(after - before, expected, "tries = {tries}");
    }
}

#[test]
fn listed_statuses_are_tried_elsewhere() {
    let unavailable = "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
    for (request, statuses_option, expected) in [
        (get("/"), "[502, 503]", [200; 8]),
        (get("/"), "[]", [503, 200, 503, 200, 503, 200, 503, 200]),
        (get("/"), "[502]", [503, 200, 503, 200, 503, 200, 503, 200]),
        (
            POST.to_owned(),
            "[503]",
            [503, 200, 503, 200, 503, 200, 503, 200],
        ),
    ] {
        let (bad, good) = (Upstream::answering(unavailable), Upstream::answering(HELLO));
        let settings = format!(", retry = {{ statuses = {statuses_option} }}");
        let server = super::site_with("workers = 1", "", &settings, &[&bad, &good]).start();
        let mut found = statuses(&server, &request, 8);
        let mut expected = expected.to_vec();
        // Which one is asked first is not of interest.
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{statuses_option}");
    }
    // The last one's answer stands if no other is better.
    let (one, two) = (
        Upstream::answering(unavailable),
        Upstream::answering(unavailable),
    );
    let server = site_of("", ", retry = { statuses = [503] }", &[&one, &two]).start();
    let response = server.connect().exchange(get("/"));
    assert_eq!((response.status, response.text().as_str()), (503, "no"));
}

/// Which server's response it is, and how many were asked, is told of one that stands as well.
#[test]
fn the_record_of_a_response_that_stands_names_its_server() {
    let unavailable = "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno";
    let (bad, gone) = (Upstream::answering(unavailable), down());
    let server = super::site_with(
        "workers = 1",
        "",
        ", retry = { statuses = [503] }",
        &[&bad, &gone],
    )
    .log("access = '-'\nformat = 'json'")
    .start();
    for target in ["/one", "/two"] {
        assert_eq!(server.connect().exchange(get(target)).status, 503);
        let record = server.wait_for_record(|line| line.contains(target));
        let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
        assert_eq!(record["upstream"], bad.address(), "{record}");
        assert_eq!(record["upstream_tries"], 2, "{record}");
        assert!(record["upstream_error"].is_null(), "{record}");
    }
}

/// Content that is passed on as it comes cannot be sent to two servers, also not if none of it had come.
#[test]
fn a_listed_status_stands_if_the_content_is_not_kept() {
    let bad = || {
        Upstream::start(|connection| {
            connection.head();
            connection.send("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
            connection.rest();
        })
    };
    let (one, two) = (bad(), bad());
    let settings = ", retry = { statuses = [503] }";
    let server = site_of(", buffer = false", settings, &[&one, &two]).start();
    let mut client = server.connect();
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.response().status, 503);
    assert_eq!(one.requests().len() + two.requests().len(), 1);
}

/// While every server fails, repeats stay within their budget: at most a fifth of the requests.
#[test]
fn repeats_are_no_storm() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let failing = || {
        Upstream::start(|connection| {
            if connection.next_request().is_some() {
                COUNT.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let (one, two, three) = (failing(), failing(), failing());
    let server = super::site_with(
        "workers = 1",
        "",
        ", retry = { tries = 3 }",
        &[&one, &two, &three],
    )
    .start();
    let found = statuses(&server, &get("/"), 500);
    assert!(found.iter().all(|status| *status == 502 || *status == 503));
    let sent = COUNT.load(Ordering::Relaxed);
    assert!(sent >= 500, "{sent} requests");
    // A budget begins with something in it.
    assert!(sent <= 500 + 100 + 50, "{sent} requests for 500");
}

/// An address that drops what is sent to it, without a refusal.
#[test]
fn a_connection_that_is_never_taken_is_504() {
    let upstream = Upstream::full();
    let settings = ", timeouts = { connect = '100ms' }, retry = { tries = 1 }";
    let server = site_of("", settings, &[&upstream]).start();
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 504);
    assert_eq!(client.exchange(get("/here")).text(), "here");
}
