//! `proxy_status`: what a response says in `Proxy-Status` of the server that was asked (RFC 9209),
//! and what the log says.

use serde_json::Value;

use super::repeats::{closing, down};
use super::{HELLO, get, site};
use crate::support::{Directory, Server, Site, Upstream};

/// The status of the response to a GET, `Proxy-Status`, and `upstream_error` of the log.
fn ask(server: &Server) -> (u16, Option<String>, Value) {
    let response = server.connect().exchange(get("/asked"));
    let line = server.wait_for_record(|line| line.contains("/asked"));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let told = response.field("Proxy-Status").map(str::to_owned);
    (response.status, told, line["upstream_error"].clone())
}

fn start(site: Site) -> Server {
    site.log("access = '-'\nformat = 'json'").start()
}

#[test]
fn it_names_the_server_and_what_it_did() {
    let silent = Upstream::listen();
    for (upstream, status, error) in [
        (Upstream::answering(HELLO), 200, None),
        (down(), 502, Some("connection_refused")),
        (closing(), 502, Some("connection_terminated")),
        (
            Upstream::answering("hello\r\n\r\n"),
            502,
            Some("http_protocol_error"),
        ),
        (silent, 504, Some("connection_read_timeout")),
    ] {
        let timeout = if status == 504 { "50ms" } else { "30s" };
        let options = format!(", proxy_status = true, timeout = '{timeout}'");
        let error_told = error.map_or_else(String::new, |error| format!(" error={error};"));
        let expected = format!("tidegate;{error_told} next-hop=\"{}\"", upstream.address());
        let found = ask(&start(site(&options, &upstream)));
        let error = error.map_or(Value::Null, Value::from);
        assert_eq!(found, (status, Some(expected), error));
        // Clients are told no addresses of servers unless the route says so.
        assert_eq!(ask(&start(site(", timeout = '50ms'", &upstream))).1, None);
    }
}

/// The path of a socket may have any character; a quote ended the string.
#[test]
fn a_quote_in_the_path_of_a_socket_is_escaped() {
    let directory = Directory::new();
    let _listening = Upstream::listen_at(&directory.join("a\"b")).run(|connection| {
        while connection.next_request().is_some() {
            connection.send(HELLO);
        }
    });
    let path = directory.path().display();
    let site = Site::new("'/' = { proxy = 'shop', proxy_status = true }")
        .top(&format!("upstreams.shop.servers = 'unix:{path}/a\"b'"));
    let expected = format!("tidegate; next-hop=\"unix:{path}/a\\\"b\"");
    assert_eq!(ask(&start(site)), (200, Some(expected), Value::Null));
}

#[test]
fn it_says_why_no_server_was_asked() {
    let upstream = Upstream::listen();
    let address = upstream.address();
    let routes = "'/' = { proxy = 'shop', proxy_status = true }";
    let settings = format!("servers = [{{ address = '{address}', max_connections = 1 }}]");
    let busy =
        start(Site::new(routes).top(&format!("upstreams.shop = {{ {settings}, queue.max = 0 }}")));
    let mut first = busy.connect();
    first.send(get("/first"));
    let mut connection = upstream.accept();
    connection.request();
    let expected = Some("tidegate; error=connection_limit_reached".to_owned());
    assert_eq!(
        ask(&busy),
        (503, expected, "connection_limit_reached".into())
    );
    connection.send(HELLO);
    assert_eq!(first.response().status, 200);
    let nowhere = "'/' = { proxy = 'http://nowhere.invalid:80', proxy_status = true }";
    let expected = Some("tidegate; error=dns_error".to_owned());
    assert_eq!(
        ask(&start(Site::new(nowhere))),
        (502, expected, "dns_error".into())
    );
}

/// The client broke its content off while the response was sent: no upstream is at fault.
#[test]
fn content_that_the_client_breaks_off_is_no_fault_of_the_upstream() {
    let upstream = Upstream::start(|connection| {
        connection.head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        connection.rest();
    });
    let server = start(site(", buffer = false", &upstream));
    let mut client = server.connect();
    client.send("POST /client HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    assert_eq!(client.read("half".len()), b"half");
    client.send("no chunk\r\n");
    let record = server.wait_for_record(|line| line.contains("/client"));
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(record["status"], 200);
    assert!(record["upstream_error"].is_null(), "{record}");
}

/// The response has begun, so the client sees a cut. The operator sees which server it was, and why.
#[test]
fn the_log_names_the_server_that_broke_off() {
    let upstream = Upstream::start(|connection| {
        if connection.next_request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        }
    });
    let server = start(site("", &upstream));
    let mut client = server.connect();
    client.send(get("/broken"));
    let record = server.wait_for_record(|line| line.contains("/broken"));
    let record: Value = serde_json::from_str(&record).expect("JSON");
    assert_eq!(
        (&record["status"], &record["upstream_error"]),
        (&200.into(), &"http_response_incomplete".into())
    );
    let line = server.wait_for_line(|line| line.contains("broke off"));
    let address = upstream.address();
    let expected = format!(
        "GET /broken: the content broke off: upstream `shop`: {address}: \
         it closed the connection before the end of its response"
    );
    assert!(line.ends_with(&expected), "{line}");
}

/// Only errors of the handler said so: a client that was refused before it was asked heard nothing.
#[test]
fn every_error_of_the_server_itself_says_so() {
    let upstream = Upstream::answering(HELLO);
    let (url, service) = (upstream.url(), down().url());
    let route = format!(
        "'/' = {{ proxy = '{url}', proxy_status = true, limits.max_content = 10 }}\n\
         '/auth' = {{ proxy = '{url}', proxy_status = true, auth = {{ forward = '{service}/v' }} }}\n\
         '/silent' = {{ proxy = '{url}', limits.max_content = 10 }}"
    );
    let server = start(Site::new(&route));
    let large = |target| format!("POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
    for (request, status, told) in [
        (large("/"), 413, Some("tidegate; error=http_request_denied")),
        (large("/silent"), 413, None),
        (
            get("/auth/asked"),
            502,
            Some("tidegate; error=connection_refused"),
        ),
    ] {
        let response = server.connect().exchange(request);
        let found = (response.status, response.field("Proxy-Status"));
        assert_eq!(found, (status, told));
    }
    let line = server.wait_for_line(|line| line.contains("`auth` by"));
    let names_the_route = line.contains("route `/auth` (") && line.contains("config.toml:");
    assert!(
        names_the_route && line.contains("/v: GET /auth/asked: "),
        "{line}"
    );
}
