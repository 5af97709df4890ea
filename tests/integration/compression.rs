//! `compress`: which responses are sent in a coding, what is said of them, and that a client decodes what was
//! meant.

use std::io::{Read as _, Write as _};

use crate::cgi::script;
use crate::support::{Client, Response, Server, Site, Upstream, ended_with, until};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// Text of that length that can be compressed.
fn text(length: usize) -> String {
    let lines = (0u32..).map(|number| {
        let item = number.wrapping_mul(2_654_435_761) >> 20;
        format!("<li class=\"item\">the item {item}</li>\n")
    });
    let mut text = String::new();
    for line in lines {
        if text.len() >= length {
            break;
        }
        text.push_str(&line);
    }
    text.truncate(length);
    text
}

/// What can be decoded of `coded`; an error says that the end is missing.
fn decode(coding: &str, coded: &[u8], content: &mut Vec<u8>) -> std::io::Result<()> {
    match coding {
        "gzip" => flate2::read::GzDecoder::new(coded)
            .read_to_end(content)
            .map(drop),
        "br" => brotli::Decompressor::new(coded, 4096)
            .read_to_end(content)
            .map(drop),
        "zstd" => decode_zstd(coded, content),
        other => panic!("no decoder for {other}"),
    }
}

fn decode_zstd(coded: &[u8], content: &mut Vec<u8>) -> std::io::Result<()> {
    let mut context = zstd_safe::DCtx::create();
    let mut input = zstd_safe::InBuffer::around(coded);
    let mut block = vec![0; 64 * 1024];
    loop {
        let mut output = zstd_safe::OutBuffer::around(&mut block[..]);
        let wanted = context.decompress_stream(&mut output, &mut input);
        let wanted = wanted.map_err(|_| std::io::Error::other("it is no zstd"))?;
        content.extend_from_slice(output.as_slice());
        let is_filled = output.pos() == output.capacity();
        if wanted == 0 {
            return Ok(());
        }
        if input.pos() == coded.len() && !is_filled {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The content of a response, decoded as it says.
fn decoded(response: &Response) -> String {
    let Some(coding) = response.field("Content-Encoding") else {
        return response.text();
    };
    let mut content = Vec::new();
    let decoded = decode(coding, &response.content, &mut content);
    decoded.unwrap_or_else(|error| panic!("{coding}: {error}"));
    String::from_utf8(content).expect("it was text")
}

fn coding(response: &Response) -> &str {
    response.field("Content-Encoding").unwrap_or("identity")
}

fn ask(server: &Server, target: &str, lines: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    server.connect().exchange(request)
}

const COMPRESSING: &str = "listen = '127.0.0.1:0'\ncompress = true";

const ANY: &str = "Accept-Encoding: gzip, deflate, br, zstd\r\n";

/// A response of an upstream with these lines and that content.
fn whole(lines: &str, content: &str) -> String {
    let length = content.len();
    format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: {length}\r\n\r\n{content}")
}

#[test]
fn every_kind_of_handler_is_compressed_as_the_client_likes() {
    let page = text(40_000);
    let upstream = Upstream::answering(whole("Content-Type: text/html\r\n", &page));
    let site = Site::new(&format!(
        "'/' = {{ files = 'www' }}\n'/text' = {{ respond = '''{page}''' }}\n\
         '/short' = {{ respond = '''{}''' }}\n\
         '/cgi' = {{ cgi = 'scripts' }}\n'/proxy' = {{ proxy = '{}' }}\n\
         '/plain' = {{ respond = '''{page}''', compress = false }}\n",
        &page[..2000],
        upstream.url()
    ));
    let site = site.server(COMPRESSING).file("page.html", &page);
    script(
        site.directory(),
        "page",
        "printf 'Content-Type: text/html\\nContent-Length: 40000\\n\\n'; cat ../www/page.html\n",
    );
    let server = site.start();
    for (accept, expected) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0.5, gzip;q=0.8, zstd;q=0.1", "gzip"),
        ("x-gzip", "gzip"),
        ("*", "zstd"),
        ("*;q=0", "identity"),
        ("gzip;q=0, identity", "identity"),
        ("gzip;q=nonsense, ,;, br;q=2", "identity"),
        ("identity, gzip;q=0.5", "identity"),
        ("deflate", "identity"),
        ("", "identity"),
    ] {
        for target in ["/page.html", "/text", "/short", "/cgi/page", "/proxy"] {
            let response = ask(&server, target, &format!("Accept-Encoding: {accept}\r\n"));
            let case = format!("{target} {accept:?}");
            assert_eq!(
                (response.status, coding(&response)),
                (200, expected),
                "{case}"
            );
            assert_eq!(response.field("Vary"), Some("Accept-Encoding"), "{case}");
            let expected_content = if target == "/short" {
                &page[..2000]
            } else {
                &page
            };
            assert!(decoded(&response) == expected_content, "{case}");
            let is_smaller = response.content.len() < expected_content.len() / 2;
            assert_eq!(is_smaller, expected != "identity", "{case}");
        }
    }
    let response = ask(&server, "/plain", ANY);
    assert_eq!(
        (coding(&response), response.field("Vary")),
        ("identity", None)
    );
}

/// Of long content, and of content whose length is not known, Brotli makes more octets than gzip.
#[test]
fn a_long_stream_is_in_brotli_only_for_a_client_that_prefers_it() {
    let short = whole("Content-Type: text/html\r\n", &text(256 * 1024));
    let long = whole("Content-Type: text/html\r\n", &text(256 * 1024 + 1));
    let unknown = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        300_000,
        text(300_000)
    );
    for (answer, of_equal) in [(short, "br"), (long, "gzip"), (unknown, "gzip")] {
        let upstream = Upstream::answering(answer);
        let site = Site::new(&format!("'/' = {{ proxy = '{}' }}", upstream.url()));
        let server = site.server(COMPRESSING).start();
        for (accept, expected) in [
            ("gzip, br", of_equal),
            ("gzip;q=0.9, br", "br"),
            ("br", "br"),
            ("gzip, br, zstd", "zstd"),
        ] {
            let response = ask(&server, "/", &format!("Accept-Encoding: {accept}\r\n"));
            assert_eq!(coding(&response), expected, "{accept}");
            assert!(!decoded(&response).is_empty());
        }
    }
}

#[test]
fn what_gains_nothing_or_must_stay_is_sent_as_it_is() {
    let upstream = Upstream::listen();
    let server = Site::new(&format!("'/' = {{ proxy = '{}' }}", upstream.url()))
        .server(COMPRESSING)
        .start();
    let html = "Content-Type: text/html\r\n";
    let long = text(3000);
    for (request, status, lines, content, expected, vary) in [
        (
            "",
            "200 OK",
            html.to_owned(),
            &*long,
            "zstd",
            Some("Accept-Encoding"),
        ),
        (
            "",
            "404 Not Found",
            html.to_owned(),
            &long,
            "zstd",
            Some("Accept-Encoding"),
        ),
        (
            "",
            "200 OK",
            format!("{html}Vary: Cookie\r\n"),
            &long,
            "zstd",
            Some("Cookie, Accept-Encoding"),
        ),
        (
            "",
            "200 OK",
            html.to_owned(),
            &long[..1000],
            "identity",
            None,
        ),
        (
            "",
            "200 OK",
            "Content-Type: image/png\r\n".to_owned(),
            &long,
            "identity",
            None,
        ),
        ("", "200 OK", String::new(), &long, "identity", None),
        (
            "",
            "206 Partial Content",
            format!("{html}Content-Range: bytes 0-2999/9000\r\n"),
            &long,
            "identity",
            Some("Accept-Encoding"),
        ),
        (
            "",
            "200 OK",
            format!("{html}Content-Encoding: x-own\r\n"),
            &long,
            "x-own",
            None,
        ),
        (
            "",
            "200 OK",
            format!("{html}Cache-Control: private, no-transform\r\n"),
            &long,
            "identity",
            None,
        ),
        (
            "Cache-Control: no-transform\r\n",
            "200 OK",
            html.to_owned(),
            &long,
            "identity",
            Some("Accept-Encoding"),
        ),
    ] {
        let mut client = server.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{ANY}{request}\r\n"));
        let length = content.len();
        let _asked = upstream.answer(format!(
            "HTTP/1.1 {status}\r\n{lines}Connection: close\r\nContent-Length: {length}\r\n\r\n{content}"
        ));
        let response = client.response();
        let case = format!("{status} {lines:?} {request:?} {length}");
        assert_eq!(coding(&response), expected, "{case}");
        assert_eq!(response.field("Vary"), vary, "{case}");
        let is_coded = expected == "zstd";
        assert!(is_coded || response.text() == content, "{case}");
        assert!(!is_coded || decoded(&response) == content, "{case}");
    }
}

#[test]
fn fields_that_describe_the_octets_are_those_of_the_coding() {
    let content = text(30_000);
    let upstream = Upstream::answering(whole(
        "Content-Type: text/html\r\nETag: \"7\"\r\nAccept-Ranges: bytes\r\nContent-MD5: x\r\n\
         Repr-Digest: sha-256=:x:\r\nContent-Digest: sha-256=:x:\r\nContent-Encoding: identity\r\n\
         Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Own: 1\r\n",
        &content,
    ));
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{}', compress = true }}",
        upstream.url()
    ));
    let server = server.start();
    let response = ask(&server, "/", ANY);
    for (name, value) in [
        ("ETag", Some("W/\"7\"")),
        ("Content-Encoding", Some("zstd")),
        ("Accept-Ranges", None),
        ("Content-MD5", None),
        ("Repr-Digest", None),
        ("Content-Digest", None),
        ("Content-Length", None),
        ("X-Own", Some("1")),
        ("Last-Modified", Some("Sun, 06 Nov 1994 08:49:37 GMT")),
    ] {
        assert_eq!(response.field(name), value, "{name}");
    }
    let response = ask(&server, "/", "");
    assert_eq!(response.field("ETag"), Some("\"7\""));
    assert_eq!(response.field("Content-Digest"), Some("sha-256=:x:"));
    let mut client = server.connect();
    client.send(format!("HEAD / HTTP/1.1\r\nHost: h\r\n{ANY}\r\n"));
    let head = client.response_to_head();
    assert_eq!(head.field("ETag"), Some("W/\"7\""));
    assert_eq!(
        (coding(&head), head.field("Content-Length")),
        ("zstd", None)
    );
}

#[test]
fn a_client_that_has_it_in_a_coding_is_told_so_by_the_tag_that_it_knows() {
    let upstream = Upstream::listen();
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{}', compress = true }}",
        upstream.url()
    ));
    let server = server.start();
    for (known, tag, expected) in [
        ("W/\"7\"", "\"7\"", "W/\"7\""),
        ("\"7\"", "\"7\"", "\"7\""),
        ("\"6\", \"7\"", "\"7\"", "\"7\""),
        ("W/\"7\"", "W/\"7\"", "W/\"7\""),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\n{ANY}If-None-Match: {known}\r\n\r\n"
        ));
        let (_connection, request) = upstream.answer(format!(
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: {tag}\r\n\r\n"
        ));
        assert_eq!(request.field("If-None-Match").as_deref(), Some(known));
        let response = client.response();
        assert_eq!(
            (response.status, response.field("ETag")),
            (304, Some(expected))
        );
    }
}

/// What an upstream answered with 304 or 206 said neither `Vary` nor the tag of the compressed 200, so that a cache
/// sent the content in a coding to clients that take none.
#[test]
fn what_an_upstream_answers_with_304_or_206_describes_the_compressed_200() {
    let upstream = Upstream::listen();
    let proxy = format!("proxy = '{}', compress = true", upstream.url());
    let site = Site::new(&format!(
        "'/' = {{ {proxy} }}\n'/set' = {{ {proxy}, headers = {{ ETag = '\"v1\"' }} }}"
    ));
    let server = site.start();
    let (unchanged, part) = ("304 Not Modified\r\n", "206 Partial Content\r\n");
    let (tag, html, png) = (
        "ETag: \"7\"\r\n",
        "Content-Type: text/html\r\n",
        "Content-Type: image/png\r\n",
    );
    let of_long = "Content-Range: bytes 0-1/5000\r\n";
    let since = "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let range = "Range: bytes=0-1\r\n";
    let vary = Some("Accept-Encoding");
    for (target, lines, fields, found_tag, found_vary) in [
        (
            "/",
            format!("{ANY}{since}"),
            format!("{unchanged}{tag}"),
            Some("W/\"7\""),
            vary,
        ),
        (
            "/",
            since.to_owned(),
            format!("{unchanged}{tag}"),
            Some("\"7\""),
            vary,
        ),
        (
            "/",
            format!("{ANY}{since}"),
            unchanged.to_owned(),
            None,
            vary,
        ),
        (
            "/",
            format!("{ANY}If-None-Match: \"7\"\r\n"),
            format!("{unchanged}{tag}"),
            Some("\"7\""),
            vary,
        ),
        (
            "/",
            format!("{ANY}{since}"),
            format!("{unchanged}{tag}{png}"),
            Some("\"7\""),
            None,
        ),
        (
            "/",
            format!("{ANY}{range}"),
            format!("{part}{tag}{html}{of_long}"),
            Some("\"7\""),
            vary,
        ),
        (
            "/",
            format!("{ANY}{range}"),
            format!("{part}{tag}{png}{of_long}"),
            Some("\"7\""),
            None,
        ),
        (
            "/",
            format!("{ANY}{range}"),
            format!("{part}{tag}{html}Content-Range: bytes 0-1/500\r\n"),
            Some("\"7\""),
            None,
        ),
        (
            "/set",
            format!("{ANY}{range}"),
            format!("{part}{tag}{html}{of_long}"),
            Some("W/\"v1\""),
            vary,
        ),
        (
            "/set",
            format!("{ANY}{range}"),
            format!("{part}{tag}{png}{of_long}"),
            Some("\"v1\""),
            None,
        ),
    ] {
        let mut client = server.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"));
        let content = if fields.starts_with("206") {
            "Content-Length: 2\r\n\r\nok"
        } else {
            "\r\n"
        };
        let answer = format!("HTTP/1.1 {fields}Connection: close\r\n{content}");
        let (_connection, _) = upstream.answer(answer);
        let response = client.response();
        let found = (response.field("ETag"), response.field("Vary"));
        assert_eq!(found, (found_tag, found_vary), "{target} {lines}{fields}");
    }
}

/// A part that is named by a date could be one of the content in a coding.
#[test]
fn a_range_that_a_date_names_is_hidden_from_the_upstream() {
    let upstream = Upstream::listen();
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{0}', compress = true }}\n'/plain' = {{ proxy = '{0}' }}",
        upstream.url()
    ));
    let server = server.start();
    let date = "If-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (target, lines, is_passed) in [
        ("/", format!("{ANY}{date}"), false),
        ("/", format!("{ANY}If-Range: \"7\"\r\n"), true),
        ("/", ANY.to_owned(), true),
        ("/", date.to_owned(), true),
        ("/plain", format!("{ANY}{date}"), true),
    ] {
        let mut client = server.connect();
        client.send(format!(
            "GET {target} HTTP/1.1\r\nHost: h\r\nRange: bytes=1-\r\n{lines}\r\n"
        ));
        let content = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        let (_connection, request) = upstream.answer(content);
        assert_eq!(
            request.field("Range").is_some(),
            is_passed,
            "{target} {lines}"
        );
        assert_eq!(client.response().text(), "ok");
    }
}

/// Reads chunks until what was read can be decoded to `expected`.
fn expect_event(client: &mut Client, coding: &str, coded: &mut Vec<u8>, expected: &str) {
    loop {
        let mut content = Vec::new();
        let _ = decode(coding, coded, &mut content);
        assert!(expected.as_bytes().starts_with(&content), "{coding}");
        if content.len() == expected.len() {
            return;
        }
        let mut size = Vec::new();
        while !size.ends_with(b"\r\n") {
            size.extend(client.read(1));
        }
        let size = str::from_utf8(&size[..size.len() - 2]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("a size");
        coded.extend(client.read(size));
        assert_eq!(client.read(2), b"\r\n");
    }
}

#[test]
fn events_arrive_at_once() {
    for coding in CODINGS {
        let upstream = Upstream::listen();
        let server = Site::new(&format!(
            "'/' = {{ proxy = '{}', compress = true }}",
            upstream.url()
        ));
        let server = server.start();
        let mut client = server.connect();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {coding}\r\n\r\n"
        ));
        let mut connection = upstream.accept();
        connection.request();
        connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        let head = client.response_head();
        assert_eq!(head.field("Content-Encoding"), Some(coding));
        let (mut coded, mut expected) = (Vec::new(), String::new());
        for number in 0..5 {
            let event = format!("data: {number}\n\n");
            connection.send(format!("{:x}\r\n{event}\r\n", event.len()));
            expected.push_str(&event);
            // The next one is sent when this one has arrived.
            expect_event(&mut client, coding, &mut coded, &expected);
        }
        connection.send("0\r\n\r\n");
        let mut rest = Vec::new();
        while !rest.ends_with(b"\r\n0\r\n\r\n") {
            rest.extend(client.read(1));
        }
    }
}

#[test]
fn what_breaks_off_looks_broken_off() {
    for coding in CODINGS {
        for framing in ["Transfer-Encoding: chunked", "Content-Length: 100000"] {
            let upstream = Upstream::listen();
            let server = Site::new(&format!(
                "'/' = {{ proxy = '{}', compress = true }}",
                upstream.url()
            ));
            let server = server.start();
            let mut client = server.connect();
            client.send(format!(
                "POST / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {coding}\r\nContent-Length: 0\r\n\r\n"
            ));
            let mut connection = upstream.accept();
            connection.request();
            let some = text(30_000);
            let chunk = if framing.starts_with('T') {
                format!("{:x}\r\n{some}\r\n", some.len())
            } else {
                some.clone()
            };
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{framing}\r\n\r\n{chunk}"
            ));
            drop(connection);
            client.response_head();
            let rest = client.rest_before_cut();
            assert!(!rest.ends_with(b"0\r\n\r\n"), "{coding} {framing}");
            let error = server.wait_for_line(|line| line.contains("error"));
            assert!(error.contains("broke off"), "{error}");
        }
    }
}

/// As without a coding, where the operator is warned as well.
#[test]
fn what_is_longer_than_announced_is_cut_with_a_warning() {
    let page = text(20_000);
    let site = Site::new("'/cgi' = { cgi = 'scripts', compress = true }").file("page", &page);
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    script(
        site.directory(),
        "a.sh",
        "printf 'Content-Type: text/plain\\nContent-Length: 19990\\n\\n'; cat ../www/page",
    );
    let server = site.start();
    for coding in CODINGS {
        let response = ask(
            &server,
            "/cgi/a.sh",
            &format!("Accept-Encoding: {coding}\r\n"),
        );
        assert_eq!(response.field("Content-Encoding"), Some(coding));
        assert!(decoded(&response) == page[..19_990], "{coding}");
    }
    server.wait_for_line(|line| {
        line.contains(" warning: route ") && line.contains("longer than its Content-Length says")
    });
}

#[test]
fn clients_of_http_1_0_get_no_stream_in_a_coding() {
    let page = text(30_000);
    let upstream = Upstream::answering(whole("Content-Type: text/html\r\n", &page));
    let site = Site::new(&format!(
        "'/' = {{ files = 'www' }}\n'/proxy' = {{ proxy = '{}' }}\n'/text' = {{ respond = '''{}''' }}",
        upstream.url(),
        &page[..5000]
    ));
    let server = site.server(COMPRESSING).file("page.html", &page).start();
    for (target, expected) in [
        ("/page.html", "gzip"),
        ("/proxy", "identity"),
        ("/text", "gzip"),
    ] {
        let request = format!("GET {target} HTTP/1.0\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
        let response = server.connect().last_response_to(request);
        assert_eq!(coding(&response), expected, "{target}");
        assert_eq!(response.content_length(), Some(response.content.len()));
        assert!(page.starts_with(&decoded(&response)), "{target}");
    }
}

/// The response with `target`, a file, in `coding`. A client that waits too long for the server to make the
/// coding is sent the file as it is, and the coding is kept for the next one: so it is asked for until it is there.
fn in_coding(server: &Server, target: &str, coding: &str) -> Response {
    until("the coding is made", || {
        let response = ask(server, target, &format!("Accept-Encoding: {coding}\r\n"));
        (response.field("Content-Encoding") == Some(coding)).then_some(response)
    })
}

/// What `target` is answered in each coding, a file that holds `page`: it has a weak tag, which is told
/// again with 304, and no parts. Responses but the first in a coding come from what is kept.
fn expect_weak_tag_and_no_parts(server: &Server, target: &str, page: &str) {
    let plain = ask(server, target, "");
    let plain_tag = plain.field("ETag").expect("a tag");
    assert!(plain_tag.starts_with('"'), "{plain_tag}");
    assert_eq!(plain.field("Accept-Ranges"), Some("bytes"));
    assert_eq!(plain.field("Vary"), Some("Accept-Encoding"));
    for coding in CODINGS {
        let accept = format!("Accept-Encoding: {coding}\r\n");
        let response = in_coding(server, target, coding);
        assert_eq!(response.field("Vary"), Some("Accept-Encoding"));
        assert!(decoded(&response) == page, "{target} {coding}");
        let tag = response.field("ETag").expect("a tag");
        assert!(
            tag.starts_with("W/\"") && tag != format!("W/{plain_tag}"),
            "{tag}"
        );
        assert_eq!(response.field("Accept-Ranges"), None);
        assert_eq!(response.content_length(), Some(response.content.len()));
        let known = ask(server, target, &format!("{accept}If-None-Match: {tag}\r\n"));
        assert_eq!((known.status, known.field("ETag")), (304, Some(tag)));
        assert_eq!(known.field("Vary"), Some("Accept-Encoding"));
        let date = response.field("Last-Modified").expect("a date");
        for condition in [
            String::new(),
            format!("If-Range: {date}\r\n"),
            format!("If-Range: {plain_tag}\r\n"),
        ] {
            let lines = format!("{accept}Range: bytes=100-199\r\n{condition}");
            let part = ask(server, target, &lines);
            assert_eq!((part.status, &part.content), (200, &response.content));
        }
        let mut client = server.connect();
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n{accept}\r\n"));
        let head = client.response_to_head();
        assert_eq!(head.fields_but_date(), response.fields_but_date());
    }
    let part = ask(server, target, "Range: bytes=100-199\r\n");
    assert_eq!((part.status, part.text()), (206, page[100..200].to_owned()));
}

#[test]
fn a_file_in_a_coding_has_a_weak_tag_and_no_parts() {
    let page = text(200_000);
    let server = Site::of_files()
        .server(COMPRESSING)
        .file("small.html", &page[..30_000])
        .file("large.html", &page)
        .start();
    expect_weak_tag_and_no_parts(&server, "/small.html", &page[..30_000]);
    expect_weak_tag_and_no_parts(&server, "/large.html", &page);
}

/// A configured tag was strong on a file and its compressed sibling, so that `If-Range` put octets of both
/// together; and with `compress` it was weak on what is never compressed.
#[test]
fn a_configured_tag_is_weak_where_content_has_codings() {
    let page = text(3_000);
    let headers = "headers = { ETag = '\"v1\"' }";
    let site = Site::new(&format!(
        "'/' = {{ files = 'www', {headers} }}\n\
         '/made' = {{ files = 'www', strip_prefix = true, compress = true, {headers} }}"
    ));
    let server = site
        .file("a.txt", &page)
        .file("b.txt", &page)
        .file("b.txt.gz", "packed")
        .file("c.png", &page)
        .start();
    let part = "Range: bytes=100-199\r\nIf-Range: \"v1\"\r\n";
    let known = "If-None-Match: W/\"v1\"\r\n";
    for (target, tag, status) in [
        ("/a.txt", "\"v1\"", 206),
        ("/b.txt", "W/\"v1\"", 200),
        ("/made/a.txt", "W/\"v1\"", 200),
        ("/made/b.txt", "W/\"v1\"", 200),
        ("/made/c.png", "\"v1\"", 206),
    ] {
        for (lines, status) in [("", 200), (ANY, 200), (part, status), (known, 304)] {
            let response = ask(&server, target, lines);
            let found = (response.status, response.field("ETag"));
            assert_eq!(found, (status, Some(tag)), "{target} {lines}");
        }
        let range = "Range: bytes=0-9\r\n";
        assert_eq!(
            ask(&server, target, range).field("ETag"),
            Some(tag),
            "{target}"
        );
    }
}

#[test]
fn so_has_one_that_try_or_fallback_finds() {
    let page = text(200_000);
    let site = Site::new(
        "'/' = { files = 'www', try = ['{path}', '{path}.html', '{path}/index.html'] }\n\
         '/app' = { files = 'www', strip_prefix = true, fallback = '/app.html' }\n\
         '/none' = { files = 'www', try = ['{path}.txt'] }",
    );
    let server = site
        .server(COMPRESSING)
        .file("small.html", &page[..30_000])
        .file("large/index.html", &page)
        .file("app.html", &page[..50_000])
        .start();
    for (target, length) in [
        ("/small", 30_000),
        ("/small.html", 30_000),
        ("/large", 200_000),
        ("/app/some/where", 50_000),
    ] {
        expect_weak_tag_and_no_parts(&server, target, &page[..length]);
    }
    let missing = ask(&server, "/none/at-all", ANY);
    assert_eq!((missing.status, coding(&missing)), (404, "identity"));
}

#[test]
fn a_changed_file_is_compressed_anew() {
    let server = Site::new("'/' = { files = 'www', compress = true, revalidate = '0s' }")
        .file("page.html", text(5000))
        .start();
    for length in [5000, 6000, 100_000, 7000] {
        server.directory().replace("www/page.html", text(length));
        let found = until("the new state", || {
            let found = decoded(&in_coding(&server, "/page.html", "zstd"));
            (found.len() == length).then_some(found)
        });
        assert_eq!(found, text(length));
    }
}

#[test]
fn many_clients_at_once_get_the_same_octets() {
    // Small enough that the clients do not wait in vain.
    let page = text(100_000);
    let site = Site::of_files().top("workers = 2").server(COMPRESSING);
    let server = site.file("page.js", &page).start();
    let all: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let asking = || scope.spawn(|| ask(&server, "/page.js", "Accept-Encoding: br\r\n").content);
        let asking: Vec<_> = (0..16).map(|_| asking()).collect();
        let join = |asked: std::thread::ScopedJoinHandle<'_, _>| asked.join().expect("a client");
        asking.into_iter().map(join).collect()
    });
    assert!(all.iter().all(|content| *content == all[0]));
    let mut content = Vec::new();
    decode("br", &all[0], &mut content).expect("it is br");
    assert!(content == page.as_bytes());
}

#[test]
fn files_that_are_too_large_or_do_not_become_smaller_are_sent_as_they_are() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(20_000)
    .collect();
    let server = Site::of_files()
        .server(COMPRESSING)
        .file("huge.css", vec![b'a'; 8 * 1024 * 1024 + 1])
        .file("noise.css", noise)
        .file("short.css", "a{}")
        .file("photo.png", text(5000))
        .start();
    for (target, vary) in [
        ("/huge.css", None),
        ("/noise.css", Some("Accept-Encoding")),
        ("/short.css", None),
        ("/photo.png", None),
    ] {
        for _ in 0..2 {
            let response = ask(&server, target, ANY);
            assert_eq!(
                (response.status, coding(&response)),
                (200, "identity"),
                "{target}"
            );
            assert_eq!(response.field("Vary"), vary, "{target}");
            assert_eq!(response.field("Accept-Ranges"), Some("bytes"), "{target}");
        }
    }
}

#[test]
fn a_coding_in_a_file_of_its_own_comes_first() {
    let page = text(5000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(page.as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let server = Site::of_files()
        .server(COMPRESSING)
        .file("page.html", &page)
        .file("page.html.gz", &gzip)
        .start();
    let response = ask(&server, "/page.html", ANY);
    assert!(
        response.content == gzip
            && response
                .field("ETag")
                .is_some_and(|tag| tag.starts_with('"'))
    );
    let response = ask(&server, "/page.html", "Accept-Encoding: zstd\r\n");
    assert_eq!((coding(&response), decoded(&response)), ("zstd", page));
}

#[test]
fn a_listing_and_an_application_are_compressed_too() {
    let page = text(5000);
    let site = Site::new(
        "'/' = { files = 'www', listing = true, compress = true }\n\
         '/app' = { files = 'www', strip_prefix = true, spa = true, compress = true }",
    );
    let site = site.file("index.html", &page);
    for number in 0..100 {
        site.directory().write(format!("www/many/{number}.txt"), "");
    }
    let server = site.start();
    let listing = ask(&server, "/many/", ANY);
    assert!(coding(&listing) == "zstd" && decoded(&listing).contains("99.txt"));
    for _ in 0..2 {
        let lines = format!("{ANY}Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n");
        let response = ask(&server, "/app/some/where", &lines);
        assert_eq!((response.status, coding(&response)), (200, "zstd"));
        assert_eq!(decoded(&response), page);
    }
}

#[test]
fn the_log_counts_what_was_sent() {
    let site = Site::of_files().server(COMPRESSING).log("access = '-'");
    let server = site.file("page.html", text(50_000)).start();
    let response = ask(&server, "/page.html", ANY);
    let record = server.wait_for_record(|line| line.contains("page.html"));
    let expected = format!(" 200 {} ", response.content.len());
    assert!(record.contains(&expected), "{record}");
}

#[test]
fn explain_says_what_would_be_sent_and_a_test_can_expect_it() {
    let site = Site::new(
        "'/' = { files = 'www' }\n'/api' = { proxy = 'http://127.0.0.1:9' }\n\
         '/short' = { respond = 'short' }\n'/off' = { respond = 'x', compress = false }",
    );
    let site = site.server(COMPRESSING).file("page.html", text(5000)).top(
        "[[test]]\nrequest = 'GET /page.html'\nheaders = { Accept-Encoding = 'gzip' }\n\
         expect = { header.Content-Encoding = 'gzip', header.Vary = 'Accept-Encoding' }\n\
         [[test]]\nrequest = 'GET /short'\nheaders = { Accept-Encoding = 'gzip' }\n\
         expect = { header.Content-Encoding = false }",
    );
    let checked = site.command_line(&["check"]);
    ended_with(0, &checked);
    for (target, accept, expected) in [
        ("/page.html", "br", "compress  br"),
        (
            "/page.html",
            "deflate",
            "compress  no: the client takes none of `codings`",
        ),
        (
            "/short",
            "br",
            "compress  no: it is shorter than `min_size`",
        ),
        (
            "/api",
            "br, gzip",
            "compress  br, if the answer is of a type that becomes smaller",
        ),
        ("/off", "br", ""),
    ] {
        let field = format!("Accept-Encoding: {accept}");
        let told = site.command_line(&["explain", "GET", target, "-H", &field]);
        let told = ended_with(0, &told);
        let has_row = told.contains("compress  ");
        assert!(
            told.contains(expected) && has_row != expected.is_empty(),
            "{told}"
        );
    }
}

#[test]
fn a_client_that_goes_midway_leaves_its_encoder_to_others() {
    let upstream = Upstream::listen();
    let site = Site::new(&format!(
        "'/' = {{ proxy = '{}', compress = true }}",
        upstream.url()
    ));
    let server = site.top("workers = 1").start();
    // An encoder of br counts for 2 MiB, and all of a worker for 64 MiB.
    for _ in 0..40 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\n\r\n");
        let mut connection = upstream.accept();
        connection.request();
        connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        assert_eq!(coding(&client.response_head()), "br");
        drop(client);
        connection.expect_end();
    }
}

#[test]
fn beyond_the_bound_content_is_sent_as_it_is() {
    let upstream = Upstream::listen();
    let site = Site::new(&format!(
        "'/' = {{ proxy = '{}', compress = true }}",
        upstream.url()
    ));
    let server = site.top("workers = 1").start();
    let mut held = Vec::new();
    let mut codings = Vec::new();
    for _ in 0..21 {
        let mut client = server.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: br\r\n\r\n");
        let mut connection = upstream.accept();
        connection.request();
        connection.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        codings.push(coding(&client.response_head()).to_owned());
        held.push((client, connection));
    }
    assert!(
        codings[..19].iter().all(|coding| coding == "br"),
        "{codings:?}"
    );
    assert_eq!(codings[19..], ["identity", "identity"]);
}

/// A rule for responses of others made the 304 of a file weak, and its 200 was not: it is too short to be compressed.
#[test]
fn a_304_of_a_short_static_file_says_what_its_200_does() {
    let route = "'/' = { fastcgi = '127.0.0.1:9', root = 'www', headers = { ETag = '\"cfg\"' } }";
    let server = Site::new(route)
        .server("listen = '127.0.0.1:0'\ncompress = true")
        .file("a.txt", "short")
        .start();
    let ask = |fields: &str| {
        let response = server.get_with("/a.txt", &format!("Accept-Encoding: gzip\r\n{fields}"));
        let of = |name| response.field(name).map(str::to_owned);
        (response.status, of("ETag"), of("Vary"))
    };
    let tag = Some("\"cfg\"".to_owned());
    assert_eq!(ask(""), (200, tag.clone(), None));
    assert_eq!(ask("If-None-Match: \"cfg\"\r\n"), (304, tag, None));
}
