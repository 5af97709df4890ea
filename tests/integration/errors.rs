//! What a response to an error says, and what it must not say.

use crate::support::Site;

const BAD: &[(&str, u16)] = &[
    ("GET /nothing HTTP/1.1\r\nHost: h\r\n", 404),
    ("GET /%zz HTTP/1.1\r\nHost: h\r\n", 400),
    ("POST / HTTP/1.1\r\nHost: h\r\n", 405),
    ("GET /a.txt HTTP/1.1\r\nHost: h\r\nIf-Match: \"x\"\r\n", 412),
    (
        "GET /a.txt HTTP/1.1\r\nHost: h\r\nRange: bytes=99-\r\n",
        416,
    ),
];

#[test]
fn errors_take_the_form_that_accept_prefers() {
    let server = Site::of_files().file("a.txt", "a").start();
    for (head, status) in BAD {
        let ask = |accept: &str| server.answer(format!("{head}Accept: {accept}\r\n\r\n"));
        let html = ask("text/html, */*;q=0.1");
        assert_eq!(
            (html.status, html.field("Content-Type")),
            (*status, Some("text/html; charset=utf-8")),
            "{head}"
        );
        assert!(
            html.text().starts_with("<!doctype html>") && html.text().contains(&status.to_string())
        );
        let json = ask("application/json");
        assert_eq!(
            (json.status, json.field("Content-Type")),
            (*status, Some("application/json")),
            "{head}"
        );
        assert_eq!(json.json()["status"], *status, "{head}");
        let text = ask("text/plain");
        assert_eq!(
            (text.status, text.field("Content-Type")),
            (*status, Some("text/plain; charset=utf-8")),
            "{head}"
        );
        assert!(text.text().starts_with(&status.to_string()), "{head}");
        for response in [html, json, text] {
            assert!(
                response
                    .field("Vary")
                    .is_some_and(|vary| vary.contains("Accept")),
                "{head}"
            );
            assert_eq!(
                response.field("X-Content-Type-Options"),
                Some("nosniff"),
                "{head}"
            );
        }
    }
}

#[test]
fn a_request_that_cannot_be_read_is_answered_with_a_page() {
    let server = Site::of_files().start();
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
    ] {
        let response = server.answer(request);
        assert_eq!(
            (response.status, response.field("Content-Type")),
            (status, Some("text/html; charset=utf-8"))
        );
        assert!(response.text().contains("color-scheme"), "light and dark");
    }
}

#[test]
fn errors_reveal_no_path_and_echo_nothing() {
    let site = Site::of_files();
    let root = site.directory().path().display().to_string();
    let server = site.start();
    for target in [
        "/nothing-to-see<script>",
        "/%zz",
        "/..%2f..%2fetc",
        "/.env",
        "/nothing?<b>x</b>",
    ] {
        for accept in ["text/html", "application/json", "text/plain"] {
            let response = server.get_with(target, &format!("Accept: {accept}\r\n"));
            let whole = format!("{:?} {}", response.fields, response.text());
            for secret in [
                root.as_str(),
                "www",
                "nothing-to-see",
                "<script",
                "<b>x",
                ".env",
            ] {
                assert!(!whole.contains(secret), "{secret} in {whole}");
            }
        }
    }
}

#[test]
fn a_root_that_vanishes_is_no_secret_told() {
    let server = Site::of_files().file("a.txt", "a").start();
    assert_eq!(server.get("/a.txt").status, 200);
    std::fs::rename(
        server.directory().join("www"),
        server.directory().join("gone"),
    )
    .expect("it can be renamed");
    let response = server.get("/a.txt");
    assert!(matches!(response.status, 404 | 500), "{}", response.status);
    assert!(!response.text().contains("www"));
}
