//! nginx and HAProxy, as upstreams and in front.
//!
//! ```text
//! client ─→ tidegate ─→ nginx, HAProxy
//! client ─→ nginx, HAProxy ─→ tidegate ─→ upstream
//! ```

use crate::program::{Program, haproxy_command, nginx_command};
use crate::support::{Directory, Server, Site, UnixClient, Upstream, pattern};

/// Starts nginx with this `http` block, in `directory`, where it listens at `peer.sock`.
fn nginx(directory: &Directory, http: &str) -> Program {
    let command = nginx_command(directory, http);
    Program::at_socket(command, &directory.join("peer.sock"))
}

/// Starts HAProxy with these sections, in `directory`, where it listens at `peer.sock`.
fn haproxy(directory: &Directory, sections: &str) -> Program {
    let configuration = format!(
        "global\n  tune.bufsize 65536\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  \
         timeout server 30s\n{sections}\n"
    );
    let command = haproxy_command(directory, &configuration);
    Program::at_socket(command, &directory.join("peer.sock"))
}

fn behind() -> Site {
    Site::new("'/' = { proxy = 'peer', limits = { max_content = '1 GiB' } }")
        .top("upstreams.peer = { servers = ['unix:peer.sock'] }")
}

#[test]
fn nginx_answers_behind_it() {
    let site = behind();
    let here = site.directory().path().display().to_string();
    site.directory()
        .write("public/tide.bin", pattern(0, 20 << 20));
    site.directory()
        .write("public/tide.txt", "high water at noon\n".repeat(100));
    let http = format!(
        "server {{ listen unix:{here}/peer.sock; root {here}/public; gzip on; gzip_proxied any; gzip_types text/plain;\n\
         location /put {{ dav_methods PUT; create_full_put_path on; root {here}; }}\n\
         location /seen {{ return 200 \"$request_uri $http_x_forwarded_for $host\"; }} }}"
    );
    let _nginx = nginx(site.directory(), &http);
    let server = site.start();
    let mut client = server.connect();
    for _ in 0..3 {
        let file = client.exchange("GET /tide.bin HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(file.content == pattern(0, 20 << 20));
        let tag = file.field("ETag").expect("nginx makes one");
        let again = format!("GET /tide.bin HTTP/1.1\r\nHost: h\r\nIf-None-Match: {tag}\r\n\r\n");
        assert_eq!(client.exchange(again).status, 304);
        let part =
            client.exchange("GET /tide.bin HTTP/1.1\r\nHost: h\r\nRange: bytes=8-23\r\n\r\n");
        assert_eq!((part.status, part.content), (206, pattern(8, 16)));
        let coded =
            client.exchange("GET /tide.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!(coded.field("Content-Encoding"), Some("gzip"));
        assert!(coded.content.starts_with(&[0x1f, 0x8b]));
        client.send("HEAD /tide.bin HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.response_to_head().content_length(), Some(20 << 20));
        let seen = client.exchange("GET /seen/a%2Fb?x HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        assert_eq!(seen.text(), "/seen/a%2Fb?x 127.0.0.1 shop.example");
        assert_eq!(
            seen.field("Server").map(|name| name.starts_with("nginx")),
            Some(true)
        );
        assert_eq!(
            client
                .exchange("GET /none HTTP/1.1\r\nHost: h\r\n\r\n")
                .status,
            404
        );
    }
}

#[test]
fn haproxy_answers_behind_it() {
    let site = behind();
    let here = site.directory().path().display().to_string();
    let sections = format!(
        "frontend peer\n  bind unix@{here}/peer.sock\n  \
         http-request return status 200 content-type text/plain \
         lf-string \"%[path] %[req.hdr(X-Forwarded-For)] %[req.hdr(Host)]\" if {{ path_beg /seen }}\n  \
         http-request deny deny_status 429 if {{ path /busy }}\n  \
         http-request return status 204"
    );
    let _haproxy = haproxy(site.directory(), &sections);
    let server = site.start();
    let mut client = server.connect();
    for _ in 0..3 {
        let seen = client.exchange("GET /seen/a%2Fb?x HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        assert_eq!(seen.text(), "/seen/a%2Fb 127.0.0.1 shop.example");
        assert_eq!(
            client
                .exchange("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n")
                .status,
            429
        );
        assert_eq!(
            client.exchange("GET /x HTTP/1.1\r\nHost: h\r\n\r\n").status,
            204
        );
    }
}

/// What a client sees through a front, this server and an upstream that answers with what it saw.
fn through(start: impl FnOnce(&Directory, &Server) -> Program) {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.next_request() {
            let told = format!(
                "{} {} {:?} {:?}",
                request.line(),
                request.content.len(),
                request.field("Host").unwrap_or_default(),
                request.values("X-Forwarded-For").join(", "),
            );
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n\
                 {:x}\r\n{told}\r\n0\r\n\r\n",
                told.len()
            ));
        }
    });
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{}', limits = {{ max_content = '1 GiB' }} }}",
        upstream.url()
    ))
    .top("trusted_proxies = ['127.0.0.1']")
    .start();
    let directory = Directory::new();
    let _front = start(&directory, &server);
    let mut client = UnixClient::connect(&directory.join("peer.sock"));
    for round in 0..50 {
        client.send("GET /a%2Fb?x=/../y HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, 200, "{round}");
        let text = response.text();
        let expected = "GET /a%2Fb?x=/../y HTTP/1.1 0 \"shop.example\" \"192.0.2.7, ";
        assert!(text.starts_with(expected), "{text}");
        assert!(
            text.ends_with(", 127.0.0.1\"") || text.ends_with(" 127.0.0.1\""),
            "{text}"
        );
        let cookies = response
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        assert_eq!(cookies.count(), 2);
        client.send("POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..10 {
            client.send(format!("2710\r\n{}\r\n", "x".repeat(10_000)));
        }
        client.send("0\r\n\r\n");
        assert!(
            client
                .response()
                .text()
                .starts_with("POST /p HTTP/1.1 100000 ")
        );
    }
    assert_eq!(upstream.requests().len(), 100);
    // Each POST has a connection of its own, the GETs share some.
    let connections = upstream.connections();
    assert!(connections <= 50 + 20, "{connections} connections");
}

#[test]
fn nginx_asks_it() {
    through(|directory, server| {
        let here = directory.path().display();
        let address = server.address();
        let http = format!(
            "upstream tidegate {{ server {address}; keepalive 8; }}\n\
             server {{ listen unix:{here}/peer.sock; location / {{ proxy_pass http://tidegate; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $http_host; \
             proxy_set_header X-Forwarded-For \"$http_x_forwarded_for, 198.51.100.1\"; }} }}"
        );
        nginx(directory, &http)
    });
}

#[test]
fn haproxy_asks_it() {
    through(|directory, server| {
        let here = directory.path().display();
        let address = server.address();
        let sections = format!(
            "frontend front\n  bind unix@{here}/peer.sock\n  default_backend tidegate\n\
             backend tidegate\n  http-reuse always\n  server one {address}"
        );
        haproxy(directory, &sections)
    });
}
