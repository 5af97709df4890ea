//! `max_rate_out`: how fast responses are sent on a connection, and what tunnels and streams carry. A response
//! cannot take less time than its pace demands, however slow the machine is: only that is asked of the clock.

use std::time::{Duration, Instant};

use crate::cgi::script;
use crate::support::{Client, SAFETY, Server, Site, Upstream, pattern};
use crate::tls;

const LENGTH: usize = 128 * 1024;

/// What [`LENGTH`] octets take at least at 256 KiB a second, of which some are sent at once.
const LEAST: Duration = Duration::from_millis(290);

const PACED: &str = "limits = { max_rate_out = '256 KiB/s' }";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// Asks for `target`, whose content is as long as `expected`, and asserts that it takes its time.
fn expect_paced(client: &mut Client, target: &str, expected: &[u8]) {
    let started = Instant::now();
    let response = client.exchange(get(target));
    let elapsed = started.elapsed();
    assert_eq!(response.status, 200, "{target}");
    assert!(
        response.content == expected,
        "{target}: {} octets",
        response.content.len()
    );
    assert!(elapsed >= LEAST, "{target}: {elapsed:?}");
}

#[test]
fn every_verb_is_sent_at_its_pace() {
    let content = pattern(0, LENGTH);
    let text = "x".repeat(LENGTH);
    let of_upstream = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes(),
        content.clone(),
    ]
    .concat();
    let upstream = Upstream::answering(of_upstream);
    let site = Site::new(&format!(
        "'/files' = {{ files = 'www', strip_prefix = true, {PACED} }}\n\
         '/respond' = {{ respond = '{text}', {PACED} }}\n\
         '/cgi' = {{ cgi = 'scripts', {PACED} }}\n\
         '/api' = {{ proxy = '{0}', {PACED} }}\n\
         '/stream' = {{ proxy = '{0}', buffer = false, {PACED} }}",
        upstream.url()
    ))
    .file("file.bin", &content)
    .top("workers = 1");
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    script(
        site.directory(),
        "a.sh",
        "printf 'Content-Type: text/plain\\n\\n'; cat ../www/file.bin",
    );
    let server = site.start();
    std::thread::scope(|scope| {
        for (target, expected) in [
            ("/files/file.bin", &content[..]),
            ("/respond", text.as_bytes()),
            ("/cgi/a.sh", &content),
            ("/api", &content),
            ("/stream", &content),
        ] {
            let mut client = server.connect();
            scope.spawn(move || expect_paced(&mut client, target, expected));
        }
    });
}

#[test]
fn over_tls_as_well() {
    let content = pattern(0, LENGTH);
    let configuration = format!(
        "workers = 1\nlog.access = false\nlimits.max_rate_out = '256 KiB/s'\n{}",
        tls::server("", "localhost", "", "ok").replace(
            "routes.'/echo' = { echo = true }",
            "routes.'/files' = { files = 'www', strip_prefix = true }"
        )
    );
    let server = Site::configured(&configuration)
        .file("file.bin", &content)
        .start();
    let mut client =
        Client::secured(server.address(), &tls::anyone(), "localhost").expect("a session");
    expect_paced(&mut client, "/files/file.bin", &content);
    assert_eq!(client.exchange(get("/")).text(), "ok");
}

/// What was sent before counts: a connection is no faster by many small responses.
#[test]
fn small_responses_in_a_row_are_sent_at_the_pace() {
    let text = "x".repeat(4096);
    let server = Site::new(&format!("'/' = {{ respond = '{text}', {PACED} }}")).start();
    let mut client = server.connect();
    let started = Instant::now();
    client.send(get("/").repeat(LENGTH / 4096));
    for _ in 0..LENGTH / 4096 {
        assert_eq!(client.response().text(), text);
    }
    assert!(started.elapsed() >= LEAST, "{:?}", started.elapsed());
}

fn slow_site(routes: &str) -> Site {
    Site::new(&format!(
        "'/slow' = {{ files = 'www', strip_prefix = true, limits = {{ max_rate_out = '1 KiB/s' }} }}\n{routes}"
    ))
    .file("file.bin", vec![0; 1 << 20])
    .top("workers = 1\ngrace = '100ms'")
}

#[test]
fn a_slow_response_holds_no_worker_and_is_cut_when_the_server_stops() {
    let server: Server = slow_site("'/' = { respond = 'ok' }")
        .log("format = 'json'")
        .start();
    let mut slow: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send(get("/slow/file.bin"));
        client.response_head();
    }
    for _ in 0..100 {
        assert_eq!(server.get("/").text(), "ok");
    }
    let (_, records) = server.stop();
    let cut = records
        .iter()
        .filter(|line| line.contains("/slow/file.bin"));
    assert_eq!(cut.count(), 20);
    for client in &mut slow {
        assert!(client.rest_before_cut().len() < 1 << 19);
    }
}

#[test]
fn responses_behind_a_paced_one_come_in_their_order() {
    let text = "y".repeat(20_000);
    let routes =
        format!("'/paced' = {{ respond = '{text}', {PACED} }}\n'/free' = {{ respond = 'free' }}");
    let server = Site::new(&routes).start();
    let mut client = server.connect();
    client.send(
        [
            get("/free"),
            get("/paced"),
            get("/free"),
            get("/paced"),
            get("/free"),
        ]
        .concat(),
    );
    for expected in ["free", &text, "free", &text, "free"] {
        assert_eq!(client.response().text(), expected);
    }
}

/// The pause between two sends is longer than `send_timeout`, and it is no fault of the client.
#[test]
fn a_pause_of_the_pace_is_no_timeout() {
    let text = "z".repeat(2500);
    let paced = "limits = { max_rate_out = '1 KiB/s', send_timeout = '50ms' }";
    let server = Site::new(&format!("'/' = {{ respond = '{text}', {paced} }}")).start();
    let mut client = server.connect();
    assert_eq!(client.exchange(get("/")).text(), text);
}

#[test]
fn a_route_may_be_without_the_pace_of_its_server() {
    let content = pattern(0, 4 << 20);
    let server = Site::new(
        "'/' = { files = 'www', limits = { max_rate_out = false } }\n'/slow' = { files = 'www', strip_prefix = true }",
    )
    .server("listen = '127.0.0.1:0'\nlimits = { max_rate_out = '1 KiB/s' }")
    .file("file.bin", &content)
    .start();
    // At the server's pace this would take more than an hour.
    assert!(server.connect().exchange(get("/file.bin")).content == content);
}

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn what_a_tunnel_carries_to_the_client_is_sent_at_the_pace() {
    let content = pattern(0, LENGTH);
    let upstream = Upstream::listen();
    let routes = format!(
        "'/' = {{ proxy = '{0}', {PACED} }}\n\
         '/slow' = {{ proxy = '{0}', limits = {{ max_rate_out = '1 KiB/s' }} }}",
        upstream.url()
    );
    let server = Site::new(&routes).start();
    let tunnel = |path: &str| {
        let mut client = server.connect();
        let fields = "Host: h\r\nConnection: upgrade\r\nUpgrade: websocket";
        client.send(format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
        let mut connection = upstream.accept();
        connection.head();
        connection.send(SWITCHED);
        assert_eq!(client.response_head().status, 101);
        (client, connection)
    };
    // What the client sends has no pace: at that of `/slow` it would take two minutes.
    let (mut client, mut connection) = tunnel("/slow");
    let started = Instant::now();
    client.send(&content);
    assert!(connection.take(LENGTH).as_deref() == Some(&content[..]));
    assert!(started.elapsed() < SAFETY);
    let (mut client, mut connection) = tunnel("/");
    let started = Instant::now();
    connection.send(&content);
    assert!(client.read(LENGTH) == content);
    let elapsed = started.elapsed();
    assert!(elapsed >= LEAST, "{elapsed:?}");
    // Nothing is left behind when both have ended.
    connection.finish_sending();
    client.expect_end();
}
