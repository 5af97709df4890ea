//! Requests that are refused, and what the server itself answers.

use super::{expect, site};
use crate::support::{Response, Server};

/// Sends `request`, and expects a response for that reason.
fn refused(server: &Server, request: &str, status: u16, reason: &str) -> Response {
    let mut client = server.connect();
    client.send(request);
    let response = client.response();
    assert_eq!(response.status, status, "{request:?}");
    expect(server, reason, status);
    response
}

#[test]
fn requests_that_cannot_be_read() {
    let server = site("'/' = { respond = 'ok' }")
        .limits("max_head = '1 KiB'")
        .start();
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
    let post = |lines: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n\r\n");
    let long = "x".repeat(2000);
    for (reason, status, request) in [
        ("request_malformed", 400, "nonsense\r\n\r\n".to_owned()),
        (
            "target_invalid",
            400,
            "GET a/b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        ),
        ("host_missing", 400, "GET / HTTP/1.1\r\n\r\n".to_owned()),
        (
            "host_invalid",
            400,
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(),
        ),
        ("content_length_invalid", 400, post("Content-Length: x")),
        (
            "transfer_coding_invalid",
            400,
            post("Transfer-Encoding: chunked, gzip"),
        ),
        (
            "framing_ambiguous",
            400,
            post("Content-Length: 1\r\nTransfer-Encoding: chunked"),
        ),
        (
            "transfer_coding_unknown",
            501,
            post("Transfer-Encoding: gzip, chunked"),
        ),
        (
            "method_unknown",
            501,
            "BREW / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        ),
        ("expectation_unknown", 417, get("Expect: miracles")),
        (
            "version_unsupported",
            505,
            "GET / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(),
        ),
        (
            "target_too_long",
            414,
            format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
        ),
        ("head_too_large", 431, get(&format!("X: {long}"))),
        (
            "path_invalid",
            400,
            "GET /../a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        ),
    ] {
        let response = refused(&server, &request, status, reason);
        let page = response.text();
        assert!(page.contains(&format!("<small>{reason}</small>")), "{page}");
        assert_eq!(server.status()["reasons"][reason], 1, "{reason}");
    }
}

#[test]
fn what_does_not_come_in_time() {
    let server = site("'/' = { echo = true }")
        .limits("head_timeout = '20ms'\nbody_timeout = '20ms'")
        .start();
    refused(&server, "GET / HTTP/1.1\r\nHo", 408, "head_timeout");
    let some = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na";
    refused(&server, some, 408, "content_timeout");
}

#[test]
fn content_that_cannot_be_taken() {
    let server = site("'/' = { echo = true }")
        .limits("max_content = '10B'")
        .start();
    let chunks = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n";
    refused(&server, chunks, 400, "content_malformed");
    let large = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n";
    refused(&server, large, 413, "content_too_large");
}

/// Content that is too large for memory, and a directory for temporary files that is not there.
#[test]
fn content_that_cannot_be_kept() {
    let server = site("'/' = { cgi = 'www' }")
        .file("x", "")
        .environment("TMPDIR", "/nonexistent")
        .start();
    let length = 4 << 20;
    let mut client = server.connect();
    client.send(format!(
        "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    ));
    assert_eq!(client.response_head().status, 100);
    // The server may have answered before it has read everything.
    let _ = client.try_send("x".repeat(length));
    assert_eq!(client.response().status, 500);
    expect(&server, "content_not_kept", 500);
}

#[test]
fn what_the_server_answers_where_no_handler_does() {
    let routes = "'/files' = { files = 'www', strip_prefix = true }\n\
        '/gone' = { respond = '', status = 410 }\n\
        '/inner' = { respond = 'ok', deny = ['127.0.0.1'] }\n\
        '/beta' = { respond = 'ok', when = { query.beta = '1' } }";
    let server = site(routes)
        .server("listen = '127.0.0.1:0'\nhosts = 'h'")
        .file("a.txt", "content")
        .file("directory/b.txt", "");
    let server = server.start();
    let get =
        |target: &str, lines: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    for (reason, status, request) in [
        (
            "host_unknown",
            421,
            "GET / HTTP/1.1\r\nHost: other\r\n\r\n".to_owned(),
        ),
        ("no_route", 404, get("/", "")),
        (
            "method_not_allowed",
            405,
            "POST /gone HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        ),
        ("configured", 410, get("/gone", "")),
        ("when_unmet", 404, get("/beta?beta=2", "")),
        ("access_denied", 403, get("/inner", "")),
        ("file_missing", 404, get("/files/none", "")),
        ("directory_without_index", 404, get("/files/directory/", "")),
        (
            "precondition_failed",
            412,
            get("/files/a.txt", "If-Match: \"x\"\r\n"),
        ),
        (
            "range_unsatisfiable",
            416,
            get("/files/a.txt", "Range: bytes=100-\r\n"),
        ),
    ] {
        refused(&server, &request, status, reason);
    }
    let answered = server.answer(get("/files/a.txt", ""));
    assert_eq!(answered.status, 200);
    server.wait_for_record(|line| {
        line.contains("\"status\":200,") && line.contains("\"reason\":null")
    });
}

/// Only a response without a text of the operator's had it.
#[test]
fn an_error_with_a_text_of_the_operators() {
    let server = site("'/closed' = { respond = 'closed', status = 503 }").start();
    let request = "GET /closed HTTP/1.1\r\nHost: h\r\n\r\n";
    let response = refused(&server, request, 503, "configured");
    assert_eq!(response.text(), "closed");
}

#[test]
fn a_redirect_that_needs_a_host() {
    let server = site("'/old' = { redirect = 'https://{host}/new' }").start();
    refused(
        &server,
        "GET /old HTTP/1.0\r\n\r\n",
        400,
        "redirect_without_host",
    );
}

#[test]
fn a_rewrite_that_makes_no_path() {
    let server = site("'/by-host' = { files = 'www', rewrite = '/{host}' }").start();
    refused(
        &server,
        "GET /by-host HTTP/1.0\r\n\r\n",
        400,
        "rewrite_without_path",
    );
}

#[test]
fn files_that_the_system_keeps_from_the_server() {
    let site = site("'/' = { files = 'www' }").file("secret", "");
    let path = site.directory().join("www/secret");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(path, mode).expect("it is ours");
    let server = site.obeying_permissions().start();
    let request = "GET /secret HTTP/1.1\r\nHost: h\r\n\r\n";
    refused(&server, request, 403, "file_permission");
}
