//! The request that the upstream sees.

use crate::support::{Request, Server, Site, Upstream, speak_plainly};

use super::{HELLO, POST, get, site, start, start_with_one_worker};

/// Sends `request` by a connection of its own, and returns what the upstream saw of it.
fn seen(server: &Server, upstream: &Upstream, request: impl AsRef<[u8]>) -> Request {
    let mut client = server.connect();
    client.send(request);
    let (_connection, seen) =
        upstream.answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello");
    seen
}

#[test]
fn the_target_is_sent_as_the_client_wrote_it() {
    let upstream = Upstream::listen();
    let url = upstream.url();
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{url}' }}\n\
         '/api' = {{ proxy = '{url}', strip_prefix = true }}\n\
         '/files' = {{ proxy = '{url}', rewrite = '/v2/files{{rest}}' }}"
    ))
    .start();
    for (target, expected) in [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        // Not decoded, whatever the octet.
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2fb"),
        ("/%41%7e%20", "/%41%7e%20"),
        ("/a%252Fb", "/a%252Fb"),
        ("/%C3%A4", "/%C3%A4"),
        ("/a;b=c/d:e@f!$&'()*+,", "/a;b=c/d:e@f!$&'()*+,"),
        // Empty segments are the client's.
        ("//a//b", "//a//b"),
        // Dot segments are resolved, however they are written: routing saw the path without them.
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b%2Fc", "/b%2Fc"),
        ("/a/b/..", "/a/"),
        ("/a/b/.", "/a/b/"),
        // These are not.
        ("/.well-known/x", "/.well-known/x"),
        ("/a/...", "/a/..."),
        ("/..%2Fb", "/..%2Fb"),
        // A query is passed on as it is.
        ("/?", "/?"),
        ("/a?", "/a?"),
        ("/a?b=%2F&c=/../d?e", "/a?b=%2F&c=/../d?e"),
        ("/a/../b?x=/../y", "/b?x=/../y"),
        // The absolute form becomes the origin form.
        ("http://h", "/"),
        ("http://h?q", "/?q"),
        ("http://h/a%2Fb?q", "/a%2Fb?q"),
        // Below a route that strips its own path.
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?q", "/?q"),
        ("/api/a%2Fb?q=1", "/a%2Fb?q=1"),
        ("/%61pi/a%2Fb", "/a%2Fb"),
        ("/x/../api/a", "/a"),
        ("/api/a/../b%2e", "/b%2e"),
        ("/apix", "/apix"),
        // Below a route that rewrites.
        ("/files/a%2Fb?q", "/v2/files/a%2Fb?q"),
        ("/files", "/v2/files"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        let seen = seen(&server, &upstream, request);
        assert_eq!(seen.line(), format!("GET {expected} HTTP/1.1"), "{target}");
    }
}

/// A path that leads out of the route that strips itself is another route's.
#[test]
fn a_path_never_leads_out_of_its_route() {
    let upstream = Upstream::listen();
    let server = Site::new(&format!(
        "'/api' = {{ proxy = '{}', strip_prefix = true }}",
        upstream.url()
    ))
    .start();
    for (target, status) in [
        ("/api/../secret", 404),
        ("/api/%2e%2e/secret", 404),
        ("/api/..", 404),
        ("/api/../../x", 400),
        ("/api/%00", 400),
        ("/api/%zz", 400),
        ("/api#fragment", 400),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
    upstream.expect_no_connection();
}

/// The methods of the IANA registry, and those beyond it that programs use.
const METHODS: &str = "GET POST PUT PATCH DELETE OPTIONS QUERY PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK \
    REPORT SEARCH BASELINE-CONTROL CHECKIN CHECKOUT LABEL MERGE MKACTIVITY MKWORKSPACE UNCHECKOUT UPDATE \
    VERSION-CONTROL ACL MKCALENDAR ORDERPATCH MKREDIRECTREF UPDATEREDIRECTREF BIND REBIND UNBIND LINK UNLINK BAN \
    PURGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE SOURCE";

/// `svn commit` (MERGE, CHECKOUT), a new calendar (MKCALENDAR) and PURGE for a cache were answered 501 here.
#[test]
fn every_method_is_passed_on() {
    let (server, upstream) = start("");
    for method in METHODS.split(' ') {
        let request = format!("{method} /x HTTP/1.1\r\nHost: h\r\n\r\n");
        let seen = seen(&server, &upstream, request);
        assert_eq!(seen.line(), format!("{method} /x HTTP/1.1"));
        // RFC 9110 §8.6: a server may wait for content if the field is missing.
        let announces = matches!(method, "POST" | "PUT" | "PATCH");
        let length = seen.field("Content-Length");
        if announces {
            assert_eq!(length.as_deref(), Some("0"), "{method}");
        } else {
            assert!(length.is_none_or(|length| length == "0"), "{method}");
        }
        assert_eq!(seen.field("Transfer-Encoding"), None, "{method}");
    }
    for request in [
        "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        assert!(server.answer(request).status >= 400, "{request}");
    }
    upstream.expect_no_connection();
}

/// Of the port only the operator knows what a client has asked for; applications in Java want to be told.
#[test]
fn a_forwarded_port_is_the_operators_word() {
    let (server, upstream) = start("");
    let spelled = "X-Forwarded-Port: 1\nx_forwarded_port: 2";
    holds(
        &server,
        &upstream,
        &[(spelled, &[], &["X-Forwarded-Port", "x_forwarded_port"])],
    );
    let (server, upstream) = start(", request_headers = { X-Forwarded-Port = '8080' }");
    holds(
        &server,
        &upstream,
        &[(spelled, &["X-Forwarded-Port: 8080"], &["x_forwarded_port"])],
    );
}

/// RFC 9110 §7.6.2: it counts for OPTIONS and TRACE, and TRACE is refused in any case.
#[test]
fn max_forwards_is_counted_down_and_a_request_stops_at_nought() {
    let (server, upstream) = start("");
    let request = |method: &str, value: &str| {
        format!("{method} /x HTTP/1.1\r\nHost: h\r\nmax-forwards: {value}\r\n\r\n")
    };
    for (method, value, expected) in [
        ("OPTIONS", "10", "9"),
        ("OPTIONS", "1", "0"),
        ("OPTIONS", "99999999999999999999999", "18446744073709551614"),
        ("OPTIONS", "many", "many"),
        ("GET", "0", "0"),
        ("GET", "3", "3"),
    ] {
        let seen = seen(&server, &upstream, request(method, value));
        let found = seen.field("Max-Forwards");
        assert_eq!(found.as_deref(), Some(expected), "{method} {value}");
    }
    let stopped = server.answer(request("OPTIONS", "0"));
    assert_eq!(stopped.status, 204);
    let allowed = stopped
        .field("Allow")
        .expect("the methods that are passed on");
    assert!(
        allowed.contains("PATCH") && !allowed.contains("TRACE"),
        "{allowed}"
    );
    for value in ["0", "1"] {
        assert_eq!(server.answer(request("TRACE", value)).status, 405);
    }
    upstream.expect_no_connection();
}

/// A request of a row, the lines that the upstream must see, and the names that it must not see.
type Row<'r> = (&'r str, &'r [&'r str], &'r [&'r str]);

/// Sends each request, `GET / HTTP/1.1` and `Host: h` with the lines of the row.
fn holds(server: &Server, upstream: &Upstream, rows: &[Row<'_>]) {
    for (lines, has, lacks) in rows {
        let mut request = "GET / HTTP/1.1\r\nHost: h\r\n".to_owned();
        for line in lines.lines() {
            request += &format!("{}\r\n", line.trim());
        }
        let seen = seen(server, upstream, request + "\r\n");
        let found = seen.lines();
        for line in *has {
            let count = found.iter().filter(|found| found == line).count();
            assert_eq!(count, 1, "{line:?} of {lines:?} in {found:#?}");
        }
        for name in *lacks {
            assert_eq!(
                seen.values(name),
                [""; 0],
                "{name} of {lines:?} in {found:#?}"
            );
        }
    }
}

#[test]
fn fields_of_the_connection_end_here() {
    speak_plainly();
    let (server, upstream) = start("");
    holds(
        &server,
        &upstream,
        &[
            (
                "X-A: 1\nx-b:2\nX-A: 3",
                &["X-A: 1", "x-b: 2", "X-A: 3"],
                &[],
            ),
            ("Connection: close\nX-A: 1", &["X-A: 1"], &[]),
            (
                "Connection: X-Private, close\nX-Private: 1\nx-private: 2",
                &[],
                &["X-Private"],
            ),
            (
                "Connection: x-a\nConnection: x-b\nX-A: 1\nX-B: 2\nX-C: 3",
                &["X-C: 3"],
                &["X-A", "X-B"],
            ),
            ("Connection: ,, x-a ,\nX-A: 1", &[], &["X-A"]),
            (
                "Keep-Alive: timeout=5\nProxy-Connection: keep-alive",
                &[],
                &["Keep-Alive", "Proxy-Connection"],
            ),
            (
                "Proxy-Authorization: Basic x",
                &[],
                &["Proxy-Authorization"],
            ),
            ("Trailer: X-Sum", &[], &["Trailer"]),
            (
                "Upgrade: h2c\nHTTP2-Settings: AAMAAABk\nConnection: Upgrade, HTTP2-Settings",
                &[],
                &["Upgrade", "HTTP2-Settings"],
            ),
            ("Upgrade: websocket", &[], &["Upgrade"]),
            ("TE: gzip", &[], &["TE"]),
            // A client cannot have the fields removed that are ours.
            ("Connection: Host", &["Host: h"], &[]),
            (
                "Connection: X-Forwarded-For, X-Forwarded-Proto, Forwarded, Via",
                &["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"],
                &[],
            ),
        ],
    );
    let request =
        "POST / HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nab";
    assert_eq!(seen(&server, &upstream, request).content, b"ab");
}

#[test]
fn field_values_arrive_octet_for_octet() {
    let (server, upstream) = start("");
    let lines: &[u8] =
        b"X-A: caf\xe9 \xff\r\nX-B:\tin  side \t\r\nX-C:\r\nCookie: a=\"b; c\"\r\nCookie: d=e\r\n";
    let request = [b"GET / HTTP/1.1\r\nHost: h\r\n", lines, b"\r\n"].concat();
    let seen = seen(&server, &upstream, request);
    let has = |line: &[u8]| {
        let found = seen.head.windows(line.len()).any(|some| some == line);
        assert!(found, "{:?} in {:?}", line.escape_ascii(), seen.lines());
    };
    has(b"\r\nX-A: caf\xe9 \xff\r\n");
    has(b"\r\nX-B: in  side\r\n");
    has(b"\r\nCookie: a=\"b; c\"\r\nCookie: d=e\r\n");
    assert_eq!(seen.values("X-C"), [""], "{:?}", seen.lines());
}

#[test]
fn who_asked_is_told_and_cannot_be_forged() {
    speak_plainly();
    let (server, upstream) = start("");
    let ours: &[&str] = &[
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: h",
    ];
    for forged in [
        "",
        "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil",
        "x-forwarded-for: 192.0.2.7\nx-FORWARDED-proto: https\nx-forwarded-HOST: evil",
        "Forwarded: for=192.0.2.7;proto=https;host=evil",
        "X_Forwarded_For: 192.0.2.7\nX_Forwarded_Proto: https\nX_Forwarded_Host: evil",
        "X-Forwarded_For: 192.0.2.7\nx_forwarded-proto: https\nX_FORWARDED-HOST: evil",
    ] {
        holds(
            &server,
            &upstream,
            &[(
                forged,
                ours,
                &[
                    "X_Forwarded_For",
                    "X-Forwarded_For",
                    "X_Forwarded_Proto",
                    "x_forwarded-proto",
                    "X_Forwarded_Host",
                    "X_FORWARDED-HOST",
                ],
            )],
        );
        let mut request = get("/");
        request.truncate(request.len() - 2);
        request += &forged
            .lines()
            .map(|line| format!("{line}\r\n"))
            .collect::<String>();
        let seen = seen(&server, &upstream, request + "\r\n");
        let forwarded = seen.field("Forwarded").expect("one element");
        let mut parameters: Vec<&str> = forwarded.split(';').collect();
        parameters.retain(|parameter| !parameter.starts_with("by="));
        parameters.sort_unstable();
        assert_eq!(
            parameters,
            ["for=127.0.0.1", "host=h", "proto=http"],
            "{forged:?}"
        );
    }
}

#[test]
fn what_a_trusted_proxy_says_is_passed_on() {
    speak_plainly();
    let upstream = Upstream::listen();
    let server = Site::new(&format!("'/' = {{ proxy = '{}' }}", upstream.url()))
        .top("trusted_proxies = ['127.0.0.1']")
        .start();
    holds(
        &server,
        &upstream,
        &[(
            "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: https",
            &[
                "X-Forwarded-For: 192.0.2.7, 127.0.0.1",
                "X-Forwarded-Proto: https",
            ],
            &[],
        )],
    );
    // A proxy that sets one field passes on what its client has put into the other.
    for (top, said, expected) in [
        (
            "",
            "X-Forwarded-For: 192.0.2.7, 2001:db8::1, x\nForwarded: for=6.6.6.6;host=evil",
            [
                "X-Forwarded-For: 192.0.2.7, 2001:db8::1, x, 127.0.0.1",
                r#"Forwarded: for=192.0.2.7, for="[2001:db8::1]", for=unknown, for=127.0.0.1;host=h;proto=http"#,
                "X-Forwarded-Host: h",
            ],
        ),
        (
            "forwarded_field = 'Forwarded'",
            "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Host: evil\nForwarded: for=192.0.2.7;host=a, for=_b;host=\"c:1\"",
            [
                "X-Forwarded-For: 192.0.2.7, unknown, 127.0.0.1",
                r#"Forwarded: for=192.0.2.7;host=a, for=_b;host="c:1", for=127.0.0.1;host="c:1";proto=http"#,
                "X-Forwarded-Host: c:1",
            ],
        ),
    ] {
        let server = Site::new(&format!("'/' = {{ proxy = '{}' }}", upstream.url()))
            .top(&format!("trusted_proxies = ['127.0.0.1']\n{top}"))
            .start();
        holds(&server, &upstream, &[(said, &expected, &[])]);
    }
    // A host in which a quote stands ends no parameter.
    holds(
        &server,
        &upstream,
        &[(
            "X-Forwarded-Host: a\";for=192.0.2.9;x=\"b\\",
            &[r#"Forwarded: for=127.0.0.1;host="a\";for=192.0.2.9;x=\"b\\";proto=http"#],
            &[],
        )],
    );
}

#[test]
fn the_way_is_told_in_via() {
    let (server, upstream) = start("");
    for (version, lines, expected) in [
        ("1.1", "", vec!["1.1"]),
        ("1.0", "", vec!["1.0"]),
        (
            "1.1",
            "Via: 1.0 fred, 1.1 p.example\r\n",
            vec!["1.0", "1.1", "1.1"],
        ),
        (
            "1.1",
            "Via: 1.0 fred\r\nVia: 1.1 p.example\r\n",
            vec!["1.0", "1.1", "1.1"],
        ),
    ] {
        let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        let seen = seen(&server, &upstream, request);
        let via = seen.values("Via").join(", ");
        let protocols: Vec<&str> = via.split(", ").map(|hop| &hop[..3]).collect();
        assert_eq!(protocols, expected, "{via}");
        assert_eq!(seen.line(), "GET / HTTP/1.1", "we speak HTTP/1.1 ourselves");
    }
}

#[test]
fn the_host_is_the_client_s_unless_it_is_set() {
    for (option, request, host) in [
        (
            "",
            "GET / HTTP/1.1\r\nHost: shop.example:81\r\n\r\n",
            "shop.example:81",
        ),
        // RFC 9112 §3.2.2: the target counts.
        (
            "",
            "GET http://shop.example:81/ HTTP/1.1\r\nHost: evil\r\n\r\n",
            "shop.example:81",
        ),
        (
            ", host = 'keep'",
            "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n",
            "shop.example",
        ),
        (
            ", host = 'b.example:82'",
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "b.example:82",
        ),
    ] {
        let (server, upstream) = start(option);
        let seen = seen(&server, &upstream, request);
        assert_eq!(
            seen.field("Host").as_deref(),
            Some(host),
            "{option} {request:?}"
        );
        let first = seen.lines().swap_remove(1);
        assert_eq!(
            first,
            format!("Host: {host}"),
            "it should be first (RFC 9110 §7.2)"
        );
    }
    let (server, upstream) = start(", host = 'upstream'");
    let seen = seen(&server, &upstream, get("/"));
    assert_eq!(seen.field("Host").as_deref(), Some(upstream.address()));
    assert_eq!(seen.field("X-Forwarded-Host").as_deref(), Some("h"));
}

/// HTTP/1.0 has no `Host`, but the request to the upstream is of HTTP/1.1.
#[test]
fn a_client_without_a_host_is_served() {
    let (server, upstream) = start("");
    let seen = seen(&server, &upstream, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(seen.values("Host").len(), 1, "{:?}", seen.lines());
}

#[test]
fn the_operator_changes_fields_of_the_request() {
    let (server, upstream) = start(
        ", request_headers = { set = { X-Tenant = 'a' }, add = { X-More = 'b' }, remove = ['Cookie'] }",
    );
    holds(
        &server,
        &upstream,
        &[
            ("", &["X-Tenant: a", "X-More: b"], &["Cookie"]),
            (
                "x-tenant: forged\nX-More: c\nCookie: d=e",
                &["X-Tenant: a", "X-More: b", "X-More: c"],
                &["Cookie"],
            ),
        ],
    );
}

/// What the operator says of a field takes the place of what this server would say in it.
#[test]
fn the_operator_changes_what_is_told_of_the_client() {
    let (server, upstream) = start(
        ", request_headers = { set = { X-Forwarded-Proto = 'https', Via = 'edge' }, \
           add = { X-Forwarded-For = '192.0.2.1' }, remove = ['X-Forwarded-Host', 'Forwarded'] }",
    );
    let seen = seen(&server, &upstream, super::get("/"));
    assert_eq!(seen.values("X-Forwarded-Proto"), ["https"]);
    assert_eq!(seen.values("Via"), ["edge"]);
    assert_eq!(seen.values("X-Forwarded-For"), ["127.0.0.1", "192.0.2.1"]);
    assert_eq!(seen.values("X-Forwarded-Host"), [""; 0]);
    assert_eq!(seen.values("Forwarded"), [""; 0]);
}

#[test]
fn content_arrives_whatever_its_framing() {
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        for (framing, body) in [
            ("Content-Length: 5", "hello"),
            ("Content-Length: 5, 5", "hello"),
            ("Content-Length: 005", "hello"),
            ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
            (
                "Transfer-Encoding: Chunked",
                "2;x=y\r\nhe\r\n0003\r\nllo\r\n0\r\n\r\n",
            ),
        ] {
            for method in ["POST", "GET", "DELETE"] {
                let request = format!("{method} / HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n{body}");
                let seen = seen(&server, &upstream, request);
                assert_eq!(seen.content, b"hello", "{method}, {framing}{option}");
                let length = seen.field("Content-Length");
                assert!(
                    length.is_none_or(|length| length == "5"),
                    "one reading of it"
                );
            }
        }
    }
}

/// A kept connection carries the requests of several clients, and each gets its own answer.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::start(|connection| {
        while let Some(request) = connection.next_request() {
            let line = request.line();
            let length = line.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{line}"
            ));
        }
    });
    let server = site("", &upstream).start();
    let mut client = server.connect();
    let pipelined: String = (0..20).map(|number| get(&format!("/{number}"))).collect();
    client.send(pipelined);
    for number in 0..20 {
        assert_eq!(client.response().text(), format!("GET /{number} HTTP/1.1"));
    }
    client.send([POST, &get("/last")].concat());
    assert_eq!(client.response().text(), "POST / HTTP/1.1");
    assert_eq!(client.response().text(), "GET /last HTTP/1.1");
}

#[test]
fn a_unix_socket_does_as_well() {
    let directory = crate::support::Directory::new();
    let upstream = Upstream::listen_at(&directory.join("app.sock"));
    let server = site("", &upstream).start();
    let mut client = server.connect();
    client.send(get("/"));
    let (_connection, seen) = upstream.answer(HELLO);
    assert_eq!(client.response().text(), "hello");
    assert_eq!(seen.line(), "GET / HTTP/1.1");
    assert_eq!(seen.field("Host").as_deref(), Some("h"));
}

/// `/admin%2Fx` got past the rules of `/admin`, and the application, which decodes the slash, served `/admin/x`.
#[test]
fn an_encoded_slash_leads_past_no_rule() {
    let upstream = Upstream::answering(HELLO);
    let url = upstream.url();
    let server = Site::new(&format!(
        "'/' = {{ proxy = '{url}' }}\n'/admin' = {{ proxy = '{url}', deny = ['127.0.0.0/8', '::1'] }}\n\
         '/same' = {{ proxy = '{url}' }}\n'/inside' = {{ proxy = '{url}', allow = ['127.0.0.1', '::1'] }}\n\
         '/files' = {{ files = 'www', deny = ['0.0.0.0/0'] }}\n\
         '/arms' = [{{ when = {{ header.X = '1' }}, proxy = '{url}', deny = ['0.0.0.0/0'] }}, {{ proxy = '{url}' }}]"
    ))
    .start();
    for (target, status) in [
        ("/admin/x", 403),
        ("/inside/x", 200),
        ("/inside%2Fx", 400),
        ("/admin%2Fx", 403),
        ("/admin%2f", 403),
        ("/open%2F..%2Fadmin", 403),
        ("/open/..%2Fadmin%2Fx", 403),
        ("/files%2Fx", 403),
        ("/admin%2F..%2Fx", 403),
        ("/admin%2Fa%2F..%2F..%2Fx", 403),
        ("/arms%2Fx", 200),
        ("/..%2F..%2Fadmin", 403),
        ("/..%2Fx", 200),
        ("/same%2Fx", 200),
        ("/%40types%2Fnode", 200),
        ("/administration%2Fx", 200),
        ("/x%252Fadmin", 200),
    ] {
        assert_eq!(server.get(target).status, status, "{target}");
    }
}

/// The application knew its client by the connection, and the next client had the session of the one before.
#[test]
fn no_request_follows_where_a_client_has_proved_itself_for_the_connection() {
    let challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Negotiate\r\nWWW-Authenticate: NTLM\r\n\
                     Content-Length: 0\r\n\r\n";
    for (answer, lines, connections) in [
        (HELLO, "", 1),
        (HELLO, "Authorization: Basic YTpi\r\n", 1),
        (HELLO, "Authorization: NTLM TlRMTVNTUAAD\r\n", 2),
        (HELLO, "authorization: negotiate YIIB\r\n", 2),
        (challenge, "", 2),
    ] {
        let upstream = Upstream::answering(answer);
        let server = start_with_one_worker("", &upstream);
        let mut client = server.connect();
        let asked = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        client.exchange(&asked);
        client.exchange(get("/"));
        assert_eq!(upstream.connections(), connections, "{lines:?}");
    }
}
