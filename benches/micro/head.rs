//! Heads: parsing a request's, encoding a response's.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tidegate::bench::{encode_head, parse_head};

/// What `ab -k` sends.
const AB: &[u8] = b"GET /612.html HTTP/1.0\r\n\
    Connection: Keep-Alive\r\n\
    Host: 127.0.0.1:8080\r\n\
    User-Agent: ApacheBench/2.3\r\n\
    Accept: */*\r\n\r\n";

/// What a browser sends with a navigation.
const BROWSER: &[u8] = b"GET /612.html HTTP/1.1\r\n\
    Host: localhost:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: none\r\n\
    Sec-Fetch-User: ?1\r\n\
    Priority: u=0, i\r\n\r\n";

/// The lines of every answer, and those of a file.
const COMMON: &[u8] = b"Server: tidegate\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
const FIELDS: &[u8] = b"ETag: \"18867b0c3a6d8000-264\"\r\n\
    Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    Vary: Accept-Encoding\r\n\
    Accept-Ranges: bytes\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Content-Type: text/html; charset=utf-8\r\n";

#[divan::bench]
fn parse_ab(bencher: Bencher<'_, '_>) {
    parse(bencher, AB);
}

#[divan::bench]
fn parse_browser(bencher: Bencher<'_, '_>) {
    parse(bencher, BROWSER);
}

fn parse(bencher: Bencher<'_, '_>, head: &[u8]) {
    assert_eq!(parse_head(head), Some(head.len()), "a good head");
    bencher
        .counter(BytesCount::of_slice(head))
        .bench_local(|| parse_head(black_box(head)));
}

#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        encode_head(
            black_box(COMMON),
            black_box(FIELDS),
            black_box(612),
            &mut out,
        );
        out.len()
    });
}
