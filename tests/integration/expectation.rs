//! `Expect` (RFC 9110 §10.1.1): the server sends 100 (Continue) if it wants the content, and only then.

use crate::support::{Server, Site};

fn server() -> Server {
    Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .limits("max_content = 100")
        .file("a.txt", "content of a")
        .start()
}

#[test]
fn content_that_is_wanted_is_invited_once() {
    let server = server();
    let mut client = server.connect();
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n{framing}\r\n\r\n"
        ));
        let interim = client.response();
        assert_eq!((interim.status, interim.fields.len()), (100, 0));
        client.send(if framing.starts_with('C') {
            "hello"
        } else {
            "5\r\nhello\r\n0\r\n\r\n"
        });
        let response = client.response();
        assert_eq!(
            (response.status, &response.json()["content"]),
            (200, &"hello".into())
        );
    }
}

#[test]
fn content_that_is_not_wanted_is_not_invited() {
    let server = server();
    for (line, length, status) in [
        ("GET /a.txt", 5, 200),
        ("POST /a.txt", 5, 405),
        ("GET /nothing", 5, 404),
        ("POST /echo", 101, 413),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "{line} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        ));
        // The client may send the content or not, so the server cannot know what follows on the
        // connection.
        let response = client.response();
        assert_eq!(
            (response.status, response.says_close()),
            (status, true),
            "{line}"
        );
        client.finish_sending();
        client.expect_end();
    }
}

/// CUPS sends the first chunk with the head, and waits then: over TLS each second print hung.
#[test]
fn a_client_that_sends_a_part_at_once_is_invited_for_the_rest() {
    let server = server();
    let mut client = server.connect();
    for (framing, first, rest) in [
        ("Content-Length: 5", "he", "llo"),
        (
            "Transfer-Encoding: chunked",
            "2\r\nhe\r\n",
            "3\r\nllo\r\n0\r\n\r\n",
        ),
    ] {
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n{framing}\r\n\r\n{first}"
        ));
        assert_eq!(client.response().status, 100, "{framing}");
        client.send(rest);
        let response = client.response();
        assert_eq!(
            (response.status, &response.json()["content"]),
            (200, &"hello".into())
        );
    }
    // The part shows that the rest comes without an invitation, too.
    client.send(
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhe",
    );
    let response = client.response();
    assert_eq!((response.status, response.says_close()), (200, false));
    client.send("llo");
    assert_eq!(
        client
            .exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        200
    );
}

#[test]
fn nobody_waits_for_what_is_there_or_will_not_come() {
    let server = server();
    let response = server.answer(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(
        (response.status, &response.json()["content"]),
        (200, &"hello".into())
    );
    let response = server.answer(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(response.status, 200);
    let response = server.answer("GET /a.txt HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((response.status, response.says_close()), (200, false));
}

#[test]
fn an_expectation_of_1_0_is_ignored() {
    let server = server();
    let mut client = server.connect();
    client.send("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    client.send("hello");
    assert_eq!(client.last_response().json()["content"], "hello");
}

#[test]
fn other_expectations_fail() {
    let server = server();
    for expectation in [
        "200-ok",
        "100-continue, x",
        "100-continue=1",
        "x=100-continue",
    ] {
        let response = server.answer(format!("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: {expectation}\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(response.status, 417, "{expectation}");
    }
}
