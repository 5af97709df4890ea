//! `try` and `fallback`: the first of several files answers.

use crate::support::{Server, Site, ended_with};

fn start(options: &str) -> Server {
    Site::new(&format!("'/' = {{ files = 'www', {options} }}"))
        .file("index.html", "home")
        .file("a.html", "a")
        .file("a", "plain a")
        .file("b.html", "b")
        .file("dir/index.html", "dir")
        .file("bare/x.html", "x")
        .file(".hidden", "secret")
        .start()
}

/// The status and the content; of a redirect, where it leads.
fn answer(server: &Server, target: &str) -> (u16, String) {
    let response = server.get(target);
    let location = response.field("Location").map(str::to_owned);
    match response.status {
        200 => (200, response.text()),
        status => (status, location.unwrap_or_default()),
    }
}

#[test]
fn the_first_file_in_the_order_of_the_list_answers() {
    let server = start("try = ['{path}', '{path}.html', '{path}/index.html']");
    for _ in 0..2 {
        for (target, status, content) in [
            ("/a", 200, "plain a"),
            ("/b", 200, "b"),
            ("/b.html", 200, "b"),
            ("/", 200, "home"),
            ("/dir", 200, "dir"),
            ("/dir/", 200, "dir"),
            ("/bare", 308, "bare/"),
            ("/bare/", 404, ""),
            ("/bare/x", 200, "x"),
            ("/gone", 404, ""),
            ("/.hidden", 404, ""),
            ("/../etc/passwd", 400, ""),
            ("/dir/%2e%2e/b", 200, "b"),
            ("/b%2F", 404, ""),
            ("/%00", 400, ""),
        ] {
            assert_eq!(
                answer(&server, target),
                (status, content.to_owned()),
                "{target}"
            );
        }
    }
    let long = format!("/{}", "x".repeat(8 * 1024));
    assert_eq!(server.get(&long).status, 404);
    let other = server
        .connect()
        .exchange("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (other.status, other.field("Allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
}

#[test]
fn a_fallback_answers_where_none_is_found() {
    let server = start("try = ['{path}.html'], fallback = '/index.html'");
    for _ in 0..2 {
        for (target, status, content) in [
            ("/b", 200, "b"),
            ("/a", 200, "a"),
            ("/gone/deep?x", 200, "home"),
            ("/bare", 308, "bare/"),
            ("/bare/", 200, "home"),
        ] {
            assert_eq!(
                answer(&server, target),
                (status, content.to_owned()),
                "{target}"
            );
        }
    }
    let alone = start("fallback = '/index.html', clean_urls = true");
    for (target, status, content) in [
        ("/a", 200, "plain a"),
        ("/b", 200, "b"),
        ("/b/", 308, "../b"),
        ("/dir", 308, "dir/"),
        ("/gone", 200, "home"),
    ] {
        assert_eq!(
            answer(&alone, target),
            (status, content.to_owned()),
            "{target}"
        );
    }
    let absent = start("fallback = '/gone.html'");
    assert_eq!(answer(&absent, "/x").0, 404);
}

#[test]
fn a_name_of_the_path_and_the_host_may_say_which_file_it_is() {
    let server = Site::new(
        "'/' = { files = 'www', try = ['/{host}{path}', '/any{path}'] }\n\
         '/p/{name}' = { files = 'www', strip_prefix = true, try = ['{path}', '/{name}.txt'] }",
    )
    .file("h/a", "of h")
    .file("any/a", "of any")
    .file("any/b", "of any")
    .file("..a", "dots")
    .file("x.txt", "x")
    .start();
    assert_eq!(server.get("/a").text(), "of h");
    assert_eq!(server.get("/b").text(), "of any");
    let of_host = |host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        server.connect().exchange(request)
    };
    assert_eq!(of_host("H", "/a").text(), "of h");
    assert_eq!(of_host("other", "/a").text(), "of any");
    // A dot segment is passed over, and leads nowhere.
    assert_eq!(of_host("..", "/a").text(), "of any");
    assert_eq!(of_host(".", "/x.txt").status, 404);
    assert_eq!(server.get("/p/x/").text(), "x");
    assert_eq!(server.get("/p/x/y").text(), "x");
    assert_eq!(server.get("/p/..%2Fx/y").status, 404);
}

#[test]
fn a_directory_in_the_list_is_its_index_or_its_listing() {
    let server = start("listing = true, try = ['{path}', '{path}/']");
    assert_eq!(answer(&server, "/dir"), (200, "dir".to_owned()));
    assert_eq!(server.get("/bare/").status, 200, "a listing");
    assert_eq!(server.get("/gone").status, 404);
}

/// The listing was sent at the path without its slash, where each of its links led beside the directory.
#[test]
fn a_listing_of_the_own_path_has_its_slash() {
    for list in ["'{path}', '{path}/'", "'{path}/', '{path}'"] {
        let options = format!("listing = true, strip_prefix = true, try = [{list}, '/bare/']");
        let server = Site::new(&format!("'/t' = {{ files = 'www', {options} }}"))
            .file("bare/x.txt", "x")
            .start();
        let response = server.get("/t/bare?q");
        let location = response.field("Location");
        assert_eq!(
            (response.status, location),
            (308, Some("bare/?q")),
            "{list}"
        );
        assert!(server.get("/t/bare/").text().contains("./x.txt"), "{list}");
        // A listing of another directory has no path of its own.
        assert_eq!(server.get("/t/gone").status, 200, "{list}");
        let text = ended_with(0, &server.command_line(&["explain", "/t/bare"]));
        assert!(text.contains("308"), "{text}");
    }
}
