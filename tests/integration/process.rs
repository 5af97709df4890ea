//! The process: how it starts, why it refuses to start, how it stops.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    Client, Directory, Server, Site, Upstream, bound_address, pattern, program, speak_plainly,
    until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn ok() -> Site {
    Site::new(
        "'/' = { respond = 'ok' }\n'/files' = { files = 'www', strip_prefix = true }\n'/echo' = { echo = true }",
    )
}

/// Standard error of a program that failed with `code`.
fn failure(finished: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(finished.status.code(), Some(code), "{stderr}");
    stderr
}

#[test]
fn sigterm_and_sigint_drain() {
    for signal in [Signal::TERM, Signal::INT] {
        let length = 48 << 20;
        let mut server = ok()
            .top("workers = 1\ngrace = '60s'")
            .file("large.bin", pattern(0, length))
            .start();
        let mut idle = server.connect();
        assert_eq!(idle.exchange(GET).status, 200);
        let mut busy = server.connect();
        busy.send("GET /files/large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(busy.response_head().content_length(), Some(length));
        let mut asking = server.connect();
        asking.send(
            "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        );
        assert_eq!(asking.response().status, 100);
        server.signal(signal);
        server.wait_for_line(|line| line.contains("stopping"));
        idle.expect_end();
        asking.send("hello");
        let answer = asking.last_response();
        assert!(
            answer.says_close(),
            "who is answered while draining is told that it is the last"
        );
        assert!(
            busy.read(length) == pattern(0, length),
            "a download in flight finishes"
        );
        busy.expect_end();
        // The client was told `Connection: close`; the server waits a little for it to close as well.
        drop((busy, asking));
        assert_eq!(server.wait().expect("it is our own child").code(), Some(0));
    }
}

#[test]
fn who_comes_while_the_server_drains_is_turned_away_at_once() {
    let length = 48 << 20;
    let site = ok().top("workers = 1\ngrace = '60s'");
    let server = site.file("large.bin", pattern(0, length)).start();
    let mut idle = server.connect();
    assert_eq!(idle.exchange(GET).status, 200);
    let mut busy = server.connect();
    busy.send("GET /files/large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(busy.response_head().content_length(), Some(length));
    server.signal(Signal::TERM);
    idle.expect_end();
    // A new client is refused or reset; it does not wait until the exchanges in flight have ended.
    if let Ok(mut late) = Client::try_connect(server.address()) {
        let patience = Some(Duration::from_secs(5));
        late.stream()
            .set_read_timeout(patience)
            .expect("it is not zero");
        let _ = late.try_send(GET);
        let ended = late.rest().map_err(|error| error.kind());
        assert_ne!(
            ended,
            Err(ErrorKind::WouldBlock),
            "the server neither answers nor closes"
        );
    }
    assert!(busy.read(length) == pattern(0, length));
}

/// More clients wait than a worker accepts in one round, and each connection ends with its response.
/// The worker ended after the first round, because it had no connection left.
#[test]
fn connections_that_are_queued_when_the_server_drains_are_served() {
    speak_plainly();
    let mut server = ok().top("workers = 1").start();
    server.signal(Signal::STOP);
    let mut clients: Vec<_> = (0..300).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.0\r\n\r\n");
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    for client in &mut clients {
        assert_eq!(client.last_response().status, 200);
    }
    assert!(server.wait().expect("it is our own child").success());
}

#[test]
fn what_does_not_finish_within_the_grace_period_is_cut() {
    let length = 64 << 20;
    let server = ok()
        .top("grace = '200ms'")
        .file("large.bin", pattern(0, length))
        .start();
    let mut client = server.connect();
    client.send("GET /files/large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    let (lines, _) = server.stop();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("warning") && line.contains("grace")),
        "{lines:?}"
    );
    assert!(client.count_rest() < length as u64);
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = ok()
        .top("grace = '1h'")
        .log("access = '-'")
        .file("large.bin", pattern(0, 64 << 20))
        .start();
    let mut client = server.connect();
    client.send("GET /files/large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("stopping"));
    server.signal(Signal::TERM);
    server.wait().expect("it is our own child");
    let lines = server.diagnostics();
    assert!(
        !lines.iter().any(|line| line.contains("log is stuck")),
        "{lines:?}"
    );
}

#[test]
fn a_port_in_use_is_named_in_one_sentence() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = held.local_addr().expect("it is bound").to_string();
    let stderr = failure(&ok().server(&format!("listen = '{address}'")).run(), 1);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_second_server_at_the_same_address_is_refused() {
    let first = ok().start();
    let address = first.address();
    let stderr = failure(&ok().server(&format!("listen = '{address}'")).run(), 1);
    assert!(stderr.contains(&address.to_string()), "{stderr}");
    let stderr = failure(
        &program()
            .args(["serve", "--listen", &address.to_string()])
            .output()
            .expect("it runs"),
        1,
    );
    assert!(stderr.contains(&address.to_string()), "{stderr}");
    for _ in 0..20 {
        assert_eq!(
            first.answer(GET).text(),
            "ok",
            "and takes no connection away"
        );
    }
}

#[test]
fn an_address_can_be_taken_again_at_once() {
    let server = ok().start();
    let address = server.address();
    // The side that closes first stays in TIME-WAIT (RFC 9293 §3.6.1). If that is the server, the next
    // one must be able to start all the same.
    server.answer("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    server.stop();
    let server = ok().server(&format!("listen = '{address}'")).start();
    assert_eq!(server.answer(GET).text(), "ok");
}

#[test]
fn an_address_of_another_machine_is_named() {
    let stderr = failure(&ok().server("listen = '192.0.2.1:8080'").run(), 1);
    assert!(
        stderr.contains("192.0.2.1:8080") && stderr.lines().count() == 1,
        "{stderr}"
    );
}

#[test]
fn a_root_that_is_missing_is_named() {
    let stderr = failure(&Site::new("'/' = { files = 'no-such-directory' }").run(), 1);
    assert!(stderr.contains("no-such-directory"), "{stderr}");
    let directory = Directory::new();
    directory.write("file", "x");
    for name in ["no-such-directory", "file"] {
        let finished = program()
            .arg("serve")
            .arg(directory.join(name))
            .output()
            .expect("it runs");
        let stderr = failure(&finished, 1);
        assert!(
            stderr.contains(name) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[test]
fn a_mistake_in_the_configuration_is_shown_in_its_place() {
    let stderr = failure(&ok().limits("max_haed = '1 KiB'").run(), 1);
    for part in ["config.toml:5:1", "max_haed = '1 KiB'", "max_head"] {
        assert!(stderr.contains(part), "{part} in {stderr}");
    }
    let directory = Directory::new();
    let finished = program()
        .current_dir(directory.path())
        .output()
        .expect("it runs");
    assert!(
        failure(&finished, 1).contains("config.toml"),
        "a missing file is named"
    );
}

#[test]
fn wrong_usage_is_status_2_and_help_is_0() {
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["serve", "--help"], 0),
        (&["run", "--help"], 0),
        (&["--nonsense"], 2),
        (&["nonsense"], 2),
        (&["serve", "--port", "x"], 2),
        (&["serve", "--port", "65536"], 2),
        (&["serve", "--listen", "nowhere"], 2),
        (&["serve", "a", "b"], 2),
    ] {
        let finished = program().args(arguments).output().expect("it runs");
        assert_eq!(finished.status.code(), Some(code), "{arguments:?}");
    }
    let version = program().arg("--version").output().expect("it runs").stdout;
    assert_eq!(
        String::from_utf8_lossy(&version),
        format!("tidegate {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = program()
        .args(["serve", "--help"])
        .output()
        .expect("it runs")
        .stdout;
    assert!(
        String::from_utf8_lossy(&help).contains("8080"),
        "the default port is told"
    );
}

#[test]
fn without_a_command_the_configuration_beside_us_is_run() {
    let directory = Directory::new();
    directory.write(
        "config.toml",
        "[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n'/' = { respond = 'beside' }\n",
    );
    let mut command = program();
    command.current_dir(directory.path());
    assert_eq!(
        Server::start(command, directory).answer(GET).text(),
        "beside"
    );
}

/// `tidegate serve` for the files of `directory`, on a free port.
fn serve(directory: Directory, arguments: &[&str]) -> Server {
    let mut command = program();
    command
        .arg("serve")
        .arg(directory.path())
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments);
    Server::start(command, directory)
}

#[test]
fn serve_prints_what_it_does() {
    let directory = Directory::new();
    let root = directory.path().display().to_string();
    let server = serve(directory, &[]);
    let banner = server.diagnostics().join("\n");
    let url = format!("http://localhost:{}/", server.address().port());
    for part in [root.as_str(), &url, "listing on"] {
        assert!(banner.contains(part), "{part} in {banner}");
    }
    let server = serve(Directory::new(), &["--no-listing", "--spa"]);
    let banner = server.diagnostics().join("\n");
    assert!(
        banner.contains("listing off") && banner.contains("fallback on"),
        "{banner}"
    );
}

#[test]
fn serve_lists_and_looks_every_time() {
    let directory = Directory::new();
    directory.write("a.txt", "first");
    let server = serve(directory, &[]);
    assert!(server.get("/").text().contains("a.txt"));
    for content in ["second", "third, longer", "4"] {
        server.directory().write("a.txt", content);
        assert_eq!(server.get("/a.txt").text(), content);
    }
}

#[test]
fn serve_has_its_options() {
    let directory = Directory::new();
    directory.write("index.html", "the index");
    directory.write("sub/x.txt", "x");
    let server = serve(directory, &["--no-listing", "--spa"]);
    assert_eq!(server.get("/sub/").status, 404);
    assert_eq!(
        server
            .get_with("/some/where", "Sec-Fetch-Mode: navigate\r\n")
            .text(),
        "the index"
    );
}

#[test]
fn proxy_passes_requests_on_without_a_file() {
    let upstream = Upstream::start(|connection| {
        let request = connection.request();
        assert!(request.head.starts_with(b"GET /a?b HTTP/1.1\r\n"));
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    });
    let mut command = program();
    command
        .args(["proxy", "--listen", "127.0.0.1:0", "--to"])
        .arg(format!("http://{}", upstream.address()));
    let server = Server::start(command, Directory::new());
    let request = "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.connect().exchange(request).text(), "up");
    let banner = server.diagnostics().join("\n");
    let target = format!("Passing requests on to {}", upstream.address());
    assert!(banner.contains(&target), "{banner}");
    for (to, complaint) in [
        ("tcp://127.0.0.1:1", "no scheme"),
        ("http://127.0.0.1:1/path", "path"),
        ("tidegate.invalid:80", "is not found"),
    ] {
        let run = program().args(["proxy", "--to", to]).output();
        let said = run.expect("the program runs").stderr;
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(complaint), "{to}: {said}");
    }
}

#[test]
fn serve_stays_on_loopback() {
    let mut command = program();
    let directory = Directory::new();
    command
        .arg("serve")
        .arg(directory.path())
        .args(["--port", "0"]);
    let server = Server::start(command, directory);
    assert!(server.address().ip().is_loopback());
    server.get("/");
    let addresses: Vec<SocketAddr> = server
        .diagnostics()
        .iter()
        .filter_map(|line| bound_address(line))
        .collect();
    assert!(
        addresses.iter().all(|address| address.ip().is_loopback()),
        "{addresses:?}"
    );
}

#[test]
fn localhost_is_both_families() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // A machine without IPv6 has only one.
        return;
    }
    let server = ok().server("listen = 'localhost:0'").start();
    let addresses: Vec<SocketAddr> = until("both addresses", || {
        let addresses: Vec<_> = server
            .diagnostics()
            .iter()
            .filter_map(|line| bound_address(line))
            .collect();
        (addresses.len() == 2).then_some(addresses)
    });
    assert!(addresses.iter().any(SocketAddr::is_ipv4) && addresses.iter().any(SocketAddr::is_ipv6));
    for address in addresses {
        let mut client = Client::connect(address);
        assert_eq!(
            client
                .exchange("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .json()["client"],
            address.ip().to_string()
        );
    }
}

#[test]
fn the_limit_of_open_files_is_raised() {
    let directory = Directory::new();
    let routes = "'/' = { respond = 'ok' }";
    let configuration = format!("[[server]]\nlisten = '127.0.0.1:0'\n[server.routes]\n{routes}\n");
    directory.write("config.toml", configuration);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -S -n 50; exec \"$0\" run --config \"$1\""]);
    command
        .arg(env!("CARGO_BIN_EXE_tidegate"))
        .arg(directory.join("config.toml"));
    let server = Server::start(command, directory);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id()));
    let limits = limits.expect("a process has limits");
    let mut lines = limits.lines();
    let line = lines
        .find(|line| line.starts_with("Max open files"))
        .expect("one of them");
    let [soft, hard] = [3, 4].map(|column| line.split_whitespace().nth(column));
    assert_eq!(soft, hard, "{line}");
}
