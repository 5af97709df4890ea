//! What else the configuration says about an exchange, and what is told of it: fields, error pages, limits,
//! `Proxy-Status`, the log, a stop, a circle.

use rustix::process::Signal;

use super::{HELLO, LAST, POST, get, site, site_with, start};
use crate::support::{Site, Upstream};

#[test]
fn the_operator_s_fields_stand_on_responses_of_upstreams() {
    let (server, upstream) = start(
        ", headers = { set = { X-Frame-Options = 'DENY' }, add = { Vary = 'Cookie' }, remove = ['X-Powered-By'] }",
    );
    let mut client = server.connect();
    client.send(get("/"));
    upstream.answer(LAST.replace(
        "\r\n\r\n",
        "\r\nX-Powered-By: app\r\nx-frame-options: ALLOW\r\nVary: Accept\r\n\r\n",
    ));
    let response = client.response();
    assert_eq!(response.text(), "hello");
    assert_eq!(response.field("X-Frame-Options"), Some("DENY"));
    assert_eq!(response.field("X-Powered-By"), None);
    let vary = response.fields.iter().filter(|(name, _)| name == "Vary");
    let vary: Vec<&str> = vary.map(|(_, value)| value.as_str()).collect();
    assert_eq!(vary.join(", "), "Accept, Cookie");
}

/// What an upstream says about its errors is not replaced; what is ours is.
#[test]
fn error_pages_are_for_errors_of_ours() {
    let upstream = Upstream::listen();
    let server = site(
        ", error_pages = { 4xx = 'www/e.html', 5xx = 'www/e.html' }",
        &upstream,
    )
    .file("e.html", "our page")
    .start();
    for status in [404, 500, 502, 503] {
        let mut client = server.connect();
        client.send(get("/"));
        upstream.answer(LAST.replace("200", &status.to_string()));
        let response = client.response();
        assert_eq!(
            (response.status, response.text().as_str()),
            (status, "hello")
        );
    }
    let mut client = server.connect();
    client.send(POST);
    upstream.answer("nonsense\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.status, response.text().as_str()),
        (502, "our page")
    );
}

/// A request that is too large is refused; its upstream never has all of it.
#[test]
fn limits_hold_for_what_is_passed_on() {
    let head = "POST / HTTP/1.1\r\nHost: h\r\n";
    let chunks = format!(
        "Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        "5\r\nhello\r\n".repeat(30)
    );
    for option in ["", ", buffer = false"] {
        let limits = format!("{option}, limits = {{ max_content = 100 }}");
        let (server, upstream) = start(&limits);
        for rest in ["Content-Length: 101\r\n\r\n", &chunks] {
            let mut client = server.connect();
            client.send(format!("{head}{rest}"));
            assert_eq!(client.response().status, 413, "{rest:?}{option}");
            if option.is_empty() || rest.starts_with("Content") {
                upstream.expect_no_connection();
            } else if upstream.is_asked_within(std::time::Duration::ZERO) {
                assert!(upstream.accept().next_request().is_none());
            }
        }
    }
}

#[test]
fn proxy_status_says_what_became_of_a_request() {
    let (server, upstream) = start(", proxy_status = true");
    let address = upstream.address();
    for (octets, status, told) in [
        (LAST, 200, format!("tidegate; next-hop=\"{address}\"")),
        (
            "nonsense\r\n\r\n",
            502,
            "tidegate; error=http_protocol_error".to_owned(),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
            502,
            "tidegate; error=http_protocol_error".to_owned(),
        ),
        ("", 502, "tidegate; error=connection_terminated".to_owned()),
    ] {
        let mut client = server.connect();
        client.send(POST);
        let (connection, _) = upstream.answer(octets);
        drop(connection);
        let response = client.response();
        assert_eq!(response.status, status);
        let found = response.field("Proxy-Status").expect("it is switched on");
        assert!(found.starts_with(&told), "{found}");
    }
    let (server, upstream) = start("");
    let mut client = server.connect();
    client.send(get("/"));
    upstream.answer(LAST.replace("\r\n\r\n", "\r\nProxy-Status: inner; error=x\r\n\r\n"));
    let response = client.response();
    assert_eq!(
        response.field("Proxy-Status"),
        Some("inner; error=x"),
        "theirs is theirs"
    );
}

#[test]
fn each_exchange_has_one_record_that_names_its_upstream() {
    let upstream = Upstream::listen();
    let server = site_with(
        "workers = 1",
        ", timeout = '100ms'",
        ", retry = { tries = 1 }",
        &[&upstream],
    )
    .log("access = '-'\nformat = 'json'")
    .start();
    let address = upstream.address();
    let record = |target: &str| -> serde_json::Value {
        let line = server.wait_for_record(|line| line.contains(target));
        serde_json::from_str(&line).expect("JSON")
    };
    let ask = |target: &str| {
        let mut client = server.connect();
        client.send(get(target));
        client
    };
    let mut client = ask("/good");
    upstream.answer(LAST);
    assert_eq!(client.response().status, 200);
    let good = record("/good");
    assert_eq!(
        (&good["status"], &good["upstream_tries"]),
        (&200.into(), &1.into())
    );
    assert_eq!(good["upstream"], address);
    assert!(
        good["upstream_connect_us"].is_u64() && good["upstream_head_us"].is_u64(),
        "{good}"
    );
    assert!(good["upstream_error"].is_null());
    let mut client = ask("/broken");
    upstream.answer("nonsense\r\n\r\n");
    assert_eq!(client.response().status, 502);
    let broken = record("/broken");
    assert_eq!(
        (&broken["status"], &broken["upstream"]),
        (&502.into(), &address.into())
    );
    assert_eq!(broken["upstream_error"], "http_protocol_error");
    let mut client = ask("/late");
    let connection = upstream.accept();
    assert_eq!(client.response().status, 504);
    drop(connection);
    assert_eq!(record("/late")["status"], 504);
    let client = ask("/left");
    let mut connection = upstream.accept();
    connection.request();
    drop(client);
    connection.expect_end();
    let left = record("/left");
    assert_eq!(
        (&left["status"], &left["upstream"]),
        (&499.into(), &address.into())
    );
    let mut client = ask("/cut");
    upstream.answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.response_head().status, 200);
    client.some_of(usize::MAX);
    let cut = record("/cut");
    assert_eq!(
        (&cut["status"], &cut["bytes"]),
        (&200.into(), &5.into()),
        "{cut}"
    );
}

/// A stop lets an exchange end that has begun.
#[test]
fn a_stop_waits_for_an_answer_under_way() {
    for option in ["", ", buffer = false"] {
        let upstream = Upstream::listen();
        let mut server = site_with("grace = '60s'", option, "", &[&upstream]).start();
        let mut client = server.connect();
        client.send(get("/"));
        let mut connection = upstream.accept();
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        assert_eq!(client.response_head().status, 200);
        server.signal(Signal::TERM);
        server.wait_for_line(|line| line.contains("stopping"));
        connection.send("world");
        assert_eq!(client.read(10), b"helloworld");
        client.expect_end();
        connection.expect_end();
        assert!(server.wait().expect("it is our own child").success());
    }
}

/// A server that asks itself answers; it does not ask itself until nothing is left.
#[test]
fn a_circle_ends() {
    let server = Site::new("'/' = { proxy = 'self' }")
        .top("upstreams.self = { servers = ['unix:self.sock'] }")
        .server("listen = ['127.0.0.1:0', 'unix:self.sock']")
        .start();
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).status, 508);
}

/// A server that was down is asked as soon as it is up: there is no other to be asked in its place.
#[test]
fn the_only_server_is_never_left_out() {
    let upstream = Upstream::listen();
    let server = Site::new(&format!("'/' = {{ proxy = '{}' }}", upstream.url())).start();
    let address = upstream.address().to_owned();
    drop(upstream);
    let mut client = server.connect();
    for _ in 0..20 {
        assert_eq!(client.exchange(get("/")).status, 502);
    }
    let _upstream = Upstream::listen_again_at(&address).run(|connection| {
        while connection.next_request().is_some() {
            connection.send(HELLO);
        }
    });
    assert_eq!(client.exchange(get("/")).text(), "hello");
}
