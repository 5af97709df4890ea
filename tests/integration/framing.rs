//! Where a request's content ends (RFC 9112 §6, §7.1), and requests that are ambiguous about that
//! (§11.2). A refused request ends the connection: a request hidden behind it is never answered.

use crate::support::{Server, Site};

const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n";

fn server() -> Server {
    Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .limits("max_content = '1 MiB'")
        .file("a.txt", "content of a")
        .file("hidden", "this must never be seen")
        .start()
}

/// Sends `request` and a hidden one behind it. The only response must have `status`.
fn refuses(server: &Server, request: impl AsRef<[u8]>, status: u16) {
    let request = request.as_ref();
    let shown = String::from_utf8_lossy(request);
    let mut client = server.connect();
    client.send([request, HIDDEN.as_bytes()].concat());
    client.finish_sending();
    let response = client.last_response();
    assert_eq!(
        (response.status, response.says_close()),
        (status, true),
        "{shown:?}"
    );
}

#[test]
fn ambiguous_lengths_are_refused() {
    let server = server();
    for (lines, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", 400),
        ("Content-Length: 5\r\nContent-Length: 6", 400),
        ("Content-Length: 5, 6", 400),
        ("Content-Length: 5,", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: 0x5", 400),
        ("Content-Length: 5 5", 400),
        ("Content-Length: five", 400),
        ("Content-Length:", 400),
        ("Content-Length: 18446744073709551616", 400),
        ("Content-Length: 99999999999999999999999", 400),
        ("Transfer-Encoding: gzip", 400),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: identity, chunked", 501),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: identity", 400),
        ("Transfer-Encoding: xchunked", 400),
        ("Transfer-Encoding: chunked;q=1", 400),
        ("Transfer-Encoding: chunked, gzip", 400),
        ("Transfer-Encoding: chunked, identity", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", 400),
        ("Transfer-Encoding: chunked, chunked", 400),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
        ),
        ("Transfer-Encoding:", 400),
        ("Transfer-Encoding: \x0bchunked", 400),
    ] {
        refuses(
            &server,
            format!("POST /echo HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n0\r\n\r\n"),
            status,
        );
    }
    refuses(
        &server,
        "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    );
}

#[test]
fn malformed_lines_are_refused() {
    let server = server();
    for head in [
        &b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"[..],
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\r\r\n\r\n",
        b"GET /a.txt\r HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a.txt HTTP/1.1\rHost: h\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\r\n\tfolded\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length : 5\r\n\r\nhello",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\t: chunked\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\x01b\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX: a\x7fb\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\n: no name\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\nX\0Y: a\r\n\r\n",
        b"GET /a.txt HTTP/1.1\r\nHost: h\r\n\xe9: a\r\n\r\n",
        b"GET /a\0.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET  /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a.txt  HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET\t/a.txt\tHTTP/1.1\r\nHost: h\r\n\r\n",
        b" GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ] {
        refuses(&server, head, 400);
    }
}

#[test]
fn octets_beyond_ascii_and_empty_values_are_fields_like_others() {
    let server = server();
    let response =
        server.answer(b"GET /echo HTTP/1.1\r\nHost: h\r\nX: \xe9\t\xff\r\nEmpty:\r\n\r\n");
    assert_eq!(response.status, 200);
    assert_eq!(response.json()["fields"][2][1], "");
}

#[test]
fn equal_lengths_are_folded() {
    let server = server();
    for lines in [
        "Content-Length: 5",
        "Content-Length: 005",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
    ] {
        let response = server.answer(format!(
            "POST /echo HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\nhello"
        ));
        assert_eq!(response.json()["content"], "hello", "{lines}");
    }
}

#[test]
fn chunks_come_with_extensions_and_trailers() {
    let server = server();
    let mut client = server.connect();
    client
        .send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\n\r\n");
    client.send("5;name=value\r\nhello\r\n00006 ; a=\"quoted; b\"\r\n world\r\n0;last\r\nX: trailer\r\nY: y\r\n\r\n");
    client.send("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    let echoed = client.response().json();
    assert_eq!(
        (&echoed["content"], &echoed["content_length"]),
        (&"hello world".into(), &11.into())
    );
    let names: Vec<_> = echoed["fields"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|field| &field[0])
        .collect();
    assert_eq!(
        names,
        ["Host", "Transfer-Encoding", "Trailer"],
        "trailers are dropped"
    );
    assert_eq!(client.response().text(), "content of a");
}

#[test]
fn chunks_may_be_split_anywhere() {
    let server = server();
    let head = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "3;x\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: t\r\n\r\n";
    for split in 0..body.len() {
        let mut client = server.connect();
        client.send([head, &body[..split]].concat());
        client.send(&body[split..]);
        client.finish_sending();
        assert_eq!(
            client.last_response().json()["content"],
            "abc0123456789",
            "split at {split}"
        );
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let server = server();
    let long_extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(70_000));
    let long_trailers = format!("0\r\n{}\r\n", "Name: value\r\n".repeat(7_000));
    for body in [
        "x\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;a=\r\nhello\r\n0\r\n\r\n",
        "5;a=\"b\r\nhello\r\n0\r\n\r\n",
        "5;a b\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\nX: a\0b\r\n\r\n",
        "0\r\nX: a\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\n: no name\r\n\r\n",
        "0\r\nX : a\r\n\r\n",
        "0\r\nX: a\r\n folded\r\n\r\n",
        "0\r\nGET / HTTP/1.1\r\n\r\n",
        &long_extension,
        &long_trailers,
    ] {
        let request =
            format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        refuses(&server, request, 400);
    }
}

#[test]
fn unwanted_content_is_drained_and_the_next_request_is_not_misread() {
    let server = server();
    let content = HIDDEN.repeat(1000);
    let length = content.len();
    let chunked = format!("{length:x};x\r\n{content}\r\n0\r\nX: y\r\n\r\n");
    for (line, status) in [
        ("GET /a.txt", 200),
        ("POST /a.txt", 405),
        ("GET /nothing", 404),
        ("GET /%zz", 400),
        ("OPTIONS *", 204),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}"
        ));
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
        ));
        client.send("GET /echo?next HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response().status, status, "{line}");
        assert_eq!(client.response().status, status, "{line}, chunked");
        assert_eq!(client.response().json()["query"], "next", "{line}");
    }
}

#[test]
fn too_much_unwanted_content_closes_the_connection() {
    let server = server();
    let content = vec![b'x'; 900 * 1024];
    let mut client = server.connect();
    client.send(format!(
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        content.len()
    ));
    client.send(&content);
    client.send(HIDDEN);
    client.finish_sending();
    let response = client.last_response();
    assert_eq!((response.status, response.says_close()), (200, true));
    // Of chunks, the server learns only after its response has begun that they are more than `max_content`.
    let send_chunks = |chunks: usize| {
        let mut client = server.connect();
        client.send("GET /a.txt HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..chunks {
            client.send(format!("{:x}\r\n", content.len()));
            client.send(&content);
            client.send("\r\n");
        }
        client.send(["0\r\n\r\n", HIDDEN].concat());
        client.finish_sending();
        client
    };
    assert_eq!(send_chunks(2).last_response().status, 200);
    let mut client = send_chunks(1);
    let response = client.response();
    assert_eq!((response.status, response.says_close()), (200, false));
    assert_eq!(client.last_response().status, 200);
}

#[test]
fn unwanted_chunks_that_are_malformed_end_the_connection() {
    let server = server();
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    client.send(HIDDEN);
    client.finish_sending();
    assert_eq!(client.last_response().text(), "content of a");
}

#[test]
fn content_that_is_too_large_is_refused() {
    let server = server();
    refuses(
        &server,
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n",
        413,
    );
    refuses(
        &server,
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n",
        413,
    );
    let most = "x".repeat(1 << 20);
    let chunked = format!("100000\r\n{most}\r\n1\r\nx\r\n0\r\n\r\n");
    refuses(
        &server,
        format!("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        413,
    );
    let response = server.answer(format!(
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n{most}"
    ));
    assert_eq!(response.json()["content_length"], 1 << 20);
}
