//! The access log and the diagnostics.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{Server, Site, ended_with};

fn get(number: usize) -> String {
    format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The number that the request of a line of the log asks for.
fn number(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("\"GET /")?;
    rest.split_once(' ')?.0.parse().ok()
}

/// Sequential requests of one client came out of order where several workers answered: each worker handed
/// its lines over when it suited it.
#[test]
fn lines_of_several_workers_are_in_the_order_of_time() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .top("workers = 4")
        .log("access = '-'")
        .start();
    for number in 0..200 {
        assert_eq!(server.answer(get(number)).status, 200);
    }
    let (_, lines) = server.stop();
    let numbers: Vec<usize> = lines.iter().filter_map(|line| number(line)).collect();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

/// No format had fractions of a second.
#[test]
fn json_has_milliseconds() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .log("access = '-'\nformat = 'json'")
        .start();
    server.get("/");
    let (_, lines) = server.stop();
    let record: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    let time = record["time"].as_str().expect("a text");
    let (_, fraction) = time.split_once('.').expect("a fraction");
    let digits = fraction.strip_suffix('Z').expect("UTC");
    assert!(digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()));
}

/// Limits how large files may become that the server writes: as a full disk, but for this server alone.
fn limit_files(server: &Server, octets: Option<u64>) {
    let process = Pid::from_raw(server.id() as i32);
    let limit = Rlimit {
        current: octets,
        maximum: None,
    };
    prlimit(process, Resource::Fsize, limit).expect("it is our own child");
}

/// After a full disk the beginning of one line was glued to another one, and lines that had been written
/// counted as lost. A limit of file sizes killed the server.
#[test]
fn a_full_disk_tears_no_line_and_the_lost_ones_are_counted() {
    let mut server = Site::new("'/' = { respond = 'ok' }")
        .top("workers = 1")
        .log("access = 'access.log'\nformat = 'common'")
        .start();
    let mut client = server.connect();
    let mut ask = |count| {
        client.send(get(1).repeat(count));
        for _ in 0..count {
            assert_eq!(client.response().status, 200);
        }
    };
    limit_files(&server, Some(1000));
    ask(100);
    server.wait_for_line(|line| line.contains("cannot write the access log"));
    limit_files(&server, None);
    ask(20);
    let report = server.wait_for_line(|line| line.contains("lines of the access log"));
    drop(client);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
    let log = server.directory().read("access.log");
    let is_whole = |line: &str| line.starts_with("127.0.0.1 - - [") && line.ends_with("200 2");
    assert!(log.lines().all(is_whole) && log.ends_with('\n'), "{log}");
    let (_, report) = report.split_once("warning: ").expect("a warning");
    let (lost, _) = report.split_once(' ').expect("a number");
    let lost: usize = lost.parse().expect("a number");
    assert_eq!(log.lines().count() + lost, 120, "{log}");
}

/// A time zone of the database is one of a name, which is looked up in files; only rules were understood.
#[test]
fn the_time_zone_may_have_a_name() {
    /// `Test/Zone`: always 5:45 ahead of UTC, as RFC 9636 writes it.
    fn zone() -> Vec<u8> {
        let counts = [0, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
        let header = [b"TZif2", &[0; 15][..], &counts].concat();
        let data = [&20_700_i32.to_be_bytes()[..], b"\0\0+05\0"].concat();
        [&header, &data, &header, &data, &b"\n<+0545>-5:45\n"[..]].concat()
    }
    let site = Site::new("'/' = { respond = 'ok' }").log("access = '-'\nformat = 'common'");
    site.directory().write("zones/Test/Zone", zone());
    let zones = site.directory().join("zones").display().to_string();
    let server = site
        .environment("TZDIR", zones.leak())
        .environment("TZ", "Test/Zone")
        .start();
    server.get("/");
    let (_, lines) = server.stop();
    assert!(lines[0].contains(" +0545] "), "{lines:?}");
}

#[test]
fn a_time_zone_that_is_not_known_is_named() {
    let server = Site::new("'/' = { respond = 'ok' }")
        .log("access = '-'")
        .environment("TZ", "Nowhere/Land")
        .start();
    server.wait_for_line(|line| line.contains("Nowhere/Land") && line.contains("UTC"));
}

/// Three access logs, or what `log` says besides the first, and a route for each class of status.
fn with_logs(log: &str) -> String {
    format!(
        "workers = 1\n[log]\n{log}\n[[server]]\nlisten = '127.0.0.1:0'\n\
         [server.routes]\n'/x' = {{ respond = 'ok' }}\n'/e' = {{ respond = 'no', status = 503 }}\n"
    )
}

const THREE_LOGS: &str = "access = [{ path = 'all.log', format = '{target} {bytes}' },\
    { path = 'err.log', format = '{status}', when = { status = '5xx' } },\
    { path = 's.log', sample = 0.001 }]";

/// Has the server read `log`, and returns what it says of that.
fn reload_logs(server: &Server, log: &str) -> String {
    server.configure(with_logs(log));
    ended_with(0, &server.command_line(&["reload"]))
}

/// Makes four requests, of which one fails.
fn ask_all(server: &Server) {
    let mut client = server.connect();
    for (path, status) in [("/x", 200), ("/x", 200), ("/x", 200), ("/e", 503)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.exchange(request).status, status);
    }
}

/// Stops the server, and returns how many lines each of the three logs has.
fn counted_lines(mut server: Server) -> [usize; 3] {
    server.control().exchange("POST", "/stop");
    assert!(server.wait().expect("it is our own child").success());
    ["all.log", "err.log", "s.log"].map(|name| server.directory().read(name).lines().count())
}

/// A log that a reload took out of the file wrote on, but every exchange, and in the format of another log: its own
/// `when`, `sample` and `format` were gone.
#[test]
fn a_log_that_needs_a_restart_to_end_stays_as_it_is() {
    for log in [
        "access = 'all.log'",
        "access = 'other.log'",
        "access = false",
    ] {
        let server = Site::configured(&with_logs(THREE_LOGS)).start();
        ask_all(&server);
        let told = reload_logs(&server, log);
        assert!(told.contains("needs a restart: log.access\n"), "{told}");
        ask_all(&server);
        assert_eq!(counted_lines(server), [8, 2, 0], "{log}");
    }
}

/// The only log took on the conditions and the format of a log at another place.
#[test]
fn the_only_log_is_not_taken_for_another_one() {
    let log = |path: &str, rest: &str| format!("access = [{{ path = '{path}', {rest} }}]");
    let only = log("err.log", "format = '{status}', when = { status = '5xx' }");
    let mut server = Site::configured(&with_logs(&only)).start();
    ask_all(&server);
    reload_logs(&server, &log("new.log", "format = '{target}'"));
    ask_all(&server);
    server.control().exchange("POST", "/stop");
    assert!(server.wait().expect("it is our own child").success());
    assert_eq!(server.directory().read("err.log"), "503\n503\n");
}

/// Conditions and formats of a log that stays hold at once. A reload said that they need a restart.
#[test]
fn how_a_log_is_changes_with_a_reload() {
    let server = Site::configured(&with_logs(THREE_LOGS)).start();
    ask_all(&server);
    let changed = THREE_LOGS
        .replace("{target} {bytes}", "{status}")
        .replace("5xx", "2xx");
    let told = reload_logs(&server, &changed);
    assert!(!told.contains("needs a restart"), "{told}");
    let format = "all.log: format {target} {bytes} → {status}\n";
    assert!(told.contains(format), "{told}");
    assert!(told.contains("err.log: when changed\n"), "{told}");
    ask_all(&server);
    assert_eq!(counted_lines(server), [8, 4, 0]);
}
