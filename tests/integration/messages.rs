//! The request line and `Host` (RFC 9112 §2, §3; RFC 9110 §7, §9).

use std::time::SystemTime;

use crate::support::{Server, Site};

fn server() -> Server {
    Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .file("a.txt", "content of a")
        .start()
}

#[test]
fn exactly_one_valid_host_in_1_1() {
    let server = server();
    for (version, lines, status) in [
        ("1.1", "Host: h\r\n", 200),
        ("1.1", "host:h:8080\r\n", 200),
        ("1.1", "Host: [::1]:8080\r\n", 200),
        ("1.1", "Host:\r\n", 200),
        ("1.1", "", 400),
        ("1.1", "Host: h\r\nHost: h\r\n", 400),
        ("1.1", "Host: h\r\nHost: other\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.1", "Host: user@h\r\n", 400),
        ("1.1", "Host: h:port\r\n", 400),
        ("1.1", "Host: h:99999\r\n", 400),
        ("1.1", "Host: [::1\r\n", 400),
        ("1.1", "Host: h, other\r\n", 400),
        ("1.0", "", 200),
        ("1.0", "Host: a b\r\n", 400),
    ] {
        let response = server.answer(format!("GET /a.txt HTTP/{version}\r\n{lines}\r\n"));
        assert_eq!(response.status, status, "{version} {lines:?}");
    }
}

#[test]
fn the_host_of_an_absolute_form_wins() {
    let server = Site::new("'/' = { respond = 'a' }\n[[server]]\nlisten = '127.0.0.1:0'\nhosts = '*.b.example'\n[server.routes]\n'/' = { respond = 'b' }")
        .server("listen = '127.0.0.1:0'\nhosts = 'a.example'")
        .start();
    for (target, host, expected) in [
        ("/", "a.example", "a"),
        ("/", "A.Example:8080", "a"),
        ("/", "www.b.example", "b"),
        ("http://a.example/", "www.b.example", "a"),
        ("http://www.b.example:80", "a.example", "b"),
        ("HTTP://x.b.example/p?q", "nowhere.example", "b"),
    ] {
        let response = server.answer(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.text(), expected, "{target} {host}");
    }
    let response = server.answer("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n");
    assert_eq!(response.status, 421);
}

#[test]
fn each_form_of_the_request_target() {
    let server = server();
    for (line, status) in [
        ("GET /a.txt", 200),
        ("GET /a.txt?query", 200),
        ("GET http://h/a.txt", 200),
        ("GET http://h/a.txt?query", 200),
        ("OPTIONS *", 204),
        ("OPTIONS http://h", 204),
        ("GET *", 400),
        ("GET a.txt", 400),
        ("GET ftp://h/a.txt", 400),
        ("GET http:///a.txt", 400),
        ("GET http://user@h/a.txt", 400),
        ("GET /a.txt#fragment", 400),
        ("GET ", 400),
    ] {
        let response = server.answer(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(response.status, status, "{line}");
    }
    let response = server.answer("GET http://h/a.txt HTTP/1.1\r\n\r\n");
    assert_eq!(
        response.status, 400,
        "an absolute-form does not replace Host"
    );
}

#[test]
fn versions() {
    let server = server();
    for (version, status) in [
        ("HTTP/1.0", 200),
        ("HTTP/1.1", 200),
        ("HTTP/1.2", 200),
        ("HTTP/1.9", 200),
        ("HTTP/2.0", 505),
        ("HTTP/3.0", 505),
        ("HTTP/0.9", 505),
        ("HTTP/1.10", 400),
        ("HTTP/11", 400),
        ("HTTP/1", 400),
        ("http/1.1", 400),
        ("HTTP/1.1 x", 400),
        ("", 400),
    ] {
        let response = server.answer(format!("GET /a.txt {version}\r\nHost: h\r\n\r\n"));
        assert_eq!(
            (response.status, response.version.as_str()),
            (status, "HTTP/1.1"),
            "{version}"
        );
    }
    let response = server.answer("GET /a.txt\r\n\r\n");
    assert_eq!(response.status, 400, "HTTP/0.9 is not spoken");
    let mut client = server.connect();
    for _ in 0..2 {
        let response = client.exchange("GET /a.txt HTTP/1.7\r\nHost: h\r\n\r\n");
        assert_eq!(
            response.status, 200,
            "a higher minor version persists as 1.1 does"
        );
    }
}

#[test]
fn leading_empty_lines_are_passed_over() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..2 {
        let response = client.exchange("\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(response.text(), "content of a");
    }
}

#[test]
fn unknown_methods_are_not_implemented() {
    let server = server();
    for method in ["BREW", "get", "Get", "GETT", "X-Y", "PRI"] {
        let response = server.answer(format!("{method} /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(response.status, 501, "{method}");
    }
    for method in ["G(T", "G\"T", "GE\tT", ""] {
        let response = server.answer(format!("{method} /a.txt HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(response.status, 400, "{method:?} is no method at all");
    }
}

#[test]
fn methods_that_are_known_but_not_allowed_are_told_which_are() {
    let server = server();
    for (line, status) in [
        ("POST /a.txt", 405),
        ("DELETE /nothing", 405),
        ("TRACE /a.txt", 405),
        ("MKCALENDAR /a.txt", 405),
        ("M-SEARCH /a.txt", 405),
        ("SOURCE /nothing", 405),
        ("OPTIONS /a.txt", 204),
    ] {
        let response = server.answer(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let expected = (status, Some("GET, HEAD, OPTIONS"));
        assert_eq!(
            (response.status, response.field("Allow")),
            expected,
            "{line}"
        );
    }
}

#[test]
fn a_route_of_one_method_takes_that_method() {
    let routes = "'POST /only' = { respond = 'posted' }\n'GET /read' = { respond = 'read' }\n'DELETE /echo' = { echo = true }";
    let server = Site::new(routes).start();
    for (line, status, allow) in [
        ("GET /only", 405, Some("POST, OPTIONS")),
        ("OPTIONS /only", 204, Some("POST, OPTIONS")),
        ("PUT /read", 405, Some("GET, HEAD, OPTIONS")),
        ("HEAD /echo", 405, Some("DELETE, OPTIONS")),
        ("GET /read", 200, None),
        ("DELETE /echo", 200, None),
        ("GET /elsewhere", 404, None),
        ("POST /only", 200, None),
    ] {
        let mut client = server.connect();
        client.send(format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let response = if line.starts_with("HEAD") {
            client.response_to_head()
        } else {
            client.response()
        };
        assert_eq!(
            (response.status, response.field("Allow")),
            (status, allow),
            "{line}"
        );
    }
}

#[test]
fn trace_and_connect_are_refused() {
    let server = server();
    for request in ["TRACE /echo HTTP/1.1", "CONNECT h:443 HTTP/1.1"] {
        let response = server.answer(format!("{request}\r\nHost: h\r\nCookie: secret\r\n\r\n"));
        assert_eq!(response.status, 405, "{request}");
        assert!(response.field("Allow").is_some(), "{request}");
        assert!(!response.text().contains("secret"), "{request}");
    }
    let response = server.answer("CONNECT /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(response.status, 400, "CONNECT takes an authority");
}

#[test]
fn options_asterisk_is_about_the_server() {
    let response = server().answer("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((response.status, response.content_length()), (204, None));
    let allow = response.field("Allow").expect("an Allow field");
    assert!(allow.split(", ").any(|method| method == "GET"), "{allow}");
}

#[test]
fn every_answer_carries_date_and_server() {
    let server = server();
    for request in [
        "GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nIf-None-Match: *\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let response = server.answer(request);
        assert_eq!(response.field("Server"), Some("tidegate"), "{request:?}");
        let date = response.field("Date").expect("a Date field");
        let date = httpdate::parse_http_date(date).expect("in the form of RFC 9110");
        let now = SystemTime::now();
        let apart = now
            .duration_since(date)
            .unwrap_or_else(|error| error.duration());
        assert!(apart.as_secs() < 60, "{date:?} is not now");
    }
}

#[test]
fn the_server_field_can_be_turned_off() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .top("server_field = false")
        .start();
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "nonsense\r\n\r\n"] {
        let response = server.answer(request);
        assert_eq!(response.field("Server"), None);
        assert!(response.field("Date").is_some());
    }
}

#[test]
fn redirects_keep_what_is_below_and_the_query() {
    let server = Site::new("'/old' = { redirect = '/new' }\n'/moved' = { redirect = 'https://example.com/there', status = 302 }").start();
    for (target, status, location) in [
        ("/old", 308, "/new"),
        ("/old/a%20b?x=y", 308, "/new/a%20b?x=y"),
        ("/moved/a", 302, "https://example.com/there/a"),
        ("/old/%0d%0aSet-Cookie:x", 308, "/new/%0D%0ASet-Cookie:x"),
    ] {
        let response = server.get(target);
        assert_eq!(
            (response.status, response.field("Location")),
            (status, Some(location)),
            "{target}"
        );
    }
}
