//! HTTP itself: framing, fields, request-targets, answers to errors.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{Response, Server, Site, ended_with, speak_plainly};

/// Writes a shell script that can be run into `scripts`.
fn script(site: &Site, name: &str, body: &str) {
    let name = format!("scripts/{name}");
    site.directory()
        .write(&name, format!("#!/bin/sh\n{body}\n"));
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(site.directory().join(name), mode).expect("the file is ours");
}

/// The response to a GET, to a client that keeps its side of the connection open: a script is not run
/// for one that has gone.
fn get(server: &Server, target: &str, lines: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    server.connect().exchange(request)
}

/// A client behind nginx or HAProxy sent a quote. The proxy put the client's address behind it, both
/// together were read as one element, and since that was no address, the client counted as the proxy:
/// it passed `allow`, evaded `deny`, and the log named the proxy.
#[test]
fn a_quote_in_a_forwarded_field_lets_nobody_in() {
    let routes = "'/' = { respond = 'ok' }\n\
                  '/admin' = { respond = 'ok', allow = '127.0.0.1' }\n\
                  '/open' = { respond = 'ok', deny = '203.0.113.9' }";
    let server = Site::new(routes)
        .top("trusted_proxies = '127.0.0.1'")
        .log("access = '-'\nformat = 'common'")
        .start();
    let cases = [
        ("203.0.113.9", "203.0.113.9", 403, 403),
        ("\", 203.0.113.9", "203.0.113.9", 403, 403),
        (
            "\"\r\nX-Forwarded-For: 203.0.113.9",
            "203.0.113.9",
            403,
            403,
        ),
        ("\"127.0.0.1, 203.0.113.8", "203.0.113.8", 403, 200),
        ("\"", "0.0.0.0", 403, 403),
        ("unknown", "0.0.0.0", 403, 403),
        ("_secret:80", "0.0.0.0", 403, 403),
        ("[203.0.113.9]:80", "0.0.0.0", 403, 403),
        ("203.0.113.9:80", "203.0.113.9", 403, 403),
        ("[2001:db8::9]:80", "2001:db8::9", 403, 200),
        ("127.0.0.1", "127.0.0.1", 200, 200),
    ];
    for (number, (value, _, admin, open)) in cases.into_iter().enumerate() {
        let lines = format!("X-Forwarded-For: {value}\r\n");
        let status = |target: &str| server.get_with(target, &lines).status;
        assert_eq!(status("/admin"), admin, "{value:?}");
        assert_eq!(status("/open"), open, "{value:?}");
        let target = format!("/{number}");
        assert_eq!(status(&target), 200, "{value:?}");
    }
    let (_, records) = server.stop();
    for (number, (value, client, ..)) in cases.into_iter().enumerate() {
        let is_its = |record: &&String| record.contains(&format!("GET /{number} "));
        let record = records
            .iter()
            .find(is_its)
            .expect("every exchange is logged");
        let logged = record.split(' ').next();
        assert_eq!(logged, Some(client), "{value:?}: {record}");
    }
}

/// Some clients reckon the weekday of a date wrongly. Their `If-Modified-Since` was ignored, and they
/// were sent the file each time.
#[test]
fn a_wrong_weekday_does_not_make_a_date_invalid() {
    let server = Site::of_files().file("a.txt", "a").start();
    let modified = server.get("/a.txt");
    let modified = modified.field("Last-Modified").expect("files have one");
    for weekday in ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] {
        let line = format!("If-Modified-Since: {weekday}{}\r\n", &modified[3..]);
        assert_eq!(server.get_with("/a.txt", &line).status, 304, "{line}");
    }
    let line = format!("If-Modified-Since: Day{}\r\n", &modified[3..]);
    assert_eq!(server.get_with("/a.txt", &line).status, 200, "{line}");
}

/// A script's 205 was sent with its content (RFC 9110 §15.3.6). What follows on the connection is the
/// next response.
#[test]
fn reset_content_has_no_content() {
    let site =
        Site::new("'/cgi' = { cgi = 'scripts' }\n'/' = { files = 'www' }").file("a.txt", "a");
    let output = "Status: 205\\nContent-Type: text/plain\\n\\nnot to be sent";
    script(&site, "reset", &format!("printf '{output}'"));
    let server = site.start();
    for method in ["GET", "POST"] {
        let mut client = server.connect();
        client.send(format!(
            "{method} /cgi/reset HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
        ));
        let response = client.response();
        assert_eq!((response.status, response.content_length()), (205, Some(0)));
        assert_eq!(response.text(), "");
        let next = client.exchange("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(next.text(), "a");
    }
}

/// `Host: a%zz` was taken, `Host: [v1.a]` was not (RFC 3986 §3.2.2), and a request for an `https`
/// resource was answered over a plain connection (RFC 9110 §7.4).
#[test]
fn hosts_and_schemes_are_what_they_are_said_to_be() {
    speak_plainly();
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let trusting = Site::new("'/' = { respond = 'ok' }")
        .top("trusted_proxies = '127.0.0.1'")
        .start();
    for (target, host, status) in [
        ("/", "a%zz", 400),
        ("/", "a%4", 400),
        ("/", "a%41", 200),
        ("/", "[v1.a]", 200),
        ("/", "[v1.a]:80", 200),
        ("/", "[v1]", 400),
        ("http://a%zz/", "h", 400),
        ("http://[v1.a]/", "h", 200),
        ("http://h/", "h", 200),
        ("https://h/", "h", 421),
        ("HTTPS://h", "h", 421),
        ("https://h/?q", "other", 421),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(server.answer(&request).status, status, "{target} {host}");
        // A gateway that is trusted has secured the connection.
        let expected = if status == 421 { 200 } else { status };
        assert_eq!(
            trusting.answer(&request).status,
            expected,
            "{target} {host}"
        );
    }
    let request = "OPTIONS https://h HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(server.answer(request).status, 421);
}

/// A client that uploads looks for a response when it has sent everything. The server closed after
/// 4 MiB of what it did not want, and the client saw a broken pipe instead of 413.
#[test]
fn an_early_answer_reaches_a_client_that_uploads_much() {
    let server = Site::new("'/' = { files = 'www' }\n'/echo' = { echo = true }")
        .limits("max_content = '1 MiB'")
        .file("a.txt", "content of a")
        .start();
    let much = vec![b'x'; 24 << 20];
    let length = format!("Content-Length: {}\r\n", much.len());
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (line, fields, status) in [
        ("POST /echo HTTP/1.1", length.as_str(), 413),
        ("POST /echo HTTP/1.0", &length, 413),
        ("POST /echo HTTP/1.1\r\nConnection: close", &length, 413),
        ("POST /a.txt HTTP/1.1\r\nConnection: close", &length, 413),
        ("GET /a.txt HTTP/1.1", chunked, 200),
        ("GET /a.txt HTTP/1.1\r\nConnection: close", chunked, 200),
        ("POST /echo HTTP/1.1", "Content-Length: x\r\n", 400),
        ("POST /echo HTTP/9.9", "", 505),
    ] {
        let mut client = server.connect();
        client.send(format!("{line}\r\nHost: h\r\n{fields}\r\n"));
        if fields == chunked {
            client.send(format!("{:x}\r\n", much.len()));
        }
        client.send(&much);
        client.finish_sending();
        let response = client.last_response();
        assert_eq!(response.status, status, "{line} {fields}");
        // Only the content itself tells how much of it there is in chunks.
        let is_persistent = fields == chunked && !line.contains("close");
        assert_eq!(response.says_close(), !is_persistent, "{line} {fields}");
    }
}

/// What was left of a request's content was read under `max_content`. The 413 promised that the connection
/// persists, the server closed it, and the client's next request was lost.
#[test]
fn content_over_its_limit_is_dropped_if_the_response_does_not_say_close() {
    let server = Site::new(
        "'/echo' = { echo = true }\n'/files' = { files = 'www', strip_prefix = true }\n\
         '/none' = { echo = true, limits = { max_content = 0 } }",
    )
    .limits("max_content = '64 KiB'")
    .file("a.txt", "a")
    .start();
    let much = "x".repeat(70_000);
    let length = format!("Content-Length: {}\r\n\r\n{much}", much.len());
    let chunked = format!(
        "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{much}\r\n0\r\n\r\n",
        much.len()
    );
    let get = "GET /files/a.txt HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut client = server.connect();
    for (target, content, status) in [
        ("/echo", length.as_str(), 413),
        ("/none", "Content-Length: 1\r\n\r\nx", 413),
        ("/files/a.txt", &length, 413),
        ("/files/a.txt", &chunked, 405),
    ] {
        let post = format!("POST {target} HTTP/1.1\r\nHost: h\r\n{content}");
        let response = client.exchange(&post);
        assert_eq!(
            (response.status, response.says_close()),
            (status, false),
            "{target}"
        );
        // Behind what has been dropped, and in the same write as it.
        assert_eq!(client.exchange(get).text(), "a", "{target}");
        client.send(post + get);
        assert_eq!(client.response().status, status, "{target}");
        assert_eq!(client.response().text(), "a", "{target}");
    }
}

/// What was refused before its head was understood was answered with content, whatever the method: a client
/// takes that for the response to its next request.
#[test]
fn a_refused_head_is_answered_without_content() {
    let server = Site::of_files()
        .limits("max_head = '1 KiB'")
        .server("listen = '127.0.0.1:0'")
        .start();
    let long = format!("X-Long: {}", "x".repeat(4096));
    for (line, status) in [
        ("Expect: x", 417),
        (long.as_str(), 431),
        ("Transfer-Encoding: gzip", 400),
    ] {
        for before in ["", "\r\n"] {
            let mut client = server.connect();
            client.send(format!(
                "{before}HEAD / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n"
            ));
            client.finish_sending();
            assert_eq!(client.response_to_head().status, status, "{line}");
            client.expect_end();
        }
    }
}

/// `OPTIONS *`, `OPTIONS http://host` and CONNECT were answered before the server was known, so that neither its
/// `hosts` nor its `deny`, `rate`, `auth`, `headers` and `error_pages` held for them.
#[test]
fn a_target_without_a_path_comes_under_the_server_of_its_host() {
    let rules = "rates.two = { rate = '2/h', burst = 2 }";
    let start = |lines: &str| {
        Site::new("'/' = { respond = 'ok' }")
            .top(rules)
            .server(&format!(
                "listen = '127.0.0.1:0'\nhosts = 'h.test'\nheaders = {{ X-Srv = '1' }}\n{lines}"
            ))
            .start()
    };
    let (open, denied, rated) = (start(""), start("deny = 'all'"), start("rate = 'two'"));
    for (line, host, status) in [
        ("OPTIONS *", "h.test", 204),
        ("OPTIONS http://h.test", "nobody.test", 204),
        ("CONNECT a:1", "h.test", 405),
        ("OPTIONS *", "nobody.test", 421),
        ("OPTIONS http://nobody.test", "h.test", 421),
        ("CONNECT h.test:1", "nobody.test", 421),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let response = open.answer(&request);
        assert_eq!(response.status, status, "{line} {host}");
        let of_server = Some("1").filter(|_| status != 421);
        assert_eq!(response.field("X-Srv"), of_server, "{line} {host}");
        let of_denied = if status == 421 { 421 } else { 403 };
        assert_eq!(denied.answer(&request).status, of_denied, "{line} {host}");
    }
    let options = "OPTIONS * HTTP/1.1\r\nHost: h.test\r\n\r\n";
    let statuses = [(); 3].map(|()| rated.answer(options).status);
    assert_eq!(statuses, [204, 204, 429]);
    let question = ["explain", "-H", "Host: h.test", "OPTIONS", "*"];
    let text = ended_with(0, &denied.command_line(&question));
    assert!(text.contains("403"), "{text}");
}

/// A connection too many was answered 503 and closed at once. The request that came then reset the
/// connection, and the answer was lost.
#[test]
fn a_client_that_is_turned_away_may_still_send() {
    speak_plainly();
    let server = Site::of_files()
        .limits("max_connections = 1")
        .file("a.txt", "a")
        .start();
    let mut first = server.connect();
    // The beginning of another request: an idle connection would be given up for the next one.
    first.send("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\nGET /a.txt HTTP/1.1\r\n");
    assert_eq!(first.response().status, 200);
    let mut further = server.connect();
    further
        .stream()
        .peek(&mut [0])
        .expect("the server answers at once");
    for _ in 0..64 {
        further.send([b'x'; 16 * 1024]);
    }
    further.finish_sending();
    assert_eq!(further.last_response().status, 503);
    // Those that linger keep no place that another could have.
    let lingering = server.connect();
    lingering
        .stream()
        .peek(&mut [0])
        .expect("the server answers at once");
    drop(first);
    crate::support::until("there is room again", || {
        let mut client = server.connect();
        client.send("GET /a.txt HTTP/1.1\r\nHost: h\r\n\r\n");
        (client.response().status == 200).then_some(())
    });
}

/// Every path with `%2F` was answered 400: npm's `/@types%2fnode`, MediaWiki's `/page/AC%2FDC`. An
/// encoded slash is data of its segment now; `files` finds no file by it, unless it is to decode it.
#[test]
fn an_encoded_slash_is_data_of_its_segment() {
    let site = Site::new(
        "'/plain' = { files = 'www', strip_prefix = true }\n\
         '/app' = { files = 'www', strip_prefix = true, spa = true }\n\
         '/echo' = { echo = true }\n\
         '/moved' = { redirect = '/new' }\n\
         '/fixed' = { respond = 'fixed' }\n\
         '= /one/{name}' = { respond = 'one segment' }\n\
         '/scoped/a%2Fb' = { respond = 'written with a slash' }\n\
         '/cgi' = { cgi = 'scripts' }",
    );
    let site = site
        .file("index.html", "<p>app")
        .file("@types/node", "a file");
    script(
        &site,
        "info",
        "printf 'Status: 200\\n\\n%s %s' \"$PATH_INFO\" \"$REQUEST_URI\"",
    );
    let server = site.start();
    for (target, status, content) in [
        ("/fixed/a%2Fb", 200, "fixed"),
        ("/fixed%2Fb", 404, ""),
        ("/one/a%2fb", 200, "one segment"),
        ("/one/a/b", 404, ""),
        ("/scoped/a%2fb/c", 200, "written with a slash"),
        ("/scoped/a/b", 404, ""),
        ("/plain/@types/node", 200, "a file"),
        ("/plain/@types%2fnode", 404, ""),
        ("/plain/..%2f..%2fconfig.toml", 404, ""),
        ("/cgi/info/AC%2FDC/x", 200, "/AC%2FDC/x /cgi/info/AC%2FDC/x"),
        ("/cgi/info%2Fx", 404, ""),
        ("/plain/a%00", 400, ""),
    ] {
        let response = get(&server, target, "");
        assert_eq!(response.status, status, "{target}");
        if status == 200 {
            assert_eq!(response.text(), content, "{target}");
        }
    }
    let echoed = server.get("/echo/AC%2fDC").json();
    assert_eq!(echoed["path"], "/echo/AC%2FDC");
    assert_eq!(echoed["target"], "/echo/AC%2fDC");
    let moved = server.get("/moved/AC%2fDC?q");
    assert_eq!(moved.field("Location"), Some("/new/AC%2FDC?q"));
    // A page of a single-page application.
    let page = server.get_with("/app/search/a%2Fb", "Accept: text/html\r\n");
    assert_eq!((page.status, page.text().as_str()), (200, "<p>app"));
}

/// What a mirror of an npm registry needs. The decoded path is routed like one with slashes, so that no
/// spelling gets past the rules of a route.
#[test]
fn files_may_take_an_encoded_slash_for_a_slash() {
    let routes = "'/' = { files = 'www', index = 'index.json', decode_slashes = true }\n\
                  '/@secret/area' = { files = 'www', deny = 'all' }\n\
                  '/@other/code' = { echo = true }";
    let server = Site::new(routes)
        .file("@types/node", "{}")
        .file("@babel/core/index.json", "{\"name\":\"core\"}")
        .file("@secret/area/x", "secret")
        .file(".env", "secret")
        .start();
    for (target, status, content) in [
        ("/@types%2fnode", 200, "{}"),
        ("/@types%2Fnode", 200, "{}"),
        ("/@types/node", 200, "{}"),
        ("/@babel%2fcore/", 200, "{\"name\":\"core\"}"),
        ("/@secret%2farea%2fx", 403, ""),
        ("/@secret%2farea/x", 403, ""),
        ("/@types%2f..%2f@types%2fnode", 400, ""),
        ("/@types%2f..%2f..%2fconfig.toml", 400, ""),
        ("/..%2fconfig.toml", 400, ""),
        ("/@types%2f%2fnode", 400, ""),
        ("/@types%2f.env", 404, ""),
        ("/%2f.env", 400, ""),
        ("/@types%252fnode", 404, ""),
    ] {
        let response = server.get(target);
        assert_eq!(response.status, status, "{target}");
        if status == 200 {
            assert_eq!(response.text(), content, "{target}");
        }
    }
    assert_eq!(server.get("/@other%2fcode").json()["path"], "/@other/code");
    // The client resolves the reference against the path as it sent it.
    let directory = server.get("/@babel%2fcore");
    assert_eq!(directory.status, 308);
    assert_eq!(directory.field("Location"), Some("@babel%2Fcore/"));
}

/// A configured `Content-Type` took the place of a multipart's, whose boundary was lost; a configured
/// `ETag` or `Last-Modified` was sent but not known to conditions; a configured `Vary` erased the
/// server's own.
#[test]
fn fields_of_the_operator_are_those_of_the_representation() {
    let headers = "{ Content-Type = 'text/x-custom', ETag = '\"v1\"', Last-Modified = 'Sun, 06 Nov 1994 08:49:37 GMT', Vary = 'Origin' }";
    let routes = format!(
        "'/' = {{ files = 'www', headers = {headers} }}\n\
         '/bare' = {{ files = 'www', strip_prefix = true, headers = {{ remove = ['ETag', 'Last-Modified'] }} }}\n\
         '/cgi' = {{ cgi = 'scripts', headers = {headers} }}\n\
         '/moved' = {{ redirect = '/new', headers = {headers} }}"
    );
    let site = Site::new(&routes)
        .file("a.css", "0123456789".repeat(10))
        .file("b.css", "0123456789".repeat(10))
        .file("b.css.gz", "packed");
    script(
        &site,
        "own",
        "printf 'Status: 200\\nETag: \"own\"\\nContent-Type: a/b\\n\\nhi'",
    );
    let server = site.start();
    let whole = server.get("/a.css");
    assert_eq!(whole.field("Content-Type"), Some("text/x-custom"));
    assert_eq!(whole.field("ETag"), Some("\"v1\""));
    assert_eq!(whole.field("Vary"), Some("Origin"));
    let coded = server.get("/b.css");
    assert_eq!(coded.field("ETag"), Some("W/\"v1\""));
    assert_eq!(coded.field("Vary"), Some("Accept-Encoding, Origin"));
    for (target, line, status) in [
        ("/a.css", "If-None-Match: \"v1\"", 304),
        ("/a.css", "If-None-Match: \"v2\"", 200),
        ("/a.css", "If-Match: \"v1\"", 200),
        ("/a.css", "If-Match: \"v2\"", 412),
        (
            "/a.css",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
            304,
        ),
        (
            "/a.css",
            "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT",
            200,
        ),
        ("/a.css", "Range: bytes=0-1\r\nIf-Range: \"v1\"", 206),
        ("/a.css", "Range: bytes=0-1\r\nIf-Range: \"v2\"", 200),
        ("/cgi/own", "If-None-Match: \"v1\"", 304),
        ("/cgi/own", "If-None-Match: \"own\"", 200),
        ("/bare/a.css", "If-Match: *", 200),
    ] {
        let response = get(&server, target, &format!("{line}\r\n"));
        assert_eq!(response.status, status, "{target} {line}");
        if status == 304 {
            assert_eq!(response.field("Content-Type"), None, "{line}");
            assert_eq!(response.field("ETag"), Some("\"v1\""), "{line}");
        }
    }
    let parts = server.get_with("/a.css", "Range: bytes=0-1,50-51\r\n");
    let media_type = parts.field("Content-Type").expect("a type");
    assert!(
        media_type.starts_with("multipart/byteranges; boundary="),
        "{media_type}"
    );
    assert_eq!(
        parts.text().matches("Content-Type: text/x-custom").count(),
        2
    );
    // An answer without a representation has no field that describes one.
    for target in ["/nothing", "/moved"] {
        let response = server.get(target);
        assert_ne!(
            response.field("Content-Type"),
            Some("text/x-custom"),
            "{target}"
        );
        assert_eq!(response.field("ETag"), None, "{target}");
        let vary = response.field("Vary").expect("the operator's");
        assert!(vary.contains("Origin"), "{target}: {vary}");
    }
    let own = server.get("/bare/a.css");
    let own_tag = get(&server, "/cgi/own", "");
    assert_eq!(
        (own.field("ETag"), own_tag.field("ETag")),
        (None, Some("\"v1\""))
    );
}

/// A fuzzer found it: a faulty head that came in one piece was answered 400, and the same head in two
/// pieces was not answered, because the server looks at a head again only when an empty line may have
/// come, and a client that closed its side was taken to be gone.
#[test]
fn a_faulty_head_in_two_pieces_is_refused_like_one_in_one_piece() {
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let mut client = server.connect();
    // The response shows that the server has read the beginning of the second head.
    let response = client.exchange("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHo");
    assert_eq!(response.status, 200);
    client.send("st: h\r\nno field line\r\n");
    client.finish_sending();
    let response = client.last_response();
    assert_eq!(response.status, 400);
    assert!(response.says_close());
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_head_is_not_answered() {
    let server = Site::new("'/' = { respond = 'ok' }").start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n");
    client.finish_sending();
    assert_eq!(client.rest().expect("the end"), b"");
}

/// Each client that sent its content slowly took up 432 KiB, each that sent requests and read nothing up
/// to 97 KiB. Now it is 20 to 35 KiB, the more the busier the machine is: memory that was needed for a moment
/// stays with the process.
#[test]
fn a_client_that_is_waited_for_takes_up_little_memory() {
    speak_plainly();
    const CLIENTS: u64 = 200;
    let routes = "'/' = { files = 'www' }\n'/cgi' = { cgi = 'scripts', max_processes = 1000 }";
    let slow = "POST /cgi/never HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n";
    let slow = format!("{slow}{}", "x".repeat(300_000));
    let unread = "GET /large.bin HTTP/1.1\r\nHost: h\r\nX-Filler: to make it longer\r\n\r\n";
    let unread = unread.repeat(700);
    for (what, request, left, most) in [
        ("slow content", slow, 1, 128),
        ("unread answers", unread, 40_000, 48),
    ] {
        let site = Site::new(routes).file("large.bin", vec![0; 8 << 20]);
        script(&site, "never", "exit 1");
        // A server of its own: what one has freed it may use again.
        let server = site.start();
        let before = resident(&server);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let mut client = server.connect();
                client.send(&request);
                client
            })
            .collect();
        until_read(&server, CLIENTS, left);
        let each = (resident(&server) - before) / CLIENTS;
        assert!(each < most, "{what}: {each} KiB for each client");
        drop(clients);
    }
}

/// The resident memory of the server that belongs to no file, in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("the server runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number
        .expect("Linux tells it")
        .trim()
        .parse()
        .expect("a number")
}

/// Waits until fewer than `most` octets of what each of so many clients has sent are still to be read by
/// the server.
fn until_read(server: &Server, clients: u64, most: usize) {
    let address = server.address();
    let std::net::IpAddr::V4(ip) = address.ip() else {
        panic!("the servers of these tests listen at IPv4");
    };
    let number = u32::from_ne_bytes(ip.octets());
    let local = format!("{number:08X}:{:04X}", address.port());
    crate::support::until("the server reads", || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells it");
        let ours = sockets.lines().filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_ours = *columns.get(1)? == local && *columns.get(3)? == "01";
            let (_, received) = columns.get(4)?.split_once(':')?;
            is_ours.then(|| usize::from_str_radix(received, 16).ok())?
        });
        let queues: Vec<usize> = ours.collect();
        let is_read = queues.len() as u64 == clients && queues.iter().all(|queue| *queue < most);
        is_read.then_some(())
    });
}
