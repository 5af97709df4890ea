//! Which connections to the upstream are used again, and what happens if it closes one in that instant.

use super::{HELLO, POST, get, site_of};
use crate::support::{Client, Connection, Directory, Server, Upstream, ended_with};

/// An exchange after which the connection to the upstream is kept.
fn kept(server: &Server, upstream: &Upstream) -> (Client, Connection) {
    let mut client = server.connect();
    client.send(get("/first"));
    let (connection, _) = upstream.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
    (client, connection)
}

/// As [`kept`], with another exchange on the connection: the upstream is known to leave connections open.
fn kept_again(server: &Server, upstream: &Upstream) -> (Client, Connection) {
    let (mut client, mut connection) = kept(server, upstream);
    client.send(get("/again"));
    assert_eq!(connection.request().line(), "GET /again HTTP/1.1");
    connection.send(HELLO);
    assert_eq!(client.response().text(), "hello");
    (client, connection)
}

/// A site with one worker: a connection is kept by the worker that made it.
fn start_one(options: &str) -> (Server, Upstream) {
    let upstream = Upstream::listen();
    let server = super::start_with_one_worker(options, &upstream);
    (server, upstream)
}

/// After a request that is passed on, the server expects another such one, and is prepared for any.
#[test]
fn any_request_may_follow_one_that_is_passed_on() {
    let (server, upstream) = start_one("");
    let here = get("/here");
    let (start, end) = here.split_at(10);
    for pieces in [
        &[&here[..]][..],
        &[start, end],
        &["\r\n\r\n", &here],
        &["\r\n", "\r\n", start, end],
        &[
            "POST /here HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n",
            "ab",
            &here,
        ],
    ] {
        let (mut client, mut connection) = kept(&server, &upstream);
        for piece in pieces {
            client.send(piece);
        }
        if pieces[0].starts_with("POST") {
            assert_eq!(client.response().status, 405);
        }
        assert_eq!(client.response().text(), "here", "{pieces:?}");
        // All in one piece.
        client.send([get("/one"), here.clone(), get("/two")].concat());
        for expected in ["/one", "/two"] {
            let line = format!("GET {expected} HTTP/1.1");
            assert_eq!(connection.request().line(), line);
            connection.send(HELLO);
            assert_eq!(client.response().text(), "hello");
            if expected == "/one" {
                assert_eq!(client.response().text(), "here");
            }
        }
        assert_eq!(client.exchange("GET / HTTP/1.1\r\n\r\n").status, 400);
    }
}

#[test]
fn connections_are_used_again_only_after_an_end_without_doubt() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (name, request, response, again) in [
        ("by length", get("/"), HELLO, true),
        ("chunked", get("/"), chunked, true),
        ("POST", POST.to_owned(), HELLO, true),
        ("no content", get("/"), "HTTP/1.1 204 No\r\n\r\n", true),
        (
            "not modified",
            get("/"),
            "HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n",
            true,
        ),
        (
            "HEAD",
            "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            HELLO.strip_suffix("hello").expect("it does"),
            true,
        ),
        (
            "an error",
            get("/"),
            "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
            true,
        ),
        (
            "of HTTP/1.0 that persists",
            get("/"),
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
            true,
        ),
        (
            "of HTTP/1.0",
            get("/"),
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            false,
        ),
        (
            "close",
            get("/"),
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            false,
        ),
        (
            "a length where there is no content",
            get("/"),
            "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
            false,
        ),
        (
            "a coding where there is no content",
            get("/"),
            "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
        ),
        (
            "close among others",
            get("/"),
            "HTTP/1.1 200 OK\r\nConnection: x-a, Close\r\nContent-Length: 5\r\n\r\nhello",
            false,
        ),
    ] {
        let (server, upstream) = start_one("");
        let mut client = server.connect();
        client.send(&request);
        let (mut connection, _) = upstream.answer(response);
        if request.starts_with("HEAD") {
            client.response_to_head();
        } else {
            client.response();
        }
        client.send(get("/second"));
        if again {
            assert_eq!(
                connection.request().line(),
                "GET /second HTTP/1.1",
                "{name}"
            );
            connection.send(HELLO);
        } else {
            connection.expect_end();
            upstream.answer(HELLO);
        }
        assert_eq!(client.response().text(), "hello", "{name}");
    }
}

/// A connection that another client used is as good.
#[test]
fn clients_share_kept_connections() {
    let upstream = Upstream::answering(HELLO);
    let server = super::start_with_one_worker("", &upstream);
    for _ in 0..50 {
        assert_eq!(server.connect().exchange(get("/")).text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_kept_connection_that_was_closed_is_not_used() {
    let (server, upstream) = start_one("");
    let (mut client, connection) = kept(&server, &upstream);
    drop(connection);
    for request in [get("/second"), POST.to_owned()] {
        client.send(request);
        let (connection, _) = upstream.answer(HELLO);
        assert_eq!(client.response().text(), "hello");
        drop(connection);
    }
}

/// The upstream closes or resets while the request is on its way: the client never knows.
#[test]
fn a_request_that_met_a_closing_connection_is_sent_again() {
    for resets in [false, true] {
        let (server, upstream) = start_one("");
        let (mut client, mut connection) = kept(&server, &upstream);
        client.send(get("/second"));
        // The request arrives, and no octet is answered.
        assert_eq!(connection.request().line(), "GET /second HTTP/1.1");
        if resets {
            connection.reset();
        } else {
            drop(connection);
        }
        let (_connection, request) = upstream.answer(HELLO);
        assert_eq!(request.line(), "GET /second HTTP/1.1");
        assert_eq!(client.response().text(), "hello");
    }
}

/// Both ends of a Unix socket tell nothing of what has arrived, so a kept connection is no place there for a
/// request that must not be sent twice.
#[test]
fn a_post_to_a_unix_socket_goes_by_a_connection_of_its_own() {
    let directory = Directory::new();
    let upstream = Upstream::listen_at(&directory.path().join("socket"));
    let server = super::start_with_one_worker("", &upstream);
    let (mut client, _kept) = kept_again(&server, &upstream);
    client.send(POST);
    let (_connection, request) = upstream.answer(HELLO);
    assert_eq!(request.content, b"ab");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn posts_share_a_kept_connection() {
    let upstream = Upstream::answering(HELLO);
    let server = super::start_with_one_worker("", &upstream);
    for request in [get("/"), get("/")] {
        assert_eq!(server.connect().exchange(request).text(), "hello");
    }
    for _ in 0..50 {
        assert_eq!(server.connect().exchange(POST).text(), "hello");
    }
    assert_eq!(upstream.connections(), 1);
    assert_eq!(upstream.requests().len(), 52);
}

/// The upstream ends a kept connection just behind the server's last look at it. A POST that it
/// cannot have read is sent again, and the client never knows; a reset leaves that in doubt. A GET
/// is sent again in any case.
#[cfg(debug_assertions)]
#[test]
fn a_post_that_met_a_closing_connection_is_sent_again() {
    type Ending = fn(Connection);
    let closes: Ending = drop;
    let resets: Ending = Connection::reset;
    let get = get("/second");
    for (request, ends, expected) in [
        (get.as_str(), closes, 200),
        (get.as_str(), resets, 200),
        (POST, closes, 200),
        (POST, resets, 502),
    ] {
        let upstream = Upstream::listen();
        let site = super::site_with("workers = 1", "", "", &[&upstream]);
        let server = site.environment("TIDEGATE_TEST_NO_LOOK", "1").start();
        let (mut client, connection) = kept_again(&server, &upstream);
        ends(connection);
        client.send(request);
        if expected == 200 {
            let (_connection, again) = upstream.answer(HELLO);
            assert_eq!(again.line(), request.lines().next().expect("a line"));
        } else {
            upstream.expect_no_connection();
        }
        assert_eq!(client.response().status, expected, "{request}");
        upstream.expect_no_connection();
    }
}

/// So many clients at once have a connection each, and of those as many are kept as `keep` says.
#[test]
fn as_many_connections_are_kept_as_the_upstream_says() {
    for (settings, clients, kept) in [("", 100, 100), (", keep = 3", 5, 3), (", keep = 0", 5, 0)] {
        let upstream = Upstream::listen();
        let server = super::site_with("workers = 1", "", settings, &[&upstream]).start();
        let mut clients: Vec<Client> = (0..clients).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(get("/"));
        }
        let mut connections: Vec<Connection> = Vec::new();
        for _ in 0..clients.len() {
            connections.push(upstream.accept());
        }
        for connection in &mut connections {
            connection.request();
            connection.send(HELLO);
        }
        for client in &mut clients {
            assert_eq!(client.response().text(), "hello");
        }
        let open = connections
            .iter_mut()
            .filter(|connection| connection.is_idle());
        assert_eq!(open.count(), kept, "{settings}");
    }
}

/// It is not known yet whether the upstream leaves connections open, so the POST might meet one
/// that is closing.
#[test]
fn a_post_uses_no_kept_connection_before_one_was_used_again() {
    let (server, upstream) = start_one("");
    let (mut client, _kept) = kept(&server, &upstream);
    client.send(POST);
    let (_connection, request) = upstream.answer(HELLO);
    assert_eq!(request.content, b"ab");
    assert_eq!(client.response().text(), "hello");
}

/// The upstream has read the request, or its system has: it may have been acted upon.
#[test]
fn a_post_that_has_arrived_on_a_kept_connection_is_not_sent_again() {
    type Ending = fn(Connection);
    let closes: Ending = drop;
    let resets: Ending = Connection::reset;
    for request in [
        POST,
        "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
    ] {
        for (name, ends) in [("closes", closes), ("resets", resets)] {
            let (server, upstream) = start_one("");
            let (mut client, mut connection) = kept_again(&server, &upstream);
            client.send(request);
            assert_eq!(connection.request().content, b"ab");
            ends(connection);
            assert_eq!(client.response().status, 502, "{name}");
            upstream.expect_no_connection();
        }
    }
}

/// Content that is passed on as it comes cannot be sent again on another connection.
#[test]
fn a_put_without_a_buffer_goes_by_a_connection_of_its_own() {
    let (server, upstream) = start_one(", buffer = false");
    let (mut client, _kept) = kept(&server, &upstream);
    client.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    let (_connection, request) = upstream.answer(HELLO);
    assert_eq!(request.content, b"ab");
    assert_eq!(client.response().text(), "hello");
}

/// Sends 300 of `request`, which gets a number; returns which were answered with 200, and not with 502.
fn answered(client: &mut Client, request: impl Fn(usize) -> String) -> Vec<usize> {
    let is_answered = |number: &usize| {
        let status = client.exchange(request(*number)).status;
        assert!([200, 502].contains(&status), "{status}");
        status == 200
    };
    (0..300).filter(is_answered).collect()
}

fn numbered_post(number: usize) -> String {
    format!("POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab")
}

/// The numbers of the POSTs that have come, in order.
fn posts(upstream: &Upstream) -> Vec<usize> {
    let number = |line: String| {
        let target = line.strip_prefix("POST /")?;
        target.strip_suffix(" HTTP/1.1")?.parse().ok()
    };
    let requests = upstream.requests();
    let lines = requests.iter().map(|request| request.line());
    lines.filter_map(number).collect()
}

/// An upstream that closes after each answer without saying so, as some do under load: every GET is
/// answered, and every POST, once.
#[test]
fn an_upstream_that_closes_without_a_word_costs_no_request() {
    let upstream = Upstream::start(|connection| {
        if connection.next_request().is_some() {
            connection.send(HELLO);
        }
    });
    let server = site_of("", "", &[&upstream]).start();
    let mut client = server.connect();
    let all: Vec<usize> = (0..300).collect();
    assert_eq!(
        answered(&mut client, |number| get(&format!("/{number}"))),
        all
    );
    assert_eq!(answered(&mut client, numbered_post), all);
    assert_eq!(posts(&upstream), all);
}

/// An upstream that closes some connections after a few answers, at about the time at which the next request
/// comes. A POST may fail if it had arrived there; none is read twice, and none without an answer.
#[test]
fn no_post_is_read_twice_however_connections_end() {
    let upstream = Upstream::start(|connection| {
        for number in 0..6 {
            if connection.next_request().is_none() {
                return;
            }
            connection.send(HELLO);
            std::hint::black_box((0..number * 500).map(std::hint::black_box).sum::<usize>());
        }
    });
    let server = super::start_with_one_worker("", &upstream);
    let mut client = server.connect();
    let mut seen = Vec::new();
    for round in 0..300 {
        for number in 0..2 {
            let path = get(&format!("/{number}"));
            assert_eq!(client.exchange(path).text(), "hello");
        }
        let status = client.exchange(numbered_post(round)).status;
        assert!([200, 502].contains(&status), "{status}");
        if status == 200 {
            seen.push(round);
        }
    }
    assert_eq!(posts(&upstream), seen);
}

/// A response that the client did not take to its end leaves the connection in doubt.
#[test]
fn a_connection_whose_client_went_is_not_used_again() {
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start_one(option);
        let mut client = server.connect();
        client.send(get("/"));
        let (mut connection, _) =
            upstream.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        assert_eq!(client.response_head().status, 200);
        drop(client);
        connection.expect_end();
        let mut client = server.connect();
        client.send(get("/second"));
        upstream.answer(HELLO);
        assert_eq!(client.response().text(), "hello");
    }
}

/// An answer goes on through reloads, and so do kept connections to an upstream that stays the same.
#[test]
fn a_reload_keeps_connections_and_answers() {
    let (server, upstream) = start_one("");
    let before = server.directory().read("config.toml");
    let (mut client, mut connection) = kept(&server, &upstream);
    client.send(get("/streaming"));
    assert_eq!(connection.request().line(), "GET /streaming HTTP/1.1");
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.response_head().status, 200);
    for changed in [before.replace("'here'", "'there'"), before.clone()] {
        server.configure(changed);
        ended_with(0, &server.command_line(&["reload"]));
    }
    connection.send("world");
    assert_eq!(client.read(10), b"helloworld");
    client.send(get("/again"));
    assert_eq!(connection.request().line(), "GET /again HTTP/1.1");
    connection.send(HELLO);
    assert_eq!(client.response().text(), "hello");
}

/// The upstream is gone from the file: its answers under way end well, and nothing new is asked.
#[test]
fn an_upstream_that_a_reload_removes_finishes_its_answers() {
    let (server, upstream) = start_one("");
    let (mut client, mut connection) = kept(&server, &upstream);
    client.send(get("/streaming"));
    connection.request();
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.response_head().status, 200);
    let before = server.directory().read("config.toml");
    let other = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    server.configure(before.replace(upstream.address(), other.address()));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(server.connect().exchange(get("/")).text(), "other");
    connection.send("world");
    assert_eq!(client.read(10), b"helloworld");
    assert_eq!(client.exchange(get("/")).text(), "other");
    connection.expect_end();
}
