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
