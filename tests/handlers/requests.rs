//! What a handler learns of a request.

use std::io::Read as _;

use rustls::version::TLS13;

use super::support::{Client, client_of, tls_fixture};
use super::{Embedded, configuration, get, ran_captured, request};
use tidegate::{Error, Handler, Handlers, Request, Response, Server, Status};

/// Everything that a handler can read of a request, a line each.
fn describe(mut request: Request) -> Result<Response, Error> {
    let mut content = String::new();
    request.content().read_to_string(&mut content)?;
    let fields = request
        .fields()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
    let lines = [
        format!("{} {}", request.method(), request.target()),
        format!("path {} below {}", request.path(), request.path_below()),
        format!(
            "id {:?} other {:?}",
            request.parameter("id"),
            request.parameter("other")
        ),
        format!(
            "query {:?} q {:?}",
            request.query(),
            request.query_value("q")
        ),
        format!("accept {:?}", request.field("ACCEPT")),
        format!("fields {}", fields.collect::<Vec<_>>().join(" ")),
        format!("client {}", request.client()),
        format!("content {:?} {content}", request.content().length()),
    ];
    Ok(Response::text(lines.join("\n")))
}

/// What a handler can read of the connection, a line each.
fn describe_tls(request: Request) -> Response {
    let Some(tls) = request.tls() else {
        return Response::text(format!("{} without TLS", request.scheme()));
    };
    let mut lines = vec![
        format!("{} {:?}", request.scheme(), tls.server_name()),
        format!("{} {}", tls.version(), tls.cipher()),
    ];
    if let Some(certificate) = tls.client_certificate() {
        lines.extend([
            format!("{} of {}", certificate.subject(), certificate.issuer()),
            format!(
                "{} {}",
                certificate.serial().len(),
                certificate.fingerprint().len()
            ),
            format!("{:x?}", &certificate.der()[..2]),
        ]);
    }
    Response::text(lines.join("\n"))
}

struct TellsAtOnce;

impl Handler for TellsAtOnce {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        Ok(describe_tls(request))
    }

    fn never_waits(&self) -> bool {
        true
    }
}

/// A handler on threads of its own, and one that never waits.
#[test]
fn a_handler_is_told_of_tls_and_of_the_certificate() {
    let mut handlers = Handlers::new();
    handlers.function("slow", |request: Request| {
        Ok::<_, Error>(describe_tls(request))
    });
    handlers.register("now", |_| Ok(TellsAtOnce));
    let fixture = tls_fixture;
    let tls = format!(
        "tls = {{ certificate = {:?}, key = {:?}, client_ca = {:?}, client = 'request' }}",
        fixture("localhost.pem"),
        fixture("localhost.key"),
        fixture("ca.pem")
    );
    let text = format!(
        "workers = 1\nlog = {{ access = false, level = 'error' }}\n[[server]]\nlisten = '127.0.0.1:0'\n{tls}\n[server.routes]\n\
         '/slow' = {{ handler = 'slow' }}\n'/now' = {{ handler = 'now' }}\n\
         '/closed' = {{ handler = 'now', client = 'require' }}\n"
    );
    let server = Server::builder()
        .handlers(handlers)
        .config_text(text)
        .start();
    let server = Embedded(server.unwrap_or_else(|error| panic!("{error}")));
    let connect = |identity| {
        let config = client_of(&[&TLS13], identity);
        Client::secured(server.address(), &config, "localhost").expect("a session")
    };
    let (mut anyone, mut ada) = (connect(None), connect(Some("client")));
    let told = "https Some(\"localhost\")\nTLSv1.3 TLS_AES_256_GCM_SHA384";
    let of_ada = "CN=Ada,O=Tidegate of CN=Tests of Tidegate,O=Tidegate\n40 64\n[30, 82]";
    for path in ["/slow", "/now"] {
        assert_eq!(anyone.exchange(get(path)).text(), told, "{path}");
        assert_eq!(
            ada.exchange(get(path)).text(),
            format!("{told}\n{of_ada}"),
            "{path}"
        );
    }
    assert_eq!(anyone.exchange(get("/closed")).status, 403);
    assert_eq!(ada.exchange(get("/closed")).status, 200);
}

#[test]
fn a_handler_behind_a_plain_connection_is_told_of_no_tls() {
    let mut handlers = Handlers::new();
    handlers.function("slow", |request: Request| {
        Ok::<_, Error>(describe_tls(request))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'slow' }");
    assert_eq!(
        server.connect().exchange(get("/")).text(),
        "http without TLS"
    );
}

fn server(routes: &str) -> Embedded {
    let mut handlers = Handlers::new();
    handlers.function("describe", describe);
    Embedded::start(handlers, "", routes)
}

#[test]
fn a_handler_is_told_all_there_is() {
    let server = server("'/users/{id}/notes' = { handler = 'describe' }");
    let head = "Host: h\r\nAccept: text/plain\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n";
    let target = "/users/%C3%A4%20b/notes/./7?q=a+b%21&q=2";
    let request = format!("POST {target} HTTP/1.1\r\n{head}\r\nhello");
    let response = server.connect().exchange(request);
    assert_eq!(response.status, 200);
    let expected = [
        "POST /users/%C3%A4%20b/notes/./7?q=a+b%21&q=2",
        "path /users/ä b/notes/7 below /7",
        "id Some(\"ä b\") other None",
        "query Some(\"q=a+b%21&q=2\") q Some(\"a b!\")",
        "accept Some(\"text/plain\")",
        "fields Host=h Accept=text/plain X-A=1 x-a=2 Content-Length=5",
        "client 127.0.0.1",
        "content Some(5) hello",
    ];
    assert_eq!(response.text(), expected.join("\n"));
}

#[test]
fn each_parameter_is_the_segment_at_its_place() {
    let server = server("'/a/{id}/{other}' = { handler = 'describe' }");
    let text = server.connect().exchange(get("/a/1/2/3")).text();
    assert!(text.contains("id Some(\"1\") other Some(\"2\")"), "{text}");
}

/// The handler sees what `rewrite` makes of the target, and the names that the route's pattern has found in the
/// client's. A `[[test]]` of the configuration asks what `explain` says: the server starts only if that is the
/// same.
#[test]
fn a_handler_is_told_the_target_that_a_rewrite_makes() {
    for (pattern, rewrite, asked, target, told) in [
        (
            "/shop/{id}",
            "/item?id={id}&{query}",
            "/shop/a%20b/?q=1",
            "/item?id=a%20b&q=1",
            [
                "path /item below /item",
                "id Some(\"a b\") other None",
                "query Some(\"id=a%20b&q=1\") q Some(\"1\")",
            ],
        ),
        (
            "/old/{id}/{other...}",
            "/new/{other}/{id}",
            "/old/7/x/y?q=2",
            "/new/x/y/7?q=2",
            [
                "path /new/x/y/7 below /new/x/y/7",
                "id Some(\"7\") other Some(\"x/y\")",
                "query Some(\"q=2\") q Some(\"2\")",
            ],
        ),
        (
            "/v1",
            "/v2{rest}",
            "/v1/./a%2Fb//c",
            "/v2/a%2Fb//c",
            [
                "path /v2/a%2Fb/c below /v2/a%2Fb/c",
                "id None other None",
                "query None q None",
            ],
        ),
    ] {
        let rewritten = |expected: &str| {
            format!(
                "'{pattern}' = {{ handler = 'describe', rewrite = '{rewrite}' }}\n\
                 [[test]]\nrequest = 'GET {asked}'\nexpect = {{ target = '{expected}' }}"
            )
        };
        let embedded = server(&rewritten(target));
        let text = embedded.connect().exchange(get(asked)).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("GET {target}"), "{asked}");
        assert_eq!(lines[1..4], told, "{asked}");
        // What the client has sent besides is as it was.
        assert!(text.contains("fields Host="), "{text}");
        let mut handlers = Handlers::new();
        handlers.function("describe", describe);
        let text = configuration("", &rewritten("/another"));
        let started = Server::builder()
            .handlers(handlers)
            .config_text(text)
            .start();
        let Err(why) = started else {
            panic!("the test in the configuration passes, for {asked}")
        };
        let why = why.to_string();
        assert!(why.contains(&format!("got {target}")), "{why}");
    }
}

#[test]
fn content_in_chunks_is_there_before_the_handler_is_called() {
    let server = server("'/' = { handler = 'describe' }");
    let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = server.connect();
    let response = client.exchange(format!("{head}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"));
    assert!(
        response.text().ends_with("content Some(5) abcde"),
        "{}",
        response.text()
    );
    // The connection persists.
    assert_eq!(client.exchange(get("/")).status, 200);
}

#[test]
fn content_that_does_not_fit_memory_arrives_whole() {
    let mut handlers = Handlers::new();
    handlers.function("length", |mut request| {
        let mut content = Vec::new();
        request.content().read_to_end(&mut content)?;
        let is_whole = content == super::support::pattern(0, content.len());
        Ok(Response::text(format!("{} {is_whole}", content.len())))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'length' }");
    for length in [255 * 1024, 256 * 1024, 3_000_000] {
        let length = length / 8 * 8;
        let mut client = server.connect();
        client.send(format!(
            "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n"
        ));
        client.send(super::support::pattern(0, length));
        assert_eq!(client.response().text(), format!("{length} true"));
    }
}

#[test]
fn a_handler_refuses_in_its_own_words_or_the_operators() {
    if ran_captured("requests::a_handler_refuses_in_its_own_words_or_the_operators") {
        return;
    }
    let mut handlers = Handlers::new();
    handlers.function("refuse", |request| match request.query() {
        Some("error") => Err(Error::new(Status::CONFLICT, "another request was faster")),
        Some("busy") => Err(Error::new(Status::SERVICE_UNAVAILABLE, "the store is away")),
        Some("io") => Ok(Response::text(std::fs::read_to_string("/nowhere")?)),
        Some("own") => Ok(Response::text("gone\n").status(Status::GONE)),
        _ => Ok(Response::new(Status::NOT_FOUND)),
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'refuse' }");
    let mut client = server.connect();
    for (target, status, text) in [
        ("/?error", 409, "Conflict"),
        ("/?busy", 503, "Service Unavailable"),
        ("/?io", 500, "Internal Server Error"),
        ("/?own", 410, "gone\n"),
        ("/", 404, "Not Found"),
    ] {
        let response = client.exchange(request("GET", target, "Accept: text/plain\r\n"));
        assert_eq!(response.status, status, "{target}");
        assert!(
            response.text().contains(text),
            "{target}: {}",
            response.text()
        );
        assert!(
            !response.text().contains("nowhere"),
            "causes are for the log"
        );
    }
}

#[test]
fn an_address_that_a_trusted_proxy_vouches_for_is_the_client() {
    let mut handlers = Handlers::new();
    handlers.function("client", |request| {
        Ok(Response::text(request.client().to_string()))
    });
    let trusted = "trusted_proxies = '127.0.0.0/8'";
    let server = Embedded::start(handlers, trusted, "'/' = { handler = 'client' }");
    let lines = "X-Forwarded-For: 192.0.2.7\r\n";
    let response = server.connect().exchange(request("GET", "/", lines));
    assert_eq!(response.text(), "192.0.2.7");
}

/// Tells where a request comes from, on the pool or on the loop.
struct Whence {
    never_waits: bool,
}

impl tidegate::Handler for Whence {
    fn handle(&self, request: Request) -> Result<Response, Error> {
        let peer = request.peer().expect("a TCP peer");
        let text = format!(
            "{} {} {} {peer}",
            request.scheme(),
            request.host(),
            request.client()
        );
        Ok(Response::text(text))
    }

    fn never_waits(&self) -> bool {
        self.never_waits
    }
}

#[test]
fn a_handler_is_told_the_peer_the_host_and_the_scheme() {
    for never_waits in [false, true] {
        let mut handlers = Handlers::new();
        handlers.register("whence", move |_| Ok(Whence { never_waits }));
        let trusted = "trusted_proxies = '127.0.0.0/8'";
        let server = Embedded::start(handlers, trusted, "'/' = { handler = 'whence' }");
        let mut client = server.connect();
        let peer = client.stream().local_addr().expect("it is connected");
        let proxied = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";
        for (lines, expected) in [
            ("", format!("http h 127.0.0.1 {peer}")),
            (proxied, format!("https h 192.0.2.7 {peer}")),
        ] {
            let response = client.exchange(request("GET", "/", lines));
            assert_eq!(response.text(), expected, "{never_waits}");
        }
        let absolute = "GET http://example.com:80/ HTTP/1.1\r\nHost: other\r\n\r\n";
        let text = client.exchange(absolute).text();
        assert!(text.starts_with("http example.com 127"), "{text}");
    }
}

#[test]
fn a_form_is_taken_apart_and_other_content_is_415() {
    let mut handlers = Handlers::new();
    handlers.function("form", |mut request| {
        let form = request.form()?;
        Ok(Response::text(format!("{form:?}")))
    });
    let server = Embedded::start(handlers, "", "'/' = { handler = 'form' }");
    let mut client = server.connect();
    let media_type = "application/x-www-form-urlencoded";
    for (lines, status, text) in [
        (
            format!("Content-Type: {media_type}; charset=utf-8\r\n"),
            200,
            "[(\"a\", \"1 2\"), (\"b\", \"\")]",
        ),
        ("Content-Type: text/plain\r\n".to_owned(), 415, ""),
        (String::new(), 415, ""),
    ] {
        let lines = lines + "Content-Length: 7\r\n";
        let response = client.exchange(request("POST", "/", &lines) + "a=1+2&b");
        assert_eq!(response.status, status, "{lines}");
        assert!(response.text().contains(text), "{}", response.text());
    }
}

#[test]
fn a_handler_that_never_waits_runs_on_the_loop_and_others_on_the_pool() {
    struct Thread(bool);
    impl tidegate::Handler for Thread {
        fn handle(&self, mut request: Request) -> Result<Response, Error> {
            let mut content = String::new();
            request.content().read_to_string(&mut content)?;
            let thread = std::thread::current();
            Ok(Response::text(format!(
                "{}{content}",
                thread.name().unwrap_or("none")
            )))
        }

        fn never_waits(&self) -> bool {
            self.0
        }
    }
    let mut handlers = Handlers::new();
    handlers.register("loop", |_| Ok(Thread(true)));
    handlers.register("pool", |_| Ok(Thread(false)));
    let routes = "'/loop' = { handler = 'loop' }\n'/pool' = { handler = 'pool' }";
    let server = Embedded::start(handlers, "", routes);
    let mut client = server.connect();
    for (target, thread) in [("/loop", "worker"), ("/pool", "block")] {
        for lines in ["", "Content-Length: 1\r\n"] {
            let content = if lines.is_empty() { "" } else { "!" };
            let request = request("POST", target, lines) + content;
            let text = client.exchange(request).text();
            assert!(
                text.contains(thread) && text.ends_with(content),
                "{target}: {text}"
            );
        }
    }
}

#[test]
fn a_handler_is_told_the_id_of_its_exchange() {
    let tell = |request: Request| {
        let id = request.id().map(str::to_owned);
        Ok(Response::text(id.unwrap_or_default()))
    };
    let mut handlers = Handlers::new();
    handlers.function("tell", tell);
    let routes = "'/' = { handler = 'tell' }\n'/none' = { handler = 'tell', request_id = false }";
    let server = Embedded::start(handlers, "request_id = true", routes);
    let response = server.connect().exchange(get("/"));
    let id = response.field("X-Request-Id").expect("an id");
    assert_eq!(response.text(), id);
    let response = server.connect().exchange(get("/none"));
    assert_eq!(
        (response.text().as_str(), response.field("X-Request-Id")),
        ("", None)
    );
}

/// `decompress`: the handler gets what was compressed, and learns nothing of the coding.
#[test]
fn content_is_decoded_for_a_handler_that_asks() {
    use std::io::Write as _;
    let mut handlers = Handlers::new();
    handlers.function("echo", |mut request| {
        let mut content = Vec::new();
        request.content().read_to_end(&mut content)?;
        let fields = ["Content-Encoding", "Content-Length"].map(|name| request.field(name));
        Ok(Response::text(format!("{} {fields:?}", content.len())))
    });
    let routes = "'/whole' = { handler = 'echo', decompress = true, limits.max_content = 50000 }\n\
        '/stream' = { handler = 'echo', decompress = true, stream = true, limits.max_content = 50000 }\n\
        '/plain' = { handler = 'echo' }";
    let server = Embedded::start(handlers, "", routes);
    let gzip = |length: usize| {
        let level = flate2::Compression::fast();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), level);
        gzip.write_all(&vec![b'a'; length]).expect("memory");
        gzip.finish().expect("memory")
    };
    let ask = |target: &str, coding: &str, content: &[u8]| {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: h\r\nContent-Encoding: {coding}\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        let mut client = server.connect();
        client.send([head.as_bytes(), content].concat());
        client.response()
    };
    let whole = gzip(40_000);
    for target in ["/whole", "/stream"] {
        for coding in ["gzip", "X-GZIP", "identity, gzip"] {
            let response = ask(target, coding, &whole);
            let decoded = "40000 [None, None]";
            assert_eq!(
                (response.status, &*response.text()),
                (200, decoded),
                "{target}"
            );
        }
        for coding in ["compress", "gzip, gzip", "nonsense"] {
            let response = ask(target, coding, &whole);
            let accepted = response.field("Accept-Encoding");
            assert_eq!(
                (response.status, accepted),
                (415, Some("gzip, br, zstd")),
                "{coding}"
            );
        }
    }
    assert_eq!(ask("/whole", "gzip", &gzip(50_001)).status, 413);
    assert_eq!(ask("/whole", "gzip", &whole[..whole.len() - 1]).status, 400);
    assert_eq!(ask("/whole", "br", &whole).status, 400);
    for reason in ["content_coding_unknown", "content_not_in_coding"] {
        server.wait_for_reason(reason);
    }
    let response = ask("/plain", "gzip", &whole);
    assert!(
        response.text().starts_with(&whole.len().to_string()),
        "{}",
        response.text()
    );
}
