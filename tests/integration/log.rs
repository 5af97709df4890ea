//! The access log: formats, destinations, escaping, reopening.

use rustix::process::Signal;

use crate::support::{Site, until};

fn site(log: &str) -> Site {
    Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .log(log)
        .file("a.txt", "content of a")
}

const REQUEST: &str = "GET /a.txt?q HTTP/1.1\r\nHost: example.com\r\nReferer: http://r/\r\nUser-Agent: curl/8\r\n\r\n";

/// The line with its time replaced: `[time]`.
fn without_time(line: &str) -> String {
    let (before, rest) = line.split_once('[').expect("a time");
    let (time, after) = rest.split_once(']').expect("the end of the time");
    let shape: String = time
        .chars()
        .map(|character| {
            if character.is_ascii_digit() {
                '0'
            } else {
                character
            }
        })
        .collect();
    assert!(
        shape.starts_with("00/") && shape[6..].starts_with("/0000:00:00:00 ") && shape.len() == 26,
        "{time}"
    );
    format!("{before}[time]{after}")
}

#[test]
fn combined_to_standard_output_within_a_second_or_so() {
    let server = site("access = '-'").start();
    server.answer(REQUEST);
    let line = server.wait_for_record(|line| line.contains("a.txt"));
    assert_eq!(
        without_time(&line),
        "127.0.0.1 - - [time] \"GET /a.txt?q HTTP/1.1\" 200 12 \"http://r/\" \"curl/8\""
    );
}

#[test]
fn every_exchange_has_its_line_and_the_last_ones_are_flushed_at_exit() {
    let server = site("access = '-'\nformat = 'common'").start();
    let mut client = server.connect();
    for number in 0..100 {
        client.exchange(format!("GET /a.txt?{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
    }
    client.send("HEAD /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_to_head().status, 404);
    drop(client);
    server.answer("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    server.answer("nonsense\r\n\r\n");
    let (_, lines) = server.stop();
    let lines: Vec<String> = lines.iter().map(|line| without_time(line)).collect();
    for number in 0..100 {
        let expected = format!("127.0.0.1 - - [time] \"GET /a.txt?{number} HTTP/1.1\" 200 12");
        assert_eq!(
            lines.iter().filter(|line| **line == expected).count(),
            1,
            "{expected}"
        );
    }
    assert!(
        lines
            .iter()
            .any(|line| line.ends_with("\"HEAD /nothing HTTP/1.1\" 404 -")),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.contains("\"POST /echo HTTP/1.1\" 200 "))
    );
    assert!(lines.iter().any(|line| line.contains("\"nonsense\" 400 ")));
    assert_eq!(lines.len(), 103, "{lines:?}");
}

#[test]
fn json_is_an_object_a_line() {
    let server = site("access = '-'\nformat = 'json'").start();
    server.answer(REQUEST);
    let (_, lines) = server.stop();
    let record: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    for (name, expected) in [
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("target", "/a.txt?q"),
        ("version", "HTTP/1.1"),
        ("host", "example.com"),
        ("referer", "http://r/"),
        ("user_agent", "curl/8"),
    ] {
        assert_eq!(record[name], expected, "{name}");
    }
    assert_eq!(
        (&record["status"], &record["bytes"]),
        (&200.into(), &12.into())
    );
    assert!(
        record["duration_ms"].is_u64()
            && record["time"]
                .as_str()
                .is_some_and(|time| time.ends_with('Z'))
    );
}

#[test]
fn what_a_client_sends_cannot_forge_a_line() {
    let hostile = b"GET /a.txt?\"x\\ HTTP/1.1\r\nHost: h\r\nUser-Agent: \"\\\t\xff\xc3\xa9\r\nReferer: \" 200 1 \"\r\n\r\n";
    let server = site("access = '-'").top("workers = 1").start();
    server.answer(hostile);
    server.answer(b"GET /\x1b[2J\x01 HTTP/1.1\r\nHost: h\r\n\r\n");
    let (_, lines) = server.stop();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].contains("\"GET /a.txt?\\x22x\\x5c HTTP/1.1\" "),
        "{}",
        lines[0]
    );
    assert!(
        lines[0].ends_with("\"\\x22 200 1 \\x22\" \"\\x22\\x5c\\x09\\xff\\xc3\\xa9\""),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].contains("\"GET /\\x1b[2J\\x01 HTTP/1.1\" 400 "),
        "{}",
        lines[1]
    );
    assert!(
        lines
            .concat()
            .bytes()
            .all(|byte| matches!(byte, 0x20..0x7f))
    );

    let server = site("access = '-'\nformat = 'json'").start();
    server.answer(hostile);
    let (_, lines) = server.stop();
    let record: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
    assert_eq!(record["target"], "/a.txt?\"x\\");
}

#[test]
fn a_file_is_opened_again_on_sigusr1() {
    let mut server = site("access = 'access.log'\nformat = 'common'")
        .top("workers = 1")
        .start();
    let current = server.directory().join("access.log");
    let rotated = server.directory().join("access.log.1");
    let mut client = server.connect();
    let mut count = 1000;
    client.send("GET /a.txt?before HTTP/1.1\r\nHost: h\r\n\r\n".repeat(count));
    for _ in 0..count {
        assert_eq!(client.response().status, 200);
    }
    until("the first lines", || {
        let lines = server.directory().read("access.log");
        lines.contains("?before").then_some(())
    });
    std::fs::rename(&current, &rotated).expect("the log is there");
    server.signal(Signal::USR1);
    until("the new log", || {
        client.exchange("GET /a.txt?between HTTP/1.1\r\nHost: h\r\n\r\n");
        count += 1;
        current.exists().then_some(())
    });
    client.exchange("GET /a.txt?after HTTP/1.1\r\nHost: h\r\n\r\n");
    drop(client);
    server.signal(Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
    let old = server.directory().read("access.log.1");
    let new = server.directory().read("access.log");
    assert!(old.contains("?before") && !old.contains("?after"), "{old}");
    assert!(new.contains("?after"), "{new}");
    let lines = old.lines().count() + new.lines().count();
    assert_eq!(lines, count + 1, "no line is lost, none is doubled");
}

/// The signal was dropped, and all that was written until the end went to the renamed file.
#[test]
fn a_file_is_opened_again_while_the_server_stops() {
    let mut server = site("access = 'access.log'\nformat = 'common'")
        .top("grace = '1h'")
        .file("large", vec![b'x'; 64 << 20])
        .start();
    let current = server.directory().join("access.log");
    let rotated = server.directory().join("access.log.1");
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_head().status, 200);
    server.signal(Signal::TERM);
    server.wait_for_line(|line| line.contains("stopping"));
    std::fs::rename(&current, &rotated).expect("the log is there");
    server.signal(Signal::USR1);
    until("the new log", || current.exists().then_some(()));
    client.count_rest();
    assert!(server.wait().expect("it is our own child").success());
    let new = server.directory().read("access.log");
    assert!(new.contains("GET /large"), "{new}");
}

#[test]
fn a_file_is_appended_to() {
    let site = site("access = 'access.log'\nformat = 'common'");
    site.directory().write("access.log", "what was there\n");
    let mut server = site.start();
    server.answer(REQUEST);
    server.signal(Signal::TERM);
    assert!(server.wait().expect("it is our own child").success());
    let log = server.directory().read("access.log");
    assert!(log.starts_with("what was there\n127.0.0.1 - - ["), "{log}");
}

#[test]
fn a_log_that_cannot_be_opened_keeps_the_server_from_starting() {
    let finished = site("access = 'no/such/directory/access.log'").run();
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("no/such/directory/access.log"), "{stderr}");
}

#[test]
fn diagnostics_have_levels() {
    let server = site("access = false\nlevel = 'info'").start();
    let (lines, records) = server.stop();
    assert!(
        lines.iter().all(|line| line.contains(" info: ")),
        "{lines:?}"
    );
    assert_eq!(records, Vec::<String>::new());
}
