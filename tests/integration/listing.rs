//! The listing of a directory, as HTML, JSON or text.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Response, Server, Site};

fn site() -> Site {
    Site::new("'/' = { files = 'www', listing = true, revalidate = '0s' }")
}

fn server() -> Server {
    site()
        .file("sub/deep/x.txt", "x")
        .file("a2.txt", "22")
        .file("a10.txt", "1")
        .file("B.txt", "x".repeat(1536))
        .file(".hidden", "secret")
        .start()
}

/// The targets of the links in the rows.
fn links(response: &Response) -> Vec<String> {
    let text = response.text();
    let (_, rows) = text.split_once("<tbody>").expect("a table");
    rows.split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn accept_chooses_the_form() {
    let server = server();
    for (accept, content_type) in [
        ("", "text/html; charset=utf-8"),
        ("Accept: */*\r\n", "text/html; charset=utf-8"),
        (
            "Accept: text/html,application/json;q=0.9\r\n",
            "text/html; charset=utf-8",
        ),
        ("Accept: application/json\r\n", "application/json"),
        ("Accept: text/plain\r\n", "text/plain; charset=utf-8"),
        (
            "Accept: application/json;q=0.2, text/plain;q=0.3\r\n",
            "text/plain; charset=utf-8",
        ),
    ] {
        let response = server.get_with("/", accept);
        assert_eq!(
            (response.status, response.field("Content-Type")),
            (200, Some(content_type)),
            "{accept}"
        );
        assert_eq!(response.field("Vary"), Some("Accept"), "{accept}");
        assert_eq!(
            response.field("X-Content-Type-Options"),
            Some("nosniff"),
            "{accept}"
        );
    }
}

#[test]
fn each_form_tells_the_same() {
    let server = server();
    let page = server.get("/");
    assert_eq!(links(&page), ["./sub/", "./a2.txt", "./a10.txt", "./B.txt"]);
    assert!(
        page.text().contains("title=\"1536 bytes\">1.5 KiB<"),
        "a human size, the exact one on hover"
    );
    let json = server.get_with("/", "Accept: application/json\r\n").json();
    let rows = json.as_array().expect("an array");
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["name"].as_str(),
                row["type"].as_str(),
                row["size"].as_u64(),
            )
        })
        .collect();
    let expected = [
        (Some("sub"), Some("directory"), None),
        (Some("a2.txt"), Some("file"), Some(2)),
        (Some("a10.txt"), Some("file"), Some(1)),
        (Some("B.txt"), Some("file"), Some(1536)),
    ];
    assert_eq!(told, expected);
    let text = server.get_with("/", "Accept: text/plain\r\n").text();
    let names: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(names, ["sub/", "a2.txt", "a10.txt", "B.txt"]);
}

#[test]
fn links_sort_without_scripts() {
    let server = server();
    for (query, expected) in [
        (
            "?sort=name&order=desc",
            ["./sub/", "./B.txt", "./a10.txt", "./a2.txt"],
        ),
        (
            "?sort=size&order=asc",
            ["./sub/", "./a10.txt", "./a2.txt", "./B.txt"],
        ),
        (
            "?sort=size&order=desc",
            ["./sub/", "./B.txt", "./a2.txt", "./a10.txt"],
        ),
        (
            "?sort=nonsense&x",
            ["./sub/", "./a2.txt", "./a10.txt", "./B.txt"],
        ),
    ] {
        assert_eq!(
            links(&server.get(&format!("/{query}"))),
            expected,
            "{query}"
        );
    }
    let page = server.get("/").text();
    for key in [
        "?sort=name&amp;order=desc",
        "?sort=size&amp;order=desc",
        "?sort=time&amp;order=desc",
    ] {
        assert!(page.contains(&format!("href=\"{key}\"")), "{key}");
    }
}

#[test]
fn a_page_leads_up_and_down() {
    let server = server();
    let page = server.get("/sub/deep/").text();
    for link in ["href=\"../../\"", "href=\"../\"", "href=\"./x.txt\""] {
        assert!(page.contains(link), "{link}");
    }
    assert_eq!(server.get("/sub/deep").field("Location"), Some("deep/"));
    assert_eq!(server.get("/nothing/").status, 404);
    let closed = Site::of_files().file("sub/x.txt", "x").start();
    assert_eq!(
        closed.get("/sub/").status,
        404,
        "only where it is asked for"
    );
}

#[test]
fn names_of_any_octets_are_escaped_and_their_links_lead_to_them() {
    let site = site();
    let names: [&[u8]; 9] = [
        b"<img src=x onerror=alert(1)>",
        b"a\"b'c&d",
        b"50% of #1?.txt",
        b"\xff\xfe.bin",
        b"new\nline",
        b"javascript:alert(1)",
        b"back\\slash",
        b" space ",
        "gr\u{fc}n \u{202e}txt".as_bytes(),
    ];
    for name in names {
        site.directory()
            .write(Path::new("www").join(OsStr::from_bytes(name)), name);
    }
    let server = site.start();
    let page = server.get("/");
    let text = page.text();
    assert!(
        !text.contains("<img") && !text.contains("href=\"javascript"),
        "{text}"
    );
    let links = links(&page);
    assert_eq!(links.len(), names.len());
    let mut contents: Vec<Vec<u8>> = links
        .iter()
        .map(|link| {
            assert!(link.bytes().all(|byte| byte.is_ascii_graphic()), "{link}");
            server.get(&link.replacen("./", "/", 1)).content
        })
        .collect();
    contents.sort();
    let mut expected = names.map(<[u8]>::to_vec).to_vec();
    expected.sort();
    assert_eq!(contents, expected);
    let json = server.get_with("/", "Accept: application/json\r\n").json();
    assert_eq!(json.as_array().map(Vec::len), Some(names.len()));
    let table = server.get_with("/", "Accept: text/plain\r\n").text();
    assert_eq!(
        table.lines().count(),
        names.len() + 1,
        "no name begins a line of its own"
    );
}

#[test]
fn what_serving_refuses_is_not_listed_and_nothing_fails_the_page() {
    let site = site().file("a.txt", "x").file(".hidden", "x");
    let www = site.directory().join("www");
    symlink("/etc/passwd", www.join("escape")).expect("a link");
    symlink("nowhere", www.join("dangling")).expect("a link");
    symlink("loop", www.join("loop")).expect("a link");
    symlink("a.txt", www.join("inside")).expect("a link");
    let page = site.start().get("/");
    assert_eq!(
        (page.status, links(&page)),
        (200, vec!["./a.txt".to_owned(), "./inside".to_owned()])
    );
}

#[test]
fn a_huge_directory_is_listed_to_its_end() {
    let site = site();
    let count = 2000;
    for number in 0..count {
        site.directory()
            .write(format!("www/entry-number-{number}"), "");
    }
    let server = site.start();
    let mut client = server.connect();
    for accept in ["text/html", "application/json", "text/plain"] {
        let response = client.exchange(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n"
        ));
        assert_eq!(response.content_length(), Some(response.content.len()));
        let text = response.text();
        let listed = (0..count).all(|number| text.contains(&format!("entry-number-{number}")));
        assert!(listed, "{accept}");
    }
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.response_to_head().content_length() > Some(100_000));
    assert_eq!(
        client
            .exchange("GET /entry-number-1 HTTP/1.1\r\nHost: h\r\n\r\n")
            .status,
        200
    );
}

#[test]
fn a_filter_holds_for_every_form_and_is_kept_while_sorting() {
    let server = server();
    let page = server.get("/?filter=A&sort=size&order=asc");
    assert_eq!(links(&page), ["./a10.txt", "./a2.txt"]);
    let next = "href=\"?sort=size&amp;order=desc&amp;filter=A\"";
    assert!(page.text().contains(next), "{}", page.text());
    let json = server.get_with("/?filter=b.", "Accept: application/json\r\n");
    assert_eq!(json.json().as_array().map(Vec::len), Some(1));
    let text = server.get_with("/?filter=nothing", "Accept: text/plain\r\n");
    assert_eq!(text.text().lines().count(), 1);
    // A listing that comes from a file is another one for another filter.
    let site = site();
    for number in 0..2000 {
        site.directory()
            .write(format!("www/file-{number:04}.bin"), "");
    }
    let server = site.start();
    assert!(server.get("/").text().contains("file-1999.bin"));
    let page = server.get("/?filter=199");
    assert_eq!(links(&page).len(), 12);
}
