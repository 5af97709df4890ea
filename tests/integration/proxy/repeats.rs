//! Several servers behind one name, some of them down or failing: what is asked again, and what never is.

use super::{HELLO, POST, get, site_of};
use crate::support::{Client, Upstream};

/// An address at which no server listens.
pub(super) fn down() -> Upstream {
    let mut upstream = Upstream::listen();
    upstream.close();
    upstream
}

/// Sends `request` so often, each time on a connection of its own.
pub(super) fn statuses(server: &crate::support::Server, request: &str, times: usize) -> Vec<u16> {
    let mut client: Client = server.connect();
    (0..times)
        .map(|_| client.exchange(request).status)
        .collect()
}

#[test]
fn two_of_three_servers_may_be_down() {
    let (up, gone, gone_too) = (Upstream::answering(HELLO), down(), down());
    let server = site_of("", "", &[&gone, &up, &gone_too]).start();
    for request in [&get("/"), POST] {
        assert_eq!(statuses(&server, request, 30), [200; 30]);
    }
}

/// Reads a request and closes.
pub(super) fn closing() -> Upstream {
    Upstream::start(|connection| {
        connection.next_request();
    })
}

/// A GET may be sent to the next server, although the first one has seen it; a POST may not.
#[test]
fn a_get_moves_on_from_a_server_that_closes_and_a_post_does_not() {
    for (request, moves_on) in [
        (get("/"), true),
        ("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), true),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            true,
        ),
        ("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), true),
        ("MERGE / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), true),
        // No specification says that it may be repeated.
        ("PURGE / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), false),
        (POST.to_owned(), false),
        (
            "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            false,
        ),
    ] {
        let (bad, good) = (closing(), Upstream::answering("HTTP/1.1 204 No\r\n\r\n"));
        let server = site_of("", "", &[&bad, &good]).start();
        let found = statuses(&server, &request, 8);
        let failed = found.iter().filter(|status| **status == 502).count();
        let (seen_bad, seen_good) = (bad.requests().len(), good.requests().len());
        if moves_on {
            assert_eq!(failed, 0, "{request:?}: {found:?}");
            assert_eq!(seen_good, 8, "{request:?}");
        } else {
            assert!(failed > 0, "{request:?}: the bad one was never asked");
            assert_eq!(failed, seen_bad, "{request:?}");
            assert_eq!(seen_good + seen_bad, 8, "sent twice: {request:?}");
        }
    }
}

/// Content that was passed on as it came cannot be sent again.
#[test]
fn content_that_is_gone_is_not_sent_again() {
    let (bad, good) = (closing(), Upstream::answering(HELLO));
    let server = site_of(", buffer = false", "", &[&bad, &good]).start();
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
    for _ in 0..8 {
        let mut client = server.connect();
        client.send(put);
        let status = client.response().status;
        assert!([200, 502].contains(&status), "{status}");
    }
    for request in good.requests() {
        assert_eq!(request.content, b"ab");
    }
}

/// A response that has begun is never followed by another server's.
#[test]
fn a_response_that_has_begun_is_not_begun_again() {
    let cut = Upstream::start(|connection| {
        if connection.next_request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        }
    });
    let good = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhelloworld");
    let server = site_of("", "", &[&cut, &good]).start();
    for _ in 0..8 {
        let mut client = server.connect();
        client.send(get("/"));
        assert_eq!(client.response_head().status, 200);
        let rest = client.some_of(10);
        assert!(
            rest.is_empty() || rest == b"hello" || rest == b"helloworld",
            "{rest:?}"
        );
    }
}

#[test]
fn no_server_is_left() {
    let (one, two) = (down(), down());
    let server = site_of("", "", &[&one, &two]).start();
    for request in [&get("/"), POST] {
        let found = statuses(&server, request, 10);
        assert!(
            found.iter().all(|status| *status == 502 || *status == 503),
            "{found:?}"
        );
    }
}
