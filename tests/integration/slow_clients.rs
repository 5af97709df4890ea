//! Clients that are slow to send or to read, before scripts and application servers that are few: what
//! `cgi` and `fastcgi` keep of content, in both directions.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;

use crate::cgi;
use crate::fastcgi::{HELLO, Peer, STDOUT, end, get, post, record, site, start, whole};
use crate::support::{Client, SAFETY, Server, pattern, until};

/// More octets than all the buffers of the system on the way hold.
const LARGE: usize = 32 * 1024 * 1024;

/// As much, within what a server takes by default.
const MUCH: usize = 8 * 1024 * 1024;

/// Begins a request whose content the server has begun to wait for.
fn begin_post(server: &Server, length: usize) -> Client {
    let mut client = server.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(client.response().status, 100);
    client
}

fn say_hello(server: &Server, peer: &Peer) {
    let mut client = server.connect();
    client.send(get("/"));
    assert_eq!(peer.answer(HELLO).parameters["REQUEST_METHOD"], "GET");
    assert_eq!(client.response().text(), "hello");
}

/// A client that sent its content slowly held a process of the application server: with as many such
/// clients as processes, all others were answered 504.
#[test]
fn an_application_server_is_asked_when_all_content_is_there() {
    let site = site("").top("workers = 1");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = begin_post(&server, 100_000);
    client.send(pattern(0, 99_999));
    // The worker has read what the slow client has sent when it has answered two others.
    say_hello(&server, &peer);
    say_hello(&server, &peer);
    assert!(!peer.is_asked_within(Duration::ZERO));
    client.send(pattern(99_999, 1));
    let asked = peer.answer(HELLO);
    assert_eq!(asked.parameters["CONTENT_LENGTH"], "100000");
    assert!(asked.content == pattern(0, 100_000));
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn with_stream_an_application_server_is_asked_at_once() {
    let (server, peer) = start(", stream = true");
    let mut client = begin_post(&server, 10);
    client.send("first");
    let mut connection = peer.accept();
    assert_eq!(connection.parameters()["CONTENT_LENGTH"], "10");
    assert_eq!(connection.content().expect("some"), b"first");
    client.send("other");
    assert_eq!(connection.content().expect("some"), b"other");
    assert_eq!(connection.content(), None);
    connection.send(whole(HELLO));
    assert_eq!(client.response().text(), "hello");
}

/// A client that read its response slowly held a process until it had read nearly all of it.
#[test]
fn a_response_is_taken_from_the_application_server_before_the_client_reads_it() {
    let (server, peer) = start("");
    let with_length = format!("Status: 200\r\nContent-Length: {LARGE}");
    for head in ["Content-Type: a/b", &with_length] {
        let mut client = server.connect();
        client.send(get("/"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(record(STDOUT, format!("{head}\r\n\r\n")));
        for block in pattern(0, LARGE).chunks(32 * 1024) {
            connection.send(record(STDOUT, block));
        }
        connection.send(end(0));
        connection.expect_end();
        assert!(client.response().content == pattern(0, LARGE), "{head}");
    }
}

#[test]
fn what_a_script_flushes_reaches_the_client_at_once() {
    for options in ["", ", stream = true"] {
        let (server, peer) = start(options);
        let mut client = server.connect();
        client.send(get("/"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(record(STDOUT, "Content-Type: text/event-stream\r\n\r\n"));
        assert_eq!(client.response_head().status, 200);
        for _ in 0..3 {
            connection.send(record(STDOUT, "data: x\n\n"));
            assert_eq!(client.read(14), b"9\r\ndata: x\n\n\r\n");
        }
        connection.send(end(0));
        assert_eq!(client.read(5), b"0\r\n\r\n");
    }
}

/// While content waited for room in the socket to the application server, a client that had gone was
/// not noticed before the timeout.
#[test]
fn a_client_that_goes_before_its_content_is_taken_is_noticed() {
    for streams in [false, true] {
        let (server, peer) = start(&format!(", timeout = '1h', stream = {streams}"));
        let mut client = server.connect();
        client.send(post(MUCH));
        // With `stream`, no more is read than the application server takes.
        let stream = client.stream();
        stream.set_nonblocking(streams).expect("it is open");
        let sent = client.try_send(pattern(0, MUCH));
        assert!(streams || sent.is_ok());
        // The application server takes the connection, and reads nothing.
        let connection = peer.accept();
        set_socket_linger(client.stream(), Some(Duration::ZERO)).expect("it is open");
        drop(client);
        let mut fds = [PollFd::new(&connection.0, PollFlags::empty())];
        let time = Timespec::try_from(SAFETY).expect("short");
        let closed = poll(&mut fds, Some(&time)).expect("a poll");
        assert_eq!(closed, 1, "the connection stays open; stream = {streams}");
    }
}

/// A client that read slowly held a script, and with it a place among `max_processes`.
#[test]
fn a_script_ends_before_its_client_reads_the_response() {
    let large = format!("printf 'Content-Type: a/b\\n\\n'; exec head -c {LARGE} /dev/zero");
    let small = "printf 'Content-Type: a/b\\n\\nhello'";
    let scripts = [("large", &large[..]), ("small", small)];
    let server = cgi::site(&scripts, ", max_processes = 1").start();
    let mut slow = server.connect();
    slow.send("GET /cgi-bin/large HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(slow.response_head().status, 200);
    let mut other = server.connect();
    until("the place is free", || {
        let response = other.exchange(get("/cgi-bin/small"));
        (response.status == 200).then_some(())
    });
    assert!(slow.count_rest() > LARGE as u64);
}
