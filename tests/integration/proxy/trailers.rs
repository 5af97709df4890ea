//! Trailers.

use super::start;

#[test]
fn trailers_of_responses_reach_clients_that_take_them() {
    let (server, upstream) = start("");
    for (version, line, may_have) in [
        ("1.1", "Connection: TE\r\nTE: trailers\r\n", true),
        ("1.1", "", false),
        ("1.0", "", false),
    ] {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/{version}\r\nHost: h\r\n{line}\r\n"));
        let mut connection = upstream.accept();
        let request = connection.request();
        assert_eq!(
            request.field("TE").is_some(),
            may_have,
            "{:?}",
            request.lines()
        );
        connection.send(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             2\r\nab\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\n\r\n",
        );
        let response = client.response();
        assert_eq!(response.content, b"ab");
        let expected: &[&str] = if may_have { &["X-Sum: 1"] } else { &[] };
        assert_eq!(response.trailers, expected, "HTTP/{version} {line:?}");
    }
}

/// A client that said `TE: trailers` got fields that the route removes, and one that waited for hints did.
#[test]
fn what_a_route_removes_is_in_no_trailer_and_no_interim_response() {
    let (server, upstream) = start(
        ", headers = { remove = ['X-Secret'], set = { X-Powered-By = 'none' } }, cors = { origins = ['http://a.example'] }",
    );
    let fields =
        "X-Secret: 1\r\nx-powered-by: PHP\r\naccess-control-allow-origin: *\r\nX-Kept: 1\r\n";
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: TE\r\nTE: trailers\r\n\r\n");
    let mut connection = upstream.accept();
    connection.request();
    connection.send(format!(
        "HTTP/1.1 103 Early Hints\r\n{fields}\r\n\
         HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{fields}\r\n\
         2\r\nab\r\n0\r\n{fields}X-Accel-Buffering: no\r\n\r\n"
    ));
    let (hints, response) = (client.response(), client.response());
    assert_eq!((hints.status, response.status), (103, 200));
    for (head, powered) in [(&hints, None), (&response, Some("none"))] {
        assert_eq!(head.field("X-Kept"), Some("1"), "{}", head.status);
        assert_eq!(head.field("X-Secret"), None, "{}", head.status);
        assert_eq!(head.field("X-Powered-By"), powered, "{}", head.status);
        let origin = head.field("Access-Control-Allow-Origin");
        assert_eq!(origin, None, "{}", head.status);
    }
    assert_eq!(response.trailers, ["X-Kept: 1"]);
}

/// They broke off a response that was complete, for clients that take no trailers, too.
#[test]
fn long_trailers_end_a_response_well() {
    let (server, upstream) = start("");
    let timing = "x".repeat(9000);
    for line in ["", "Connection: TE\r\nTE: trailers\r\n"] {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n"));
        let (_connection, _) = upstream.answer(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nServer-Timing: {timing}\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(response.text(), "hello");
        let expected = [format!("Server-Timing: {timing}")];
        let expected = if line.is_empty() { &[] } else { &expected[..] };
        assert_eq!(response.trailers, expected, "{line:?}");
    }
}

/// A field that `Connection` names is meant for this server, also where it stands behind the content
/// (RFC 9110 §7.6.1).
#[test]
fn what_connection_names_is_neither_passed_on_as_a_trailer_nor_announced() {
    let (server, upstream) = start(", headers = { remove = ['X-Secret'] }");
    for (announced, expected) in [
        ("X-Hop, X-Sum", Some("X-Sum")),
        ("X-Sum,X-Other", Some("X-Sum, X-Other")),
        ("x-hop, X-Secret, X-Accel-A, Content-Length", None),
    ] {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: TE\r\nTE: trailers\r\n\r\n");
        let (_connection, _) = upstream.answer(format!(
            "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\nTrailer: {announced}\r\n\r\n\
             2\r\nab\r\n0\r\nX-Hop: 1\r\nX-Sum: 2\r\nClose: 3\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!(response.field("Trailer"), expected, "{announced}");
        assert_eq!(response.trailers, ["X-Sum: 2"]);
    }
}

/// The head had the id of the exchange, and other sections an id of the upstream's own.
#[test]
fn the_id_of_an_upstream_is_in_no_trailer_and_no_interim_response() {
    for (option, is_passed_on) in [(", request_id = true", false), ("", true)] {
        let (server, upstream) = start(option);
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: TE\r\nTE: trailers\r\n\r\n");
        let (_connection, _) = upstream.answer(
            "HTTP/1.1 103 Early Hints\r\nX-Request-Id: theirs\r\n\r\n\
             HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Request-Id: theirs\r\n\r\n\
             2\r\nab\r\n0\r\nX-Request-Id: theirs\r\n\r\n",
        );
        let (hints, response) = (client.response(), client.response());
        assert_eq!((hints.status, response.status), (103, 200));
        let theirs = is_passed_on.then_some("theirs");
        assert_eq!(hints.field("X-Request-Id"), theirs, "{option}");
        let of_head = response.field("X-Request-Id");
        assert_eq!(of_head == Some("theirs"), is_passed_on, "{option}");
        assert_eq!(response.trailers.is_empty(), !is_passed_on, "{option}");
    }
}
