//! What the server makes of a handler's response.

use std::io::{Cursor, Write as _};
use std::time::{Duration, UNIX_EPOCH};

use super::{Embedded, get, ran_captured, request};
use tidegate::{Handlers, Method, Response, Status};

const TEXT: &str = "abcdefghijklmnopqrstuvwxyz";

/// A handler whose response the query selects.
fn server() -> Embedded {
    let mut handlers = Handlers::new();
    let beyond = Status::from_code(600).expect("three digits");
    handlers.function("answer", move |request| {
        let tagged = || Response::text(TEXT).entity_tag("v1");
        Ok(match request.query().unwrap_or_default() {
            "tag" => tagged().field("Cache-Control", "max-age=60"),
            "date" => {
                Response::text(TEXT).last_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000))
            }
            "coded" => tagged().field("Content-Encoding", "gzip"),
            "varied" => tagged()
                .field("Content-Encoding", "gzip")
                .field("Vary", "Cookie"),
            "retyped" => Response::text("a,b").field("content-type", "text/csv"),
            "empty" => Response::text("").status(Status::NOT_FOUND),
            "beyond" => return Err(tidegate::Error::new(beyond, "no such status")),
            "file" => {
                let mut file = std::env::current_exe().and_then(std::fs::File::open)?;
                // The file is sent from its start, although some of it was read.
                std::io::Read::read(&mut file, &mut [0; 10])?;
                Response::file("application/octet-stream", file)
            }
            "nothing" => Response::new(Status::NO_CONTENT),
            "created" => Response::text("made")
                .status(Status::CREATED)
                .entity_tag("v1"),
            "reader" => Response::reader("text/plain", Cursor::new(TEXT), None),
            "known" => Response::reader("text/plain", Cursor::new(TEXT), Some(26)),
            "short" => Response::reader("text/plain", Cursor::new(TEXT), Some(27)),
            "long" => Response::reader("text/plain", Cursor::new(TEXT), Some(25)),
            "writer" => Response::stream(|writer| writer.write_all(TEXT.as_bytes())),
            "broken" => Response::stream(|writer| {
                writer.write_all(TEXT.as_bytes())?;
                Err(std::io::Error::other("the source has dried up"))
            }),
            "panic" => Response::stream(|writer| {
                writer.write_all(TEXT.as_bytes())?;
                panic!("in the middle of it")
            }),
            "length" => Response::text(TEXT).field("content-length", "3"),
            "coding" => Response::text(TEXT).field("Transfer-Encoding", "chunked"),
            "close" => Response::text(TEXT).field("Connection", "close"),
            "split" => Response::text(TEXT).field("X-A", "b\r\nSet-Cookie: c=d\r\n\r\n<html>"),
            "name" => Response::text(TEXT).field("X-A: b\r\nX-B", "c"),
            "interim" => Response::new(Status::EARLY_HINTS),
            other => Response::text(other),
        })
    });
    let routes = "'/' = { handler = 'answer', headers = { X-Operator = 'here' } }";
    Embedded::start(handlers, "", routes)
}

/// The values of all fields of that name.
fn values<'r>(response: &'r super::support::Response, name: &str) -> Vec<&'r str> {
    let fields = response.fields.iter();
    let same = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    same.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn preconditions_are_the_servers_work() {
    let server = server();
    let mut client = server.connect();
    for (target, lines, status) in [
        ("/?tag", "", 200),
        ("/?tag", "If-None-Match: \"v1\"\r\n", 304),
        ("/?tag", "If-None-Match: W/\"v1\"\r\n", 304),
        ("/?tag", "If-None-Match: \"v2\"\r\n", 200),
        ("/?tag", "If-Match: \"v2\"\r\n", 412),
        ("/?tag", "If-Match: *\r\n", 200),
        (
            "/?date",
            "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n",
            304,
        ),
        (
            "/?date",
            "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n",
            200,
        ),
        (
            "/?date",
            "If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n",
            412,
        ),
        // The status is not 200: the server does not evaluate the condition (RFC 9110 §13.2.1).
        ("/?created", "If-None-Match: \"v1\"\r\n", 201),
        ("/?coded", "If-None-Match: \"v1-gzip\"\r\n", 304),
        ("/?coded", "If-None-Match: \"v1\"\r\n", 200),
    ] {
        let response = client.exchange(request("GET", target, lines));
        assert_eq!(response.status, status, "{target} {lines}");
        if status == 304 {
            assert_eq!(response.field("Content-Type"), None, "{target}");
        }
    }
    let response = client.exchange(request("GET", "/?tag", "If-None-Match: \"v1\"\r\n"));
    assert_eq!(response.field("ETag"), Some("\"v1\""));
    assert_eq!(response.field("Cache-Control"), Some("max-age=60"));
    assert_eq!(response.field("X-Operator"), Some("here"));
    let coded = client.exchange(get("/?coded"));
    assert_eq!(coded.field("ETag"), Some("\"v1-gzip\""));
    assert_eq!(coded.field("Vary"), Some("Accept-Encoding"));
    // The same holds for methods that change something.
    let posted = request("POST", "/?tag", "If-None-Match: \"v1\"\r\n");
    assert_eq!(client.exchange(posted).status, 200);
    let varied = client.exchange(get("/?varied"));
    assert_eq!(values(&varied, "Vary"), ["Cookie", "Accept-Encoding"]);
}

#[test]
fn a_response_has_one_content_type() {
    let server = server();
    let mut client = server.connect();
    let retyped = client.exchange(get("/?retyped"));
    assert_eq!(values(&retyped, "Content-Type"), ["text/csv"]);
    let empty = client.exchange(request("GET", "/?empty", "Accept: text/html\r\n"));
    assert_eq!(empty.status, 404);
    assert_eq!(values(&empty, "Content-Type"), ["text/html; charset=utf-8"]);
    assert!(empty.text().contains("Not Found"));
}

#[test]
fn an_error_with_a_status_that_is_none_is_500() {
    if ran_captured("responses::an_error_with_a_status_that_is_none_is_500") {
        return;
    }
    let response = server().connect().exchange(get("/?beyond"));
    assert_eq!(response.status, 500);
}

#[test]
fn content_that_nobody_asks_for_is_not_made() {
    let made = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let makes = std::sync::Arc::clone(&made);
    let mut handlers = Handlers::new();
    handlers.function("rows", move |_| {
        let makes = std::sync::Arc::clone(&makes);
        let rows = Response::stream(move |writer| {
            makes.store(true, std::sync::atomic::Ordering::SeqCst);
            writer.write_all(TEXT.as_bytes())
        });
        Ok(rows.entity_tag("v1"))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'rows' }");
    let mut client = server.connect();
    let known = request("GET", "/", "If-None-Match: \"v1\"\r\n");
    assert_eq!(client.exchange(known).status, 304);
    super::support::until("the thread is free", || {
        (server.blocking("running") == 0).then_some(())
    });
    assert!(!made.load(std::sync::atomic::Ordering::SeqCst));
    assert_eq!(client.exchange(get("/")).text(), TEXT);
}

#[test]
fn octets_and_files_are_sent_in_parts_and_streams_are_not() {
    let server = server();
    let mut client = server.connect();
    for (target, lines, status, text) in [
        ("/?tag", "Range: bytes=0-2\r\n", 206, "abc"),
        ("/?tag", "Range: bytes=-2\r\n", 206, "yz"),
        (
            "/?tag",
            "Range: bytes=0-2\r\nIf-Range: \"v1\"\r\n",
            206,
            "abc",
        ),
        (
            "/?tag",
            "Range: bytes=0-2\r\nIf-Range: \"v2\"\r\n",
            200,
            TEXT,
        ),
        ("/?reader", "Range: bytes=0-2\r\n", 200, TEXT),
    ] {
        let response = client.exchange(request("GET", target, lines));
        assert_eq!(
            (response.status, response.text().as_str()),
            (status, text),
            "{lines}"
        );
    }
    let whole = client.exchange(get("/?tag"));
    assert_eq!(whole.field("Accept-Ranges"), Some("bytes"));
    let response = client.exchange(request("GET", "/?tag", "Range: bytes=26-\r\n"));
    assert_eq!(response.status, 416);
    let parts = client.exchange(request("GET", "/?tag", "Range: bytes=0-0,25-25\r\n"));
    assert_eq!(parts.status, 206);
    assert!(
        parts.text().contains("content-range: bytes 25-25/26")
            || parts.text().contains("Content-Range: bytes 25-25/26")
    );
    let file = client.exchange(request("GET", "/?file", "Range: bytes=1-3\r\n"));
    assert_eq!((file.status, file.text().as_str()), (206, "ELF"));
}

#[test]
fn content_of_any_origin_arrives_framed_for_each_version() {
    let server = server();
    let mut client = server.connect();
    for (target, length) in [
        ("/?reader", None),
        ("/?writer", None),
        ("/?known", Some("26")),
    ] {
        let response = client.exchange(get(target));
        assert_eq!(response.text(), TEXT, "{target}");
        assert_eq!(response.field("Content-Length"), length, "{target}");
        let chunked = length.is_none().then_some("chunked");
        assert_eq!(response.field("Transfer-Encoding"), chunked, "{target}");
    }
    for target in ["/?reader", "/?writer"] {
        let mut old = server.connect();
        old.send(format!("GET {target} HTTP/1.0\r\n\r\n"));
        let answer = String::from_utf8(old.rest().expect("an end in good order")).expect("text");
        assert!(answer.ends_with(&format!("\r\n\r\n{TEXT}")), "{answer}");
        assert!(!answer.contains("chunked"), "{answer}");
    }
    let nothing = client.exchange(get("/?nothing"));
    assert_eq!((nothing.status, nothing.text().as_str()), (204, ""));
}

#[test]
fn head_is_answered_without_content() {
    let server = server();
    let mut client = server.connect();
    for target in [
        "/?tag", "/?file", "/?reader", "/?known", "/?writer", "/?panic",
    ] {
        client.send(request("HEAD", target, ""));
        let response = client.response_to_head();
        assert_eq!(response.status, 200, "{target}");
    }
    // No octet followed any of the responses.
    assert_eq!(client.exchange(get("/?end")).text(), "end");
}

#[test]
fn content_longer_than_its_length_is_sent_as_far_as_that() {
    if ran_captured("responses::content_longer_than_its_length_is_sent_as_far_as_that") {
        return;
    }
    let server = server();
    let mut client = server.connect();
    let long = client.exchange(get("/?long"));
    assert_eq!((long.status, long.text().as_str()), (200, &TEXT[..25]));
    assert_eq!(client.exchange(get("/?next")).text(), "next");
}

#[test]
fn content_too_short_or_broken_off_cuts_the_connection() {
    if ran_captured("responses::content_too_short_or_broken_off_cuts_the_connection") {
        return;
    }
    let server = server();
    for target in ["/?short", "/?broken", "/?panic"] {
        let mut client = server.connect();
        client.send(get(target) + &get("/?smuggled"));
        let answer = client.rest().unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n"),
            "{target}: {answer}"
        );
        assert!(!answer.contains("smuggled"), "{target}: {answer}");
        assert!(
            !answer.ends_with("0\r\n\r\n"),
            "{target} is not complete: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{target}: {answer}");
    }
    assert_eq!(server.connect().exchange(get("/?next")).text(), "next");
}

#[test]
fn what_could_split_a_response_is_answered_500_and_the_connection_goes_on() {
    if ran_captured(
        "responses::what_could_split_a_response_is_answered_500_and_the_connection_goes_on",
    ) {
        return;
    }
    let server = server();
    let mut client = server.connect();
    for target in [
        "/?length",
        "/?coding",
        "/?close",
        "/?split",
        "/?name",
        "/?interim",
    ] {
        let response = client.exchange(get(target));
        assert_eq!(response.status, 500, "{target}");
        assert_eq!(response.field("Set-Cookie"), None);
        assert_eq!(client.exchange(get("/?next")).text(), "next");
    }
}

#[test]
fn a_handler_can_be_tried_without_a_server() {
    let request = tidegate::Request::new(Method::Put, "/notes/a%20b?x=1")
        .with_field("If-Match", "\"2\"")
        .with_parameter("id", "a b")
        .with_content("text");
    assert_eq!(
        (request.path().as_ref(), request.query()),
        ("/notes/a b", Some("x=1"))
    );
    assert_eq!(request.parameter("id"), Some("a b"));
    assert!(request.check_preconditions(Some("\"2\"")).is_ok());
    let failed = request
        .check_preconditions(Some("\"3\""))
        .expect_err("it changed");
    assert_eq!(failed.status(), Status::PRECONDITION_FAILED);
    assert!(request.check_preconditions(None).is_err());
    // A client that has the content in a coding sends the tag that the handler gave it.
    let coded =
        tidegate::Request::new(Method::Put, "/").with_field("If-Match", "\"1\", \"2-gzip\"");
    assert!(coded.check_preconditions(Some("\"2\"")).is_ok());
    assert!(coded.check_preconditions(Some("\"3\"")).is_err());
}
