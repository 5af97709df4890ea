//! The response that the client sees.

use crate::support::{Server, Upstream};

use super::{HELLO, get, site, start};

/// The head of the response to a GET, octet for octet; the upstream's head has these lines, each with its
/// CRLF, beside its length.
fn head_for(server: &Server, upstream: &Upstream, lines: impl AsRef<[u8]>) -> Vec<u8> {
    let mut client = server.connect();
    client.send(get("/"));
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n";
    let (_connection, _) = upstream.answer([&head[..], lines.as_ref(), b"\r\nhello"].concat());
    let head = client.raw_head();
    assert_eq!(client.read(5), b"hello");
    head
}

/// The lines of a head behind the status line.
fn lines(head: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(head);
    let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// The lines of that name.
fn of_name(head: &[u8], name: &str) -> Vec<String> {
    let mut found = lines(head);
    found.retain(|line| {
        let (found, _) = line.split_once(": ").expect("a field line");
        found.eq_ignore_ascii_case(name)
    });
    found
}

#[test]
fn fields_arrive_as_they_were_sent() {
    let (server, upstream) = start("");
    let sent: &[u8] = b"Content-Type: text/plain; charset=latin1\r\nETag: W/\"a,b\"\r\nX-A: caf\xe9 \xff\r\n\
        x-UPPER-lower:\ta  b \t\r\nSet-Cookie: a=1; Path=/\r\nX-Empty:\r\nSet-Cookie: b=\"2, 3\"; Secure\r\n\
        set-cookie: c=3\r\nSet-Cookie: a=1; Path=/\r\nContent-Encoding: x-own\r\n";
    let head = head_for(&server, &upstream, sent);
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    for line in [
        &b"\r\nContent-Type: text/plain; charset=latin1\r\n"[..],
        b"\r\nETag: W/\"a,b\"\r\n",
        b"\r\nX-A: caf\xe9 \xff\r\n",
        b"\r\nx-UPPER-lower: a  b\r\n",
        b"\r\nContent-Encoding: x-own\r\n",
        b"\r\nContent-Length: 5\r\n",
    ] {
        let found = head.windows(line.len()).any(|some| some == line);
        assert!(found, "{:?} in {:?}", line.escape_ascii(), lines(&head));
    }
    assert_eq!(of_name(&head, "X-Empty").len(), 1);
    let cookies = [
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=\"2, 3\"; Secure",
        "set-cookie: c=3",
        "Set-Cookie: a=1; Path=/",
    ];
    assert_eq!(of_name(&head, "Set-Cookie"), cookies);
}

#[test]
fn fields_of_the_connection_end_here() {
    let (server, upstream) = start("");
    for (sent, kept, gone) in [
        ("Connection: close\r\n", "", "Connection"),
        (
            "Connection: X-Internal\r\nX-Internal: 1\r\nx-internal: 2\r\nX-A: 1\r\n",
            "X-A",
            "X-Internal",
        ),
        (
            "Connection: x-a, keep-alive\r\nConnection: x-b\r\nX-B: 1\r\n",
            "",
            "X-B",
        ),
        (
            "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
            "",
            "Keep-Alive",
        ),
        ("Proxy-Connection: keep-alive\r\n", "", "Proxy-Connection"),
        ("Proxy-Authenticate: Basic\r\n", "", "Proxy-Authenticate"),
        ("Upgrade: h2,h2c\r\nConnection: Upgrade\r\n", "", "Upgrade"),
        ("TE: trailers\r\n", "", "TE"),
        // Framing is ours.
        ("Connection: Content-Length\r\n", "Content-Length", ""),
        ("Connection: Date\r\n", "Date", ""),
        ("WWW-Authenticate: Basic\r\n", "WWW-Authenticate", ""),
    ] {
        let head = head_for(&server, &upstream, sent);
        if !kept.is_empty() {
            assert_eq!(
                of_name(&head, kept).len(),
                1,
                "{kept} of {sent:?} in {:?}",
                lines(&head)
            );
        }
        if !gone.is_empty() {
            assert_eq!(
                of_name(&head, gone).len(),
                0,
                "{gone} of {sent:?} in {:?}",
                lines(&head)
            );
        }
    }
}

#[test]
fn date_is_added_where_it_is_missing_and_the_server_keeps_its_name() {
    let (server, upstream) = start("");
    let old = "Date: Thu, 01 Jan 1970 00:00:00 GMT";
    let head = head_for(&server, &upstream, format!("{old}\r\nServer: app/1\r\n"));
    assert_eq!(of_name(&head, "Date"), [old]);
    assert_eq!(of_name(&head, "Server"), ["Server: app/1"]);
    // A field that `Connection` names is dropped.
    for sent in [String::new(), format!("Connection: Date\r\n{old}\r\n")] {
        let head = head_for(&server, &upstream, &sent);
        let dates = of_name(&head, "Date");
        assert!(dates.len() == 1 && dates != [old], "{dates:?}");
    }
}

/// How a response is framed for the client. Content that is all there has a length, however the upstream
/// framed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framed {
    Length,
    Chunked,
    /// The end of the connection is the end of the content.
    Closed,
    /// No content, and nothing said about it.
    Empty,
}
use Framed::{Chunked, Closed, Empty, Length};

#[test]
fn content_ends_where_the_upstream_ends_it() {
    const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    const OLD: &str = "GET / HTTP/1.0\r\nHost: h\r\n\r\n";
    const OLD_HEAD: &str = "HEAD / HTTP/1.0\r\nHost: h\r\n\r\n";
    const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        2;x=y\r\nhe\r\n0003\r\nllo\r\n0\r\n\r\n";
    for (request, response, status, framed, content) in [
        (GET, HELLO, 200, Length, "hello"),
        (GET, CHUNKS, 200, Chunked, "hello"),
        (GET, "HTTP/1.1 200 OK\r\n\r\nhello", 200, Chunked, "hello"),
        (GET, "HTTP/1.0 200 OK\r\n\r\nhello", 200, Chunked, "hello"),
        (
            GET,
            "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            200,
            Length,
            "hello",
        ),
        (
            GET,
            "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
            200,
            Length,
            "hello",
        ),
        (
            GET,
            "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello",
            200,
            Length,
            "hello",
        ),
        (
            GET,
            "HTTP/1.1 200 Caf\u{e9}\r\nContent-Length: 5\r\n\r\nhello",
            200,
            Length,
            "hello",
        ),
        (
            GET,
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            200,
            Length,
            "",
        ),
        (
            GET,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n",
            200,
            Chunked,
            "",
        ),
        (
            GET,
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nours",
            404,
            Length,
            "ours",
        ),
        (
            GET,
            "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nours",
            500,
            Length,
            "ours",
        ),
        (
            GET,
            "HTTP/1.1 502 No\r\nContent-Length: 4\r\n\r\nours",
            502,
            Length,
            "ours",
        ),
        (
            GET,
            "HTTP/1.1 299 Own\r\nContent-Length: 4\r\n\r\nours",
            299,
            Length,
            "ours",
        ),
        (
            GET,
            "HTTP/1.1 599 Own\r\nContent-Length: 4\r\n\r\nours",
            599,
            Length,
            "ours",
        ),
        // HTTP/1.0 has no chunks.
        (OLD, HELLO, 200, Length, "hello"),
        (OLD, CHUNKS, 200, Closed, "hello"),
        (OLD, "HTTP/1.1 200 OK\r\n\r\nhello", 200, Closed, "hello"),
        // No content, whatever the fields say (RFC 9112 §6.3 item 1).
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
            Length,
            "",
        ),
        (
            HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
            Empty,
            "",
        ),
        (HEAD, "HTTP/1.1 200 OK\r\n\r\n", 200, Empty, ""),
        (
            OLD_HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            200,
            Length,
            "",
        ),
        (GET, "HTTP/1.1 204 No Content\r\n\r\n", 204, Empty, ""),
        // RFC 9110 §8.6, RFC 9112 §6.1: a 204 has neither field.
        (
            GET,
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            204,
            Empty,
            "",
        ),
        (
            GET,
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            204,
            Empty,
            "",
        ),
        (GET, "HTTP/1.1 304 Not Modified\r\n\r\n", 304, Empty, ""),
        (
            GET,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n",
            304,
            Length,
            "",
        ),
        (
            GET,
            "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
            205,
            Length,
            "",
        ),
        (OLD, "HTTP/1.1 204 No Content\r\n\r\n", 204, Empty, ""),
    ] {
        let (server, upstream) = start("");
        let mut client = server.connect();
        client.send(request);
        let (connection, _) = upstream.answer(response);
        // Where the end is said, the connection's end is not waited for.
        let says_its_end = response.contains("Length")
            || response.contains("0\r\n\r\n")
            || request.starts_with("HEAD")
            || content.is_empty();
        let connection = says_its_end.then_some(connection);
        let is_head = request.starts_with("HEAD");
        let found = if is_head {
            client.response_to_head()
        } else {
            client.response()
        };
        let seen = match (
            found.field("Transfer-Encoding"),
            found.field("Content-Length"),
        ) {
            (Some("chunked"), None) if is_head => Empty,
            (Some("chunked"), None) => Chunked,
            (None, Some(_)) => Length,
            (None, None) if is_head || matches!(found.status, 204 | 304) => Empty,
            (None, None) => Closed,
            both => panic!("{both:?} in response to {response:?}"),
        };
        let may_be_length =
            matches!(framed, Chunked | Closed) && seen == Length || (status, seen) == (304, Empty);
        assert!(
            seen == framed || may_be_length,
            "{seen:?}: {request:?} {response:?}"
        );
        assert_eq!(
            (found.status, found.text().as_str()),
            (status, content),
            "{request:?} {response:?}"
        );
        assert_eq!(found.version, "HTTP/1.1", "our version, not the upstream's");
        if matches!(status, 204 | 304) {
            assert_eq!(found.field("Transfer-Encoding"), None, "{response:?}");
        }
        if status == 204 {
            assert_eq!(found.field("Content-Length"), None, "{response:?}");
        }
        if request.contains("HTTP/1.0") {
            client.expect_end();
        } else {
            assert!(!found.says_close(), "{response:?}");
            assert_eq!(
                client.exchange(super::get("/here")).text(),
                "here",
                "{response:?}"
            );
        }
        drop(connection);
    }
}

/// The upstream has evaluated the preconditions and the range of its own representation.
#[test]
fn what_the_upstream_selected_is_not_selected_again() {
    let (server, upstream) = start("");
    for (lines, head, status) in [
        ("If-None-Match: \"a\"\r\n", "200 OK\r\nETag: \"a\"\r\n", 200),
        ("If-Match: \"b\"\r\n", "200 OK\r\nETag: \"a\"\r\n", 200),
        (
            "If-Modified-Since: Fri, 01 Jan 2038 00:00:00 GMT\r\n",
            "200 OK\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
            200,
        ),
        (
            "Range: bytes=0-1\r\n",
            "200 OK\r\nAccept-Ranges: bytes\r\n",
            200,
        ),
        (
            "Range: bytes=0-4\r\n",
            "206 Partial Content\r\nContent-Range: bytes 0-4/9\r\n",
            206,
        ),
        ("", "412 Precondition Failed\r\n", 412),
        (
            "",
            "416 Range Not Satisfiable\r\nContent-Range: bytes */3\r\n",
            416,
        ),
    ] {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        let (_connection, seen) =
            upstream.answer(format!("HTTP/1.1 {head}Content-Length: 5\r\n\r\nhello"));
        assert!(
            String::from_utf8_lossy(&seen.head).contains(lines),
            "{lines}"
        );
        let response = client.response();
        assert_eq!(
            (response.status, response.text().as_str()),
            (status, "hello"),
            "{lines}"
        );
    }
}

/// Clients were sent the operator's validators, but upstreams, which do not know them, evaluated the conditions.
#[test]
fn conditions_name_the_validators_that_the_operator_sets() {
    const TAG: &str = ", headers = { ETag = '\"v1\"' }";
    const DATE: &str = ", headers = { Last-Modified = 'Sun, 06 Nov 1994 08:49:37 GMT' }";
    let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let unless = "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n";
    let (whole, part) = (
        "200 OK\r\nETag: \"up\"",
        "206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nETag: \"up\"",
    );
    let none = "416 Range Not Satisfiable\r\nContent-Range: bytes */4";
    let known = "If-None-Match: \"v1\"\r\n";
    let range = "Range: bytes=0-4\r\n";
    for (option, method, lines, passed, head, status) in [
        (TAG, "GET", known.to_owned(), "", whole, 304),
        (TAG, "HEAD", known.to_owned(), "", whole, 304),
        (
            TAG,
            "GET",
            format!("If-None-Match: \"up\"\r\n{since}"),
            "",
            whole,
            200,
        ),
        (
            TAG,
            "GET",
            "If-Match: \"v1\"\r\n".to_owned(),
            "",
            whole,
            200,
        ),
        (
            TAG,
            "GET",
            "If-Match: \"up\"\r\n".to_owned(),
            "",
            whole,
            412,
        ),
        (
            TAG,
            "GET",
            format!("{range}If-Range: \"v1\"\r\n"),
            "",
            whole,
            200,
        ),
        (TAG, "GET", range.to_owned(), range, part, 206),
        (TAG, "GET", format!("{range}{known}"), range, part, 304),
        (TAG, "GET", format!("{range}{known}"), range, none, 304),
        (TAG, "GET", range.to_owned(), range, none, 416),
        (TAG, "GET", since.to_owned(), since, whole, 200),
        (TAG, "GET", known.to_owned(), "", "404 Not Found", 404),
        (
            TAG,
            "PUT",
            "If-Match: \"v1\"\r\n".to_owned(),
            "If-Match: \"v1\"\r\n",
            whole,
            200,
        ),
        (DATE, "GET", since.to_owned(), "", whole, 304),
        (DATE, "GET", unless.to_owned(), "", whole, 412),
        (
            DATE,
            "GET",
            "If-None-Match: \"up\"\r\n".to_owned(),
            "If-None-Match: \"up\"\r\n",
            whole,
            304,
        ),
    ] {
        let (server, upstream) = start(option);
        let mut client = server.connect();
        client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        let content = if method == "HEAD" { "" } else { "hello" };
        let (_connection, seen) = upstream.answer(format!(
            "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 5\r\n\r\n{content}"
        ));
        let seen = String::from_utf8_lossy(&seen.head).into_owned();
        for line in lines.split_inclusive("\r\n") {
            assert_eq!(
                seen.contains(line),
                passed.contains(line),
                "{method} {lines}{line}"
            );
        }
        let response = if method == "HEAD" {
            client.response_to_head()
        } else {
            client.response()
        };
        assert_eq!(response.status, status, "{option} {method} {lines}");
        if matches!(status, 200 | 206 | 304) {
            let tag = if option == TAG { "\"v1\"" } else { "\"up\"" };
            assert_eq!(response.field("ETag"), Some(tag), "{option} {lines}");
        }
    }
}

/// On a `compress` route, a 304 that this server makes itself says what its 200 does.
#[test]
fn a_304_for_a_configured_tag_describes_the_compressed_200() {
    let (server, upstream) = start(", compress = true, headers = { ETag = '\"v1\"' }");
    let content = "hello ".repeat(1000);
    for (media_type, tag, vary) in [
        ("text/plain", "W/\"v1\"", Some("Accept-Encoding")),
        ("image/png", "\"v1\"", None),
    ] {
        for (condition, status) in [("", 200), ("If-None-Match: \"v1\"\r\n", 304)] {
            let mut client = server.connect();
            client.send(format!(
                "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n{condition}\r\n"
            ));
            let (_connection, _) = upstream.answer(format!(
                "HTTP/1.1 200 OK\r\nETag: \"up\"\r\nContent-Type: {media_type}\r\n\
                 Connection: close\r\nContent-Length: {}\r\n\r\n{content}",
                content.len()
            ));
            let response = client.response();
            assert_eq!(response.status, status, "{media_type}");
            let found = (response.field("ETag"), response.field("Vary"));
            assert_eq!(found, (Some(tag), vary), "{media_type} {condition}");
        }
    }
}

/// Users of nginx meet its limit of 4 KiB.
#[test]
fn heads_of_sixty_kibibytes_pass() {
    let upstream = Upstream::listen();
    let server = site("", &upstream).start();
    let one = format!("X-Large: {}\r\n", "x".repeat(60 * 1024));
    let head = head_for(&server, &upstream, &one);
    assert_eq!(of_name(&head, "X-Large"), [one.trim_end()]);
    let many: String = (0..200)
        .map(|number| format!("Set-Cookie: c{number}={}\r\n", "x".repeat(200)))
        .collect();
    let head = head_for(&server, &upstream, &many);
    assert_eq!(of_name(&head, "Set-Cookie").join("\r\n") + "\r\n", many);
}

/// The response comes in any pieces, the head too.
#[test]
fn a_response_may_be_cut_anywhere() {
    let response = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
        Transfer-Encoding: chunked\r\nX-A: 1\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let (server, upstream) = start(", buffer = false");
    let mut client = server.connect();
    for split in 1..response.len() {
        client.send(get("/"));
        let mut connection = upstream.accept();
        connection.request();
        connection.send(&response[..split]);
        connection.send(&response[split..]);
        assert_eq!(client.response().status, 103, "split at {split}");
        let found = client.response();
        assert_eq!(
            (found.status, found.text().as_str()),
            (200, "hello"),
            "split at {split}"
        );
        assert_eq!(found.field("X-A"), Some("1"));
    }
}
