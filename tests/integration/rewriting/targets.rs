//! `rewrite`: what stands behind the route is asked for, and what it is not.

use super::get;
use crate::cgi::script;
use crate::support::{Site, Upstream, ended_with};

const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

#[test]
fn an_upstream_is_asked_for_what_the_operator_says_in_the_clients_spelling() {
    let upstream = Upstream::answering(LAST);
    let url = upstream.url();
    let server = Site::new(&format!(
        "'/shop/{{id}}' = {{ proxy = '{url}', rewrite = '/item?id={{id}}&{{query}}' }}\n\
         '/v1' = {{ proxy = '{url}', rewrite = '/v2/{{rest}}' }}\n\
         '/dl/{{v:int}}/{{file...}}' = {{ proxy = '{url}', rewrite = '/{{v}}/files/{{file}}' }}\n\
         '/hosts' = {{ proxy = '{url}', rewrite = '/{{host}}{{path}}?by={{method}}&for={{client}}' }}"
    ))
    .start();
    let long = "a".repeat(8 * 1024);
    let cases = [
        ("/shop/7", "/item?id=7".to_owned()),
        ("/shop/7?", "/item?id=7".to_owned()),
        ("/shop/7?a=1&b", "/item?id=7&a=1&b".to_owned()),
        ("/shop/a%2Fb", "/item?id=a%2Fb".to_owned()),
        ("/shop/a&admin=1", "/item?id=a%26admin%3D1".to_owned()),
        ("/shop/%0d%0aX:1", "/item?id=%0d%0aX:1".to_owned()),
        (&format!("/shop/{long}"), format!("/item?id={long}")),
        ("/v1/a//b%2f", "/v2/a//b%2f".to_owned()),
        ("/v1?q", "/v2/?q".to_owned()),
        ("/dl/3/a/b%20c?x=1", "/3/files/a/b%20c?x=1".to_owned()),
        ("/hosts/a", "/h/hosts/a?by=GET&for=127.0.0.1".to_owned()),
    ];
    for (target, expected) in &cases {
        assert_eq!(get(&server, target).status, 200, "{target}");
        let requests = upstream.requests();
        let line = requests.last().expect("it was asked").line();
        assert_eq!(line, format!("GET {expected} HTTP/1.1"), "{target}");
    }
    assert_eq!(server.get("/shop/%00").status, 400);
    let asked = upstream.requests().len();
    let climbing = server.answer("GET /hosts/a HTTP/1.1\r\nHost: ..\r\n\r\n");
    assert_eq!(climbing.status, 400, "a host that is a dot segment");
    let nameless = server.answer("GET /hosts/a HTTP/1.0\r\n\r\n");
    assert_eq!(nameless.status, 400, "no host");
    assert_eq!(upstream.requests().len(), asked);
}

#[test]
fn a_script_runs_for_the_new_path_and_is_told_what_the_client_sent() {
    let site = Site::new(
        "'/wiki/{page}' = { cgi = 'scripts', rewrite = '/wiki.cgi/{page}?title={page}&{query}' }",
    );
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    let body = "printf 'Content-Type: text/plain\\n\\n%s|%s|%s|%s' \
                \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$QUERY_STRING\" \"$REQUEST_URI\"";
    script(site.directory(), "wiki.cgi", body);
    let server = site.start();
    assert_eq!(
        get(&server, "/wiki/A%20B?x=1").text(),
        "/wiki.cgi|/A B|title=A%20B&x=1|/wiki/A%20B?x=1"
    );
    let absolute = "GET http://h/wiki/C HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(
        server.connect().exchange(absolute).text(),
        "/wiki.cgi|/C|title=C|/wiki/C"
    );
}

#[test]
fn a_file_is_looked_for_at_the_new_path_on_both_ways() {
    let site = Site::new(
        "'/u/{id:int}' = { files = 'www', rewrite = '/users/{id}.html' }\n\
         '/docs/{v}' = { files = 'www', rewrite = '/manual-{v}{rest}' }\n\
         '/slash/{v}/' = { files = 'www', rewrite = '/{v}' }",
    )
    .file("users/7.html", "seven")
    .file("manual-1/index.html", "index")
    .file("manual-1/a.html", "a");
    let server = site.start();
    // The second time, the fast path answers from the cache.
    for _ in 0..2 {
        assert_eq!(server.get("/u/7").text(), "seven");
        assert_eq!(server.get("/docs/1/a.html").text(), "a");
        assert_eq!(server.get("/docs/1/").text(), "index");
        assert_eq!(server.get("/u/seven").status, 404, "no route");
        assert_eq!(server.get("/u/8").status, 404);
        assert_eq!(server.get("/docs/1/%2e%2e/users/7.html").status, 404);
    }
    let moved = server.get("/docs/1?q");
    assert_eq!((moved.status, moved.field("Location")), (308, Some("1/?q")));
    assert_eq!(
        server.get("/slash/manual-1/").status,
        404,
        "a slash more would lead here again"
    );
    let head = server
        .connect()
        .exchange("GET /u/7 HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!((head.status, head.text()), (206, "se".to_owned()));
}

#[test]
fn a_rewrite_chooses_no_other_route_and_changes_no_line_of_the_log() {
    let server = Site::new(
        "'/a' = { echo = true, rewrite = '/b' }\n'/b' = { echo = true, rewrite = '/a' }\n\
         '/closed' = { echo = true, deny = 'all' }\n\
         '/open' = { echo = true, rewrite = '/closed' }",
    )
    .log("access = '-'")
    .start();
    let echoed = server.get("/a").json();
    assert_eq!(echoed["path"], "/b");
    assert_eq!(server.get("/open").json()["path"], "/closed");
    assert_eq!(server.get("/closed").status, 403);
    server.wait_for_record(|line| line.contains("\"GET /open HTTP/1.1\" 200"));
}

#[test]
fn explain_and_tests_tell_what_was_replaced_by_what() {
    let site = Site::new(
        "'/shop/{id}' = { proxy = 'http://127.0.0.1:1', rewrite = '/item?id={id}&{query}' }\n\
         '/h' = { files = 'www', rewrite = '/{host}' }",
    )
    .file("h", "")
    .file("index.html", "");
    let output = site.command_line(&["explain", "/shop/7?a=1"]);
    let text = ended_with(0, &output);
    assert!(
        text.contains("rewrite   /shop/7?a=1 becomes /item?id=7&a=1"),
        "{text}"
    );
    assert!(text.contains("GET /item?id=7&a=1 HTTP/1.1"), "{text}");
    let test = "[[test]]\nrequest = 'GET /shop/8'\nexpect = { route = '/shop/{id}', target = '/item?id=9' }";
    let site = Site::new(&format!(
        "'/shop/{{id}}' = {{ proxy = 'http://127.0.0.1:1', rewrite = '/item?id={{id}}' }}\n{test}"
    ));
    let output = site.command_line(&["check"]);
    let text = ended_with(1, &output);
    assert!(
        text.contains("expected target /item?id=9, got /item?id=8"),
        "{text}"
    );
}
