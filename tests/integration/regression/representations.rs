//! What is sent of a file: its type, its codings, what is no file at all; listings and error pages.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::support::{Site, ended_with, until};

fn set_age(site: &Site, name: &str, age: Duration) {
    let path = site.directory().join(format!("www/{name}"));
    let file = fs::File::options().write(true).open(path);
    let set = file.and_then(|file| file.set_modified(SystemTime::now() - age));
    set.expect("it is ours");
}

/// `brotli -k` and `pigz -k` of Debian 12 drop the fraction of the time, and copies get their times in
/// any order. Such a sibling counted as older than its file and was never sent.
#[test]
fn a_sibling_that_lost_the_fraction_of_its_time_is_sent() {
    let site = Site::of_files()
        .file("a.css", "plain")
        .file("a.css.gz", "coded");
    let path = |name| site.directory().join(format!("www/{name}"));
    let whole = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let set = |name, time| {
        let file = fs::File::options().write(true).open(path(name));
        file.and_then(|file| file.set_modified(time))
            .expect("it is ours");
    };
    set("a.css", whole(1_700_000_000) + Duration::from_millis(900));
    set("a.css.gz", whole(1_700_000_000));
    let server = site.start();
    let response = server.get_with("/a.css", "Accept-Encoding: gzip\r\n");
    assert_eq!(response.field("Content-Encoding"), Some("gzip"));
    assert_eq!(response.text(), "coded");
}

/// A sibling that was older than its file was passed over in silence.
#[test]
fn check_and_explain_tell_of_a_sibling_that_is_passed_over() {
    let site = Site::new("'/' = { files = 'www' }")
        .server("listen = '127.0.0.1:0'")
        .file("a.css", "plain")
        .file("a.css.gz", "coded");
    set_age(&site, "a.css.gz", Duration::from_secs(3600));
    let checked = ended_with(0, &site.command_line(&["check"]));
    assert!(checked.contains("warning: "), "{checked}");
    assert!(
        checked.contains("a.css.gz is not served: it is "),
        "{checked}"
    );
    let checked = ended_with(1, &site.command_line(&["check", "--strict"]));
    assert!(checked.contains("error: "), "{checked}");
    let explained = ended_with(0, &site.command_line(&["explain", "/a.css"]));
    assert!(
        explained.contains("a.css.gz is not served: it is "),
        "{explained}"
    );
}

/// Siblings were looked for by a list of types that left out models, tiles, playlists, and everything
/// without a known type.
#[test]
fn every_file_that_shrinks_may_have_siblings() {
    let names = [
        "a.data", "a.bin", "a.obj", "a.stl", "a.glb", "a.pbf", "a.sql", "a.m3u8", "a.ndjson",
        "LICENSE",
    ];
    let mut site = Site::of_files();
    for name in names {
        site = site
            .file(name, "plain")
            .file(&format!("{name}.gz"), "coded");
    }
    let server = site.start();
    for name in names {
        let response = server.get_with(&format!("/{name}"), "Accept-Encoding: gzip\r\n");
        assert_eq!(response.field("Content-Encoding"), Some("gzip"), "{name}");
        assert_eq!(response.field("Vary"), Some("Accept-Encoding"), "{name}");
        assert_eq!(server.get(&format!("/{name}")).text(), "plain", "{name}");
    }
}

/// `.svgz` was sent as SVG without the word that it is in gzip, and no browser showed it.
#[test]
fn a_format_in_gzip_says_so() {
    let server = Site::of_files().file("a.svgz", "coded").start();
    let response = server.get("/a.svgz");
    assert_eq!(response.field("Content-Type"), Some("image/svg+xml"));
    assert_eq!(response.field("Content-Encoding"), Some("gzip"));
}

/// No key gave a type to an extension.
#[test]
fn types_are_the_operators_to_say_at_every_level() {
    let site = Site::new(
        "'/' = { files = 'www', revalidate = '0s' }\n\
         '/in' = { files = 'www', strip_prefix = true, types = { b = 'text/x-inner', html = 'text/html; charset=koi8-r' } }",
    );
    let site = site
        .top("types = { a = 'text/x-top', b = 'text/x-top', c = 'application/x-top' }")
        .server("listen = '127.0.0.1:0'\ntypes = { '.B' = 'text/x-server', '*' = 'application/x-other' }");
    let site = ["x.a", "x.b", "x.c", "x.html", "other"]
        .into_iter()
        .fold(site, |site, name| site.file(name, "x"));
    let server = site.start();
    for (target, expected) in [
        ("/x.a", "text/x-top; charset=utf-8"),
        ("/x.b", "text/x-server; charset=utf-8"),
        ("/x.c", "application/x-top"),
        ("/x.html", "text/html; charset=utf-8"),
        ("/other", "application/x-other"),
        ("/in/x.a", "text/x-top; charset=utf-8"),
        ("/in/x.b", "text/x-inner; charset=utf-8"),
        ("/in/x.html", "text/html; charset=koi8-r"),
        ("/in/other", "application/x-other"),
    ] {
        let response = server.get(target);
        assert_eq!(response.field("Content-Type"), Some(expected), "{target}");
    }
}

/// Text was always said to be in UTF-8, and old pages in another encoding could not be served.
#[test]
fn the_encoding_of_text_is_the_operators_to_say() {
    let site = Site::new(
        "'/' = { files = 'www' }\n\
         '/old' = { files = 'www', strip_prefix = true, charset = false }",
    );
    let site = site.top("charset = 'iso-8859-1'").file("a.html", "x");
    let server = site.start();
    for (target, expected) in [
        ("/a.html", "text/html; charset=iso-8859-1"),
        ("/old/a.html", "text/html"),
    ] {
        let response = server.get(target);
        assert_eq!(response.field("Content-Type"), Some(expected), "{target}");
    }
}

/// A request for a pipe opened it. That let in a program that waited to write, and killed it when the
/// pipe was closed again.
#[test]
fn a_pipe_is_not_opened() {
    let site = Site::of_files().file("a.css", "plain");
    let pipe = site.directory().join("www/pipe");
    for name in ["pipe", "a.css.gz"] {
        let path = site.directory().join(format!("www/{name}"));
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o644), 0)
            .expect("the name is free");
    }
    let server = site.start();
    let write = {
        let pipe = pipe.clone();
        move || {
            fs::File::options()
                .write(true)
                .open(pipe)
                .and_then(|mut pipe| pipe.write_all(b"x"))
        }
    };
    let writer = std::thread::spawn(write);
    for _ in 0..50 {
        assert_eq!(server.get("/pipe").status, 404);
        let response = server.get_with("/a.css", "Accept-Encoding: gzip\r\n");
        assert_eq!(response.text(), "plain");
    }
    let mut read = String::new();
    let reader = fs::File::open(pipe).and_then(|mut pipe| pipe.read_to_string(&mut read));
    reader.expect("a writer waits");
    assert_eq!(read, "x");
    let written = writer.join().expect("no panic");
    written.expect("the reader reads to the end");
}

/// A file whose name is not UTF-8 was in the listing as JSON with another name, and no client could
/// ask for it.
#[test]
fn a_listing_addresses_names_of_any_octets() {
    let site = Site::new("'/' = { files = 'www', listing = true }");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9 #1.txt");
    fs::write(site.directory().join("www").join(name), "here").expect("a name like others");
    let server = site.start();
    let listing = server.get_with("/", "Accept: application/json\r\n").json();
    let url = listing[0]["url"].as_str().expect("a string").to_owned();
    assert_eq!(url, "./caf%E9%20%231.txt");
    assert_eq!(server.get(&url[1..]).text(), "here");
    let page = server.get_with("/", "Accept: text/html\r\n").text();
    assert!(page.contains("Modified (UTC)"), "{page}");
}

/// An error page that was edited was sent as it had been until a reload, which said that nothing had
/// changed.
#[test]
fn an_error_page_that_is_edited_is_sent_as_it_is() {
    let site = Site::new("'/' = { files = 'www' }").top("error_pages = { 404 = 'www/404.html' }");
    let server = site.file("404.html", "old").start();
    assert_eq!(server.get("/nothing").text(), "old");
    server.directory().write("www/404.html", "edited");
    until("the edited page", || {
        (server.get("/nothing").text() == "edited").then_some(())
    });
    server.directory().replace("www/404.html", "replaced");
    let reloaded = server.command_line(&["reload"]);
    assert!(reloaded.status.success(), "{reloaded:?}");
    assert_eq!(server.get("/nothing").text(), "replaced");
}

/// A compressed sibling was sent without its label where `headers` remove `Content-Encoding`, and with a wrong one
/// where they set it.
#[test]
fn a_sibling_is_not_sent_where_headers_decide_its_label() {
    for (changes, label) in [
        ("{ remove = ['Content-Encoding'] }", None),
        ("{ Content-Encoding = 'br' }", Some("br")),
    ] {
        let site = Site::new(&format!("'/' = {{ files = 'www', headers = {changes} }}"));
        let server = site
            .file("b.css", "plain")
            .file("b.css.gz", "coded")
            .start();
        let response = server.get_with("/b.css", "Accept-Encoding: gzip\r\n");
        assert_eq!(response.field("Content-Encoding"), label, "{changes}");
        assert_eq!(response.text(), "plain", "{changes}");
    }
}
