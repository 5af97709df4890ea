//! Handlers of a program's own, in a server that is a part of the program. The tests ask over loopback.

// What a handler learns of a request.
mod requests;
// What the server makes of a handler's response: preconditions, ranges, framing, refusals.
mod responses;
// Content that is read and written as a stream, gigabytes of it.
mod streams;
// Handlers that sleep, panic, or answer too late.
mod misbehaviour;
// Responses that are decided later, by any thread.
mod later;
// How handlers learn that they should end, and how they end.
mod endings;
// What the logs tell of handlers.
mod logs;
// Starting, reloading and stopping a server from within the program.
mod embedding;

#[path = "../integration/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the integration tests use the rest"
)]
mod support;

use std::net::SocketAddr;
use std::process::{Command, Output};

use support::Client;
use tidegate::{Handlers, Server};

/// A server that is a part of this program, and is stopped at the end of the test.
struct Embedded(Server);

impl Embedded {
    /// Starts it with `settings` at the top of its configuration, and these routes.
    fn start(handlers: Handlers, settings: &str, routes: &str) -> Self {
        let builder = Server::builder().handlers(handlers);
        let server = builder.config_text(configuration(settings, routes)).start();
        Self(server.unwrap_or_else(|error| panic!("{error}")))
    }

    fn address(&self) -> SocketAddr {
        self.0.addresses()[0]
    }

    fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// A count of the pool for handlers: running, lost, queued, refused.
    fn blocking(&self, count: &str) -> u64 {
        self.count("blocking", count)
    }

    /// How many connections are open.
    fn open(&self) -> u64 {
        self.count("connections", "open")
    }

    /// Waits until so many exchanges were counted that ended for `reason`: the worker counts one behind its
    /// response, which the client may have read before.
    fn expect_reason(&self, reason: &str, count: u64) {
        support::until("the exchanges are counted", || {
            (self.status()["reasons"][reason].as_u64() == Some(count)).then_some(())
        });
    }

    /// As [`expect_reason`](Self::expect_reason), for one exchange at least.
    fn wait_for_reason(&self, reason: &str) {
        support::until("an exchange is counted", || {
            self.status()["reasons"][reason].as_u64()
        });
    }

    fn count(&self, of: &str, count: &str) -> u64 {
        self.status()[of][count].as_u64().expect("a number")
    }

    fn status(&self) -> serde_json::Value {
        let status = self.0.status().expect("it runs");
        serde_json::from_str(&status).expect("JSON")
    }
}

/// Set in a process that runs one test.
const ALONE: &str = "TIDEGATE_TEST_ALONE";

/// Runs the test `name` once more, in a process of its own, so that its memory and its diagnostics can
/// be looked at. Returns what it wrote, and `None` in that process.
fn alone(name: &str) -> Option<Output> {
    if std::env::var_os(ALONE).is_some() {
        return None;
    }
    let program = std::env::current_exe().expect("the test has a path");
    let mut test = Command::new(program);
    test.args(["--exact", name, "--nocapture"]).env(ALONE, "1");
    Some(test.output().expect("it can be run again"))
}

/// Runs the test `name` in a process of its own, for handlers that fail on purpose: the diagnostics of
/// the server are shown only if the test fails. Returns whether it has run there: then nothing is left
/// to do.
fn ran_captured(name: &str) -> bool {
    let Some(output) = alone(name) else {
        return false;
    };
    let written = [output.stdout, output.stderr].concat();
    let written = String::from_utf8_lossy(&written);
    assert!(
        output.status.success() && written.contains("1 passed"),
        "{name}: {written}"
    );
    true
}

fn configuration(settings: &str, routes: &str) -> String {
    let quiet = "log = { access = false, level = \"error\" }";
    let server = "[[server]]\nlisten = \"127.0.0.1:0\"\n[server.routes]";
    format!("workers = 2\n{quiet}\n{settings}\n{server}\n{routes}\n")
}

/// A request without content.
fn request(method: &str, target: &str, lines: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

fn get(target: &str) -> String {
    request("GET", target, "")
}
