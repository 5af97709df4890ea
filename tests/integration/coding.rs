//! Precompressed siblings (RFC 9110 §12.5.3): which one is chosen, and what the response says of that.

use std::fs::File;
use std::time::{Duration, SystemTime};

use crate::support::{Server, Site};

/// The content of each sibling is its name: the server does not look at the content.
fn server() -> Server {
    let site = Site::of_files()
        .file("a.css", "identity")
        .file("b.css", "identity")
        .file("old.css", "identity")
        .file("alone.css", "identity")
        .file("photo.png", "identity");
    let now = SystemTime::now();
    let second = Duration::from_secs(1);
    for (name, content, modified) in [
        ("a.css.zst", "zstd", now + second),
        ("a.css.br", "br", now + second),
        ("a.css.gz", "gzip", now + second),
        ("b.css.gz", "gzip", now + second),
        ("old.css.gz", "gzip", now - 3600 * second),
        ("photo.png.gz", "gzip", now + second),
    ] {
        site.directory().write(format!("www/{name}"), content);
        let file = File::options()
            .write(true)
            .open(site.directory().join(format!("www/{name}")));
        file.expect("just written")
            .set_modified(modified)
            .expect("it is ours");
    }
    site.start()
}

#[test]
fn the_client_s_preference_chooses() {
    let server = server();
    for (target, accept, expected) in [
        ("/a.css", "gzip", "gzip"),
        ("/a.css", "br", "br"),
        ("/a.css", "zstd", "zstd"),
        ("/a.css", "X-GZIP", "gzip"),
        ("/a.css", "gzip;q=0.5, br;q=0.9", "br"),
        ("/a.css", "br;q=0.1,gzip;q=0.2,zstd;q=0.05", "gzip"),
        ("/a.css", "gzip;q=0", "identity"),
        ("/a.css", "gzip;q=0.1, identity;q=0.5", "identity"),
        ("/a.css", "deflate", "identity"),
        ("/a.css", "", "identity"),
        ("/a.css", "*;q=0, gzip;q=0.001", "gzip"),
        ("/a.css", "gzip, deflate, br, zstd", "zstd"),
        ("/b.css", "gzip, deflate, br, zstd", "gzip"),
        ("/b.css", "br", "identity"),
        ("/old.css", "gzip", "identity"),
        ("/alone.css", "gzip", "identity"),
    ] {
        let response = server.get_with(target, &format!("Accept-Encoding: {accept}\r\n"));
        assert_eq!(response.text(), expected, "{target} {accept}");
        let coding = (expected != "identity").then_some(expected);
        assert_eq!(
            response.field("Content-Encoding"),
            coding,
            "{target} {accept}"
        );
        assert_eq!(
            response.field("Content-Type"),
            Some("text/css; charset=utf-8"),
            "{target} {accept}"
        );
    }
    assert_eq!(server.get("/a.css").text(), "identity");
    let response = server.get_with(
        "/a.css",
        "Accept-Encoding: br;q=0.1\r\nAccept-Encoding: gzip\r\n",
    );
    assert_eq!(response.text(), "gzip", "a list may come in several lines");
}

#[test]
fn what_could_have_been_another_varies() {
    let server = server();
    for (target, lines, vary) in [
        ("/a.css", "", Some("Accept-Encoding")),
        (
            "/a.css",
            "Accept-Encoding: gzip\r\n",
            Some("Accept-Encoding"),
        ),
        (
            "/a.css",
            "Accept-Encoding: gzip\r\nIf-None-Match: *\r\n",
            Some("Accept-Encoding"),
        ),
        ("/a.css", "Range: bytes=0-1\r\n", Some("Accept-Encoding")),
        ("/photo.png", "Accept-Encoding: gzip\r\n", None),
    ] {
        assert_eq!(
            server.get_with(target, lines).field("Vary"),
            vary,
            "{target} {lines}"
        );
    }
}

#[test]
fn each_coding_has_a_tag_of_its_own() {
    let server = server();
    let tag = |accept: &str| {
        let response = server.get_with("/a.css", &format!("Accept-Encoding: {accept}\r\n"));
        response.field("ETag").expect("an ETag").to_owned()
    };
    let tags = ["identity", "gzip", "br", "zstd"].map(tag);
    for (index, tag) in tags.iter().enumerate() {
        assert!(!tags[..index].contains(tag), "{tags:?}");
    }
    let [identity, gzip, ..] = &tags;
    for (accept, tag, status) in [
        ("gzip", gzip, 304),
        ("gzip", identity, 200),
        ("br", gzip, 200),
    ] {
        let lines = format!("Accept-Encoding: {accept}\r\nIf-None-Match: {tag}\r\n");
        assert_eq!(
            server.get_with("/a.css", &lines).status,
            status,
            "{accept} {tag}"
        );
    }
}

#[test]
fn ranges_are_of_the_coded_octets() {
    let response = server().get_with("/a.css", "Accept-Encoding: gzip\r\nRange: bytes=1-2\r\n");
    assert_eq!((response.status, response.text().as_str()), (206, "zi"));
    assert_eq!(response.field("Content-Range"), Some("bytes 1-2/4"));
    assert_eq!(response.field("Content-Encoding"), Some("gzip"));
}

#[test]
fn a_sibling_asked_for_by_name_is_a_file_like_others() {
    let response = server().get("/a.css.gz");
    assert_eq!(
        (response.status, response.field("Content-Encoding")),
        (200, None)
    );
    assert_eq!(response.field("Content-Type"), Some("application/gzip"));
}

#[test]
fn siblings_can_be_left_alone() {
    let server = Site::new("'/' = { files = 'www', precompressed = false }")
        .file("a.css", "identity")
        .file("a.css.gz", "gzip")
        .start();
    let response = server.get_with("/a.css", "Accept-Encoding: gzip\r\n");
    assert_eq!(
        (response.text().as_str(), response.field("Vary")),
        ("identity", None)
    );
}

#[test]
fn a_sibling_that_appears_or_goes_is_noticed() {
    let server = server();
    let ask = || {
        server
            .get_with("/alone.css", "Accept-Encoding: gzip\r\n")
            .text()
    };
    assert_eq!(ask(), "identity");
    server.directory().write("www/alone.css.gz", "gzip");
    assert_eq!(ask(), "gzip");
    server
        .directory()
        .replace("www/alone.css", "identity, newer");
    let newer = SystemTime::now() + Duration::from_secs(5);
    let file = File::options()
        .write(true)
        .open(server.directory().join("www/alone.css"));
    file.expect("just written")
        .set_modified(newer)
        .expect("it is ours");
    assert_eq!(ask(), "identity, newer");
    std::fs::remove_file(server.directory().join("www/alone.css.gz")).expect("it is there");
    assert_eq!(ask(), "identity, newer");
}
