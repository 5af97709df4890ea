//! Upstreams that break the rules, stall or break off: for each there is one reading, the client can tell,
//! and the connection is never used again.

use std::io::Write as _;
use std::thread;

use super::{HELLO, POST, get, site_of, start, start_with_one_worker};
use crate::support::{Client, Connection, Server, Upstream, speak_plainly};

/// Sends a POST, which is not tried again, and has the upstream answer it with `octets`.
fn answered_with(server: &Server, upstream: &Upstream, octets: &[u8]) -> (Client, Connection) {
    let mut client = server.connect();
    client.send(POST);
    let (connection, _) = upstream.answer(octets);
    (client, connection)
}

/// Whether the server still serves, and by a new connection.
fn goes_on(server: &Server, upstream: &Upstream, name: &str) {
    let mut client = server.connect();
    client.send(get("/"));
    let (_connection, _) =
        upstream.answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello", "after {name}");
}

#[test]
fn heads_that_no_two_recipients_read_alike_are_502() {
    let status = |line: &str| format!("{line}\r\nContent-Length: 5\r\n\r\nhello");
    let field = |line: &str| format!("HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 5\r\n\r\nhello");
    let framed = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\nhello");
    let many_interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(10_000);
    let (server, upstream) = start("");
    for (name, octets) in [
        ("no status line", "hello, world\r\n\r\n".to_owned()),
        (
            "nothing but a field",
            "Content-Length: 5\r\n\r\nhello".to_owned(),
        ),
        ("HTTP/0.9", "<html>hello</html>".to_owned()),
        ("an empty line", "\r\n\r\n".to_owned()),
        ("HTTP/2.0", status("HTTP/2.0 200 OK")),
        ("HTTP/2", status("HTTP/2 200 OK")),
        ("HTTP/1.10", status("HTTP/1.10 200 OK")),
        ("http/1.1", status("http/1.1 200 OK")),
        ("ICY", status("ICY 200 OK")),
        (
            "another protocol",
            "220 mail.example ESMTP\r\n".repeat(3) + "\r\n",
        ),
        ("TLS", "\x15\x03\x01\x00\x02\x02\x16".to_owned()),
        ("no status", status("HTTP/1.1 OK")),
        ("status of two digits", status("HTTP/1.1 99 Low")),
        ("status of four digits", status("HTTP/1.1 1000 High")),
        ("status 099", status("HTTP/1.1 099 Low")),
        ("status 000", status("HTTP/1.1 000 Low")),
        ("status with a sign", status("HTTP/1.1 +200 OK")),
        ("status in hexadecimal", status("HTTP/1.1 2a0 OK")),
        ("two spaces", status("HTTP/1.1  200 OK")),
        ("a tab", status("HTTP/1.1\t200 OK")),
        ("NUL in the reason", status("HTTP/1.1 200 O\0K")),
        ("bare CR in the reason", status("HTTP/1.1 200 O\rK")),
        ("bare CR in a value", field("X-A: 1\r2")),
        ("bare CR before a line", field("X-A: 1\rX-B: 2")),
        ("NUL in a value", field("X-A: 1\x002")),
        ("a control character in a value", field("X-A: 1\x012")),
        ("DEL in a value", field("X-A: 1\x7f2")),
        ("NUL in a name", field("X\0A: 1")),
        ("a folded line", field("X-A: 1\r\n 2")),
        ("a line folded by a tab", field("X-A: 1\r\n\t2")),
        ("a space before the first field", field(" X-A: 1")),
        ("a space before the colon", field("X-A : 1")),
        ("a tab before the colon", field("X-A\t: 1")),
        ("a space in the name", field("X A: 1")),
        ("no name", field(": 1")),
        ("no colon", field("X-A")),
        ("a name beyond ASCII", field("X-\u{e4}: 1")),
        (
            "two lengths",
            framed("Content-Length: 5\r\nContent-Length: 6"),
        ),
        ("two lengths in one line", framed("Content-Length: 5, 6")),
        ("a length with a sign", framed("Content-Length: +5")),
        ("a negative length", framed("Content-Length: -5")),
        ("an empty length", framed("Content-Length:")),
        ("a length in hexadecimal", framed("Content-Length: 0x5")),
        ("a length with a fraction", framed("Content-Length: 5.0")),
        ("a length with a space", framed("Content-Length: 1 5")),
        ("a length with a comma", framed("Content-Length: 5,")),
        (
            "a length beyond 64 bits",
            framed("Content-Length: 18446744073709551621"),
        ),
        (
            "a length beside chunked",
            framed("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        ),
        (
            "chunked before a length",
            framed("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        ),
        ("an unknown coding", framed("Transfer-Encoding: gzip")),
        (
            "gzip before chunked",
            framed("Transfer-Encoding: gzip, chunked"),
        ),
        (
            "chunked before gzip",
            framed("Transfer-Encoding: chunked, gzip"),
        ),
        (
            "chunked twice",
            framed("Transfer-Encoding: chunked, chunked"),
        ),
        ("identity", framed("Transfer-Encoding: identity")),
        ("no coding", framed("Transfer-Encoding:")),
        ("a misspelt coding", framed("Transfer-Encoding: xchunked")),
        (
            "chunked with a parameter",
            framed("Transfer-Encoding: chunked;q=1"),
        ),
        (
            "chunked of HTTP/1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "101 that the client did not ask for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
                .to_owned(),
        ),
        ("ten thousand interim responses", many_interim),
        (
            "a field of 300 KiB",
            field(&format!("X-A: {}", "x".repeat(300 * 1024))),
        ),
        (
            "300 KiB of fields",
            field(&"X-A: 1234567890\r\n".repeat(18_000)),
        ),
        (
            "a status line of 300 KiB",
            status(&format!("HTTP/1.1 200 {}", "x".repeat(300 * 1024))),
        ),
        (
            "an interim response of 300 KiB",
            format!("HTTP/1.1 103 E\r\nX: {}\r\n\r\n", "x".repeat(300 * 1024)) + HELLO,
        ),
    ] {
        let octets: Vec<u8> = octets.into_bytes();
        let (mut client, mut connection) = answered_with(&server, &upstream, &octets);
        // A head that is not complete is over when the connection is.
        connection.finish_sending();
        let mut response = client.response();
        while response.status == 103 {
            response = client.response();
        }
        assert_eq!(response.status, 502, "{name}: {}", response.text());
        assert!(
            !response.text().contains("forged") && !response.text().contains("hello"),
            "{name}"
        );
        connection.rest();
        // The client's connection goes on.
        assert_eq!(client.exchange(get("/here")).text(), "here", "{name}");
        goes_on(&server, &upstream, name);
    }
}

/// Nothing came that a client could be sent.
#[test]
fn an_upstream_that_breaks_off_before_its_head_is_502() {
    let (server, upstream) = start("");
    for octets in [
        "",
        "H",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
        "HTTP/1.1 103 E\r\n\r\n",
    ] {
        for resets in [false, true] {
            let (mut client, connection) = answered_with(&server, &upstream, octets.as_bytes());
            if resets {
                connection.reset();
            } else {
                drop(connection);
            }
            let mut response = client.response();
            if response.status == 103 {
                response = client.response();
            }
            assert_eq!(response.status, 502, "{octets:?}");
            assert_eq!(client.exchange(get("/here")).text(), "here");
            goes_on(&server, &upstream, octets);
        }
    }
}

#[test]
fn nobody_listens() {
    let upstream = Upstream::listen();
    let server = super::site("", &upstream).start();
    let address = upstream.address().to_owned();
    drop(upstream);
    for request in [&get("/"), POST] {
        let mut client = server.connect();
        assert_eq!(client.exchange(request).status, 502);
        assert_eq!(client.exchange(get("/here")).text(), "here");
    }
    let upstream = Upstream::listen_again_at(&address);
    goes_on(&server, &upstream, "no server listened");
}

/// A client can tell content that is whole from content that is cut.
fn assert_cut(mut client: Client, name: &str) {
    let head = client.raw_head();
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 200"), "{name}: {head}");
    let rest = client.some_of(usize::MAX);
    if head.contains("Transfer-Encoding: chunked") {
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{name}: a proper last chunk");
    } else {
        let length = head.split_once("Content-Length: ").expect("a length").1;
        let length = length.split("\r\n").next().expect("a line");
        let length: usize = length.parse().expect("a number");
        assert!(rest.len() < length, "{name}: as much as was announced");
    }
}

#[test]
fn content_that_breaks_off_is_cut_for_the_client_too() {
    speak_plainly();
    const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        for (name, head, body) in [
            ("shorter", LENGTH, "hello"),
            ("none of it", LENGTH, ""),
            ("no chunk", CHUNKED, ""),
            ("a part of a chunk", CHUNKED, "a\r\nhello"),
            ("no end of a chunk", CHUNKED, "5\r\nhello"),
            ("no last chunk", CHUNKED, "5\r\nhello\r\n"),
            ("a part of the last chunk", CHUNKED, "5\r\nhello\r\n0"),
            ("no end of the last chunk", CHUNKED, "5\r\nhello\r\n0\r\n"),
            (
                "no end of the trailers",
                CHUNKED,
                "5\r\nhello\r\n0\r\nX: y\r\n",
            ),
            ("no size", CHUNKED, "5\r\nhello\r\n\r\n0\r\n\r\n"),
            (
                "a size that is no number",
                CHUNKED,
                "5\r\nhello\r\nxyz\r\n0\r\n\r\n",
            ),
            (
                "a size with a sign",
                CHUNKED,
                "5\r\nhello\r\n+5\r\nhello\r\n0\r\n\r\n",
            ),
            (
                "a size in C",
                CHUNKED,
                "5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n",
            ),
            (
                "a size beyond 64 bits",
                CHUNKED,
                "5\r\nhello\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
            ),
            (
                "a bare LF behind a size",
                CHUNKED,
                "5\r\nhello\r\n5\nhello\r\n0\r\n\r\n",
            ),
            ("a bare LF behind a chunk", CHUNKED, "5\r\nhello\n0\r\n\r\n"),
            (
                "a bare CR behind a size",
                CHUNKED,
                "5\r\nhello\r\n5\rhello\r\n0\r\n\r\n",
            ),
            (
                "a chunk longer than its size",
                CHUNKED,
                "5\r\nhello!\r\n0\r\n\r\n",
            ),
            (
                "NUL in an extension",
                CHUNKED,
                "5\r\nhello\r\n5;a=\0\r\nhello\r\n0\r\n\r\n",
            ),
            (
                "a faulty trailer",
                CHUNKED,
                "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
            ),
            (
                "a folded trailer",
                CHUNKED,
                "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
            ),
        ] {
            for resets in [false, true] {
                // The head is passed on before the fault comes.
                let (mut client, mut connection) =
                    answered_with(&server, &upstream, head.as_bytes());
                if option.is_empty() && resets {
                    // Together, too.
                    drop((client, connection));
                    let all = [head, body].concat();
                    (client, connection) = answered_with(&server, &upstream, all.as_bytes());
                } else {
                    connection.send(body);
                }
                if resets {
                    connection.reset();
                } else {
                    connection.finish_sending();
                    connection.rest();
                }
                match_cut_or_502(client, name);
                goes_on(&server, &upstream, name);
            }
        }
    }
}

/// A client of HTTP/1.0 learns from the end of the connection alone that content is whole: content that is
/// not ends in a reset.
#[test]
fn content_that_breaks_off_is_reset_for_a_client_of_http_10() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        for (name, octets, resets, is_whole) in [
            ("no last chunk", CHUNKED, false, false),
            ("reset between chunks", CHUNKED, true, false),
            ("reset before the end", CLOSE, true, false),
            ("the end", CLOSE, false, true),
        ] {
            let mut client = server.connect();
            client.send("GET / HTTP/1.0\r\n\r\n");
            let (connection, _) = upstream.answer(octets);
            let head = client.raw_head();
            assert!(head.starts_with(b"HTTP/1.1 200"), "{name}");
            assert_eq!(client.read(5), b"hello", "{name}");
            if resets {
                connection.reset();
            } else {
                drop(connection);
            }
            assert_eq!(client.rest().is_ok(), is_whole, "{name} {option}");
        }
    }
}

/// A send to the upstream returned the error of the break, and the read after it found 0 octets: the end, as it
/// seemed, of a response that ends with its connection.
#[test]
fn a_response_without_length_is_cut_if_its_connection_breaks_while_content_is_sent() {
    speak_plainly();
    const LENGTH: usize = 40 << 20;
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(&format!("{option}, limits = {{ max_content = '1 GiB' }}"));
        let mut client = server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n"
        ));
        let mut sends = client.stream().try_clone().expect("a descriptor");
        let sending = thread::spawn(move || {
            // Without `buffer`, not all of it is taken.
            let _ = sends.write_all(&vec![b'x'; LENGTH]);
        });
        let mut connection = upstream.accept();
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na part");
        assert!(client.raw_head().starts_with(b"HTTP/1.1 200"));
        assert_eq!(client.read(11), b"6\r\na part\r\n", "{option}");
        // The content is on its way.
        assert!(connection.take(1 << 20).is_some());
        connection.reset();
        assert_eq!(client.some_of(5), b"", "{option}");
        drop(client);
        sending.join().expect("no panic");
    }
}

/// What breaks off is cut, or answered 502 if the head was not sent yet.
fn match_cut_or_502(client: Client, name: &str) {
    let mut first = [0; 12];
    let peeked = client.stream().peek(&mut first).expect("something comes");
    if peeked == first.len() && first.ends_with(b"502") {
        let mut client = client;
        assert_eq!(client.response().status, 502, "{name}");
        return;
    }
    assert_cut(client, name);
}

/// One octet too many may be the start of anything, another client's answer too.
#[test]
fn octets_behind_an_answer_are_nobody_s_answer() {
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        for (name, request, response) in [
            ("by length", "GET", format!("{HELLO}{forged}")),
            ("one octet", "GET", format!("{HELLO}x")),
            ("a line end", "GET", format!("{HELLO}\r\n")),
            (
                "chunked",
                "GET",
                format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{forged}"
                ),
            ),
            (
                "HEAD",
                "HEAD",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            ),
            ("204", "GET", format!("HTTP/1.1 204 No\r\n\r\n{forged}")),
            (
                "204 with content",
                "GET",
                "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
            ),
            (
                "304",
                "GET",
                format!("HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n{forged}"),
            ),
        ] {
            let mut client = server.connect();
            client.send(format!("{request} / HTTP/1.1\r\nHost: h\r\n\r\n"));
            let (mut connection, _) = upstream.answer(response);
            let found = if request == "HEAD" {
                client.response_to_head()
            } else {
                client.response()
            };
            assert!([200, 204, 304].contains(&found.status), "{name}");
            assert!(found.text().is_empty() || found.text() == "hello", "{name}");
            // The server closes, or comes back by another connection.
            connection.finish_sending();
            goes_on(&server, &upstream, name);
            connection.expect_end();
        }
    }
}

/// Octets that come when nothing was asked.
#[test]
fn octets_on_a_kept_connection_end_it() {
    let (server, upstream) = start("");
    let mut client = server.connect();
    client.send(get("/"));
    let (mut connection, _) = upstream.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
    connection.expect_end();
    client.send(get("/"));
    let (_connection, _) = upstream.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
}

/// Octets that came before the request: they are not its answer, although the connection looked good when
/// it was kept.
#[test]
fn octets_before_a_request_are_not_its_answer() {
    let upstream = Upstream::listen();
    let server = start_with_one_worker("", &upstream);
    let mut client = server.connect();
    client.send(get("/"));
    let (mut connection, _) = upstream.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
    for _ in 0..100 {
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        client.send(get("/"));
        let (next, _) = upstream.answer(HELLO);
        assert_eq!(client.response().text(), "hello");
        connection = next;
    }
}

#[test]
fn an_upstream_that_stalls_is_504_before_its_head_and_a_cut_after() {
    for option in [", timeout = '100ms'", ", timeout = '100ms', buffer = false"] {
        let (server, upstream) = start(option);
        for octets in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 E\r\n\r\n"] {
            let (mut client, mut connection) = answered_with(&server, &upstream, octets.as_bytes());
            let mut response = client.response();
            if response.status == 103 {
                response = client.response();
            }
            assert_eq!(response.status, 504, "{octets:?}");
            connection.expect_end();
            assert_eq!(client.exchange(get("/here")).text(), "here");
        }
        for octets in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "HTTP/1.1 200 OK\r\n\r\nhello",
        ] {
            let (client, mut connection) = answered_with(&server, &upstream, octets.as_bytes());
            assert_cut(client, octets);
            connection.expect_end();
        }
    }
}

/// Responses of a few octets now and then never become a head.
#[test]
fn interim_responses_do_not_put_off_the_timeout_for_ever() {
    let upstream = Upstream::start(|connection| {
        if connection.next_request().is_none() {
            return;
        }
        while connection.is_idle() {
            connection.send("HTTP/1.1 102 Processing\r\n\r\n");
            std::thread::yield_now();
        }
    });
    let server = site_of(", timeout = '200ms'", "", &[&upstream]).start();
    let mut client = server.connect();
    client.send(POST);
    let status = loop {
        let response = client.response();
        if response.status >= 200 {
            break response.status;
        }
    };
    assert!([502, 504].contains(&status), "{status}");
}

/// An upstream that does not read: the request cannot be sent.
#[test]
fn an_upstream_that_does_not_read_is_504() {
    let (server, upstream) = start(", timeout = '200ms', limits = { max_content = '1 GiB' }");
    let mut client = server.connect();
    let large = vec![b'x'; 32 << 20];
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        large.len()
    ));
    client.send(&large);
    let connection = upstream.accept();
    assert_eq!(client.response().status, 504);
    drop(connection);
    goes_on(&server, &upstream, "not reading");
}
