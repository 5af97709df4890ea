//! Reloads and upgrades while wrk asks over TLS: no request fails.

use std::io::Read as _;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Server, Site, ended_with, tls_fixture, until};

/// How many reloads there are. Behind each tenth of them is an upgrade.
const RELOADS: usize = 30;

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

/// wrk while it asks. Dropping it ends it.
struct Wrk(Child);

impl Wrk {
    /// wrk, which asks for `target` on `connections` until it is told to end.
    fn start(server: &Server, target: &str, connections: usize) -> Self {
        let url = format!("https://localhost:{}{target}", server.address().port());
        let child = Command::new("wrk")
            .args(["-t1", "-d1h", &format!("-c{connections}"), &url])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.expect("wrk is installed"))
    }

    /// Has it end, and requires that every request has had its response. Returns how many there were.
    fn end(mut self) -> u64 {
        // As Ctrl+C does: it says then what it has seen.
        kill_process(Pid::from_child(&self.0), Signal::INT).expect("it is ours");
        let mut said = String::new();
        let mut output = self.0.stdout.take().expect("it is piped");
        output.read_to_string(&mut said).expect("text");
        assert!(self.0.wait().expect("it is ours").success(), "{said}");
        assert!(!said.contains("Socket errors"), "{said}");
        assert!(!said.contains("Non-2xx"), "{said}");
        let count = said.split(" requests in ").next().unwrap_or_default();
        let count = count.rsplit(char::is_whitespace).next();
        count.and_then(|count| count.parse().ok()).expect("a count")
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the process that serves now has answered some requests more.
fn until_asked(server: &Server) {
    const MORE: u64 = 20;
    let answered = || {
        let said = ended_with(0, &server.command_line(&["status", "--json"]));
        let status: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        status["requests"].as_u64().expect("a count")
    };
    let before = answered();
    until("requests", || (answered() >= before + MORE).then_some(()));
}

#[test]
fn no_request_fails_through_reloads_and_upgrades() {
    let server = start();
    let small = Wrk::start(&server, "/", 32);
    let large = Wrk::start(&server, "/large/file", 8);
    for number in 1..=RELOADS {
        until_asked(&server);
        server.configure(configuration(number));
        ended_with(0, &server.command_line(&["reload"]));
        if number % 10 == 0 {
            until_asked(&server);
            ended_with(0, &server.command_line(&["upgrade"]));
        }
    }
    until_asked(&server);
    let (small, large) = (small.end(), large.end());

    assert!(small > 0 && large > 0, "{small} and {large} requests");
    ended_with(0, &server.command_line(&["stop"]));
}
