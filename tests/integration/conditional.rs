//! Preconditions, in the order of RFC 9110 §13.2.2.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::support::{Server, Site};

/// Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110.
const MODIFIED: u64 = 784_111_777;
const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn server() -> Server {
    let site = Site::of_files().file("a.txt", "content of a");
    let file = File::options()
        .write(true)
        .open(site.directory().join("www/a.txt"));
    let modified = SystemTime::UNIX_EPOCH + Duration::new(MODIFIED, 5_000_000);
    file.expect("just written")
        .set_modified(modified)
        .expect("it is ours");
    site.start()
}

#[test]
fn an_answer_carries_both_validators() {
    let response = server().get("/a.txt");
    assert_eq!(response.field("Last-Modified"), Some(AT));
    let tag = response.field("ETag").expect("an ETag");
    assert!(
        tag.starts_with('"') && tag.ends_with('"'),
        "{tag} is strong"
    );
}

#[test]
fn preconditions_in_their_order() {
    let server = server();
    let tag = server
        .get("/a.txt")
        .field("ETag")
        .expect("an ETag")
        .to_owned();
    let rows = [
        ("", 200),
        // If-Match compares strongly.
        ("If-Match: TAG", 200),
        ("If-Match: *", 200),
        ("If-Match: \"x\", TAG", 200),
        ("If-Match: \"x\"\r\nIf-Match: TAG", 200),
        ("If-Match: \"x\"", 412),
        ("If-Match: W/TAG", 412),
        // If-Unmodified-Since is ignored beside If-Match.
        ("If-Unmodified-Since: AT", 200),
        ("If-Unmodified-Since: AFTER", 200),
        ("If-Unmodified-Since: BEFORE", 412),
        ("If-Unmodified-Since: yesterday", 200),
        ("If-Match: TAG\r\nIf-Unmodified-Since: BEFORE", 200),
        ("If-Match: \"x\"\r\nIf-Unmodified-Since: AFTER", 412),
        // If-None-Match compares weakly.
        ("If-None-Match: TAG", 304),
        ("If-None-Match: W/TAG", 304),
        ("If-None-Match: *", 304),
        ("If-None-Match: \"x\", W/\"y\" ,TAG", 304),
        ("If-None-Match: \"x\"\r\nIf-None-Match: TAG", 304),
        ("If-None-Match: \"x\"", 200),
        // If-Modified-Since is ignored beside If-None-Match.
        ("If-Modified-Since: AT", 304),
        ("If-Modified-Since: AFTER", 304),
        ("If-Modified-Since: BEFORE", 200),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304),
        ("If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT", 200),
        ("If-Modified-Since: Sun Nov  6 08:49:37 1994", 304),
        ("If-Modified-Since: Sun Nov  6 08:49:36 1994", 200),
        ("If-Modified-Since: nonsense", 200),
        ("If-None-Match: \"x\"\r\nIf-Modified-Since: AFTER", 200),
        ("If-None-Match: TAG\r\nIf-Modified-Since: BEFORE", 304),
        // 412 before 304, both before 206.
        ("If-Match: \"x\"\r\nIf-None-Match: TAG", 412),
        ("If-Match: TAG\r\nIf-None-Match: TAG", 304),
        ("If-Unmodified-Since: BEFORE\r\nIf-None-Match: TAG", 412),
        ("If-None-Match: TAG\r\nRange: bytes=0-1", 304),
        ("If-Match: \"x\"\r\nRange: bytes=0-1", 412),
        ("If-Match: TAG\r\nRange: bytes=0-1", 206),
    ];
    for (lines, status) in rows {
        let lines = lines
            .replace("TAG", &tag)
            .replace("BEFORE", BEFORE)
            .replace("AFTER", AFTER);
        let lines = lines.replace(" AT", &format!(" {AT}"));
        let end = if lines.is_empty() { "" } else { "\r\n" };
        assert_eq!(
            server.get_with("/a.txt", &format!("{lines}{end}")).status,
            status,
            "{lines}"
        );
    }
}

#[test]
fn what_is_not_modified_says_what_is_still_valid() {
    let server = server();
    let whole = server.get("/a.txt");
    let response = server.get_with("/a.txt", "If-None-Match: *\r\n");
    for name in ["ETag", "Last-Modified", "Cache-Control", "Vary"] {
        assert_eq!(response.field(name), whole.field(name), "{name}");
    }
    for name in ["Content-Type", "Content-Length", "Transfer-Encoding"] {
        assert_eq!(response.field(name), None, "{name}");
    }
}

#[test]
fn preconditions_on_what_is_not_there_change_nothing() {
    let server = server();
    for lines in [
        "If-Match: *\r\n",
        "If-None-Match: *\r\n",
        "If-Match: \"x\"\r\n",
    ] {
        assert_eq!(server.get_with("/nothing", lines).status, 404, "{lines}");
    }
}

#[test]
fn a_connection_goes_on_behind_304_and_412() {
    let server = server();
    let mut client = server.connect();
    for (line, status) in [
        ("If-None-Match: *", 304),
        ("If-Match: \"x\"", 412),
        ("X: y", 200),
    ] {
        let response = client.exchange(format!("GET /a.txt HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n"));
        assert_eq!(response.status, status);
    }
}

#[test]
fn another_time_or_another_size_is_another_tag() {
    let server = server();
    let first = server.get("/a.txt");
    let path = server.directory().join("www/a.txt");
    let modified = SystemTime::UNIX_EPOCH + Duration::new(MODIFIED, 5_000_001);
    let file = File::options()
        .write(true)
        .open(&path)
        .expect("it is there");
    file.set_modified(modified).expect("it is ours");
    let second = server.get("/a.txt");
    assert_ne!(
        first.field("ETag"),
        second.field("ETag"),
        "a nanosecond is enough"
    );
    assert_eq!(first.field("Last-Modified"), second.field("Last-Modified"));
    file.set_len(5).expect("it is ours");
    file.set_modified(modified).expect("it is ours");
    let third = server.get("/a.txt");
    assert_ne!(second.field("ETag"), third.field("ETag"));
}

/// A configured tag or date was sent with content that the server makes, but known to no condition.
#[test]
fn configured_validators_are_those_of_content_that_the_server_makes() {
    let headers = format!(
        "headers = {{ ETag = '\"v1\"', Last-Modified = '{AT}', Cache-Control = 'no-cache' }}"
    );
    let site = Site::new(&format!(
        "'/text' = {{ respond = 'text', {headers} }}\n\
         '/filled' = {{ respond = '{{path}}', {headers} }}\n\
         '/coded' = {{ respond = '{}', compress = true, {headers} }}\n\
         '/list' = {{ files = 'www', strip_prefix = true, listing = true, {headers} }}\n\
         '/status' = {{ status = true, {headers} }}\n\
         '/gone' = {{ respond = '', status = 404, {headers} }}\n\
         'POST /post' = {{ respond = 'done', {headers} }}",
        "text".repeat(1_000)
    ));
    let server = site.file("a.txt", "content of a").start();
    let ask = |method: &str, target: &str, line: &str| {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
        server.connect().exchange(request)
    };
    for (target, tag) in [
        ("/text", "\"v1\""),
        ("/filled", "\"v1\""),
        ("/coded", "W/\"v1\""),
        ("/list/", "\"v1\""),
        ("/status", "\"v1\""),
    ] {
        for (condition, status) in [
            (format!("If-None-Match: {tag}"), 304),
            (format!("If-Modified-Since: {AT}"), 304),
            (format!("If-Modified-Since: {BEFORE}"), 200),
            (format!("If-Unmodified-Since: {BEFORE}"), 412),
            ("If-None-Match: \"zz\"".to_owned(), 200),
            ("If-Match: \"zz\"".to_owned(), 412),
            ("If-Match: *".to_owned(), 200),
        ] {
            let response = ask("GET", target, &condition);
            assert_eq!(response.status, status, "{target} {condition}");
            if status == 304 {
                let fields = ["ETag", "Last-Modified", "Cache-Control", "Content-Type"]
                    .map(|name| response.field(name));
                let expected = [Some(tag), Some(AT), Some("no-cache"), None];
                assert_eq!(fields, expected, "{target}");
            }
        }
    }
    assert_eq!(ask("GET", "/gone", "If-None-Match: \"v1\"").status, 404);
    assert_eq!(ask("POST", "/post", "If-None-Match: \"v1\"").status, 200);
}
