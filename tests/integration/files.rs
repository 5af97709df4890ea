//! Which file a path leads to, the fields of its response, and files that change while they are served.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Server, Site, pattern, until};

fn site(options: &str) -> Site {
    Site::new(&format!(
        "'/' = {{ files = 'www', revalidate = '0s', {options} }}"
    ))
    .file("index.html", "the index")
    .file("a.txt", "content of a")
    .file("page.html", "the page")
    .file("dir/index.html", "the index of dir")
    .file("dir/b.txt", "content of b")
    .file("bare/c.txt", "content of c")
    .file("a b&c.txt", "spaced")
    .file("grün.txt", "green")
    .file(".env", "secret")
    .file(".git/config", "secret")
    .file("dir/.hidden/x.txt", "secret")
    .file(".well-known/security.txt", "public")
    .file(".well-known/.x", "secret")
}

/// The status and the content of the response to a GET.
fn answer(server: &Server, target: &str) -> (u16, String) {
    let response = server.get(target);
    (response.status, response.text())
}

#[test]
fn paths_lead_to_files() {
    let server = site("listing = false").start();
    for (target, content) in [
        ("/", "the index"),
        ("/a.txt", "content of a"),
        ("/a.txt?query", "content of a"),
        ("/%61.txt", "content of a"),
        ("/dir/", "the index of dir"),
        ("/dir/b.txt", "content of b"),
        ("/a%20b%26c.txt", "spaced"),
        ("/gr%C3%BCn.txt", "green"),
        ("/./a.txt", "content of a"),
        ("/dir/../a.txt", "content of a"),
        ("/dir/%2e%2e/a.txt", "content of a"),
        ("/bare/./../dir/b.txt", "content of b"),
        ("/.well-known/security.txt", "public"),
    ] {
        assert_eq!(
            answer(&server, target),
            (200, content.to_owned()),
            "{target}"
        );
    }
}

#[test]
fn no_path_leads_to_what_is_not_served() {
    let site = site("listing = true");
    site.directory().write("outside.txt", "secret");
    let www = site.directory().join("www");
    let outside = site.directory().join("outside.txt");
    symlink(&outside, www.join("absolute")).expect("a link");
    symlink("../outside.txt", www.join("relative")).expect("a link");
    symlink("..", www.join("up")).expect("a link");
    symlink(site.directory().path(), www.join("dir/all")).expect("a link");
    symlink("loop", www.join("loop")).expect("a link");
    symlink("nowhere", www.join("dangling")).expect("a link");
    let made = Command::new("mkfifo")
        .arg(www.join("pipe"))
        .status()
        .expect("coreutils are there");
    assert!(made.success());
    let server = site.start();
    for target in [
        "/nothing",
        "/nothing/",
        "/a.txt/",
        "/a.txt/x",
        "/.env",
        "/.git/config",
        "/.git/",
        "/%2egit/config",
        "/dir/.hidden/x.txt",
        "/.well-known/.x",
        "/absolute",
        "/relative",
        "/up/outside.txt",
        "/dir/all/outside.txt",
        "/loop",
        "/dangling",
        "/pipe",
        "/config.toml",
    ] {
        assert_eq!(server.get(target).status, 404, "{target}");
    }
}

#[test]
fn a_link_within_the_root_is_followed() {
    let site = site("listing = false");
    symlink("../a.txt", site.directory().join("www/dir/link")).expect("a link");
    symlink("bare", site.directory().join("www/linked")).expect("a link");
    let server = site.start();
    assert_eq!(
        answer(&server, "/dir/link"),
        (200, "content of a".to_owned())
    );
    assert_eq!(
        answer(&server, "/linked/c.txt"),
        (200, "content of c".to_owned())
    );
}

#[test]
fn dubious_paths_are_refused() {
    let site = site("listing = true");
    site.directory().write("outside.txt", "secret");
    let server = site.start();
    for target in [
        "/..",
        "/../outside.txt",
        "/../../../../../../../../etc/passwd",
        "/dir/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/dir/%2E%2E/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/dir%2fb.txt",
        "/dir%2Fb.txt",
        "/a.txt%00",
        "/a%00.txt",
        "/%zz",
        "/%",
        "/a.tx%7",
        "/..%5coutside.txt",
        "/%252e%252e/outside.txt",
        "//etc/passwd",
        "/\\..\\outside.txt",
    ] {
        let (status, content) = answer(&server, target);
        assert!(matches!(status, 400 | 404), "{target}: {status}");
        assert!(
            !content.contains("secret") && !content.contains("root:"),
            "{target}"
        );
    }
}

#[test]
fn a_directory_without_its_slash_is_elsewhere() {
    let server =
        Site::new("'/' = { files = 'www' }\n'/pre' = { files = 'www', strip_prefix = true }")
            .file("dir/index.html", "the index of dir")
            .file("a b:c/index.html", "x")
            .start();
    for (target, location) in [
        ("/dir", "dir/"),
        ("/dir?a=b&c", "dir/?a=b&c"),
        ("/pre", "pre/"),
        ("/pre/dir?x", "dir/?x"),
        ("/a%20b:c", "./a%20b:c/"),
    ] {
        let response = server.get(target);
        assert_eq!(
            (response.status, response.field("Location")),
            (308, Some(location)),
            "{target}"
        );
    }
    assert_eq!(server.get("/pre/dir/").text(), "the index of dir");
}

#[test]
fn the_index_is_the_first_name_that_is_there() {
    let server = site("index = ['main.htm', 'index.html']")
        .file("bare/main.htm", "main")
        .file("dir/main.htm", "main of dir")
        .start();
    assert_eq!(answer(&server, "/"), (200, "the index".to_owned()));
    assert_eq!(answer(&server, "/bare/"), (200, "main".to_owned()));
    assert_eq!(answer(&server, "/dir/"), (200, "main of dir".to_owned()));
    std::fs::remove_file(server.directory().join("www/bare/main.htm")).expect("it is there");
    assert_eq!(server.get("/bare/").status, 404);
}

#[test]
fn a_single_page_application_answers_navigations_only() {
    let server = site("spa = true").start();
    for (target, lines, expected) in [
        (
            "/app/users/7",
            "Sec-Fetch-Mode: navigate\r\n",
            Some("the index"),
        ),
        (
            "/app/v1.2",
            "Sec-Fetch-Mode: navigate\r\n",
            Some("the index"),
        ),
        (
            "/app/users",
            "Accept: text/html,*/*;q=0.8\r\n",
            Some("the index"),
        ),
        (
            "/app/users",
            "Sec-Fetch-Mode: cors\r\nAccept: text/html\r\n",
            None,
        ),
        // Browsers send no Sec-Fetch fields over plain HTTP, and routes of applications have dots.
        (
            "/users/jane.doe",
            "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n",
            Some("the index"),
        ),
        (
            "/sites/example.com",
            "Accept: Text/HTML\r\n",
            Some("the index"),
        ),
        ("/users/jane.doe", "Accept: text/html;q=0, */*\r\n", None),
        ("/app/logo.png", "Accept: text/html\r\n", None),
        ("/app/main.js", "Accept: text/html\r\n", None),
        ("/app/users", "Accept: application/json\r\n", None),
        ("/app/users", "Accept: */*\r\n", None),
        ("/app/users", "", None),
        (
            "/a.txt",
            "Sec-Fetch-Mode: navigate\r\n",
            Some("content of a"),
        ),
    ] {
        let response = server.get_with(target, lines);
        let content = (response.status == 200).then(|| response.text());
        assert_eq!(content.as_deref(), expected, "{target} {lines}");
        assert!(matches!(response.status, 200 | 404));
        // The application's page carried no `Vary`: a cache sent it in place of a missing script.
        let expected = (target != "/a.txt").then_some("Accept, Sec-Fetch-Mode");
        assert_eq!(response.field("Vary"), expected, "{target} {lines}");
    }
    let response = site("listing = false")
        .start()
        .get_with("/app", "Sec-Fetch-Mode: navigate\r\n");
    assert_eq!(response.status, 404, "only where it is asked for");
}

#[test]
fn clean_urls_are_an_option() {
    let server = site("clean_urls = true").start();
    assert_eq!(answer(&server, "/page"), (200, "the page".to_owned()));
    assert_eq!(answer(&server, "/page.html"), (200, "the page".to_owned()));
    assert_eq!(
        server.get("/page").field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(site("clean_urls = false").start().get("/page").status, 404);
}

/// A link in the page would lead elsewhere from `/page/` than from `/page`, so one of them has to be it.
#[test]
fn a_clean_url_with_a_slash_leads_to_the_one_without() {
    let files = |options: &str| {
        site(options)
            .file("empty/a.txt", "a")
            .file("empty.html", "of a directory without index")
            .file("full/index.html", "the index")
            .file("full.html", "passed over")
            .file("a b/c:d.html", "a name")
            .start()
    };
    let server = files("clean_urls = true");
    for (target, expected) in [
        ("/page/", Some("../page")),
        ("/page/?a=b", Some("../page?a=b")),
        ("/page//", Some("../../page")),
        ("/./page/", Some("../page")),
        ("/a%20b/c%3Ad/", Some("../c:d")),
        ("/empty/", Some("../empty")),
        ("/full/", None),
        ("/page.html/", None),
        ("/nothing/", None),
        ("/", None),
    ] {
        let response = server.get(target);
        assert_eq!(response.field("Location"), expected, "{target}");
        assert_eq!(response.status == 308, expected.is_some(), "{target}");
    }
    let listing = files("clean_urls = true, listing = true");
    assert_eq!(listing.get("/empty/").status, 200);
    assert_eq!(listing.get("/page/").status, 308);
    let plain = files("clean_urls = false");
    assert_eq!(plain.get("/page/").status, 404);
    let told = server.command_line(&["explain", "/page/"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.contains("the path is a page's, and has a slash at its end"),
        "{told}"
    );
}

#[test]
fn expires_goes_by_kind_and_behind_cache_control() {
    let server = site(
        "cache_control = { 'assets/**' = 'no-store' }, \
         expires = { html = 'no-cache', '*.css' = '1y immutable', LICENSE = '1d', 'image/svg+xml' = '1w', \
         text = '1h 30m' }",
    )
    .file("LICENSE", "free")
    .file("a.svg", "<svg/>")
    .file("style.css", "a{}")
    .file("assets/style.css", "a{}")
    .file("b.htm", "b")
    .start();
    for (target, expected) in [
        ("/", Some("no-cache")),
        ("/style.css", Some("max-age=31536000, immutable")),
        ("/assets/style.css", Some("no-store")),
        ("/a.txt", Some("max-age=5400")),
        ("/b.htm", Some("no-cache")),
        ("/LICENSE", Some("max-age=86400")),
        ("/a.svg", Some("max-age=604800")),
        ("/nothing.html", None),
    ] {
        let response = server.get(target);
        assert_eq!(response.field("Cache-Control"), expected, "{target}");
    }
}

#[test]
fn cache_control_goes_by_pattern() {
    let server = site(
        "cache_control = { 'assets/**' = 'max-age=31536000, immutable', '*.html' = 'no-cache' }",
    )
    .file("assets/deep/x.html", "x")
    .start();
    for (target, expected) in [
        ("/", Some("no-cache")),
        ("/dir/index.html", Some("no-cache")),
        ("/a.txt", None),
        ("/assets/deep/x.html", Some("max-age=31536000, immutable")),
        ("/nothing.html", None),
    ] {
        assert_eq!(
            server.get(target).field("Cache-Control"),
            expected,
            "{target}"
        );
    }
    let response = server.get_with("/page.html", "If-None-Match: *\r\n");
    assert_eq!(
        (response.status, response.field("Cache-Control")),
        (304, Some("no-cache"))
    );
}

#[test]
fn a_file_s_fields() {
    let names = [
        "x.js",
        "x.mjs",
        "x.json",
        "x.svg",
        "x.png",
        "x.wasm",
        "x.bin",
        "noextension",
        "x.TXT",
    ];
    let site = names
        .iter()
        .fold(site("listing = false"), |site, name| site.file(name, "x"));
    let server = site.start();
    for (target, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/a.txt", "text/plain; charset=utf-8"),
        ("/x.TXT", "text/plain; charset=utf-8"),
        ("/x.js", "text/javascript; charset=utf-8"),
        ("/x.mjs", "text/javascript; charset=utf-8"),
        ("/x.json", "application/json"),
        ("/x.svg", "image/svg+xml"),
        ("/x.png", "image/png"),
        ("/x.wasm", "application/wasm"),
        ("/x.bin", "application/octet-stream"),
        ("/noextension", "application/octet-stream"),
    ] {
        let response = server.get(target);
        assert_eq!(
            response.field("Content-Type"),
            Some(content_type),
            "{target}"
        );
        assert_eq!(response.field("Accept-Ranges"), Some("bytes"), "{target}");
        assert_eq!(
            response.field("X-Content-Type-Options"),
            Some("nosniff"),
            "{target}"
        );
    }
}

#[test]
fn a_file_replaced_while_served_is_seen_at_once_without_a_cache() {
    let server = site("listing = false").start();
    let mut client = server.connect();
    for length in [1, 10, 100_000, 3, 200_000] {
        server.directory().replace("www/a.txt", "x".repeat(length));
        let response = client.exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(response.content.len(), length);
    }
    std::fs::remove_file(server.directory().join("www/a.txt")).expect("it is there");
    assert_eq!(
        client
            .exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        404
    );
    server.directory().write("www/a.txt", "again");
    assert_eq!(
        client
            .exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n")
            .text(),
        "again"
    );
}

#[test]
fn a_file_replaced_while_served_is_seen_after_revalidation() {
    let server = Site::new("'/' = { files = 'www', revalidate = '50ms' }")
        .file("a.txt", "old")
        .start();
    let mut client = server.connect();
    let mut get = || client.exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    let old = get();
    server.directory().replace("www/a.txt", "newer");
    let new = until("the new content", || {
        let response = get();
        assert!(["old", "newer"].contains(&response.text().as_str()));
        (response.text() == "newer").then_some(response)
    });
    assert_ne!(old.field("ETag"), new.field("ETag"));
    std::fs::rename(
        server.directory().join("www"),
        server.directory().join("gone"),
    )
    .expect("it can be renamed");
    server.directory().write("www/a.txt", "another root");
    until("the new root", || {
        (get().text() == "another root").then_some(())
    });
}

#[test]
fn a_replaced_file_is_still_sent_to_its_end() {
    let length = 32 << 20;
    let server = site("listing = false")
        .file("large.bin", pattern(0, length))
        .start();
    let mut client = server.connect();
    client.send("GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.content_length(), Some(length));
    server.directory().replace("www/large.bin", "short");
    assert!(client.read(length) == pattern(0, length));
    assert_eq!(
        client
            .exchange("GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n")
            .text(),
        "short"
    );
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_cuts_the_connection() {
    let length = 64 << 20;
    let server = site("listing = false")
        .file("large.bin", pattern(0, length))
        .start();
    let mut client = server.connect();
    client.send("GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(client.response_head().content_length(), Some(length));
    let file = std::fs::File::options()
        .write(true)
        .open(server.directory().join("www/large.bin"));
    file.expect("it is there")
        .set_len(1 << 20)
        .expect("it is ours");
    // Octets from before the change may still arrive; the server must not fill up what is missing, with
    // padding or with the next response.
    let received = client.count_rest();
    assert!(received < length as u64, "{received} octets of {length}");
    assert_eq!(server.get("/large.bin").content.len(), 1 << 20);
}

#[test]
fn a_hundred_mebibytes_arrive_as_they_are() {
    let length = 100 << 20;
    let server = site("listing = false")
        .file("huge.bin", pattern(0, length))
        .start();
    let mut client = server.connect();
    client.send("GET /huge.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response_head().content_length(), Some(length));
    let step = 1 << 20;
    for start in (0..length).step_by(step) {
        assert!(client.read(step) == pattern(start, step), "from {start}");
    }
    client.expect_end();
}

#[test]
fn a_file_beyond_four_gibibytes_has_its_length_and_its_end() {
    let site = site("listing = false").file("sparse.bin", "start");
    let length = (5 << 30) + 3;
    let file = std::fs::File::options()
        .write(true)
        .open(site.directory().join("www/sparse.bin"));
    file.expect("just written")
        .set_len(length)
        .expect("a sparse file");
    let server = site.start();
    let response = server.get_with("/sparse.bin", "Range: bytes=5368709119-\r\n");
    assert_eq!(
        response.field("Content-Range"),
        Some("bytes 5368709119-5368709122/5368709123")
    );
    assert_eq!(response.content, [0; 4]);
}
