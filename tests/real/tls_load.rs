//! Reloads and upgrades while wrk asks over TLS: no request fails.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use crate::support::{Server, Site, ended_with, tls_fixture};

/// How long wrk asks, which is how long the test goes on.
const SECONDS: &str = "5s";

/// The configuration, with a text that differs with `number`, and by turns one certificate or another file
/// with the same: a certificate that is read anew.
fn configuration(number: usize) -> String {
    format!(
        "workers = 2\nlog.access = false\n[[server]]\nlisten = '127.0.0.1:0'\nhosts = 'localhost'\n\
         tls_default = true\ntls = {{ certificate = 'cert-{0}.pem', key = 'cert-{0}.key' }}\n\
         routes.'/' = {{ respond = 'text {number}' }}\nroutes.'/large' = {{ files = 'www', strip_prefix = true }}\n",
        number % 2
    )
}

fn start() -> Server {
    let site = Site::configured(&configuration(0)).file("file", vec![b'x'; 100_000]);
    for (ending, fixture) in [("pem", "localhost.pem"), ("key", "localhost.key")] {
        let octets = std::fs::read(tls_fixture(fixture)).expect("a fixture");
        for number in 0..2 {
            let name = format!("cert-{number}.{ending}");
            site.directory().write(name, &octets);
        }
    }
    site.start()
}

/// wrk, which asks for `target` on `connections` until its time is over.
fn wrk(server: &Server, target: &str, connections: usize) -> Child {
    let url = format!("https://localhost:{}{target}", server.address().port());
    Command::new("wrk")
        .args(["-t1", "-d", SECONDS, &format!("-c{connections}"), &url])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("wrk is installed")
}

/// Whether it has ended.
fn is_over(wrk: &mut Child) -> bool {
    wrk.try_wait().expect("it is ours").is_some()
}

/// Requires of a wrk that has ended that every request has had its response. Returns how many there were.
fn expect_no_failure(mut wrk: Child) -> u64 {
    let mut said = String::new();
    let mut output = wrk.stdout.take().expect("it is piped");
    output.read_to_string(&mut said).expect("text");
    assert!(wrk.wait().expect("it is ours").success(), "{said}");
    assert!(!said.contains("Socket errors"), "{said}");
    assert!(!said.contains("Non-2xx"), "{said}");
    let count = said.split(" requests in ").next().unwrap_or_default();
    let count = count.rsplit(char::is_whitespace).next();
    count.and_then(|count| count.parse().ok()).expect("a count")
}

#[test]
fn no_request_fails_through_reloads_and_upgrades() {
    let server = start();
    let mut small = wrk(&server, "/", 32);
    let large = wrk(&server, "/large/file", 8);
    let mut reloads = 0;
    while !is_over(&mut small) {
        reloads += 1;
        server.configure(configuration(reloads));
        ended_with(0, &server.command_line(&["reload"]));
        if reloads % 10 == 5 {
            ended_with(0, &server.command_line(&["upgrade"]));
        }
    }
    let (small, large) = (expect_no_failure(small), expect_no_failure(large));

    assert!(reloads >= 5, "{reloads} reloads");
    assert!(small > 100 && large > 10, "{small} and {large} requests");
    ended_with(0, &server.command_line(&["stop"]));
}
