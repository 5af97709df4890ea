//! Which connections to the upstream are used again, and what happens if it closes one in that instant.

use super::{HELLO, POST, get, site_of};
use crate::support::{Client, Connection, Server, Upstream, ended_with};

/// An exchange after which the connection to the upstream is kept.
fn kept(server: &Server, upstream: &Upstream) -> (Client, Connection) {
    let mut client = server.connect();
    client.send(get("/first"));
    let (connection, _) = upstream.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
    (client, connection)
}

/// A site with one worker: a connection is kept by the worker that made it.
fn start_one(options: &str) -> (Server, Upstream) {
    let upstream = Upstream::listen();
    let server = super::start_with_one_worker(options, &upstream);
    (server, upstream)
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

/// A connection that may be closing is no place for a request that must not be sent twice.
#[test]
fn a_post_goes_by_a_connection_of_its_own() {
    for request in [
        POST,
        "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
    ] {
        for resets in [false, true] {
            let (server, upstream) = start_one("");
            let (mut client, _kept) = kept(&server, &upstream);
            client.send(request);
            let mut connection = upstream.accept();
            assert_eq!(connection.request().content, b"ab");
            // Nobody knows whether it was acted upon.
            if resets {
                connection.reset();
            } else {
                drop(connection);
            }
            assert_eq!(client.response().status, 502);
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

/// An upstream that closes after each answer without saying so, as some do under load: every GET is
/// answered, and no POST is sent twice.
#[test]
fn an_upstream_that_closes_without_a_word_costs_no_get() {
    let upstream = Upstream::start(|connection| {
        if connection.next_request().is_some() {
            connection.send(HELLO);
        }
    });
    let server = site_of("", "", &[&upstream]).start();
    let mut client = server.connect();
    for _ in 0..300 {
        assert_eq!(client.exchange(get("/")).text(), "hello");
    }
    for number in 0..300 {
        let response = client.exchange(format!(
            "POST /{number} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
        ));
        assert!([200, 502].contains(&response.status), "{}", response.status);
    }
    let mut posts: Vec<String> = upstream
        .requests()
        .iter()
        .map(|request| request.line())
        .collect();
    posts.retain(|line| line.starts_with("POST"));
    let count = posts.len();
    posts.sort_unstable();
    posts.dedup();
    assert_eq!(posts.len(), count, "a POST came twice");
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
