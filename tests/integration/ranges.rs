//! Ranges (RFC 9110 §14), of a file that the cache keeps in memory and of one that is too large.

use crate::support::{Response, Server, Site, pattern};

const SMALL: &str = "abcdefghijklmnopqrstuvwxyz";
const LARGE: usize = 1 << 20;

fn server() -> Server {
    Site::of_files()
        .file("small.txt", SMALL)
        .file("large.bin", pattern(0, LARGE))
        .file("empty.txt", "")
        .start()
}

fn range(server: &Server, target: &str, range: &str) -> Response {
    server.get_with(target, &format!("Range: {range}\r\n"))
}

#[test]
fn one_range() {
    let server = server();
    for (value, content_range, content) in [
        ("bytes=0-0", "bytes 0-0/26", "a"),
        ("bytes=2-4", "bytes 2-4/26", "cde"),
        ("BYTES=2-4", "bytes 2-4/26", "cde"),
        ("bytes=23-", "bytes 23-25/26", "xyz"),
        ("bytes=23-99", "bytes 23-25/26", "xyz"),
        ("bytes=-3", "bytes 23-25/26", "xyz"),
        ("bytes=-99", "bytes 0-25/26", SMALL),
        ("bytes=0-", "bytes 0-25/26", SMALL),
        ("bytes=25-18446744073709551615", "bytes 25-25/26", "z"),
        ("bytes=25-99999999999999999999999", "bytes 25-25/26", "z"),
        ("bytes=1-2, 99-", "bytes 1-2/26", "bc"),
        ("bytes=, 1-2 ,", "bytes 1-2/26", "bc"),
    ] {
        let response = range(&server, "/small.txt", value);
        assert_eq!(response.status, 206, "{value}");
        assert_eq!(
            response.field("Content-Range"),
            Some(content_range),
            "{value}"
        );
        assert_eq!(response.text(), content, "{value}");
    }
}

#[test]
fn a_part_has_the_fields_of_the_whole() {
    let server = server();
    let whole = server.get("/small.txt");
    let part = range(&server, "/small.txt", "bytes=1-2");
    for name in [
        "ETag",
        "Last-Modified",
        "Content-Type",
        "Accept-Ranges",
        "X-Content-Type-Options",
    ] {
        assert_eq!(part.field(name), whole.field(name), "{name}");
        assert!(part.field(name).is_some(), "{name}");
    }
}

#[test]
fn ranges_of_a_large_file() {
    let server = server();
    let whole = pattern(0, LARGE);
    for (value, first, last) in [
        ("bytes=0-7", 0, 7),
        ("bytes=65535-65536", 65_535, 65_536),
        ("bytes=1000-900000", 1000, 900_000),
        ("bytes=-5", LARGE - 5, LARGE - 1),
    ] {
        let response = range(&server, "/large.bin", value);
        assert_eq!(response.status, 206, "{value}");
        assert!(response.content == whole[first..=last], "{value}");
    }
}

/// The exact content of a response with those parts and that boundary.
fn multipart(response: &Response, content_type: &str, parts: &[(&str, &[u8])]) -> Vec<u8> {
    let value = response.field("Content-Type").expect("a Content-Type");
    let boundary = value
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary")
        .trim_matches('"');
    let mut content = Vec::new();
    for (range, octets) in parts {
        content.extend_from_slice(
            format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Range: bytes {range}\r\n\r\n").as_bytes(),
        );
        content.extend_from_slice(octets);
    }
    content.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    content
}

#[test]
fn several_ranges_come_as_parts() {
    let server = server();
    for (value, parts) in [
        (
            "bytes=0-1, 5-6, -2",
            &[
                ("0-1/26", &b"ab"[..]),
                ("5-6/26", b"fg"),
                ("24-25/26", b"yz"),
            ][..],
        ),
        ("bytes=24-,0-1", &[("24-25/26", b"yz"), ("0-1/26", b"ab")]),
        (
            "bytes=0-1,99-100,3-3",
            &[("0-1/26", b"ab"), ("3-3/26", b"d")],
        ),
    ] {
        let response = range(&server, "/small.txt", value);
        assert_eq!(
            (response.status, response.field("Content-Range")),
            (206, None),
            "{value}"
        );
        let expected = multipart(&response, "text/plain; charset=utf-8", parts);
        assert_eq!(
            response.text(),
            String::from_utf8_lossy(&expected),
            "{value}"
        );
    }
    let whole = pattern(0, LARGE);
    let response = range(&server, "/large.bin", "bytes=10-200009,500000-999999");
    let parts = [
        ("10-200009/1048576", &whole[10..=200_009]),
        ("500000-999999/1048576", &whole[500_000..=999_999]),
    ];
    assert!(response.content == multipart(&response, "application/octet-stream", &parts));
}

#[test]
fn ranges_that_overlap_or_adjoin_become_one() {
    let server = server();
    for (value, content_range) in [
        ("bytes=0-5,3-9", "bytes 0-9/26"),
        ("bytes=0-4,5-9", "bytes 0-9/26"),
        ("bytes=5-9,0-4", "bytes 0-9/26"),
        ("bytes=0-1,4-5,1-4", "bytes 0-5/26"),
        ("bytes=0-,-1,3-4", "bytes 0-25/26"),
    ] {
        let response = range(&server, "/small.txt", value);
        assert_eq!(
            (response.status, response.field("Content-Range")),
            (206, Some(content_range)),
            "{value}"
        );
    }
}

/// zsync, which asks for twenty ranges and more at once, gave up on a server that took sixteen at most.
/// The cost of a response is limited, not the number of its ranges.
#[test]
fn many_ranges_come_in_one_response() {
    let server = server();
    let ranges = |count: usize| {
        let range = |number| format!("{}-{}", 16 * number, 16 * number + 7);
        let list: Vec<String> = (0..count).map(range).collect();
        format!("bytes={}", list.join(","))
    };
    for (count, parts) in [(17, 17), (20, 20), (300, 300), (700, 512)] {
        let response = range(&server, "/large.bin", &ranges(count));
        assert_eq!(response.status, 206, "{count}");
        let last = response.content.len() - b"\r\n--0123456789abcdef--\r\n".len();
        let expected = pattern(16 * (parts - 1), 8);
        assert_eq!(response.content[last - 8..last], expected, "{count}");
        let text = response.text();
        assert_eq!(text.matches("Content-Range").count(), parts, "{count}");
    }
}

#[test]
fn ranges_that_cost_more_than_the_whole_are_ignored() {
    let file = pattern(0, 8000);
    let server = Site::of_files().file("a.bin", &file).start();
    let list: Vec<String> = (0..512)
        .map(|number| format!("{0}-{0}", 3 * number))
        .collect();
    let response = range(&server, "/a.bin", &format!("bytes={}", list.join(",")));
    assert_eq!(response.status, 200);
    assert_eq!(response.content, file);
}

#[test]
fn what_lies_beyond_the_file_is_not_satisfiable() {
    let server = server();
    for value in [
        "bytes=26-",
        "bytes=26-30",
        "bytes=-0",
        "bytes=99-,30-40",
        "bytes=99999999999999999999-",
    ] {
        let response = range(&server, "/small.txt", value);
        assert_eq!(
            (response.status, response.field("Content-Range")),
            (416, Some("bytes */26")),
            "{value}"
        );
    }
}

#[test]
fn malformed_ranges_are_ignored() {
    let server = server();
    for value in [
        "bytes=",
        "bytes=x",
        "bytes=5-2",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1-2,x",
        "bytes 1-2",
        "bytes: 1-2",
        "lines=1-2",
        "bytes=-",
        "1-2",
    ] {
        let response = range(&server, "/small.txt", value);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, SMALL),
            "{value}"
        );
    }
}

#[test]
fn an_empty_file_has_no_ranges() {
    let response = range(&server(), "/empty.txt", "bytes=0-");
    assert!(matches!(response.status, 200 | 416), "{}", response.status);
}

#[test]
fn if_range_takes_the_whole_unless_it_matches() {
    let server = server();
    let whole = server.get("/small.txt");
    let tag = whole.field("ETag").expect("an ETag");
    let modified = whole.field("Last-Modified").expect("a date");
    // The file was modified a moment ago: its date is not yet a strong validator (§8.8.2.2), so the
    // server may send the whole instead of the part.
    let by_date = server.get_with(
        "/small.txt",
        &format!("Range: bytes=0-1\r\nIf-Range: {modified}\r\n"),
    );
    assert!(matches!(by_date.status, 200 | 206));
    for (value, status) in [
        (tag.to_owned(), 206),
        (format!("W/{tag}"), 200),
        ("\"x\"".to_owned(), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
        ("nonsense".to_owned(), 200),
    ] {
        let response = server.get_with(
            "/small.txt",
            &format!("Range: bytes=0-1\r\nIf-Range: {value}\r\n"),
        );
        assert_eq!(response.status, status, "{value}");
    }
}

#[test]
fn a_range_is_for_get_alone() {
    let server = server();
    let mut client = server.connect();
    client.send("HEAD /small.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n");
    let response = client.response_to_head();
    assert_eq!(
        (response.status, response.content_length()),
        (200, Some(26))
    );
}
