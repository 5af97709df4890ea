//! Content both ways at once: interim responses, `Expect`, early answers, trailers, events.

use super::{HELLO, LAST, POST, get, start};

#[test]
fn interim_responses_reach_clients_that_know_them() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nConnection: x-a\r\nX-A: 1\r\n\r\n\
        HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 150 Own\r\n\r\n";
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        for request in [get("/"), POST.to_owned()] {
            let mut client = server.connect();
            client.send(request);
            let mut connection = upstream.accept();
            connection.request();
            connection.send(interim);
            assert_eq!(client.response().status, 100);
            let hints = client.response();
            assert_eq!(
                (hints.status, hints.field("Link")),
                (103, Some("</style.css>; rel=preload"))
            );
            assert_eq!(
                (hints.field("X-A"), hints.field("Connection")),
                (None, None)
            );
            assert_eq!(client.response().field("Link"), Some("</b.css>"));
            assert_eq!(client.response().status, 150);
            // All of them came before the final response was sent.
            connection.send(LAST);
            assert_eq!(client.response().text(), "hello");
        }
        let mut client = server.connect();
        client.send("GET / HTTP/1.0\r\n\r\n");
        let (_connection, _) = upstream.answer([interim, HELLO].concat());
        let response = client.last_response();
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    }
}

/// The upstream decides whether it wants the content.
#[test]
fn expect_is_between_the_client_and_the_upstream() {
    for (framing, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let (server, upstream) = start(", buffer = false");
        let request =
            format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
        let mut client = server.connect();
        client.send(&request);
        let mut connection = upstream.accept();
        let head = connection.head();
        assert_eq!(head.field("Expect").as_deref(), Some("100-continue"));
        assert!(connection.is_idle(), "content before it is wanted");
        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(client.response().status, 100);
        client.send(body);
        let request_seen = connection.content_of(&head).expect("the content");
        assert_eq!(request_seen.content, b"hello");
        connection.send(LAST);
        assert_eq!(client.response().text(), "hello");
        // Refused: the client does not send the content, and the connection to the upstream is over.
        let mut client = server.connect();
        client.send(&request);
        let mut connection = upstream.accept();
        connection.head();
        connection.send("HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno");
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (417, "no"));
        connection.expect_end();
    }
}

/// The client was invited when its content was read, which a final response right behind `100 Continue` forestalled:
/// the client got that response alone, and need not have sent its content.
#[test]
fn an_invitation_reaches_the_client_before_the_final_response_behind_it() {
    const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    const INVITATION: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    const FINAL: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    for (framing, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        for (interim, expected) in [
            ([INVITATION, ""], [100].as_slice()),
            ([HINTS, INVITATION], &[103, 100]),
            ([INVITATION, HINTS], &[100, 103]),
        ] {
            let (server, upstream) = start(", buffer = false");
            let mut client = server.connect();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
            ));
            let mut connection = upstream.accept();
            let request = connection.head();
            connection.send(format!("{}{FINAL}", interim.concat()));
            for status in expected {
                assert_eq!(client.response().status, *status, "{framing}, {interim:?}");
            }
            assert_eq!(client.response_head().status, 200);
            client.send(body);
            let request = connection.content_of(&request).expect("the content");
            assert_eq!(request.content, b"hello");
            connection.send("hello");
            drop(connection);
            assert_eq!(client.read(15), b"5\r\nhello\r\n0\r\n\r\n");
        }
    }
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        let mut client = server.connect();
        client.send(POST);
        let (_connection, _) = upstream.answer([HINTS, INVITATION, HELLO].concat());
        let statuses = [(); 3].map(|()| client.response().status);
        assert_eq!(statuses, [103, 100, 200], "{option}");
    }
}

/// An upstream may give a final response in the place of `100 Continue`, and read on. A client that goes on after
/// that response sent its content to nobody, and the upstream waited for it.
#[test]
fn content_behind_a_final_response_is_passed_on_without_an_invitation() {
    for (framing, body) in [
        ("Content-Length: 5", "hello"),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        for (head, content) in [
            ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            ("Connection: close\r\n", "hello"),
        ] {
            let (server, upstream) = start(", buffer = false");
            let mut client = server.connect();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
            ));
            let mut connection = upstream.accept();
            let request = connection.head();
            connection.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
            let response = client.response_head();
            assert_eq!(response.status, 200, "{framing}, {head}");
            client.send(body);
            let request = connection.content_of(&request).expect("the content");
            assert_eq!(request.content, b"hello");
            connection.send(content);
            if head.starts_with("Connection") {
                connection.finish_sending();
            }
            let rest = client.rest().expect("an end in good order");
            let rest = String::from_utf8_lossy(&rest).into_owned();
            assert_eq!(rest, "5\r\nhello\r\n0\r\n\r\n", "{framing}, {head}");
        }
    }
}

/// The client may keep its content to itself after a final response.
#[test]
fn an_upstream_is_told_of_content_that_never_comes() {
    let request = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    // When the response is complete; its client waits for nothing else.
    let (server, upstream) = start(", buffer = false");
    let mut client = server.connect();
    client.send(request);
    let mut connection = upstream.accept();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    assert!(connection.is_idle(), "the end before it is known");
    connection.send("0\r\n\r\n");
    assert_eq!(client.read(5), b"0\r\n\r\n");
    connection.expect_end();
    // When the client has had its time, if the upstream waits for that.
    let (server, upstream) = start(", buffer = false, limits = { body_timeout = '300ms' }");
    let mut client = server.connect();
    client.send(request);
    let mut connection = upstream.accept();
    connection.head();
    connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhe");
    assert_eq!(client.response_head().status, 200);
    connection.expect_end();
    connection.send("llo");
    drop(connection);
    let rest = client.rest().expect("an end in good order");
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

/// With `buffer`, the content is taken before the upstream is asked: the client is invited once.
#[test]
fn a_client_that_expects_is_invited_once() {
    let (server, upstream) = start("");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("ab");
    let (_connection, request) = upstream.answer(HELLO);
    assert_eq!(request.content, b"ab");
    assert_eq!(client.response().status, 200);
}

#[test]
fn content_is_passed_on_as_it_comes() {
    let (server, upstream) = start(", buffer = false");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    let mut connection = upstream.accept();
    connection.head();
    assert_eq!(connection.take(3).as_deref(), Some(&b"abc"[..]));
    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nxy");
    assert_eq!(client.response_head().status, 200);
    assert_eq!(client.read(2), b"xy");
    client.send("defg");
    assert_eq!(connection.take(4).as_deref(), Some(&b"defg"[..]));
    connection.send("z");
    assert_eq!(client.read(1), b"z");
    client.send("hij");
    assert_eq!(connection.take(3).as_deref(), Some(&b"hij"[..]));
    connection.send("end");
    assert_eq!(client.read(3), b"end");
}

/// The client learns that its upload is not wanted before it has sent all of it.
#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    for framing in ["Content-Length: 100000000", "Transfer-Encoding: chunked"] {
        let (server, upstream) = start(", buffer = false, limits = { max_content = '1 GiB' }");
        let mut client = server.connect();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n5\r\nhello\r\n"
        ));
        let mut connection = upstream.accept();
        connection.head();
        connection.send("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
        let response = client.response();
        assert_eq!(
            (response.status, response.text().as_str()),
            (413, "no"),
            "{framing}"
        );
        // What belongs to which request is unknown on that connection.
        drop(client);
        connection.rest();
        let mut client = server.connect();
        client.send(get("/"));
        upstream.answer(HELLO);
        assert_eq!(client.response().text(), "hello");
    }
}

/// An early answer, and then the upstream closes or resets the connection that the server writes to.
#[test]
fn an_early_answer_is_not_lost_if_the_upstream_closes() {
    for option in ["", ", buffer = false"] {
        for resets in [false, true] {
            let (server, upstream) = start(option);
            let mut client = server.connect();
            let large = "x".repeat(4 << 20);
            client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n");
            if option.is_empty() {
                client.send(&large);
            }
            let mut connection = upstream.accept();
            connection.head();
            connection.send("HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
            if resets && !option.is_empty() {
                assert_eq!(client.response().status, 403);
                connection.reset();
            } else {
                connection.finish_sending();
                let response = client.response();
                assert_eq!((response.status, response.text().as_str()), (403, "no"));
            }
        }
    }
}

/// The upstream answers and closes while the client sends: the system resets the connection, because octets
/// are unread, and what had come is still the answer.
#[test]
fn an_early_answer_is_not_lost_in_a_reset() {
    let option = ", buffer = false, limits = { max_content = '1 GiB' }";
    let (server, upstream) = start(option);
    for _ in 0..20 {
        let mut client = server.connect();
        client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 33554432\r\n\r\n");
        let mut sender = client.another();
        let sending = std::thread::spawn(move || {
            // The server may close before it has read everything.
            let _ = sender.try_send(vec![b'x'; 32 << 20]);
        });
        let mut connection = upstream.accept();
        connection.head();
        connection.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
        drop(connection);
        let response = client.response();
        assert_eq!((response.status, response.text().as_str()), (403, "no"));
        drop(client);
        sending.join().expect("it sends");
    }
}

/// An upstream of HTTP/1.0 does not know what `Expect` is.
#[test]
fn a_client_is_told_to_go_on_if_the_upstream_says_nothing() {
    let (server, upstream) = start(", buffer = false");
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let mut connection = upstream.accept();
    let head = connection.head();
    assert_eq!(client.response().status, 100);
    client.send("ab");
    let request = connection.content_of(&head).expect("the content");
    assert_eq!(request.content, b"ab");
    connection.send(LAST);
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn trailers_of_requests_arrive_where_they_may() {
    let (server, upstream) = start(", buffer = false");
    let mut client = server.connect();
    client.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         2\r\nab\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nHost: evil\r\nX-Forwarded-For: 192.0.2.7\r\n\
         Transfer-Encoding: gzip\r\nAuthorization: x\r\n\r\n",
    );
    let (_connection, request) = upstream.answer(HELLO);
    assert_eq!(client.response().status, 200);
    assert_eq!(request.content, b"ab");
    // RFC 9110 §6.5.1: a recipient may leave them all out; those of framing and routing it must.
    for trailer in &request.trailers {
        assert_eq!(trailer, "X-Sum: 1");
    }
}

/// Server-sent events are not held back, although `buffer` is on.
#[test]
fn an_event_is_at_the_client_before_the_next_is_sent() {
    for (head, chunked) in [
        (
            "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
            true,
        ),
        ("Content-Type: text/event-stream\r\n", false),
        ("X-Accel-Buffering: no\r\n", false),
        ("", false),
    ] {
        let (server, upstream) = start("");
        let mut client = server.connect();
        client.send(get("/events"));
        let mut connection = upstream.accept();
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n"));
        assert_eq!(client.response_head().status, 200, "{head:?}");
        for number in 0..100 {
            let event = format!("data: {number:02}\n\n");
            let chunk = format!("a\r\n{event}\r\n");
            connection.send(if chunked { &chunk } else { &event });
            assert_eq!(client.read(chunk.len()), chunk.as_bytes());
        }
        drop(client);
        connection.expect_end();
    }
}
