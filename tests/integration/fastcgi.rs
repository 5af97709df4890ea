//! `fastcgi`: an application server that keeps to the protocol, and many that do not.
//!
//! The test itself is the application server: it accepts, reads records and writes octets in the order
//! that the case needs.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::support::{SAFETY, Server, Site, pattern, until};

/// An application server that the test plays.
pub(crate) struct Peer(UnixListener);

/// A connection from the server to it.
pub(crate) struct Connection(pub(crate) UnixStream);

/// A request as it arrived.
pub(crate) struct Asked {
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) content: Vec<u8>,
}

impl Peer {
    pub(crate) fn at(site: &Site) -> Self {
        let path = site.directory().join("php.sock");
        Self(UnixListener::bind(path).expect("the directory is new"))
    }

    pub(crate) fn accept(&self) -> Connection {
        assert!(self.is_asked_within(SAFETY), "the server connects");
        let (stream, _) = self.0.accept().expect("one waits");
        stream.set_read_timeout(Some(SAFETY)).expect("it is open");
        stream.set_write_timeout(Some(SAFETY)).expect("it is open");
        Connection(stream)
    }

    pub(crate) fn is_asked_within(&self, time: std::time::Duration) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::try_from(time).expect("short"))).expect("a poll") > 0
    }

    /// Answers the next request on a connection of its own.
    pub(crate) fn answer(&self, output: &str) -> Asked {
        let mut connection = self.accept();
        let asked = connection.request();
        connection.send(whole(output));
        asked
    }
}

impl Connection {
    /// Reads the next record: its type and content.
    fn record(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut header = [0; 8];
        self.0.read_exact(&mut header).ok()?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        self.0.read_exact(&mut content).expect("a whole record");
        content.truncate(length);
        Some((header[1], content))
    }

    /// Reads the parameters of the next request.
    pub(crate) fn parameters(&mut self) -> BTreeMap<String, String> {
        assert_eq!(
            self.record(),
            Some((1, vec![0, 1, 0, 0, 0, 0, 0, 0])),
            "a responder, and the connection is not kept"
        );
        let mut stream = Vec::new();
        loop {
            match self.record() {
                Some((4, content)) if content.is_empty() => return read_parameters(&stream),
                Some((4, content)) => stream.extend(content),
                other => panic!("{other:?} among the parameters"),
            }
        }
    }

    /// Reads some of the content; `None` at its end.
    pub(crate) fn content(&mut self) -> Option<Vec<u8>> {
        match self.record() {
            Some((5, content)) => Some(content).filter(|content| !content.is_empty()),
            other => panic!("{other:?} in the content"),
        }
    }

    pub(crate) fn request(&mut self) -> Asked {
        let parameters = self.parameters();
        let mut content = Vec::new();
        while let Some(some) = self.content() {
            content.extend(some);
        }
        Asked {
            parameters,
            content,
        }
    }

    pub(crate) fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.0.write_all(octets.as_ref()).expect("the server reads");
    }

    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).ok(), Some(0), "not the end");
    }
}

fn read_parameters(mut stream: &[u8]) -> BTreeMap<String, String> {
    fn take<'s>(stream: &mut &'s [u8], count: usize) -> &'s [u8] {
        stream.split_off(..count).expect("so many octets")
    }
    fn length(stream: &mut &[u8]) -> usize {
        match take(stream, 1)[0] {
            short @ ..0x80 => usize::from(short),
            first => {
                let rest = take(stream, 3);
                u32::from_be_bytes([first & 0x7f, rest[0], rest[1], rest[2]]) as usize
            }
        }
    }
    let mut parameters = BTreeMap::new();
    while !stream.is_empty() {
        let (name, value) = (length(&mut stream), length(&mut stream));
        let [name, value] = [name, value]
            .map(|count| String::from_utf8_lossy(take(&mut stream, count)).into_owned());
        let before = parameters.insert(name, value);
        assert_eq!(before, None, "a parameter that comes twice");
    }
    parameters
}

pub(crate) const STDOUT: u8 = 6;
pub(crate) const STDERR: u8 = 7;

pub(crate) fn record(kind: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let [high, low] = (content.len() as u16).to_be_bytes();
    let padding = (content.len() % 7) as u8;
    let header = [1, kind, 0, 1, high, low, padding, 0];
    [&header[..], content, &vec![0xaa; usize::from(padding)]].concat()
}

pub(crate) fn end(protocol_status: u8) -> Vec<u8> {
    record(3, [0, 0, 0, 0, protocol_status, 0, 0, 0])
}

pub(crate) fn whole(output: &str) -> Vec<u8> {
    [record(STDOUT, output), end(0)].concat()
}

pub(crate) const HELLO: &str = "Content-Type: text/plain\r\n\r\nhello";

pub(crate) fn site(options: &str) -> Site {
    Site::new(&format!(
        "'/' = {{ fastcgi = 'unix:php.sock', root = 'www' {options} }}"
    ))
    .file("index.php", "<?php the source")
}

pub(crate) fn start(options: &str) -> (Server, Peer) {
    let site = site(options);
    let peer = Peer::at(&site);
    (site.start(), peer)
}

pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn a_script_is_told_of_the_request_and_its_answer_is_sent() {
    let (server, peer) = start(", params = { APP_ENV = 'test', SERVER_NAME = 'mine' }");
    let mut client = server.connect();
    client.send(
        "POST /index.php/a/b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhello",
    );
    let mut connection = peer.accept();
    let asked = connection.request();
    connection.send(record(STDERR, "PHP Warning:  first\n\x1b[31msecond\n"));
    connection.send(record(STDERR, "more\n".repeat(120)));
    connection.send(record(STDOUT, "Status: 201 Made\r\nContent-Ty"));
    connection.send(record(
        STDOUT,
        "pe: text/plain\r\nSet-Cookie: a=b\r\n\r\nan",
    ));
    connection.send(record(STDOUT, ""));
    connection.send([record(STDOUT, "swer"), end(0)].concat());
    let response = client.response();
    assert_eq!((response.status, response.text().as_str()), (201, "answer"));
    assert_eq!(response.field("Set-Cookie"), Some("a=b"));
    assert_eq!(asked.content, b"hello");
    let root = server.directory().join("www");
    let root = root.to_str().expect("text");
    for (name, value) in [
        ("REQUEST_METHOD", "POST"),
        ("SCRIPT_FILENAME", &format!("{root}/index.php")),
        ("SCRIPT_NAME", "/index.php"),
        ("PATH_INFO", "/a/b"),
        ("QUERY_STRING", "x=1"),
        ("REQUEST_URI", "/index.php/a/b?x=1"),
        ("DOCUMENT_ROOT", root),
        ("CONTENT_LENGTH", "5"),
        ("HTTP_X_A", "1"),
        ("APP_ENV", "test"),
        ("SERVER_NAME", "mine"),
    ] {
        assert_eq!(
            asked.parameters.get(name).map(String::as_str),
            Some(value),
            "{name}"
        );
    }
    for text in [
        "PHP Warning:  first",
        "\u{fffd}[31msecond",
        "further messages for this request are left out",
    ] {
        let line = server.wait_for_line(|line| line.ends_with(text));
        assert!(line.contains(" warning: route `/` ("), "{line}");
    }
}

#[test]
fn the_route_s_own_path_is_not_beneath_the_root() {
    let site = Site::new("'/blog' = { fastcgi = 'unix:php.sock', root = 'www' }");
    let peer = Peer::at(&site);
    let server = site.file("index.php", "").start();
    let mut client = server.connect();
    assert_eq!(
        client.exchange(get("/blog")).field("Location"),
        Some("blog/")
    );
    client.send(get("/blog/"));
    let asked = peer.answer(HELLO);
    assert_eq!(client.response().status, 200);
    assert_eq!(asked.parameters["SCRIPT_NAME"], "/blog/index.php");
    assert!(asked.parameters["SCRIPT_FILENAME"].ends_with("/www/index.php"));
}

#[test]
fn files_beside_scripts_are_sent_and_scripts_never_are() {
    let site = site(", index = ['index.php', 'index.html']")
        .file("style.css", "body {}")
        .file("pages/index.html", "<p>page")
        .file(".env", "secret")
        .file("other.PHP", "source");
    let peer = Peer::at(&site);
    let server = site.start();
    for (line, status, content) in [
        ("GET /style.css", 200, "body {}"),
        ("POST /style.css", 405, ""),
        ("GET /pages/", 200, "<p>page"),
        ("GET /pages", 308, ""),
        ("GET /.env", 404, ""),
        ("GET /none.php", 404, ""),
        ("GET /none", 404, ""),
        ("GET /none.php/style.css", 404, ""),
        ("GET /style.css/x", 404, ""),
    ] {
        let mut client = server.connect();
        let response = client.exchange(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(response.status, status, "{line}");
        if status == 200 {
            assert_eq!(response.text(), content, "{line}");
        }
    }
    assert!(!peer.is_asked_within(std::time::Duration::ZERO));
    let mut client = server.connect();
    client.send(get("/other.PHP"));
    peer.answer(HELLO);
    assert_eq!(client.response().text(), "hello", "not its source");
}

#[test]
fn what_leads_to_nothing_is_the_fallback_s() {
    let site = site(", fallback = 'index.php', static_files = false").file("style.css", "body {}");
    let peer = Peer::at(&site);
    let server = site.start();
    for target in ["/2024/05/post/?p=1", "/style.css", "/none.php"] {
        let mut client = server.connect();
        client.send(get(target));
        let asked = peer.answer(HELLO);
        assert_eq!(client.response().status, 200);
        assert_eq!(asked.parameters["SCRIPT_NAME"], "/index.php");
        assert_eq!(asked.parameters["REQUEST_URI"], target);
        assert!(!asked.parameters.contains_key("PATH_INFO"));
    }
}

#[test]
fn explaining_asks_nobody() {
    let (server, peer) = start("");
    let explained = server.command_line(&["explain", "/index.php/x"]);
    let text = String::from_utf8_lossy(&explained.stdout);
    assert!(text.contains("index.php (script)"), "{text}");
    assert!(!peer.is_asked_within(std::time::Duration::ZERO));
}

#[test]
fn a_peer_that_misbehaves_is_answered_for_and_named() {
    let (server, peer) = start("");
    let changed = |at: usize, octet: u8| {
        let mut end = end(0);
        end[at] = octet;
        [record(STDOUT, HELLO), end].concat()
    };
    let endless: Vec<u8> = (0..1100)
        .flat_map(|_| record(STDOUT, format!("X: {}\r\n", "y".repeat(60))))
        .collect();
    for (octets, status, reason) in [
        (Vec::new(), 502, "closed the connection before the end"),
        (
            record(STDOUT, "Content-Ty"),
            502,
            "closed the connection before",
        ),
        (
            record(STDOUT, HELLO)[..20].to_vec(),
            502,
            "closed the connection before",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), 502, "of version 72"),
        (record(77, "x"), 502, "of type 77"),
        (record(11, "unknown"), 502, "of type 11"),
        (changed(3, 9), 502, "for request 9"),
        (changed(5, 7), 502, "END_REQUEST of 7 octets"),
        (changed(12, 9), 502, "unknown protocol status 9"),
        (end(0), 502, "ended before its header section"),
        (end(1), 502, "share a connection"),
        (end(2), 503, "overloaded"),
        (end(3), 502, "no responder"),
        (whole("no field line\r\n\r\n"), 502, "no field line"),
        (endless, 502, "longer than 65536"),
    ] {
        let mut client = server.connect();
        client.send(get("/"));
        let mut connection = peer.accept();
        connection.request();
        // The server may close the connection before everything is written.
        let _ = connection.0.write_all(&octets);
        drop(connection);
        let response = client.response();
        assert_eq!(response.status, status, "{reason}");
        assert_eq!(response.field("Retry-After").is_some(), status == 503);
        let line = server.wait_for_line(|line| line.contains(reason));
        assert!(
            line.contains("route `/` (") && line.contains("php.sock: "),
            "{line}"
        );
        // The connection to the client goes on, and so does the route.
        client.send(get("/"));
        peer.answer(HELLO);
        assert_eq!(client.response().text(), "hello");
    }
    for reason in ["upstream_overloaded", "upstream_refused"] {
        server.wait_for_reason(reason);
    }
}

#[test]
fn an_answer_that_breaks_off_cuts_the_connection() {
    let (server, peer) = start("");
    for (head, rest, reason) in [
        ("", Vec::new(), "closed the connection before"),
        ("", record(77, "x"), "of type 77"),
        ("Content-Length: 9\r\n", end(0), "shorter than"),
    ] {
        let mut client = server.connect();
        client.send(get("/"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(record(
            STDOUT,
            format!("Content-Type: a/b\r\n{head}\r\nhello"),
        ));
        assert_eq!(client.response_head().status, 200);
        connection.send(&rest);
        drop(connection);
        let rest = client.rest().unwrap_or_default();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{reason}");
        let line = server.wait_for_line(|line| line.contains(reason));
        assert!(line.contains("route `/` ("), "{line}");
    }
}

#[test]
fn a_peer_that_is_slow_is_given_up() {
    let (server, peer) = start(", timeout = '100ms'");
    for sent in [
        Vec::new(),
        record(STDOUT, "Content-Type: a/b\r\n"),
        record(STDERR, "x\n"),
    ] {
        let mut client = server.connect();
        client.send(get("/"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(sent);
        assert_eq!(client.response().status, 504);
        connection.expect_end();
    }
    server.wait_for_line(|line| line.contains("did not answer within the timeout"));
    let mut client = server.connect();
    client.send(get("/"));
    let mut connection = peer.accept();
    connection.request();
    connection.send(record(STDOUT, HELLO));
    assert_eq!(client.response_head().status, 200);
    assert_eq!(client.rest_before_cut(), b"5\r\nhello\r\n");
    connection.expect_end();
}

#[test]
fn a_peer_that_is_down_is_asked_again_when_it_is_up() {
    let site = site("");
    let server = site.start();
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 502);
    server.wait_for_line(|line| line.contains("php.sock: cannot connect: No such file"));
    let path = server.directory().join("php.sock");
    drop(UnixListener::bind(&path).expect("nothing is there"));
    assert_eq!(client.exchange(get("/")).status, 502);
    server.wait_for_line(|line| line.contains("cannot connect: Connection refused"));
    std::fs::remove_file(&path).expect("it is ours");
    let peer = Peer(UnixListener::bind(&path).expect("nothing is there"));
    client.send(get("/"));
    peer.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn tcp_does_as_well() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let server = Site::new(&format!("'/' = {{ fastcgi = '{address}', root = 'www' }}"))
        .file("index.php", "")
        .start();
    let mut client = server.connect();
    client.send(get("/"));
    let (mut stream, _) = listener.accept().expect("one waits");
    stream.write_all(&whole(HELLO)).expect("the server reads");
    assert_eq!(client.response().text(), "hello");
    drop((stream, listener));
    until("the listener is gone", || {
        (client.exchange(get("/")).status == 502).then_some(())
    });
}

/// A connection that was kept held one of few processes, which a request on another connection waited
/// for; a POST took 16 to 32 ms. A faulty application server's octets behind the end of a response were
/// taken for the response to the next client.
#[test]
fn each_request_has_a_connection_of_its_own() {
    let (server, peer) = start("");
    let mut client = server.connect();
    let put = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
    for request in [
        &get("/"),
        "POST / HTTP/1.1\r\nHost: h\r\n\r\n",
        put,
        &get("/"),
    ] {
        client.send(request);
        let mut connection = peer.accept();
        connection.request();
        let behind = whole("Content-Type: a/b\r\n\r\nforged");
        connection.send([whole(HELLO), behind].concat());
        assert_eq!(client.response().text(), "hello");
        // Although this side, and the client's connection, stay open.
        connection.expect_end();
    }
}

/// A request whose connection breaks is not sent again: the script may have begun to run.
#[test]
fn a_request_is_sent_once() {
    let (server, peer) = start("");
    let mut client = server.connect();
    for begun in [
        Vec::new(),
        record(STDERR, "x\n"),
        record(STDOUT, "Status: 2"),
    ] {
        client.send(get("/"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(begun);
        drop(connection);
        assert_eq!(client.response().status, 502);
        assert!(!peer.is_asked_within(std::time::Duration::ZERO));
    }
}

/// More octets than all the buffers on the way hold.
const LARGE: usize = 8 * 1024 * 1024;

pub(crate) fn post(length: usize) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn content_goes_both_ways_at_once() {
    for options in ["", ", stream = true"] {
        let (server, peer) = start(options);
        let mut client = server.connect();
        let echoing = std::thread::spawn(move || {
            let mut connection = peer.accept();
            connection.parameters();
            connection.send(record(STDOUT, "Content-Type: a/b\r\n\r\n"));
            while let Some(content) = connection.content() {
                connection.send(record(STDOUT, content));
            }
            connection.send(end(0));
        });
        client.send(post(LARGE));
        client.send(pattern(0, LARGE));
        assert!(client.response().content == pattern(0, LARGE), "{options}");
        echoing.join().expect("the peer is content");
    }
}

#[test]
fn an_answer_may_come_before_the_request_is_read() {
    for options in ["", ", stream = true"] {
        let (server, peer) = start(options);
        let mut client = server.connect();
        let answering = std::thread::spawn(move || {
            let mut connection = peer.accept();
            connection.parameters();
            connection.send(record(STDOUT, "Content-Type: a/b\r\n\r\n"));
            for block in pattern(0, LARGE).chunks(32 * 1024) {
                connection.send(record(STDOUT, block));
            }
            let mut content = Vec::new();
            while let Some(some) = connection.content() {
                content.extend(some);
            }
            connection.send(end(0));
            content
        });
        client.send(post(LARGE));
        client.send(pattern(LARGE, LARGE));
        assert!(client.response().content == pattern(0, LARGE), "{options}");
        assert!(answering.join().expect("the peer is content") == pattern(LARGE, LARGE));
    }
}

#[test]
fn an_answer_may_leave_the_request_unread() {
    let (server, peer) = start(", stream = true");
    for closes in [false, true] {
        let mut client = server.connect();
        client.send(post(LARGE));
        client.send(pattern(0, 8000));
        let mut connection = peer.accept();
        connection.parameters();
        connection.send(whole("Status: 403\r\nContent-Type: a/b\r\n\r\nno"));
        if closes {
            drop(connection);
        }
        let response = client.response();
        if !closes {
            let mut other = server.connect();
            other.send(get("/"));
            peer.answer(HELLO);
            let fresh = other.response().status;
            assert_eq!(fresh, 200, "not behind content that was not read");
        }
        assert_eq!((response.status, response.text().as_str()), (403, "no"));
        assert!(response.says_close());
    }
}

#[test]
fn content_of_unknown_length_is_counted_first() {
    let (server, peer) = start("");
    let large = pattern(0, 1024 * 1024);
    for content in [&b"hello"[..], &large, b""] {
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        if !content.is_empty() {
            client.send(
                [
                    format!("{:x}\r\n", content.len()).as_bytes(),
                    content,
                    b"\r\n",
                ]
                .concat(),
            );
        }
        client.send("0\r\n\r\n");
        let asked = peer.answer(HELLO);
        assert_eq!(
            asked.parameters["CONTENT_LENGTH"],
            content.len().to_string()
        );
        assert!(asked.content == content);
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn content_is_invited_before_the_peer_is_asked() {
    let (server, peer) = start("");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("ab");
    assert_eq!(peer.answer(HELLO).content, b"ab");
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_client_that_goes_takes_its_request_along() {
    let (server, peer) = start(", timeout = '1h', stream = true");
    // It waits for the head; it has still to send; it reads the content.
    for (request, answer) in [
        (get("/"), Vec::new()),
        (post(100) + "not yet all", Vec::new()),
        (get("/"), record(STDOUT, HELLO)),
    ] {
        let mut client = server.connect();
        client.send(&request);
        let mut connection = peer.accept();
        connection.parameters();
        let is_answered = !answer.is_empty();
        connection.send(answer);
        if is_answered {
            assert_eq!(client.response_head().status, 200);
        }
        drop(client);
        while connection.record().is_some() {}
        connection.expect_end();
    }
}

#[test]
fn an_answer_to_head_has_no_content() {
    let (server, peer) = start("");
    let mut client = server.connect();
    for (head, length) in [("", None), ("Content-Length: 5\r\n", Some(5))] {
        client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut connection = peer.accept();
        connection.request();
        connection.send(whole(&format!("Content-Type: a/b\r\n{head}\r\nhello")));
        drop(connection);
        let response = client.response_to_head();
        assert_eq!((response.status, response.content_length()), (200, length));
    }
}

#[test]
fn an_answer_with_a_validator_gets_304_for_nothing() {
    const HEAD: &str = "Content-Type: a/b\r\nETag: \"7\"\r\n";
    let (server, peer) = start("");
    let mut client = server.connect();
    for (line, fields, script, status) in [
        ("GET", "If-None-Match: \"7\"", HEAD, 304),
        ("HEAD", "If-None-Match: \"7\"", HEAD, 304),
        ("GET", "If-None-Match: \"6\"", HEAD, 200),
        ("GET", "If-Match: \"6\"", HEAD, 412),
        ("GET", "Range: bytes=0-1", HEAD, 200),
        ("GET", "If-None-Match: *", "Content-Type: a/b\r\n", 200),
        (
            "GET",
            "If-None-Match: \"7\"",
            "Status: 404\r\nETag: \"7\"\r\n",
            404,
        ),
        ("POST", "If-None-Match: \"7\"", HEAD, 200),
    ] {
        // The answer comes at once, or goes on when the client has its own.
        for is_whole in [true, false] {
            client.send(format!("{line} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n"));
            let mut connection = peer.accept();
            connection.request();
            connection.send(record(STDOUT, format!("{script}\r\nhello")));
            if is_whole {
                connection.send(end(0));
            }
            let is_sent = !line.starts_with('H') && !matches!(status, 304 | 412);
            let response = match (line, is_sent && !is_whole) {
                ("HEAD", _) => client.response_to_head(),
                (_, true) => client.response_head(),
                _ => client.response(),
            };
            assert_eq!(response.status, status, "{line} {fields}");
            if status == 304 {
                let told = ["ETag", "Content-Type"].map(|name| response.field(name));
                assert_eq!(told, [Some("\"7\""), None]);
            }
            if is_whole {
                continue;
            }
            if is_sent {
                client = server.connect();
                continue;
            }
            for block in pattern(0, LARGE).chunks(32 * 1024) {
                connection.send(record(STDOUT, block));
            }
            connection.send(end(0));
        }
    }
}

#[test]
fn a_script_whose_content_is_not_wanted_runs_to_its_end() {
    let (server, peer) = start("");
    let mut client = server.connect();
    for (line, head, status) in [
        ("If-None-Match: \"7\"", "Status: 200\r\nETag: \"7\"", 304),
        ("If-Match: \"6\"", "Status: 200\r\nETag: \"7\"", 412),
        ("X-A: 1", "Location: /none", 404),
    ] {
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(record(STDOUT, format!("{head}\r\n\r\nhello")));
        assert_eq!(client.response().status, status);
        for block in pattern(0, LARGE).chunks(32 * 1024) {
            connection.send(record(STDOUT, block));
        }
        connection.send(end(0));
        connection.expect_end();
    }
}

#[test]
fn a_local_redirect_is_followed_here() {
    let site = site("").file("a.txt", "the file");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send(get("/"));
    peer.answer("Location: /a.txt\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "the file")
    );
}

#[test]
fn a_local_redirect_takes_no_content_along() {
    let (server, peer) = start(", stream = true");
    let mut client = server.connect();
    client.send(post(8000));
    client.send(pattern(0, 4000));
    let mut connection = peer.accept();
    connection.parameters();
    connection.content();
    connection.send(whole("Location: /index.php/next\r\n\r\n"));
    let asked = peer.answer(HELLO);
    assert_eq!(asked.parameters["REQUEST_METHOD"], "GET");
    assert!(!asked.parameters.contains_key("CONTENT_LENGTH"));
    assert_eq!(asked.content, b"");
    client.send(pattern(4000, 4000));
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_peer_that_never_stops_complaining_holds_nobody_up() {
    let site = site(", timeout = '300ms'")
        .top("workers = 1")
        .file("style.css", "body {}");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send(get("/"));
    let mut connection = peer.accept();
    connection.request();
    let complaints = record(STDERR, "x".repeat(60_000));
    let complaining =
        std::thread::spawn(move || while connection.0.write_all(&complaints).is_ok() {});
    let mut other = server.connect();
    assert_eq!(other.exchange(get("/style.css")).text(), "body {}");
    assert_eq!(client.response().status, 504);
    complaining.join().expect("it is hung up on");
}

#[test]
fn a_script_names_the_file_to_be_sent() {
    let site = site(", sendfile = true").file(".private/a b.txt", "0123456789");
    site.directory().write("outside.txt", "secret");
    std::os::unix::fs::symlink("../outside.txt", site.directory().join("www/link"))
        .expect("the directory is ours");
    let peer = Peer::at(&site);
    let root = site.directory().join("www");
    let root = root.to_str().expect("text");
    let server = site.start();
    let mut client = server.connect();
    let mut ask_by = |method: &str, lines: &str, fields: &str| {
        client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        let mut connection = peer.accept();
        connection.request();
        connection.send(whole(&format!(
            "Content-Type: x/y\r\n{fields}\r\n\r\nnot this"
        )));
        drop(connection);
        client.response()
    };
    let mut ask = |lines: &str, fields: &str| ask_by("GET", lines, fields);
    for field in [
        &format!("X-Sendfile: {root}/.private/a b.txt"),
        "X-Sendfile: .private/a b.txt",
        "X-Accel-Redirect: /.private/a%20b.txt",
    ] {
        let response = ask("Range: bytes=2-4\r\n", &format!("X-A: 1\r\n{field}"));
        assert_eq!(
            (response.status, response.text().as_str()),
            (206, "234"),
            "{field}"
        );
        assert_eq!(response.field("Content-Type"), Some("x/y"));
        assert_eq!(response.field("X-A"), Some("1"));
        assert_eq!(response.field("X-Sendfile"), None);
        let tag = response.field("ETag").expect("a validator").to_owned();
        let response = ask(&format!("If-None-Match: {tag}\r\n"), field);
        assert_eq!(response.status, 304);
    }
    let response = ask(
        "Range: bytes=2-4\r\n",
        "Status: 404\r\nX-Sendfile: .private/a b.txt",
    );
    assert_eq!(
        (response.status, response.text().as_str()),
        (404, "0123456789")
    );
    for (field, reason) in [
        (
            "X-Sendfile: /etc/passwd",
            "\"/etc/passwd\" is not beneath the root",
        ),
        (
            "X-Sendfile: ../outside.txt",
            "\"../outside.txt\" is not beneath the root",
        ),
        ("X-Sendfile: link", "\"link\" is not beneath the root"),
        ("X-Sendfile: none", "\"none\" is not there"),
        (
            "X-Sendfile: .private",
            "\".private\" is not there, or not a file",
        ),
        (
            "X-Accel-Redirect: http://h/",
            "\"http://h/\" is not beneath",
        ),
        (
            "X-Accel-Redirect: /../outside.txt",
            "is not beneath the root",
        ),
    ] {
        assert_eq!(ask("", field).status, 502, "{field}");
        server.wait_for_line(|line| line.contains(reason));
    }
    server.wait_for_reason("upstream_file");
    // Conditions of a POST were for the script, and ranges are for GET alone.
    let response = ask_by(
        "POST",
        "Range: bytes=2-4\r\nIf-None-Match: *\r\n",
        "X-Sendfile: .private/a b.txt",
    );
    assert_eq!(
        (response.status, response.text().as_str()),
        (200, "0123456789")
    );
}

/// A script that named a script had its source sent to the client.
#[test]
fn a_script_that_is_named_is_not_sent() {
    let options =
        ", sendfile = true, scripts = ['.php', '.do'], send_files = { '/media' = 'media' }";
    let site = site(options).file("x.phtml", "<?php").file("y.do", "run");
    site.directory().write("media/x.php", "<?php");
    let here = site.directory().join("www").display().to_string();
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    for (field, name) in [
        ("X-Accel-Redirect: /x.phtml", "/x.phtml".to_owned()),
        ("X-Accel-Redirect: /y%2eDO", "/y.DO".to_owned()),
        ("X-Sendfile: y.do", "y.do".to_owned()),
        (
            &format!("X-Sendfile: {here}/x.phtml"),
            format!("{here}/x.phtml"),
        ),
        ("X-Accel-Redirect: /media/x.php", "/media/x.php".to_owned()),
    ] {
        client.send(get("/"));
        peer.answer(&format!("Content-Type: a/b\r\n{field}\r\n\r\n"));
        assert_eq!(client.response().status, 502, "{field}");
        let sentence = format!("{name:?} is a script by its name");
        server.wait_for_line(|line| line.contains(&sentence));
    }
    server.wait_for_reason("upstream_file");
}

/// A file whose format is in gzip, such as `.svgz`, went out without saying so, unlike from `files`.
#[test]
fn a_sent_file_in_gzip_says_so() {
    let site = site(", sendfile = true").file("a.svgz", "0123456789");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    for (fields, codings) in [
        ("X-Sendfile: a.svgz", &["gzip"][..]),
        ("X-Accel-Redirect: /a.svgz", &["gzip"]),
        ("X-Sendfile: a.svgz\r\nContent-Encoding: br", &["br"]),
    ] {
        client.send(get("/"));
        peer.answer(&format!("Content-Type: image/svg+xml\r\n{fields}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.text(), "0123456789", "{fields}");
        let lines = response.fields.iter();
        let lines = lines.filter(|(name, _)| name == "Content-Encoding");
        let found: Vec<&str> = lines.map(|(_, value)| value.as_str()).collect();
        assert_eq!(found, codings, "{fields}");
    }
}

/// A script that named a file twice had the second name, a path of the system, sent to the client; and
/// so had one that told the server how to send the file.
#[test]
fn no_line_that_names_a_file_reaches_the_client() {
    let site = site(", sendfile = true").file("a.txt", "0123456789");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    for fields in [
        "X-Sendfile: a.txt\r\nX-Sendfile: /secret/b.txt",
        "X-Sendfile: a.txt\r\nx-sendfile: /secret/b.txt",
        "X-Accel-Redirect: /a.txt\r\nX-Accel-Redirect: /secret/b.txt",
        "X-Sendfile: a.txt\r\nX-Accel-Redirect: /secret/b.txt",
        "X-Accel-Redirect: /a.txt\r\nX-Accel-Buffering: no\r\nX-ACCEL-Charset: secret",
    ] {
        client.send(get("/"));
        peer.answer(&format!("Content-Type: a/b\r\n{fields}\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.text(), "0123456789", "{fields}");
        let is_ours = |name: &str| {
            let name = name.to_ascii_lowercase();
            name == "x-sendfile" || name.starts_with("x-accel-")
        };
        let mut names = response.fields.iter().map(|(name, _)| name);
        assert!(!names.any(|name| is_ours(name)), "{fields}");
    }
}

/// With `scripts` that leaves PHP's suffix out, the source of PHP scripts was sent to clients.
#[test]
fn the_source_of_a_script_that_is_not_run_is_not_sent() {
    let site = site(", scripts = '.cgi', index = ['index.php', 'index.phtml', 'index.html']")
        .file("a.PHP", "<?php the source")
        .file("b.phtml", "<?php the source")
        .file("b.phps", "shown")
        .file("pages/index.phtml", "<?php the source");
    let _peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    for target in [
        "/index.php",
        "/",
        "/a.PHP",
        "/b.phtml",
        "/pages/",
        "/pages",
        "/a.PHP/x",
    ] {
        assert_eq!(client.exchange(get(target)).status, 404, "{target}");
    }
    assert_eq!(client.exchange(get("/b.phps")).text(), "shown");
}

#[test]
fn a_script_names_no_file_unless_it_is_allowed_to() {
    let site = site("").file("a.txt", "0123456789");
    let peer = Peer::at(&site);
    let server = site.start();
    let mut client = server.connect();
    client.send(get("/"));
    peer.answer("Content-Type: a/b\r\nX-Sendfile: a.txt\r\n\r\nmine");
    let response = client.response();
    assert_eq!(response.text(), "mine");
    assert_eq!(response.field("X-Sendfile"), Some("a.txt"));
}
