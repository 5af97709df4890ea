//! What a server or a route sets for all of its responses, and for clients: headers, limits, error pages,
//! access, trusted proxies. Which of several servers answers a request.

use crate::support::{Client, Server, Site, UnixClient};

/// A server at one address with `lines` of its own, in a configuration that begins with `top`.
fn start(top: &str, lines: &str, routes: &str) -> Server {
    site(top, lines, routes).start()
}

fn site(top: &str, lines: &str, routes: &str) -> Site {
    Site::new(routes)
        .top(top)
        .server(&format!("listen = '127.0.0.1:0'\n{lines}"))
}

/// The response to a GET for `target` at `host`.
fn at_host(server: &Server, host: &str, target: &str) -> (u16, String) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let response = server.answer(request);
    (response.status, response.text())
}

#[test]
fn headers_merge_downward() {
    let server = start(
        "headers = { set = { X-Top = 'top', X-Level = 'top' }, add = { Link = '</top>' } }",
        "headers = { set = { X-Level = 'server', X-Server = 'server' }, remove = ['Server'] }",
        "'/' = { respond = 'ok' }\n\
         '/inner' = { respond = 'ok', headers = { x-level = 'route' } }\n\
         '/bare' = { respond = 'ok', headers = { remove = ['X-Top', 'X-Level', 'X-Server', 'Link', 'Content-Type'] } }",
    );
    for (target, fields) in [
        (
            "/",
            [Some("top"), Some("server"), Some("server"), Some("</top>")],
        ),
        (
            "/inner",
            [Some("top"), Some("route"), Some("server"), Some("</top>")],
        ),
        ("/bare", [None; 4]),
    ] {
        let response = server.get(target);
        let names = ["X-Top", "X-Level", "X-Server", "Link"];
        assert_eq!(names.map(|name| response.field(name)), fields, "{target}");
        assert_eq!(response.field("Server"), None, "{target}");
        assert_eq!(response.text(), "ok");
    }
    assert_eq!(server.get("/bare").field("Content-Type"), None);
}

#[test]
fn set_replaces_what_a_handler_says_and_add_does_not() {
    let routes = "'/' = { files = 'www', headers = { set = { Cache-Control = 'no-store', Server = 'other' }, add = { Vary = 'Cookie' } } }";
    let server = Site::new(routes).file("a.txt", "a").start();
    for lines in ["", "If-None-Match: *\r\n", "Range: bytes=0-0\r\n"] {
        let response = server.get_with("/a.txt", lines);
        assert_eq!(response.field("Cache-Control"), Some("no-store"), "{lines}");
        assert_eq!(response.field("Server"), Some("other"), "{lines}");
        let mut vary = response.fields.iter().filter(|(name, _)| name == "Vary");
        assert!(vary.any(|(_, value)| value == "Cookie"), "{response:?}");
    }
}

#[test]
fn headers_are_on_error_answers_too() {
    let server = start(
        "headers = { X-Top = 'top' }",
        "headers = { X-Server = 'server' }",
        "'GET /a' = { respond = 'ok', headers = { X-Route = 'route' } }\n\
         '/files' = { files = 'www', headers = { X-Route = 'route' } }\n\
         '/denied' = { respond = 'ok', deny = 'all', headers = { X-Route = 'route' } }",
    );
    let (some, none) = (Some("yes"), None);
    for (request, status, is_of_server, is_of_route) in [
        ("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404, some, none),
        ("DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n", 405, some, none),
        (
            "GET /files/gone HTTP/1.1\r\nHost: h\r\n\r\n",
            404,
            some,
            some,
        ),
        ("GET /denied HTTP/1.1\r\nHost: h\r\n\r\n", 403, some, some),
        ("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400, none, none),
        ("GET /a HTTP/1.1\r\n\r\n", 400, none, none),
        (
            "GET /a HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n",
            400,
            none,
            none,
        ),
        ("GET /a HTTP/9.9\r\nHost: h\r\n\r\n", 505, none, none),
    ] {
        let response = server.answer(request);
        assert_eq!(response.status, status, "{request}");
        assert_eq!(response.field("X-Top"), Some("top"), "{request}");
        // If the request cannot be read, it is unknown which server it was for.
        if status != 400 && status != 505 {
            assert_eq!(
                response.field("X-Server").is_some(),
                is_of_server.is_some(),
                "{request}"
            );
            assert_eq!(
                response.field("X-Route").is_some(),
                is_of_route.is_some(),
                "{request}"
            );
        }
    }
}

#[test]
fn a_route_whose_verb_does_not_take_the_method_answers_for_itself() {
    let server = start(
        "",
        "",
        "'/files' = { files = 'www', headers = { X-Route = 'files' } }\n\
         '/denied' = { files = 'www', deny = 'all' }",
    );
    for (request, status, of_route, allow) in [
        (
            "POST /files",
            405,
            Some("files"),
            Some("GET, HEAD, OPTIONS"),
        ),
        (
            "OPTIONS /files",
            204,
            Some("files"),
            Some("GET, HEAD, OPTIONS"),
        ),
        ("POST /denied", 403, None, None),
        ("OPTIONS /denied", 403, None, None),
    ] {
        let response = server.answer(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(response.status, status, "{request}");
        assert_eq!(response.field("X-Route"), of_route, "{request}");
        assert_eq!(response.field("Allow"), allow, "{request}");
    }
}

#[test]
fn error_pages_are_by_status_and_by_class() {
    let server = site(
        "",
        "error_pages = { 404 = 'www/404.html', 4xx = 'www/client.txt' }",
        "'/files' = { files = 'www' }\n\
         'GET /get' = { respond = 'ok' }\n\
         '/own' = { files = 'www', error_pages = { 404 = 'www/own.html' } }\n\
         '/said' = { respond = 'my own words', status = 404 }",
    )
    .file("404.html", "<p>lost")
    .file("client.txt", "your fault")
    .file("own.html", "<p>here")
    .start();
    for (method, target, status, content, media_type) in [
        ("GET", "/nowhere", 404, "<p>lost", "text/html"),
        ("GET", "/files/gone", 404, "<p>lost", "text/html"),
        ("GET", "/own/gone", 404, "<p>here", "text/html"),
        ("POST", "/get", 405, "your fault", "text/plain"),
        ("POST", "/own/x", 405, "your fault", "text/plain"),
        ("GET", "/said", 404, "my own words", "text/plain"),
    ] {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        let response = server.answer(request);
        assert_eq!(
            (response.status, response.text().as_str()),
            (status, content),
            "{target}"
        );
        let found = response
            .field("Content-Type")
            .expect("every content has a type");
        assert!(found.starts_with(media_type), "{target}: {found}");
    }
    assert!(
        server
            .answer("POST /get HTTP/1.1\r\nHost: h\r\n\r\n")
            .field("Allow")
            .is_some()
    );
    let mut client = server.connect();
    client.send("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(
        client.response_to_head().content_length(),
        Some("<p>lost".len())
    );
    let request = "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(
        client.exchange(request).text(),
        "<p>lost",
        "nothing came behind the head"
    );
}

#[test]
fn error_pages_of_the_top_are_for_requests_that_no_server_is_known_for() {
    let server = site(
        "error_pages = { 4xx = 'www/top.html' }",
        "hosts = 'h'",
        "'/' = { respond = 'ok' }",
    )
    .file("top.html", "<p>top")
    .start();
    assert_eq!(at_host(&server, "other", "/"), (421, "<p>top".to_owned()));
    let malformed = server.answer("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(
        (malformed.status, malformed.text().as_str()),
        (400, "<p>top")
    );
}

#[test]
fn access_is_by_the_clients_address() {
    let server = start(
        "",
        "allow = ['127.0.0.0/8', '::1']",
        "'/' = { respond = 'ok' }\n\
         '/denied' = { respond = 'ok', deny = '127.0.0.1' }\n\
         '/others' = { respond = 'ok', allow = '192.0.2.0/24' }\n\
         '/neighbours' = { respond = 'ok', deny = '127.0.0.2/31' }\n\
         '/mine' = { files = 'www', deny = 'all' }\n\
         '/echo' = { echo = true, deny = 'all' }",
    );
    for (target, status) in [
        ("/", 200),
        ("/denied", 403),
        ("/denied/below", 403),
        ("/others", 403),
        ("/neighbours", 200),
        ("/mine", 403),
        ("/mine/gone", 403),
        ("/echo", 403),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
    let mut client = server.connect();
    client.send(
        "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(
        client.response().status,
        403,
        "no content is invited from who is not let in"
    );
}

#[test]
fn who_is_denied_learns_nothing_of_what_there_is() {
    let server = site(
        "",
        "deny = 'all'",
        "'/' = { files = 'www' }\n'GET /get' = { respond = 'ok' }",
    )
    .file("a.txt", "a")
    .start();
    for request in [
        "GET /a.txt",
        "GET /gone",
        "POST /get",
        "PUT /",
        "OPTIONS /get",
    ] {
        let response = server.answer(format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(response.status, 403, "{request}");
        assert_eq!(response.field("Allow"), None, "{request}");
    }
}

#[test]
fn trusted_proxies_say_who_the_client_is() {
    let routes = "'/' = { echo = true }\n'/friends' = { respond = 'ok', allow = '192.0.2.1' }";
    let forwarded = "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 127.0.0.7\r\n";
    let trusting = site("trusted_proxies = '127.0.0.0/8'", "", routes)
        .log("access = '-'\nformat = 'common'")
        .start();
    assert_eq!(
        trusting.get_with("/", forwarded).json()["client"],
        "192.0.2.1"
    );
    assert_eq!(trusting.get("/").json()["client"], "127.0.0.1");
    assert_eq!(trusting.get_with("/friends", forwarded).status, 200);
    assert_eq!(trusting.get("/friends").status, 403);
    let (_, records) = trusting.stop();
    let clients: Vec<_> = records
        .iter()
        .filter_map(|record| record.split(' ').next())
        .collect();
    assert_eq!(
        clients
            .iter()
            .filter(|client| **client == "192.0.2.1")
            .count(),
        2,
        "{records:?}"
    );
    assert_eq!(
        clients
            .iter()
            .filter(|client| **client == "127.0.0.1")
            .count(),
        2,
        "{records:?}"
    );

    let wary = site("trusted_proxies = '10.0.0.0/8'", "", routes)
        .log("access = '-'\nformat = 'common'")
        .start();
    assert_eq!(wary.get_with("/", forwarded).json()["client"], "127.0.0.1");
    assert_eq!(wary.get_with("/friends", forwarded).status, 403);
    let (_, records) = wary.stop();
    assert!(
        records
            .iter()
            .all(|record| record.starts_with("127.0.0.1 ")),
        "{records:?}"
    );
}

#[test]
fn content_is_limited_by_server_and_by_route() {
    let site = site(
        "",
        "limits = { max_content = '100 B' }",
        "'/' = { echo = true }\n\
         '/small' = { echo = true, limits = { max_content = '10 B' } }\n\
         '/large' = { echo = true, limits = { max_content = '10 KiB' } }",
    );
    let server = site.limits("max_content = '1 KiB'").start();
    for (target, limit) in [("/", 100), ("/small", 10), ("/large", 10 * 1024)] {
        for (length, status) in [(limit, 200), (limit + 1, 413)] {
            let content = "x".repeat(length);
            let request = format!(
                "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}"
            );
            assert_eq!(
                server.answer(request).status,
                status,
                "{length} octets to {target}"
            );
            let request = format!(
                "POST {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{content}\r\n0\r\n\r\n"
            );
            assert_eq!(
                server.answer(request).status,
                status,
                "{length} in chunks to {target}"
            );
        }
    }
}

#[test]
fn heads_are_limited_by_the_server_they_are_for() {
    let server = |host: &str, lines: &str| {
        format!(
            "[[server]]\nlisten = '127.0.0.1:0'\nhosts = '{host}'\n{lines}\n[server.routes]\n'/' = {{ respond = '{host}' }}\n"
        )
    };
    let both = server("small", "limits = { max_fields = 5 }")
        + &server("large", "limits = { max_fields = 50 }");
    let server = Site::configured(&both).start();
    for (host, fields, status) in [("small", 3, 200), ("small", 10, 431), ("large", 60, 431)] {
        let lines = "X: y\r\n".repeat(fields);
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        assert_eq!(
            server.answer(request).status,
            status,
            "{fields} fields to {host}"
        );
    }
}

/// Servers at one address: some for hosts, and one for the rest if `has_default`.
fn hosts(has_default: bool) -> Server {
    let server = |hosts: &str, name: &str| {
        format!(
            "[[server]]\nlisten = '127.0.0.1:0'\n{hosts}\n[server.routes]\n'/' = {{ respond = '{name}' }}\n"
        )
    };
    let mut text = server("hosts = '*.example.com'", "wildcard")
        + &server("hosts = ['example.com', 'exact.example.com']", "exact")
        + &server("hosts = '*.deep.example.com'", "deep");
    if has_default {
        text += &server("", "default");
    }
    Site::configured(&text).start()
}

#[test]
fn the_host_says_which_server_answers() {
    let server = hosts(true);
    for (host, name) in [
        ("example.com", "exact"),
        ("EXAMPLE.com:8080", "exact"),
        ("exact.example.com", "exact"),
        ("www.example.com", "wildcard"),
        ("www.deep.example.com", "deep"),
        ("example.org", "default"),
        ("notexample.com", "default"),
        ("127.0.0.1", "default"),
        ("[::1]:80", "default"),
    ] {
        assert_eq!(
            at_host(&server, host, "/"),
            (200, name.to_owned()),
            "{host}"
        );
    }
    let absolute = "GET http://example.com/ HTTP/1.1\r\nHost: example.org\r\n\r\n";
    assert_eq!(server.answer(absolute).text(), "exact", "RFC 9112 §3.2.2");
}

#[test]
fn a_host_of_nobody_is_misdirected() {
    let server = hosts(false);
    let mut client = server.connect();
    for (host, status) in [
        ("example.org", 421),
        ("example.com", 200),
        ("localhost", 421),
    ] {
        let response = client.exchange(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(response.status, status, "{host}");
    }
}

#[test]
fn a_unix_listener_serves() {
    let site = site(
        "workers = 2",
        "",
        "'/' = { files = 'www' }\n'/echo' = { echo = true }",
    );
    let server = site
        .server("listen = ['127.0.0.1:0', 'unix:www.sock']")
        .file("a.txt", "a")
        .start();
    let path = server.directory().join("www.sock");
    let mut client = UnixClient::connect(&path);
    assert_eq!(client.exchange("GET", "/a.txt").text(), "a");
    assert_eq!(client.exchange("GET", "/echo").json()["target"], "/echo");
    for _ in 0..20 {
        assert_eq!(
            UnixClient::connect(&path).exchange("GET", "/a.txt").text(),
            "a"
        );
    }
    assert_eq!(server.get("/a.txt").text(), "a");
    let named = server.status()["listeners"].to_string();
    assert!(named.contains("www.sock"), "{named}");
    server.stop();
    assert!(!path.exists(), "it goes with its server");
}

#[test]
fn included_files_serve_from_where_they_stand() {
    let site = Site::configured("include = ['sites/*.toml']\n[log]\naccess = false\n");
    let included = |host: &str| {
        format!(
            "[[server]]\nlisten = '127.0.0.1:0'\nhosts = '{host}'\n[server.routes]\n'/' = {{ files = '{host}' }}\n"
        )
    };
    for host in ["one", "two"] {
        site.directory()
            .write(format!("sites/{host}.toml"), included(host));
        site.directory()
            .write(format!("sites/{host}/name.txt"), host);
    }
    let server = site.start();
    for host in ["one", "two"] {
        assert_eq!(at_host(&server, host, "/name.txt"), (200, host.to_owned()));
    }
    // A file adds its site, and removing the file removes the site.
    server
        .directory()
        .write("sites/three.toml", included("three"));
    server.directory().write("sites/three/name.txt", "three");
    let file = server.directory().join("sites/one.toml");
    std::fs::remove_file(file).expect("it is there");
    let mut client = Client::connect(server.address());
    assert_eq!(server.control().exchange("POST", "/reload").status, 200);
    for (host, status) in [("three", 200), ("two", 200), ("one", 421)] {
        let request = format!("GET /name.txt HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(client.exchange(request).status, status, "{host}");
    }
}
