//! The access log and the diagnostics.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::{Server, Site};

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
