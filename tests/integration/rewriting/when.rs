//! `when`: of several routes of one path, the first answers whose conditions the request meets.

use crate::support::{Server, Site, ended_with};

const ROUTES: &str = "'/shop' = [\n\
    { when = { cookie.canary = '1' }, respond = 'canary' },\n\
    { when = { header.Accept = '*json*', query.v = ['2', '3*'] }, respond = 'json' },\n\
    { when = { method = ['POST', 'PUT'], host = '*.example.com' }, echo = true },\n\
    { when = { header.X-Old = false, query.new = true }, redirect = '/new', headers = { Vary = 'X-Own' } },\n\
    { respond = 'shop' },\n\
    ]\n\
    '/only' = { when.query.v = '2', respond = 'two' }\n\
    '/get' = [{ when.method = 'GET', respond = 'get' }, { when = { method = 'PUT' }, echo = true }]\n\
    '/no' = [{ when = { method = ['PUT', 'DELETE'] }, respond = 'no', status = 403 }, { respond = 'yes' }]\n\
    '/wide' = { respond = 'wide' }\n\
    '/wide/deep' = { when.header.X = true, respond = 'deep' }\n\
    '= /closed' = [{ when.cookie.key = 'a', respond = 'open' }, { respond = 'closed', deny = 'all' }]";

fn ask(server: &Server, method: &str, target: &str, lines: &str) -> (u16, String, String) {
    let request = format!("{method} {target} HTTP/1.1\r\n{lines}Content-Length: 0\r\n\r\n");
    let response = server.connect().exchange(request);
    let vary = response.field("Vary").unwrap_or_default().to_owned();
    (response.status, response.text(), vary)
}

#[test]
fn the_first_route_whose_conditions_hold_answers() {
    let server = Site::new(ROUTES).start();
    for (target, lines, status, text, vary) in [
        ("/shop", "Host: h\r\n", 200, "shop", "Cookie, Accept, X-Old"),
        (
            "/shop/a",
            "Host: h\r\nCookie: a=b; canary=1\r\n",
            200,
            "canary",
            "Cookie",
        ),
        (
            "/shop",
            "Host: h\r\nCookie: canary=2\r\n",
            200,
            "shop",
            "Cookie, Accept, X-Old",
        ),
        (
            "/shop?v=2",
            "Host: h\r\nAccept: Application/JSON\r\n",
            200,
            "json",
            "Cookie, Accept",
        ),
        (
            "/shop?a=1&v=%33x",
            "Host: h\r\nAccept: a/b\r\nAccept: x/json\r\n",
            200,
            "json",
            "Cookie, Accept",
        ),
        (
            "/shop?v=1",
            "Host: h\r\nAccept: application/json\r\n",
            200,
            "shop",
            "Cookie, Accept, X-Old",
        ),
        (
            "/shop?new",
            "Host: h\r\n",
            308,
            "",
            "X-Own, Cookie, Accept, X-Old",
        ),
        (
            "/shop?new",
            "Host: h\r\nX-Old: 1\r\n",
            200,
            "shop",
            "Cookie, Accept, X-Old",
        ),
        ("/only?v=2", "Host: h\r\n", 200, "two", ""),
        ("/wide/deep", "Host: h\r\nX: 1\r\n", 200, "deep", "X"),
        (
            "/closed",
            "Host: h\r\nCookie: key=a\r\n",
            200,
            "open",
            "Cookie",
        ),
    ] {
        let found = ask(&server, "GET", target, lines);
        let text = if status == 200 {
            text.to_owned()
        } else {
            found.1.clone()
        };
        assert_eq!(found, (status, text, vary.to_owned()), "{target} {lines}");
    }
    for (method, target, lines, status) in [
        ("POST", "/shop", "Host: a.Example.com.\r\n", 200),
        ("POST", "/shop", "Host: example.com\r\n", 405),
        ("GET", "/only", "Host: h\r\n", 404),
        ("GET", "/only?v=22", "Host: h\r\n", 404),
        ("HEAD", "/get", "Host: h\r\n", 200),
        ("PUT", "/get", "Host: h\r\n", 200),
        ("POST", "/get", "Host: h\r\n", 405),
        ("GET", "/wide/deep", "Host: h\r\n", 404),
        // `respond` once took GET and HEAD alone here, whatever `when` said.
        ("DELETE", "/no", "Host: h\r\n", 403),
        ("HEAD", "/no", "Host: h\r\n", 200),
        ("POST", "/no", "Host: h\r\n", 405),
        ("OPTIONS", "/no", "Host: h\r\n", 204),
        ("GET", "/closed", "Host: h\r\n", 403),
    ] {
        let request = format!(
            "{method} {target} HTTP/1.1\r\n{lines}Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let mut client = server.connect();
        client.send(request);
        let response = if method == "HEAD" {
            client.response_to_head()
        } else {
            client.response()
        };
        assert_eq!(response.status, status, "{method} {target} {lines}");
        if status == 405 && target == "/get" {
            assert_eq!(response.field("Allow"), Some("GET, HEAD, PUT, OPTIONS"));
        }
        // Allow once had the methods of the one route alone that would answer this method.
        if target == "/no" && matches!(method, "POST" | "OPTIONS") {
            let allow = "GET, HEAD, PUT, DELETE, OPTIONS";
            assert_eq!(response.field("Allow"), Some(allow), "{method}");
        }
    }
    let missing = server.get("/wide/deep");
    assert_eq!(
        missing.field("Vary"),
        Some("Accept, X"),
        "a cache is told why it is missing"
    );
}

#[test]
fn explain_tells_which_route_answers_and_why() {
    let site = Site::new(ROUTES);
    let explain = |arguments: &[&str]| {
        let output = site.command_line(&[&["explain"], arguments].concat());
        ended_with(0, &output)
    };
    let text = explain(&["/shop?v=2", "-H", "Accept: text/json"]);
    for expected in [
        "is for other requests than this: cookie.canary = \"1\"",
        "answers: header.Accept = \"*json*\", query.v = \"2\" or \"3*\"",
        "is for other requests than this: method = POST or PUT",
        "stands behind the one that answers",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let text = explain(&["/only"]);
    assert!(text.contains("404"), "{text}");
    assert!(
        text.contains("is for other requests than this: query.v = \"2\""),
        "{text}"
    );
}

#[test]
fn a_reload_tells_which_route_of_a_path_has_changed() {
    let site = Site::new("'/a' = [{ when.query.v = '2', respond = 'two' }, { respond = 'one' }]");
    let server = site.start();
    assert_eq!(server.get("/a?v=2").text(), "two");
    let text = std::fs::read_to_string(server.directory().join("config.toml"));
    let text = text.expect("the configuration").replace("'two'", "'zwei'");
    server.configure(text);
    let reloaded = ended_with(0, &server.command_line(&["reload"]));
    assert!(
        reloaded.contains("route /a when { query = { v = [\"2\"] } }: respond two → zwei"),
        "{reloaded}"
    );
    assert_eq!(server.get("/a?v=2").text(), "zwei");
    assert_eq!(server.get("/a").text(), "one");
}
