//! How responses follow each other on a connection, and how a connection ends (RFC 9112 §9).

use crate::support::{Server, Site, pattern};

const GET: &str = "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n";

fn server() -> Server {
    Site::new("'/' = { files = 'www' }\n'/list' = { files = 'www', strip_prefix = true, listing = true }\n'/echo' = { echo = true }\n'= /ok' = { respond = 'ok' }")
        .file("a.txt", "content of a")
        .file("b.txt", "content of b")
        .file("large.bin", pattern(0, 4 << 20))
        .start()
}

#[test]
fn http_1_1_persists_until_somebody_says_close() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..3 {
        let response = client.exchange(GET);
        assert_eq!((response.status, response.field("Connection")), (200, None));
    }
    client.send("GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n");
    assert!(client.last_response().says_close());
}

#[test]
fn http_1_0_closes_unless_keep_alive_is_asked_for() {
    let server = server();
    let mut client = server.connect();
    client.send("GET /a.txt HTTP/1.0\r\n\r\n");
    let response = client.last_response();
    assert_eq!(
        (response.status, response.version.as_str()),
        (200, "HTTP/1.1")
    );

    let mut client = server.connect();
    for _ in 0..2 {
        let response = client.exchange("GET /a.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(response.field("Connection"), Some("keep-alive"));
    }
    client.send("GET /a.txt HTTP/1.0\r\n\r\n");
    assert_eq!(client.last_response().text(), "content of a");
}

#[test]
fn a_1_0_client_gets_content_of_unknown_length_up_to_the_end_of_the_connection() {
    let server = server();
    for number in 0..400 {
        server
            .directory()
            .write(format!("www/many/a-name-of-some-length-{number}"), "");
    }
    let mut client = server.connect();
    client.send("GET /list/many/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("Transfer-Encoding"), None);
    assert!(response.text().ends_with("</html>\n"));
}

#[test]
fn a_hundred_requests_in_one_write_are_answered_in_order() {
    let server = server();
    let requests: String = (0..100)
        .map(|number| match number % 3 {
            0 => format!("GET /echo?{number} HTTP/1.1\r\nHost: h\r\n\r\n"),
            1 => "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            _ => "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        })
        .collect();
    let mut client = server.connect();
    client.send(requests);
    for number in 0..100 {
        let response = client.response();
        match number % 3 {
            0 => assert_eq!(response.json()["query"], number.to_string()),
            1 => assert_eq!(response.text(), "content of a"),
            _ => assert_eq!(response.json()["content"], "hello"),
        }
    }
    client.finish_sending();
    client.expect_end();
}

#[test]
fn large_answers_keep_their_place_among_pipelined_ones() {
    let server = server();
    let mut client = server.connect();
    client.send(
        ["/a.txt", "/large.bin", "/b.txt", "/large.bin", "/ok"]
            .map(|target| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
            .concat(),
    );
    client.finish_sending();
    let large = pattern(0, 4 << 20);
    assert_eq!(client.response().text(), "content of a");
    assert!(client.response().content == large);
    assert_eq!(client.response().text(), "content of b");
    assert!(client.response().content == large);
    assert_eq!(client.last_response().text(), "ok");
}

#[test]
fn requests_may_come_a_byte_at_a_time() {
    let server = server();
    let mut client = server.connect();
    let requests = [
        GET,
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        GET,
    ];
    for byte in requests.concat().as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "content of a");
    assert_eq!(client.response().json()["content"], "abc");
    assert_eq!(client.response().text(), "content of a");
}

#[test]
fn a_half_closed_client_still_gets_its_answers() {
    let server = server();
    for (request, expected) in [
        (GET.repeat(2), b"content of a".to_vec()),
        (
            "GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2),
            pattern(0, 4 << 20),
        ),
    ] {
        let mut client = server.connect();
        client.send(request);
        client.finish_sending();
        assert!(client.response().content == expected);
        assert!(client.last_response().content == expected);
    }
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok");
    client.finish_sending();
    assert_eq!(client.last_response().json()["content"], "ok");
}

#[test]
fn a_client_that_leaves_within_a_request_gets_no_answer() {
    let server = server();
    for request in [
        "GET /a.txt HT",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhell",
    ] {
        let mut client = server.connect();
        client.send(request);
        client.finish_sending();
        client.expect_end();
    }
}

#[test]
fn what_came_before_a_malformed_request_is_answered() {
    let server = server();
    let echo = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok";
    let mut client = server.connect();
    client.send([GET, echo, GET, "nonsense\r\n\r\n", GET].concat());
    assert_eq!(client.response().text(), "content of a");
    assert_eq!(client.response().json()["content"], "ok");
    assert_eq!(client.response().text(), "content of a");
    assert_eq!(client.last_response().status, 400);
}

#[test]
fn nothing_behind_a_close_is_answered() {
    let server = server();
    let mut client = server.connect();
    client.send(
        [
            "GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            GET,
        ]
        .concat(),
    );
    assert_eq!(client.last_response().text(), "content of a");
}

#[test]
fn head_has_the_fields_of_get() {
    let server = server();
    server.directory().write("www/sub/index.html", "<p>");
    server.directory().write("www/style.css", "p {}");
    server.directory().write("www/style.css.gz", "gz");
    for number in 0..400 {
        server
            .directory()
            .write(format!("www/many/a-name-of-some-length-{number}"), "");
    }
    for (target, lines) in [
        ("/a.txt", ""),
        ("/large.bin", ""),
        ("/sub/", ""),
        ("/sub?q", ""),
        ("/style.css", "Accept-Encoding: gzip\r\n"),
        ("/nothing", ""),
        ("/nothing", "Accept: application/json\r\n"),
        ("/%zz", ""),
        ("/ok", ""),
        ("/list/", ""),
        ("/list/many/", ""),
        ("/a.txt", "If-None-Match: *\r\n"),
        ("/a.txt", "If-Match: \"x\"\r\n"),
    ] {
        let mut client = server.connect();
        let get = client.exchange(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        let head = client.response_to_head();
        assert_eq!(
            (head.status, head.fields_but_date()),
            (get.status, get.fields_but_date()),
            "{target} {lines}"
        );
        // There is no content: the next response follows at once.
        assert_eq!(
            client.exchange(GET).text(),
            "content of a",
            "{target} {lines}"
        );
    }
}

#[test]
fn an_error_is_readable_although_the_client_goes_on_sending() {
    let server = server();
    let much = vec![b'x'; 3 << 20];
    for (start, status) in [
        ("nonsense\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",
            413,
        ),
        (
            "GET /a.txt HTTP/1.1\r\nHost: h\r\nContent-Length: 3145728\r\n\r\n",
            200,
        ),
        ("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
    ] {
        let mut client = server.connect();
        client.send(start);
        client.send(&much);
        client.finish_sending();
        let response = client.last_response();
        assert_eq!(
            (response.status, response.says_close()),
            (status, true),
            "{start:?}"
        );
    }
}

#[test]
fn what_follows_a_close_does_not_reset_the_answer_away() {
    let server = server();
    let mut client = server.connect();
    // With the first octet of what follows, as from a client that does not stop: the server closes at
    // once where nothing follows.
    client.send("GET /a.txt HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nx");
    let sent_all = (0..32).all(|_| client.try_send([b'x'; 16 * 1024]).is_ok());
    assert!(
        sent_all,
        "the server reset the connection while its client was sending"
    );
    client.finish_sending();
    assert_eq!(client.last_response().text(), "content of a");
}
