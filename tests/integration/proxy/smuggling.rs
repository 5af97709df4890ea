//! Requests that two recipients could read differently: refused here, or sent on with one reading.

use super::{HELLO, get, start};
use crate::support::{Server, Upstream};

/// A request that a careless upstream would find behind or in another one.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

/// Sends `request` with [`HIDDEN`] behind it. The server must refuse and close, and ask no upstream.
fn refuses(server: &Server, upstream: &Upstream, request: &str, status: u16) {
    let mut client = server.connect();
    client.send([request, HIDDEN].concat());
    client.finish_sending();
    let response = client.last_response();
    assert_eq!(
        (response.status, response.says_close()),
        (status, true),
        "{request:?}"
    );
    upstream.expect_no_connection();
}

#[test]
fn requests_with_two_readings_never_reach_the_upstream() {
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        // CL.TE and TE.CL, CL.CL, TE.TE and their spellings.
        for (framing, status) in [
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
            ("Content-Length: 5\r\nTransfer-Encoding: identity", 400),
            ("Content-Length: 5\r\ntransfer-ENCODING:chunked", 400),
            ("Content-Length: 5\r\nContent-Length: 6", 400),
            ("Content-Length: 5, 6", 400),
            ("Content-Length: +5", 400),
            ("Content-Length: 5 5", 400),
            ("Content-Length: 0x5", 400),
            ("Content-Length: 5\x0b", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: 18446744073709551621", 400),
            ("Content-Length : 5", 400),
            ("Content-Length\t: 5", 400),
            ("Content-Length: 5\r\n 6", 400),
            ("Transfer-Encoding : chunked", 400),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
                400,
            ),
            (
                "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
                501,
            ),
            ("Transfer-Encoding: chunked, identity", 400),
            ("Transfer-Encoding: xchunked", 400),
            ("Transfer-Encoding: chunkedx", 400),
            ("Transfer-Encoding: \"chunked\"", 400),
            ("Transfer-Encoding: 'chunked'", 400),
            ("Transfer-Encoding: chunked;x=y", 400),
            ("Transfer-Encoding: \x0bchunked", 400),
            ("Transfer-Encoding: chunked\x0b", 400),
            ("Transfer-Encoding:\x00chunked", 400),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding:\r\n chunked", 400),
            ("X: y\rTransfer-Encoding: chunked", 400),
            (" Transfer-Encoding: chunked", 400),
            ("\x0bTransfer-Encoding: chunked", 400),
            ("Transfer\u{2d}Encoding\u{a0}: chunked", 400),
            ("X\0: y", 400),
        ] {
            let request = format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n0\r\n\r\n");
            refuses(&server, &upstream, &request, status);
        }
        for request in [
            "POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nHost: evil\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h evil\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h,evil\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            refuses(&server, &upstream, request, 400);
        }
    }
}

/// Names that only look like those of framing: CGI programs turn `-` into `_`, so an upstream may read
/// them as if they were.
#[test]
fn look_alikes_of_framing_fields_do_no_harm() {
    let (server, upstream) = start("");
    for (line, name) in [
        ("Content_Length: 50", "Content_Length"),
        ("Transfer_Encoding: chunked", "Transfer_Encoding"),
        ("X-Transfer-Encoding: chunked", ""),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{line}\r\nContent-Length: 2\r\n\r\nab"
        ));
        let (_connection, seen) = upstream
            .answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().text(), "hello", "{line}");
        assert_eq!(seen.content, b"ab", "{line}");
        assert_eq!(seen.field("Content-Length").as_deref(), Some("2"));
        if !name.is_empty() {
            assert_eq!(seen.values(name), [""; 0], "{:?}", seen.lines());
        }
    }
}

/// Chunks whose framing is faulty; nothing of the request may be complete for the upstream.
#[test]
fn faulty_chunks_never_make_a_whole_request() {
    for option in ["", ", buffer = false"] {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "4\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "5 ;\r\nhello\r\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
            "\r\n5\r\nhello\r\n0\r\n\r\n",
            "5\r\nhello\r\n\r\n0\r\n\r\n",
            "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
            "5\r\nhello\r\n0\r\nX: y\n\r\n",
            "5\r\nhello\r\n0\r\nX: a\r\n b\r\n\r\n",
            "5\r\nhello\r\n0\r\nGET /hidden HTTP/1.1\r\n\r\n",
        ] {
            let (server, upstream) = start(option);
            let mut client = server.connect();
            let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.send([head, body, HIDDEN].concat());
            let response = client.last_response();
            assert_eq!(
                (response.status, response.says_close()),
                (400, true),
                "{body:?}"
            );
            if option.is_empty() {
                upstream.expect_no_connection();
            } else if upstream.is_asked_within(std::time::Duration::ZERO) {
                let mut connection = upstream.accept();
                assert!(
                    connection.next_request().is_none(),
                    "a whole request: {body:?}"
                );
            }
        }
    }
}

/// A client that lies about its length or goes: the upstream is never sent a whole request.
#[test]
fn a_request_that_is_cut_is_cut_for_the_upstream_too() {
    for (head, body) in [
        ("Content-Length: 10", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"),
    ] {
        for option in ["", ", buffer = false"] {
            let (server, upstream) = start(option);
            let mut client = server.connect();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: h\r\n{head}\r\n\r\n{body}"
            ));
            let connection = (!option.is_empty()).then(|| upstream.accept());
            drop(client);
            if let Some(mut connection) = connection {
                assert!(connection.next_request().is_none(), "{head} {body:?}");
            }
            // The next one is not taken for its rest.
            let mut client = server.connect();
            client.send(get("/next"));
            let (_connection, seen) = upstream.answer(HELLO);
            assert_eq!(seen.line(), "GET /next HTTP/1.1");
            assert_eq!(client.response().text(), "hello");
        }
    }
}

/// What follows the content is the next request, and nothing else is.
#[test]
fn a_request_in_the_content_of_another_is_content() {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.next_request() {
            let told = format!("{} {}", request.line(), request.content.len());
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}",
                told.len()
            ));
        }
    });
    for option in ["", ", buffer = false"] {
        let server = super::site(option, &upstream).start();
        let mut client = server.connect();
        let length = HIDDEN.len();
        client.send(format!(
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}\
             POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n\
             GET /c HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{HIDDEN}\
             GET /d HTTP/1.1\r\nHost: h\r\n\r\n"
        ));
        for expected in [
            format!("POST /a HTTP/1.1 {length}"),
            format!("POST /b HTTP/1.1 {length}"),
            format!("GET /c HTTP/1.1 {length}"),
            "GET /d HTTP/1.1 0".to_owned(),
        ] {
            assert_eq!(client.response().text(), expected);
        }
    }
    assert!(
        upstream
            .requests()
            .iter()
            .all(|request| !request.line().contains("hidden"))
    );
}
