//! Compares what `tidegate explain` tells with what the server then answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};

use crate::support::{Server, Site, ended_with, tls_fixture};

const ROUTES: &str = "'/' = { files = 'www', headers = { set = { X-Where = 'root' } } }
'/docs' = { files = 'www/docs', strip_prefix = true, listing = true, clean_urls = true }
'= /health' = { respond = 'ok' }
'POST /health' = { respond = 'posted', status = 202 }
'/old' = { redirect = '/docs', headers = { remove = ['Location'], add = { X-Moved = 'yes' } } }
'/{name}/deep' = { respond = 'deep', deny = ['127.0.0.1'] }
'/docs/{page}/deep' = { respond = 'deeper' }";

const METHODS: &[&str] = &["GET", "HEAD", "POST", "DELETE", "OPTIONS"];

const TARGETS: &[&str] = &[
    "/",
    "/a.css",
    "/missing",
    "/docs",
    "/docs/",
    "/docs/page",
    "/docs/page.html",
    "/docs/x/deep",
    "/x/deep",
    "/health",
    "/health/",
    "/old",
    "/old/way?q=1",
    "/.env",
    "/docs/../a.css",
    "/%61.css",
    "/a%2Fb",
    "/docs/../../x",
];

const FIELDS: &[&str] = &[
    "",
    "Accept-Encoding: gzip",
    "If-None-Match: *",
    "Accept: application/json",
];

fn start() -> Server {
    let site = Site::new(ROUTES);
    let directory = site.directory();
    directory.write("www/a.css", "body {}");
    directory.write("www/a.css.gz", "as if packed");
    directory.write("www/docs/page.html", "<p>page");
    site.start()
}

/// The status and the fields, but the date, which is of the moment, and `Connection`, because the clients
/// here say `close`.
fn comparable(status: u64, fields: Vec<(String, String)>) -> (u64, Vec<(String, String)>) {
    let mut fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    fields.retain(|(name, _)| name != "date" && name != "connection");
    fields.sort();
    (status, fields)
}

fn explained(
    server: &Server,
    live: bool,
    method: &str,
    target: &str,
    field: &str,
) -> (u64, Vec<(String, String)>) {
    let mut arguments = vec!["explain", "--json"];
    if live {
        arguments.push("--live");
    }
    if !field.is_empty() {
        arguments.extend(["-H", field]);
    }
    arguments.extend([method, target]);
    let output = server.command_line(&arguments);
    assert!(output.status.success(), "{method} {target}: {output:?}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().expect("a string").to_owned();
    let pairs = answer["fields"].as_array().expect("an array").iter();
    let fields = pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
    comparable(answer["status"].as_u64().expect("a number"), fields)
}

fn answered(
    server: &Server,
    method: &str,
    target: &str,
    field: &str,
) -> (u64, Vec<(String, String)>) {
    let mut client = server.connect();
    let field = if field.is_empty() {
        String::new()
    } else {
        format!("{field}\r\n")
    };
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\n{field}Connection: close\r\n\r\n"
    ));
    let text = String::from_utf8_lossy(&client.rest().expect("an answer")).into_owned();
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status");
    let fields = lines.filter_map(|line| line.split_once(": "));
    let fields = fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    comparable(status.parse().expect("a number"), fields)
}

#[test]
fn what_is_explained_is_what_is_answered() {
    let server = start();
    for (number, target) in TARGETS.iter().enumerate() {
        for (turn, method) in METHODS.iter().enumerate() {
            // Every method with every target, each with the next of the fields.
            let field = FIELDS[(number + turn) % FIELDS.len()];
            let really = answered(&server, method, target, field);
            let told = explained(&server, false, method, target, field);
            assert_eq!(told, really, "{method} {target} {field}");
        }
    }
}

/// Paths made of the segments of the routes and files, and of segments that neither has.
#[test]
fn generated_requests_are_explained_as_they_are_answered() {
    const SEGMENTS: &[&str] = &[
        "docs",
        "page",
        "page.html",
        "deep",
        "health",
        "old",
        "x",
        "..",
        ".",
        "",
        "%64ocs",
        ".env",
        "a.css",
    ];
    let server = start();
    // A fixed sequence, so that a failure can be repeated (Knuth's MMIX generator).
    let mut state = 20_261_122_u64;
    let mut below = |bound: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    for _ in 0..150 {
        let segments: Vec<&str> = (0..=below(4))
            .map(|_| SEGMENTS[below(SEGMENTS.len())])
            .collect();
        let target = format!("/{}", segments.join("/"));
        let (method, field) = (METHODS[below(METHODS.len())], FIELDS[below(FIELDS.len())]);
        let really = answered(&server, method, &target, field);
        let told = explained(&server, below(2) == 0, method, &target, field);
        assert_eq!(told, really, "{method} {target} {field}");
    }
}

#[test]
fn a_running_server_explains_what_it_runs_not_what_is_saved() {
    let server = start();
    let running = explained(&server, true, "GET", "/health", "");
    assert_eq!(running.0, 200);
    server.configure("[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = { respond = 'all' , status = 203 }\n");
    assert_eq!(explained(&server, true, "GET", "/health", ""), running);
    assert_eq!(explained(&server, false, "GET", "/health", "").0, 203);
}

#[test]
fn tells_why_a_route_lost() {
    let server = start();
    let output = server.command_line(&["explain", "GET", "/docs/x/deep"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "/docs/{page}/deep (",
        ") answers",
        "/docs (",
        "matches less of the path",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = server.command_line(&["explain", "nonsense"]);
    assert!(!output.status.success());
}

/// Plain HTTP is taken for the same host, at an address before the other.
#[test]
fn a_url_with_https_is_asked_where_clients_come_over_tls() {
    let fixture = |name: &str| tls_fixture(&format!("localhost.{name}"));
    let (pem, key) = (fixture("pem"), fixture("key"));
    let server = Site::configured(&format!(
        "log.access = false\n[[server]]\nlisten = '127.0.0.2:0'\nhttp_redirect = '127.0.0.1:0'\n\
         hosts = 'localhost'\ntls = {{ certificate = {pem:?}, key = {key:?} }}\n\
         routes.'/' = {{ respond = 'secure' }}\n"
    ))
    .start();
    for (url, live, status) in [
        ("https://localhost/a", false, "200"),
        ("https://localhost/a", true, "200"),
        ("HTTPS://localhost/a", false, "200"),
        ("http://localhost/a", false, "308"),
        ("https://other.example/", false, "none: no request is read"),
    ] {
        let live: &[&str] = if live { &["--live"] } else { &[] };
        let output = server.command_line(&[&["explain", url], live].concat());
        let text = ended_with(0, &output);
        assert!(
            text.contains(&format!("status    {status}")),
            "{url}: {text}"
        );
    }
}

/// A test of CONNECT ended `check` and `run` with a panic; `OPTIONS *` was told of routes that could not answer it.
#[test]
fn a_target_without_a_path_is_for_no_route() {
    let tests = "[[test]]\nrequest = 'CONNECT h:443'\nexpect.status = 405\n\
                 [[test]]\nrequest = 'OPTIONS *'\nexpect.status = 204";
    let site = Site::new(&format!("'POST /' = {{ respond = 'ok' }}\n{tests}"));
    ended_with(0, &site.command_line(&["check"]));
    let server = site.start();
    ended_with(0, &server.command_line(&["reload"]));
    for live in [&[][..], &["--live"]] {
        let output = server.command_line(&[&["explain", "OPTIONS", "*"], live].concat());
        let text = ended_with(0, &output);
        assert!(text.contains("routes    none matches"), "{text}");
        assert!(text.contains("status    204"), "{text}");
    }
}

/// `explain --live` and the tests of a reload must not make threads: a running server would panic if
/// the system had no more.
#[test]
fn questions_and_tests_make_no_threads() {
    let test = "[[test]]\nrequest = 'GET /a.css'\nexpect.status = 200";
    let site = Site::new(&format!("{ROUTES}\n{test}")).file("a.css", "body {}");
    // A pool for questions would have made as many threads, which the count below would have seen.
    let site = site.top("blocking = { threads = 200 }");
    site.directory().write("www/docs/page.html", "<p>page");
    let server = site.start();
    let tasks = format!("/proc/{}/task", server.id());
    let count = || std::fs::read_dir(&tasks).expect("it runs").count();
    let before = count();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            for _ in 0..5 {
                let reloaded = server.command_line(&["reload"]);
                assert!(reloaded.status.success(), "{reloaded:?}");
                assert_eq!(explained(&server, true, "GET", "/docs/page", "").0, 200);
            }
        });
        let counting = scope.spawn(|| {
            let mut most = before;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(count());
            }
            most
        });
        let asked = asking.join();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(counting.join().expect("no panic"), before);
        asked.expect("no panic");
    });
}

/// A server that hands the head of each request to the receiver, and answers with nothing.
fn upstream() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (heads, received) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut head, mut octet) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).is_ok_and(|n| n > 0) {
                head.push(octet[0]);
            }
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).expect("a reader");
            if heads
                .send(String::from_utf8_lossy(&head).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    (address, received)
}

/// It was told of as up to the upstream, with a head that is never sent.
#[test]
fn a_request_that_is_passed_to_no_upstream_is_explained_with_its_response() {
    let (address, _sent) = upstream();
    let server = Site::new(&format!("'/' = {{ proxy = 'http://{address}' }}")).start();
    let circle = format!("Via: {}", ["1.1 tidegate"; 9].join(", "));
    for (method, field, expected) in [
        ("OPTIONS", "Max-Forwards: 0", 204),
        ("GET", circle.as_str(), 508),
    ] {
        assert_eq!(answered(&server, method, "/", field).0, expected);
        for live in [&[][..], &["--live"]] {
            let arguments = [&["explain", "--json"], live, &["-H", field, method, "/"]].concat();
            let told = ended_with(0, &server.command_line(&arguments));
            let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
            assert_eq!(told["status"], expected, "{told}");
            assert!(told["upstream"].is_null(), "{told}");
        }
    }
}

#[test]
fn the_request_that_is_explained_is_the_one_that_is_sent() {
    let (address, sent) = upstream();
    let port = address.port();
    let server = Site::new(&format!(
        "'/' = {{ proxy = 'shop' }}\n\
         '/strip/a' = {{ proxy = 'http://{address}', strip_prefix = true, host = 'upstream' }}\n\
         '/rewrite/{{id}}' = {{ proxy = 'http://localhost:{port}', rewrite = '/v2/{{id}}{{rest}}?k=1', host = 'app.example' }}\n\
         '/name' = {{ proxy = 'http://LOCALHOST:{port}', host = 'upstream' }}\n\
         '/fields' = {{ proxy = 'shop', request_headers = {{ set = {{ X-Tenant = 'a' }}, add = {{ Accept = 'b/c' }}, remove = 'X-Gone' }} }}"
    ))
    .top(&format!("trusted_proxies = '127.0.0.1'\nupstreams.shop.servers = '{address}'"))
    .start();
    let mut names = Vec::new();
    for (method, target, field) in [
        ("GET", "/", ""),
        ("GET", "/a%2Fb/../c?q=%20", "Accept: a/b"),
        ("POST", "/strip/a", "X-Forwarded-For: 192.0.2.1"),
        ("DELETE", "/strip/a/b%20c?q", ""),
        ("GET", "/rewrite/7%2F8/more/?q", "Cookie: a=b; c"),
        ("GET", "/fields", "X-Tenant: b"),
        ("HEAD", "/fields", "X-Gone: 1"),
        ("OPTIONS", "/fields/a", "Accept: a/b"),
        // The name, not the address that it leads to.
        ("GET", "/name", ""),
    ] {
        let (status, _) = answered(&server, method, target, field);
        assert_eq!(status, 204, "{method} {target}");
        let sent = sent.recv().expect("it was sent");
        for live in [&[][..], &["--live"]] {
            let field = if field.is_empty() {
                vec![]
            } else {
                vec!["-H", field]
            };
            let arguments = [&["explain", "--json"], live, &field, &[method, target]].concat();
            let output = server.command_line(&arguments);
            let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let lines = told["upstream"]["request"].as_array().expect("an array");
            let lines = lines.iter().map(|line| line.as_str().expect("a string"));
            let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
            assert_eq!(lines + "\r\n", sent, "{method} {target}");
            let of_name = format!("\r\nHost: localhost:{port}\r\n");
            assert_eq!(sent.contains(&of_name), target == "/name", "{sent}");
            assert_eq!(told["status"], serde_json::Value::Null);
            names.push(
                told["upstream"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned(),
            );
        }
    }
    let urls = [address.to_string(), format!("localhost:{port}")].map(|at| format!("http://{at}"));
    for (name, count) in [("shop", 10), (&urls[0], 4), (&urls[1], 4)] {
        let found = names.iter().filter(|other| *other == name).count();
        assert_eq!(found, count, "{name}");
    }
    let drained = server.command_line(&["upstream", "drain", &format!("shop/{address}")]);
    assert!(drained.status.success(), "{drained:?}");
    for (live, state, asked) in [(&[][..], "up", "now"), (&["--live"], "drained", "no")] {
        let arguments = [&["explain", "--json"], live, &["/"]].concat();
        let output = server.command_line(&arguments);
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let servers = &told["upstream"]["servers"];
        assert_eq!(servers[0]["address"], address.to_string(), "{servers}");
        assert_eq!(servers[0]["state"], state, "{servers}");
        assert_eq!(servers[0]["asked"], asked, "{servers}");
    }
    let output = server.command_line(&["explain", "/strip/a/b"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        &format!("upstream  {}", urls[0]),
        "request   GET /b HTTP/1.1\n",
        "status    up to the upstream",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn a_test_expects_the_upstream_that_would_be_asked() {
    let configuration = |expect: &str| {
        Site::configured(&format!(
            "upstreams.shop.servers = '127.0.0.1:1'\nupstreams.store.servers = '127.0.0.1:2'\n\
             [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ proxy = 'shop' }}\n\
             routes.'/store' = {{ proxy = 'store' }}\nroutes.'/files' = {{ files = 'www' }}\n\
             [[test]]\n{expect}"
        ))
    };
    for (test, told) in [
        (
            "request = 'GET /a'\nexpect = { route = '/', proxy = 'shop' }",
            None,
        ),
        (
            "request = 'GET /store'\nexpect.proxy = 'shop'",
            Some("expected upstream shop, got store"),
        ),
        (
            "request = 'GET /files'\nexpect.proxy = 'shop'",
            Some("expected upstream shop, got none"),
        ),
        (
            "request = 'GET /a'\nexpect = { proxy = 'shop', status = 200 }",
            Some("the upstream is not asked for a test: expect `route` and `proxy` alone"),
        ),
    ] {
        let output = configuration(test).command_line(&["check"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), told.is_none(), "{text}");
        assert!(told.is_none_or(|told| text.contains(told)), "{text}");
    }
}

/// The address of a stream leads to no route. Nothing was told of it but that no server answers there.
#[test]
fn a_stream_is_explained_by_its_address() {
    let port = |nth: u16| 20_000 + nth;
    let site = Site::configured(&format!(
        "upstreams.db.servers = ['127.0.0.1:1', {{ address = '127.0.0.1:2', backup = true }}]\n\
         [[server]]\nlisten = '127.0.0.1:{first}'\nroutes.'/' = {{ respond = 'here' }}\n\
         [[stream]]\nlisten = ['127.0.0.1:{second}', '127.0.0.2:{first}', 'unix:db.sock']\nproxy = 'db'\n\
         proxy_protocol = 'v2'\ndeny = '192.0.2.0/24'\n",
        first = port(1),
        second = port(2),
    ));
    let socket = format!("unix:{}", site.directory().join("db.sock").display());
    let (second, other) = (
        format!("127.0.0.1:{}", port(2)),
        format!("127.0.0.2:{}", port(1)),
    );
    let url = format!("http://localhost:{}/", port(2));
    for (place, listener) in [
        (&second, &second),
        (&other, &other),
        (&socket, &socket),
        (&url, &second),
    ] {
        let text = ended_with(
            0,
            &site.command_line(&["explain", "--client", "192.0.2.1", place]),
        );
        let expected = format!(
            "a connection to {listener}\n\
            \x20 stream    it is passed on as it is\n\
            \x20 access    192.0.2.1 is denied: deny [192.0.2.0/24], allow []\n\
            \x20 sends     the PROXY protocol, version 2\n\
            \x20 upstream  db\n\
            \x20           127.0.0.1:1 up: 0 in flight, 0 failures, weight 1; would be asked\n\
            \x20           127.0.0.1:2 up: 0 in flight, 0 failures, weight 1, backup; would be asked if no \
             other could be\n"
        );
        assert_eq!(text, expected, "{place}");
    }
    let told = site.command_line(&["explain", "--json", &second]);
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told["stream"], true);
    assert_eq!(told["upstream"]["servers"][0]["asked"], "now");
    assert_eq!(told["upstream"]["servers"][1]["asked"], "spare");
    let here = ended_with(
        0,
        &site.command_line(&["explain", &format!("127.0.0.1:{}", port(1))]),
    );
    assert!(here.contains("status    200"), "{here}");
    let nowhere = ended_with(1, &site.command_line(&["explain", "127.0.0.1:9"]));
    assert!(
        nowhere.contains("nothing listens at port 9") && nowhere.contains(&second),
        "{nowhere}"
    );
}

/// The message named neither the target nor what to ask for instead.
#[test]
fn a_target_that_no_client_sends_gets_a_remedy() {
    let site = Site::new("'/' = { respond = 'ok' }");
    for (url, remedy) in [
        ("/x#f", "; ask for /x"),
        ("h:80/é", "; ask for http://h:80/%C3%A9"),
        ("h[/", "; ask for http://HOST/PATH or /PATH"),
    ] {
        let said = ended_with(1, &site.command_line(&["explain", "GET", url]));
        let start = format!("error: `{url}` is not a request-target for GET; ");
        assert!(said.starts_with(&start) && said.contains(remedy), "{said}");
    }
    let said = ended_with(1, &site.command_line(&["explain", "CONNECT", "/x"]));
    assert!(said.ends_with("; ask for HOST:PORT\n"), "{said}");
    let told = ended_with(0, &site.command_line(&["explain", "CONNECT", "h:443"]));
    assert!(told.contains("405"), "{told}");
}

/// The content that stands for metrics was empty, and so too short to be compressed.
#[test]
fn metrics_are_compressed_as_the_server_does_it() {
    let server = Site::new("'= /m' = { metrics = true }")
        .server(
            "listen = '127.0.0.1:0'\ncompress = true\ncors = { origins = ['https://a.example'] }",
        )
        .start();
    let real = server.get_with("/m", "Accept-Encoding: gzip\r\n");
    let arguments = ["explain", "--json", "-H", "Accept-Encoding: gzip", "/m"];
    let told = ended_with(0, &server.command_line(&arguments));
    for field in ["Vary", "Content-Encoding"] {
        let value = real.field(field).expect(field);
        assert!(
            told.contains(&format!("\"{value}\"")),
            "{field}: {value}: {told}"
        );
    }
    for field in ["Content-Length", "Transfer-Encoding"] {
        assert!(!told.contains(field), "{told}");
    }
}
