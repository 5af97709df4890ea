//! A directory as one file: `?archive=tar.gz` and `?archive=zip`. What programs make of them is in `tests/real`.

use std::io::Read as _;

use crate::support::{Client, Response, Server, Site, until};

const LISTED: &str = "files = 'www', listing = true, revalidate = '0s'";

fn site(archive: &str) -> Site {
    Site::new(&format!("'/' = {{ {LISTED}, archive = {archive} }}"))
        .top("workers = 1")
        .log("access = '-'\nformat = 'json'")
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The response to a client that does not end its side of the connection: one that does has gone.
fn load(server: &Server, target: &str) -> Response {
    server.connect().exchange(get(target))
}

/// The tar in a response.
fn tar_in(response: &Response) -> String {
    assert_eq!(response.status, 200);
    let mut tar = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(&response.content[..]);
    decoder.read_to_end(&mut tar).expect("it is whole");
    String::from_utf8_lossy(&tar).into_owned()
}

/// Whether a response is the page that lists a directory.
fn is_page(response: &Response) -> bool {
    response.text().contains("<title>Index of ")
}

#[test]
fn a_listing_offers_what_the_route_makes() {
    let server = site("true")
        .file("a.txt", "content of a")
        .file("gr\u{fc}n/b.txt", "content of b")
        .file("gr\u{fc}n/.hidden", "secret")
        .start();
    let page = server.get("/").text();
    for form in ["tar.gz", "zip"] {
        assert!(
            page.contains(&format!("<a href=\"?archive={form}\"")),
            "{page}"
        );
    }
    let response = load(&server, "/?archive=tar.gz");
    assert_eq!(response.field("Content-Type"), Some("application/gzip"));
    let told = "attachment; filename=\"files.tar.gz\"; filename*=UTF-8''files.tar.gz";
    assert_eq!(response.field("Content-Disposition"), Some(told));
    assert_eq!(response.field("X-Content-Type-Options"), Some("nosniff"));
    let tar = tar_in(&response);
    for part in [
        "files/a.txt",
        "content of a",
        "path=files/gr\u{fc}n/b.txt\n",
        "content of b",
    ] {
        assert!(tar.contains(part), "{part}");
    }
    assert!(!tar.contains("hidden") && !tar.contains("secret"));
    let response = load(&server, "/gr%C3%BCn/?sort=size&archive=zip");
    assert_eq!(response.field("Content-Type"), Some("application/zip"));
    let told = "attachment; filename=\"gr_n.zip\"; filename*=UTF-8''gr%C3%BCn.zip";
    assert_eq!(response.field("Content-Disposition"), Some(told));
    assert!(response.content.starts_with(b"PK\x03\x04"));
    let mut client = server.connect();
    client.send("HEAD /?archive=zip HTTP/1.1\r\nHost: h\r\n\r\n");
    let head = client.response_to_head();
    assert_eq!(
        (head.status, head.field("Content-Type")),
        (200, Some("application/zip"))
    );
    assert_eq!(
        head.content_length(),
        None,
        "it is not known before it is made"
    );
    assert_eq!(client.exchange(get("/a.txt")).text(), "content of a");
}

#[test]
fn what_is_not_offered_is_a_listing() {
    let routes = format!(
        "'/' = {{ {LISTED}, archive = 'zip' }}\n'/off' = {{ {LISTED}, strip_prefix = true }}"
    );
    let server = Site::new(&routes)
        .file("a.txt", "")
        .file("with/index.html", "the index")
        .start();
    for target in [
        "/?archive=tar.gz",
        "/?archive=rar",
        "/?archive=",
        "/off/?archive=zip",
    ] {
        assert!(is_page(&server.get(target)), "{target}");
    }
    assert!(!server.get("/").text().contains("?archive=tar.gz"));
    assert!(!server.get("/off/").text().contains("?archive="));
    assert_eq!(server.get("/with/?archive=zip").text(), "the index");
    assert_eq!(server.get("/none/?archive=zip").status, 404);
}

/// The archive of a directory would tell what a route below it keeps to those who know a password.
#[test]
fn what_another_route_answers_is_not_in_it() {
    let routes = format!(
        "'/' = {{ {LISTED}, archive = true }}\n\
         '/private' = {{ {LISTED}, deny = ['127.0.0.1'] }}\n\
         '= /key.txt' = {{ respond = 'no', status = 403 }}\n\
         '/by/{{name}}' = {{ respond = 'b' }}"
    );
    let server = Site::new(&routes)
        .file("private/plans.txt", "the plans")
        .file("key.txt", "the key")
        .file("by/name", "the name")
        .file("open.txt", "what all may read")
        .start();
    assert!(
        server.get("/").text().contains("private/"),
        "the listing names it"
    );
    let tar = tar_in(&load(&server, "/?archive=tar.gz"));
    assert!(tar.contains("what all may read"));
    for part in ["the plans", "plans.txt", "the key", "the name"] {
        assert!(!tar.contains(part), "{part}");
    }
}

/// A file that is sent as it is in a zip, larger than all that is between the server and a client.
fn with_large_file(site: Site) -> Server {
    let site = site.file("large.jpg", "");
    let file = std::fs::File::options()
        .write(true)
        .open(site.directory().join("www/large.jpg"));
    file.and_then(|file| file.set_len(1 << 28))
        .expect("a hole takes no room");
    site.start()
}

/// A client that reads nothing of an archive but the head of its response.
fn half_served(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(get("/?archive=zip"));
    assert_eq!(client.response_head().status, 200);
    client
}

#[test]
fn one_too_many_is_refused_until_another_client_has_gone() {
    let server = with_large_file(site("true"));
    let mut clients: Vec<Client> = (0..8).map(|_| half_served(&server)).collect();
    let refused = server.get("/?archive=zip");
    assert_eq!(refused.status, 503);
    assert!(refused.field("Retry-After").is_some());
    server.wait_for_reason("archives_busy");
    assert_eq!(
        server.get("/").status,
        200,
        "files and listings have threads of their own"
    );
    let running = || {
        let response = server.control().exchange("GET", "/metrics");
        let text = response.text();
        let line = "tidegate_blocking_running_jobs{pool=\"archives\"} ";
        let line = text.lines().find_map(|it| it.strip_prefix(line));
        line.expect("it is told").to_owned()
    };
    until("each has its thread", || (running() == "8").then_some(()));
    clients.pop();
    until("a place is free", || (running() == "7").then_some(()));
    clients.push(half_served(&server));
    clients.clear();
    until("no thread works for those that have gone", || {
        (running() == "0").then_some(())
    });
}

#[test]
fn an_archive_that_cannot_be_completed_is_broken_off() {
    let server = with_large_file(site("true"));
    let mut client = half_served(&server);
    // The server has opened the file once its octets come.
    client.read(1 << 20);
    let path = server.directory().join("www/large.jpg");
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("it is ours");
    file.set_len(0).expect("it is ours");
    let rest = client.rest_before_cut();
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "it must not seem to be whole"
    );
    assert!(
        !rest.windows(4).any(|octets| octets == b"PK\x05\x06"),
        "the end of a zip"
    );
    let record = server.wait_for_record(|line| line.contains("content_broke_off"));
    assert!(record.contains("\"status\":200"), "{record}");
    server
        .wait_for_line(|line| line.contains("files/large.jpg") && line.contains("became shorter"));
}

#[test]
fn what_the_server_may_not_read_is_named_in_it() {
    let site = site("true")
        .file("closed/x", "x")
        .file("shut.txt", "x")
        .file("z.txt", "open");
    for name in ["closed", "shut.txt"] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
        let path = site.directory().join("www").join(name);
        std::fs::set_permissions(path, mode).expect("it is ours");
    }
    let server = site.obeying_permissions().start();
    let tar = tar_in(&load(&server, "/?archive=tar.gz"));
    assert!(tar.contains("files/z.txt"));
    let told = "closed/: the server may not read it\nshut.txt: the server may not read it\n";
    assert!(
        tar.contains("files/tidegate-left-out.txt") && tar.contains(told),
        "{tar}"
    );
}
