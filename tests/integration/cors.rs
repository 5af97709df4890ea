//! `cors`: what scripts of other origins may read and send. Preflights, the fields of every other
//! response, and where both are inherited.

use crate::cgi::script;
use crate::support::{Response, Server, Site, Upstream, ended_with};

const ORIGIN: &str = "https://app.example";
const RULES: &str = "cors = { origins = ['https://app.example', 'http://*.dev.test:3000'], \
    methods = ['GET', 'PUT'], headers = ['Authorization', 'X-A'], expose = ['X-Total', 'ETag'], \
    credentials = true, max_age = '1h' }";

/// The fields of CORS, and `Vary`, in the order of their names.
fn cors_fields(response: &Response) -> Vec<(&str, &str)> {
    let fields = response.fields.iter();
    let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
    let is_meant = |(name, _): &(&str, &str)| {
        let name = name.to_ascii_lowercase();
        name.starts_with("access-control-") || name == "vary"
    };
    let mut found: Vec<_> = fields.filter(is_meant).collect();
    found.sort_unstable();
    found
}

/// What a response carries for `origin`, where it is allowed by [`RULES`].
fn allowed<'a>(origin: &'a str, vary: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Expose-Headers", "X-Total, ETag"),
        ("Vary", vary),
    ]
}

/// The response to `request`, from a client that stays.
fn ask(server: &Server, request: impl AsRef<[u8]>) -> Response {
    server.connect().exchange(request)
}

fn preflight(server: &Server, target: &str, origin: &str, method: &str) -> Response {
    ask(
        server,
        format!(
            "OPTIONS {target} HTTP/1.1\r\nHost: h\r\nOrigin: {origin}\r\n\
         Access-Control-Request-Method: {method}\r\n\
         Access-Control-Request-Headers: authorization\r\n\r\n"
        ),
    )
}

fn get_from(server: &Server, target: &str, origin: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nOrigin: {origin}\r\n\r\n");
    ask(server, request)
}

#[test]
fn a_preflight_is_answered_before_any_handler_is_asked() {
    let upstream = Upstream::listen();
    let site = Site::new(&format!(
        "'/files' = {{ files = 'www', {RULES} }}\n\
         '/text' = {{ respond = 'ok', status = 503, {RULES} }}\n\
         '/moved' = {{ redirect = '/text', {RULES} }}\n\
         '/echo' = {{ echo = true, {RULES} }}\n\
         '/cgi' = {{ cgi = 'www', {RULES} }}\n\
         '/php' = {{ fastcgi = '{0}', root = 'www', {RULES} }}\n\
         '/api' = {{ proxy = 'http://{0}', {RULES} }}\n\
         'PUT /one' = {{ echo = true, {RULES} }}",
        upstream.address()
    ));
    let server = site.start();
    for target in [
        "/files/gone",
        "/text",
        "/moved",
        "/echo",
        "/cgi/gone",
        "/php/a.php",
        "/api/a?b",
        "/one",
    ] {
        let response = preflight(&server, target, ORIGIN, "PUT");
        assert_eq!(response.status, 204, "{target}");
        assert_eq!(
            cors_fields(&response),
            [
                ("Access-Control-Allow-Credentials", "true"),
                ("Access-Control-Allow-Headers", "Authorization, X-A"),
                ("Access-Control-Allow-Methods", "GET, PUT"),
                ("Access-Control-Allow-Origin", ORIGIN),
                ("Access-Control-Max-Age", "3600"),
                ("Vary", "Origin"),
            ],
            "{target}"
        );
        assert_eq!(response.field("Content-Length"), None, "{target}");
    }
    let response = preflight(&server, "/api", "http://a.b.dev.test:3000", "DELETE");
    let of_wildcard = Some("http://a.b.dev.test:3000");
    assert_eq!(response.field("Access-Control-Allow-Origin"), of_wildcard);
    let methods = response.field("Access-Control-Allow-Methods");
    assert_eq!(
        methods,
        Some("GET, PUT"),
        "the browser sees that DELETE is not allowed"
    );
    upstream.expect_no_connection();
}

#[test]
fn a_preflight_with_content_is_answered_and_the_connection_goes_on() {
    let server = Site::new(&format!("'/' = {{ echo = true, {RULES} }}")).start();
    let mut client = server.connect();
    let head = format!("Host: h\r\nOrigin: {ORIGIN}\r\nAccess-Control-Request-Method: PUT\r\n");
    let preflight = format!("OPTIONS / HTTP/1.1\r\n{head}Content-Length: 2\r\n\r\n{{}}");
    for _ in 0..2 {
        let response = client.exchange(&preflight);
        let origin = response.field("Access-Control-Allow-Origin");
        assert_eq!((response.status, origin), (204, Some(ORIGIN)));
    }
}

#[test]
fn an_origin_that_is_not_listed_is_allowed_nothing() {
    let server = Site::new(&format!("'/' = {{ respond = 'ok', {RULES} }}")).start();
    for origin in [
        "https://app.example.evil.test",
        "http://app.example",
        "https://app.example:8443",
        "https://APP.example",
        "http://dev.test:3000",
        "http://evil.test/.dev.test:3000",
        "null",
        "",
        "https://app.example, https://app.example",
        "https://app.example\r\nOrigin: https://app.example",
    ] {
        let response = preflight(&server, "/", origin, "PUT");
        assert_eq!(
            (response.status, response.text().as_str()),
            (204, ""),
            "{origin}"
        );
        assert_eq!(cors_fields(&response), [("Vary", "Origin")], "{origin}");
        let response = get_from(&server, "/", origin);
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, "ok"),
            "{origin}"
        );
        assert_eq!(cors_fields(&response), [("Vary", "Origin")], "{origin}");
    }
    assert_eq!(cors_fields(&server.get("/")), [("Vary", "Origin")]);
}

#[test]
fn options_that_is_no_preflight_goes_on_as_before() {
    let upstream =
        Upstream::answering("HTTP/1.1 200 OK\r\nAllow: GET\r\nContent-Length: 0\r\n\r\n");
    let server = Site::new(&format!(
        "'/files' = {{ files = 'www', {RULES} }}\n'/api' = {{ proxy = 'http://{}', {RULES} }}\n\
         '/none' = {{ respond = 'ok' }}",
        upstream.address()
    ))
    .start();
    let origin = format!("Origin: {ORIGIN}\r\n");
    let method = "Access-Control-Request-Method: PUT\r\n";
    for (target, lines, status, allow) in [
        ("/api", "", 200, "GET"),
        ("/api", &origin[..], 200, "GET"),
        ("/api", method, 200, "GET"),
        ("/files", &origin, 204, "GET, HEAD, OPTIONS"),
        // Without `cors` a preflight is nothing special.
        (
            "/none",
            &format!("{origin}{method}"),
            204,
            "GET, HEAD, OPTIONS",
        ),
        (
            "*",
            &format!("{origin}{method}"),
            204,
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
    ] {
        let response = ask(
            &server,
            format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n"),
        );
        assert_eq!(response.status, status, "{target} {lines}");
        assert_eq!(response.field("Allow"), Some(allow), "{target} {lines}");
        let methods = response.field("Access-Control-Allow-Methods");
        assert_eq!(methods, None, "{target} {lines}");
        let allowed = response.field("Access-Control-Allow-Origin");
        let is_allowed = target != "/none" && target != "*" && lines.contains("Origin");
        assert_eq!(allowed.is_some(), is_allowed, "{target} {lines}");
    }
}

#[test]
fn every_response_of_files_says_who_may_read_it() {
    let routes = format!("'/' = {{ files = 'www', listing = true, {RULES} }}");
    let site = Site::new(&routes)
        .file("a.txt", "abcdef")
        .file("b.css", "b {}");
    let server = site
        .file("b.css.gz", "as if packed")
        .file("d/x", "")
        .start();
    for (method, target, lines, status, vary) in [
        ("GET", "/a.txt", "", 200, "Origin"),
        ("HEAD", "/a.txt", "", 200, "Origin"),
        ("GET", "/a.txt", "Range: bytes=1-2\r\n", 206, "Origin"),
        ("GET", "/a.txt", "Range: bytes=1-2, 4-4\r\n", 206, "Origin"),
        (
            "GET",
            "/a.txt",
            "Range: bytes=9-\r\n",
            416,
            "Accept, Origin",
        ),
        ("GET", "/a.txt", "If-None-Match: *\r\n", 304, "Origin"),
        (
            "GET",
            "/a.txt",
            "If-Match: \"other\"\r\n",
            412,
            "Accept, Origin",
        ),
        (
            "GET",
            "/b.css",
            "Accept-Encoding: gzip\r\n",
            200,
            "Accept-Encoding, Origin",
        ),
        ("GET", "/b.css", "", 200, "Accept-Encoding, Origin"),
        ("GET", "/d", "", 308, "Origin"),
        ("GET", "/gone", "", 404, "Accept, Origin"),
        ("POST", "/a.txt", "", 405, "Accept, Origin"),
    ] {
        let mut client = server.connect();
        let origin = format!("Origin: {ORIGIN}\r\n");
        client.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: h\r\n{origin}{lines}\r\n"
        ));
        let response = match method {
            "HEAD" => client.response_to_head(),
            _ => client.response(),
        };
        assert_eq!(response.status, status, "{method} {target} {lines}");
        let expected = allowed(ORIGIN, vary);
        assert_eq!(
            cors_fields(&response),
            expected,
            "{method} {target} {lines}"
        );
    }
    let listing = get_from(&server, "/d/", ORIGIN);
    let vary = listing.field("Vary").expect("the form is by Accept");
    assert!(vary.contains("Accept") && vary.contains("Origin"), "{vary}");
}

#[test]
fn fields_of_a_script_or_an_upstream_are_replaced() {
    let own = "access-control-allow-origin: *\r\nAccess-Control-Allow-Credentials: false\r\n\
        Access-Control-Expose-Headers: X-Secret\r\nAccess-Control-Allow-Methods: PATCH\r\n\
        Access-Control-Allow-Headers: X-B\r\nAccess-Control-Max-Age: 9\r\n\
        Vary: Accept-Language\r\nvary: Cookie, origin\r\nX-Total: 7\r\n";
    let upstream = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\n{own}Content-Length: 2\r\n\r\nok"
    ));
    let site = Site::new(&format!(
        "'/api' = {{ proxy = 'http://{}', {RULES} }}\n'/cgi' = {{ cgi = 'scripts', {RULES} }}",
        upstream.address()
    ));
    std::fs::create_dir(site.directory().join("scripts")).expect("the directory is new");
    let lines = own.replace("\r\n", "\\n");
    script(
        site.directory(),
        "s",
        &format!("printf 'Content-Type: text/plain\\n{lines}\\nok'"),
    );
    let server = site.start();
    for target in ["/api", "/cgi/s"] {
        let response = get_from(&server, target, ORIGIN);
        assert_eq!((response.status, response.text().as_str()), (200, "ok"));
        let vary = "Accept-Language, Cookie, origin";
        assert_eq!(cors_fields(&response), allowed(ORIGIN, vary), "{target}");
        assert_eq!(response.field("X-Total"), Some("7"), "{target}");
        let response = get_from(&server, target, "https://evil.test");
        assert_eq!(cors_fields(&response), [("Vary", vary)], "{target}");
    }
}

#[test]
fn vary_is_merged_with_the_operators_and_never_lost() {
    let server = Site::new(&format!(
        "'/set' = {{ files = 'www', strip_prefix = true, headers = {{ Vary = 'Cookie' }}, {RULES} }}\n\
         '/removed' = {{ files = 'www', strip_prefix = true, headers = {{ remove = 'Vary' }}, {RULES} }}\n\
         '/added' = {{ files = 'www', strip_prefix = true, headers = {{ add = {{ Vary = ['A', 'B'] }} }}, {RULES} }}"
    ))
    .file("b.css", "b {}")
    .file("b.css.gz", "as if packed")
    .start();
    for (target, vary) in [
        ("/set/b.css", "Accept-Encoding, Cookie, Origin"),
        ("/removed/b.css", "Origin"),
        ("/added/b.css", "Accept-Encoding, A, B, Origin"),
        ("/set/gone", "Accept, Cookie, Origin"),
    ] {
        assert_eq!(
            get_from(&server, target, ORIGIN).field("Vary"),
            Some(vary),
            "{target}"
        );
        assert_eq!(server.get(target).field("Vary"), Some(vary), "{target}");
    }
}

#[test]
fn every_origin_gets_the_same_where_all_are_allowed() {
    let rules = "cors = { origins = '*', headers = '*', expose = '*' }";
    let server = Site::new(&format!(
        "'/' = {{ respond = 'ok', {rules} }}\n\
         '/null' = {{ respond = 'ok', cors = {{ origins = 'null' }} }}"
    ))
    .start();
    for lines in ["", "Origin: null\r\n", "Origin: https://a.test\r\n"] {
        let response = server.get_with("/", lines);
        let (origin, expose) = (
            ("Access-Control-Allow-Origin", "*"),
            ("Access-Control-Expose-Headers", "*"),
        );
        assert_eq!(cors_fields(&response), [origin, expose], "{lines}");
    }
    let response = preflight(&server, "/", "https://a.test", "POST");
    assert_eq!(
        cors_fields(&response),
        [
            ("Access-Control-Allow-Headers", "*"),
            ("Access-Control-Allow-Methods", "GET, HEAD, POST"),
            ("Access-Control-Allow-Origin", "*"),
        ]
    );
    let response = get_from(&server, "/null", "null");
    assert_eq!(response.field("Access-Control-Allow-Origin"), Some("null"));
    assert_eq!(
        cors_fields(&get_from(&server, "/null", ORIGIN)),
        [("Vary", "Origin")]
    );
}

#[test]
fn a_route_inherits_the_rules_of_its_server_unless_it_has_its_own() {
    let server = Site::new(
        "'/' = { respond = 'ok' }\n\
         '/own' = { respond = 'ok', cors = { origins = 'https://own.test' } }\n\
         '/closed' = { respond = 'ok', cors = false }\n\
         'GET /get' = { respond = 'ok' }",
    )
    .server(&format!("listen = '127.0.0.1:0'\n{RULES}"))
    .start();
    for (target, origin, expected) in [
        ("/", ORIGIN, true),
        ("/", "https://own.test", false),
        ("/own", "https://own.test", true),
        ("/own", ORIGIN, false),
        ("/closed", ORIGIN, false),
        ("/get", ORIGIN, true),
    ] {
        for response in [
            get_from(&server, target, origin),
            preflight(&server, target, origin, "GET"),
        ] {
            let found = response.field("Access-Control-Allow-Origin");
            assert_eq!(found, expected.then_some(origin), "{target} {origin}");
        }
    }
    let closed = get_from(&server, "/closed", ORIGIN);
    assert_eq!(cors_fields(&closed), []);
    let own = get_from(&server, "/own", "https://own.test");
    assert_eq!(
        own.field("Access-Control-Allow-Credentials"),
        None,
        "nothing is mixed"
    );
}

#[test]
fn what_no_route_answers_comes_under_the_rules_of_the_server() {
    let server =
        Site::new("'GET /a' = { respond = 'ok' }\n'/b' = { respond = 'ok', cors = false }")
            .server(&format!("listen = '127.0.0.1:0'\n{RULES}"))
            .start();
    for (request, status) in [("GET /gone", 404), ("DELETE /a", 405), ("GET /a%", 400)] {
        let response = ask(
            &server,
            format!("{request} HTTP/1.1\r\nHost: h\r\nOrigin: {ORIGIN}\r\n\r\n"),
        );
        assert_eq!(response.status, status, "{request}");
        assert_eq!(
            cors_fields(&response),
            allowed(ORIGIN, "Accept, Origin"),
            "{request}"
        );
    }
    // So that the script is told of the 404 or the 405, and not of a failed preflight.
    for (target, method) in [("/gone", "PUT"), ("/a", "DELETE"), ("/a", "NONSENSE")] {
        let response = preflight(&server, target, ORIGIN, method);
        let found = response.field("Access-Control-Allow-Origin");
        assert_eq!(
            (response.status, found),
            (204, Some(ORIGIN)),
            "{target} {method}"
        );
    }
    let response = ask(
        &server,
        format!("DELETE /b HTTP/1.1\r\nHost: h\r\nOrigin: {ORIGIN}\r\n\r\n"),
    );
    assert_eq!(response.status, 405);
    assert_eq!(cors_fields(&response), [("Vary", "Accept")]);
    assert_eq!(preflight(&server, "/a%", ORIGIN, "PUT").status, 400);
}

#[test]
fn a_preflight_comes_under_the_route_of_the_method_that_it_asks_for() {
    let server = Site::new(
        "'/x' = { respond = 'any', cors = { origins = 'https://any.test' } }\n\
         'PUT /x' = { echo = true, cors = { origins = 'https://put.test', methods = 'PUT' } }\n\
         'OPTIONS /x' = { respond = 'options' }",
    )
    .start();
    for (method, origin, expected) in [
        ("PUT", "https://put.test", true),
        ("PUT", "https://any.test", false),
        ("POST", "https://any.test", true),
        ("HEAD", "https://any.test", true),
        ("POST", "https://put.test", false),
    ] {
        let response = preflight(&server, "/x", origin, method);
        let found = response.field("Access-Control-Allow-Origin");
        assert_eq!(response.status, 204);
        assert_eq!(found, expected.then_some(origin), "{method} {origin}");
    }
}

#[test]
fn a_client_that_is_kept_out_learns_nothing_by_a_preflight() {
    let server = Site::new(&format!(
        "'/denied' = {{ respond = 'ok', deny = 'all', {RULES} }}\n\
         'PUT /denied' = {{ echo = true, deny = 'all', {RULES} }}"
    ))
    .start();
    let response = preflight(&server, "/denied", ORIGIN, "PUT");
    assert_eq!(response.status, 403);
    assert_eq!(cors_fields(&response), allowed(ORIGIN, "Accept, Origin"));
    // A script may know that it is a 403.
    let response = get_from(&server, "/denied", ORIGIN);
    assert_eq!(response.status, 403);
    assert_eq!(cors_fields(&response), allowed(ORIGIN, "Accept, Origin"));
}

#[test]
fn explain_tells_what_an_origin_leads_to() {
    let site = Site::new(&format!(
        "'/' = {{ respond = 'ok', {RULES} }}\n'/none' = {{ respond = 'ok' }}"
    ));
    let server = site.start();
    let explain = |arguments: &[&str]| {
        let output = server.command_line(&[&["explain"], arguments].concat());
        ended_with(0, &output)
    };
    let rules = "origins [https://app.example, http://*.dev.test:3000]";
    let origin = "Origin: https://app.example";
    let method = "Access-Control-Request-Method: DELETE";
    let fields = "Access-Control-Request-Headers: authorization,x-c";
    let put = "Access-Control-Request-Method: PUT";
    for (arguments, expected) in [
        (&["/"][..], format!("the request has no Origin: {rules}")),
        (
            &["-H", origin, "/"],
            format!("https://app.example is allowed, with credentials: {rules}\n"),
        ),
        (
            &["-H", "Origin: null", "/"],
            format!("null is not allowed: {rules}\n"),
        ),
        (
            &["-H", origin, "-H", method, "-H", fields, "OPTIONS", "/"],
            format!(
                "https://app.example is allowed, with credentials: {rules}; not allowed: DELETE, x-c\n"
            ),
        ),
        (
            &["-H", origin, "-H", put, "OPTIONS", "/"],
            format!(
                "https://app.example is allowed, with credentials: {rules}; the request may follow\n"
            ),
        ),
    ] {
        let text = explain(arguments);
        assert!(text.contains(&format!("  cors      {expected}")), "{text}");
    }
    let text = explain(&["-H", origin, "-H", put, "OPTIONS", "/"]);
    assert!(text.contains("status    204 No Content"), "{text}");
    assert!(text.contains("Access-Control-Max-Age: 3600"), "{text}");
    assert!(!explain(&["-H", origin, "/none"]).contains("  cors "));
    let json = explain(&["--json", "-H", "Origin: null", "/"]);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["cors"], format!("null is not allowed: {rules}"));
}

#[test]
fn a_test_in_the_file_can_expect_the_fields_and_a_reload_changes_them() {
    let configuration = |origin: &str| {
        format!(
            "[log]\naccess = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
             routes.'/' = {{ echo = true, cors = {{ origins = '{origin}', methods = 'PUT' }} }}\n\
             [[test]]\nrequest = 'OPTIONS /'\n\
             headers = {{ Origin = '{origin}', Access-Control-Request-Method = 'PUT' }}\n\
             expect = {{ status = 204, header.Access-Control-Allow-Origin = '{origin}' }}\n\
             [[test]]\nrequest = 'GET /'\nheaders = {{ Origin = 'https://evil.test' }}\n\
             expect = {{ header.Access-Control-Allow-Origin = false, header.Vary = 'Origin' }}\n"
        )
    };
    let server = Site::configured(&configuration("https://a.test")).start();
    server.configure(configuration("https://b.test"));
    let text = ended_with(0, &server.command_line(&["reload"]));
    assert!(text.contains("route /: cors changed"), "{text}");
    for (origin, expected) in [
        ("https://a.test", None),
        ("https://b.test", Some("https://b.test")),
    ] {
        let response = get_from(&server, "/", origin);
        assert_eq!(response.field("Access-Control-Allow-Origin"), expected);
    }
    server.configure(configuration("https://evil.test"));
    let text = ended_with(1, &server.command_line(&["reload"]));
    assert!(
        text.contains("expected Access-Control-Allow-Origin"),
        "{text}"
    );
}
