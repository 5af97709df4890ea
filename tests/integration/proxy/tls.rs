//! TLS to upstreams: who is believed, what is said of those who are not, and what an end without a word
//! means.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use serde_json::Value;

use super::{HELLO, LAST, POST, get};
use crate::support::{
    Certificate, Connection, Directory, Server, Site, UnixClient, Upstream, ended_with, pattern,
    program, tls_fixture, until,
};

/// A file of `tests/fixtures/tls`, as a value of the configuration.
fn file(name: &str) -> String {
    format!("'{}'", tls_fixture(name).display())
}

/// An upstream whose certificate is good for `127.0.0.1`.
fn good() -> Upstream {
    Upstream::listen().over_tls(&Certificate::of("localhost"))
}

/// A configuration whose every path leads to `upstream`, with `tls`, the keys of that table, and `more`
/// settings of the upstream, which begin with a comma.
fn configuration(upstream: &Upstream, tls: &str, more: &str) -> String {
    let url = upstream.url();
    format!(
        "workers = 1\n[log]\naccess = '-'\nformat = 'json'\n[upstreams]\n\
         shop = {{ servers = ['{url}'], failures = {{ max = 0 }}, tls = {{ {tls} }} {more} }}\n\
         [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ proxy = 'shop', proxy_status = true }}\n"
    )
}

/// A site on a system that trusts an authority which has issued none of the fixtures.
fn site(configuration: &str) -> Site {
    trusting(Site::configured(configuration), "other.pem")
}

/// Has the system of `site` trust whom this file of the fixtures names.
fn trusting(site: Site, name: &str) -> Site {
    let path = Box::leak(Box::new(tls_fixture(name).display().to_string()));
    site.environment("SSL_CERT_FILE", path)
}

/// A server in front of `upstream`, which trusts the authority of the fixtures.
fn start(upstream: &Upstream, more: &str) -> Server {
    let ca = format!("ca = {}", file("ca.pem"));
    site(&configuration(upstream, &ca, more)).start()
}

#[test]
fn a_server_is_asked_over_tls_and_its_connection_is_kept() {
    for version in [&TLS12, &TLS13] {
        let certificate = Certificate::of("localhost").only(version);
        let upstream = Upstream::listen().over_tls(&certificate);
        let server = start(&upstream, "");
        for _ in 0..3 {
            let mut client = server.connect();
            client.send(get("/asked"));
            if upstream.connections() == 0 {
                let mut connection = upstream.accept();
                std::thread::spawn(move || {
                    while connection.next_request().is_some() {
                        let session = connection.session();
                        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
                        connection.send(HELLO);
                    }
                });
            }
            assert_eq!(client.response().content, b"hello");
        }
        assert_eq!(upstream.connections(), 1, "{version:?}");
        upstream.expect_no_connection();
        assert_eq!(upstream.requests()[0].line(), "GET /asked HTTP/1.1");
    }
}

/// A handshake that goes on with a session of before needs no certificate.
#[test]
fn a_new_connection_goes_on_with_the_last_session() {
    for version in [&TLS12, &TLS13] {
        let certificate = Certificate::of("localhost").only(version);
        let upstream = Upstream::listen().over_tls(&certificate);
        let server = start(&upstream, ", keep = 0");
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut client = server.connect();
            client.send(get("/"));
            let (connection, _) = upstream.answer(LAST);
            kinds.push(connection.session().handshake_kind());
            client.response();
        }
        let expected = [HandshakeKind::Full, HandshakeKind::Resumed].map(Some);
        assert_eq!(kinds, expected, "{version:?}");
    }
}

#[test]
fn much_goes_both_ways() {
    let upstream = good().run(|connection| {
        while let Some(request) = connection.next_request() {
            let length = request.content.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            ));
            connection.send(&request.content);
        }
    });
    let server = start(&upstream, "");
    let mut client = server.connect();
    for length in [8, 16_384, 100_000, 900_000] {
        let content = pattern(0, length);
        let head = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
        client.send(head);
        client.send(&content);
        let response = client.response();
        assert_eq!(response.status, 200);
        assert!(response.content == content, "{length} octets");
    }
}

/// It is not known what of a record has arrived, so that such a request could not be told to be unseen.
#[test]
fn a_post_has_a_connection_of_its_own() {
    let upstream = good().run(|connection| {
        while connection.next_request().is_some() {
            connection.send(HELLO);
        }
    });
    let server = start(&upstream, "");
    for request in [get("/"), POST.to_owned(), POST.to_owned()] {
        assert_eq!(server.connect().exchange(request).status, 200);
    }
    assert_eq!(upstream.connections(), 3);
}

/// What a server does wrong, and what is said of it.
struct Failure {
    upstream: Upstream,
    tls: String,
    /// The type of the error in `Proxy-Status`.
    error: &'static str,
    /// What the log says, in part.
    words: &'static str,
}

fn failure(upstream: Upstream, tls: &str, error: &'static str, words: &'static str) -> Failure {
    let mut all = format!("ca = {}", file("ca.pem"));
    if !tls.is_empty() {
        let _ = write!(all, ", {tls}");
    }
    Failure {
        upstream,
        tls: all,
        error,
        words,
    }
}

fn over_tls(certificate: &Certificate) -> Upstream {
    let upstream = Upstream::listen().over_tls(certificate);
    upstream.run(|connection| {
        connection.next_request();
    })
}

fn failures() -> Vec<Failure> {
    const CERTIFICATE: &str = "tls_certificate_error";
    const ALERT: &str = "tls_alert_received";
    const PROTOCOL: &str = "tls_protocol_error";
    let of = |name| over_tls(&Certificate::of(name));
    let only = |version| over_tls(&Certificate::of("localhost").only(version));
    let asking = |version| {
        let certificate = Certificate::of("localhost").asking_for_one();
        over_tls(&certificate.only(version))
    };
    let saying = |octets: &'static str| {
        // It speaks no TLS, but the configuration says that it does.
        Upstream::listen().pretending_tls().run(move |connection| {
            connection.some();
            connection.send(octets);
        })
    };
    let mut untrusted = failure(
        of("localhost"),
        "",
        CERTIFICATE,
        "its certificate is not trusted",
    );
    untrusted.tls = String::new();
    vec![
        untrusted,
        failure(
            of("localhost"),
            "server_name = 'pay.internal'",
            CERTIFICATE,
            "its certificate is not for `pay.internal`",
        ),
        failure(
            of("other"),
            "",
            CERTIFICATE,
            "its certificate is not for `127.0.0.1`",
        ),
        failure(
            of("expired"),
            "",
            CERTIFICATE,
            "its certificate has expired",
        ),
        failure(
            of("early"),
            "",
            CERTIFICATE,
            "its certificate is not valid yet",
        ),
        failure(
            of("ca"),
            "",
            CERTIFICATE,
            "its certificate is that of an authority",
        ),
        failure(
            only(&TLS12),
            "versions = '1.3'",
            ALERT,
            "it speaks no version of TLS that is spoken here",
        ),
        failure(
            only(&TLS13),
            "versions = '1.2'",
            ALERT,
            "it speaks no version of TLS that is spoken here",
        ),
        failure(asking(&TLS13), "", ALERT, "it asks for a certificate"),
        failure(asking(&TLS12), "", ALERT, "certificate"),
        failure(
            saying("HTTP/1.1 400 Bad Request\r\n\r\n"),
            "",
            PROTOCOL,
            "it answers in plain HTTP",
        ),
        failure(
            saying("220 ready\r\n"),
            "",
            PROTOCOL,
            "it does not speak TLS",
        ),
        failure(
            saying(""),
            "",
            PROTOCOL,
            "the connection ended before the handshake",
        ),
    ]
}

/// The status of the response to a GET, `Proxy-Status`, and what the log says of the upstream.
fn ask(server: &Server) -> (u16, String, Value) {
    let response = server.connect().exchange(get("/asked"));
    let line = server.wait_for_record(|line| line.contains("/asked"));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    let told = response.field("Proxy-Status").unwrap_or_default();
    (
        response.status,
        told.to_owned(),
        line["upstream_error"].clone(),
    )
}

#[test]
fn failures_are_named() {
    for row in failures() {
        let Failure {
            upstream,
            tls,
            error,
            words,
        } = &row;
        let server = site(&configuration(upstream, tls, "")).start();
        let (status, told, noted) = ask(&server);
        assert_eq!(status, 502, "{words}");
        let address = upstream.address();
        assert_eq!(
            told,
            format!("tidegate; error={error}; next-hop=\"{address}\""),
            "{words}"
        );
        assert_eq!(noted, *error, "{words}");
        server.wait_for_reason(match *error {
            "tls_certificate_error" => "upstream_certificate",
            "tls_alert_received" => "upstream_tls_alert",
            _ => "upstream_tls_protocol",
        });
        let is_meant = |line: &str| line.contains(address) && line.contains(words);
        let diagnostics = server.diagnostics();
        assert!(
            diagnostics.iter().any(|line| is_meant(line)),
            "{words}: {diagnostics:?}"
        );
    }
}

#[test]
fn a_handshake_has_the_time_of_connecting() {
    // It takes the connection and says nothing.
    let upstream = good();
    let server = start(
        &upstream,
        ", timeouts = { connect = '100ms' }, retry = { tries = 1 }",
    );
    let (status, told, _) = ask(&server);
    assert_eq!(status, 504);
    assert!(told.contains("error=connection_timeout"), "{told}");
}

/// It has issued itself, so that it is also who is trusted.
#[test]
fn a_certificate_that_is_signed_by_itself_may_be_named() {
    let upstream = Upstream::listen().over_tls(&Certificate::of("own"));
    let upstream = upstream.run(answer_all);
    let tls = format!("ca = {}", file("own.pem"));
    let server = site(&configuration(&upstream, &tls, "")).start();
    assert_eq!(server.connect().exchange(get("/")).status, 200);
}

#[test]
fn who_is_not_verified_is_asked_all_the_same() {
    let upstream = Upstream::listen().over_tls(&Certificate::of("expired"));
    let upstream = upstream.run(|connection| {
        connection.next_request();
        connection.send(LAST);
    });
    let configuration = configuration(&upstream, "verify = false", "");
    let server = site(&configuration).start();
    assert_eq!(server.connect().exchange(get("/")).content, b"hello");
    let warned = server.command_line(&["check"]);
    let text = ended_with(0, &warned);
    assert!(text.contains("certificates are not verified"), "{text}");
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_it() {
    for version in [&TLS12, &TLS13] {
        let certificate = Certificate::of("localhost").asking_for_one();
        let upstream = Upstream::listen().over_tls(&certificate.only(version));
        let (certificate, key) = (file("client.pem"), file("client.key"));
        let tls = format!(
            "ca = {}, certificate = {certificate}, key = {key}",
            file("ca.pem")
        );
        let server = site(&configuration(&upstream, &tls, "")).start();
        let mut client = server.connect();
        client.send(get("/"));
        let (connection, _) = upstream.answer(LAST);
        let shown = connection.session().peer_certificates();
        assert_eq!(shown.map(<[_]>::len), Some(1), "{version:?}");
        assert_eq!(client.response().status, 200);
    }
}

/// A name that is not a name of the certificate is asked for, and the certificate has to be for that.
#[test]
fn the_name_of_the_server_is_asked_for() {
    let upstream = good();
    let tls = format!("ca = {}, server_name = 'www.example.com'", file("ca.pem"));
    let server = site(&configuration(&upstream, &tls, "")).start();
    let mut client = server.connect();
    client.send(get("/"));
    let (connection, _) = upstream.answer(LAST);
    assert_eq!(connection.session().server_name(), Some("www.example.com"));
    assert_eq!(client.response().status, 200);
}

/// The end of a connection proves nothing over TLS: any machine on the way can cause one.
#[test]
fn an_end_without_a_word_is_no_end_of_content() {
    const CLOSE_DELIMITED: &str = "HTTP/1.1 200 OK\r\n\r\nhello";
    for (octets, says_so, expected) in [
        (CLOSE_DELIMITED, true, Some(200)),
        (CLOSE_DELIMITED, false, None),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            false,
            Some(200),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
            false,
            None,
        ),
        ("HTTP/1.1 200 OK\r\n", false, Some(502)),
        ("", false, Some(502)),
    ] {
        let upstream = good();
        let server = start(&upstream, ", retry = { tries = 1 }");
        let mut client = server.connect();
        client.send(get("/"));
        let (connection, _) = upstream.answer(octets);
        if says_so {
            drop(connection);
        } else {
            connection.cut();
        }
        match expected {
            Some(status) => assert_eq!(client.response().status, status, "{octets:?}"),
            None => {
                let rest = client.rest_before_cut();
                assert!(
                    !rest.ends_with(b"0\r\n\r\n"),
                    "{octets:?} was taken as whole"
                );
            }
        }
    }
}

#[test]
fn a_tunnel_leads_through_tls() {
    let upstream = good();
    let server = start(&upstream, "");
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst";
    let (mut connection, _) = upstream.answer(switch);
    assert_eq!(client.response_head().status, 101);
    assert_eq!(client.read(5), b"first");
    let octets = pattern(0, 300_000);
    client.send(&octets);
    assert!(connection.take(octets.len()).as_ref() == Some(&octets));
    connection.send(&octets);
    assert!(client.read(octets.len()) == octets);
    client.finish_sending();
    connection.expect_end();
    connection.send("last");
    drop(connection);
    assert_eq!(client.rest().expect("an end in order"), b"last");
}

/// Sends much over a tunnel, by `send`, to a side that takes nothing before `server` has served others for as long
/// as more of it is taken; `take` is the other side.
fn send_while_others_are_served(
    server: &Server,
    mut send: impl FnMut(&[u8]) + Send,
    mut take: impl FnMut(usize),
) {
    /// Requests of others behind which nothing more of the tunnel's octets is taken.
    const QUIET: usize = 50;
    const PIECES: usize = 1024;
    let piece = pattern(0, 64 * 1024);
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..PIECES {
                send(&piece);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        let (mut quiet, mut before) = (0, usize::MAX);
        while quiet < QUIET {
            assert_eq!(server.get("/here").text(), "here");
            let now = sent.load(Ordering::Relaxed);
            quiet = if now == before { quiet + 1 } else { 0 };
            before = now;
        }
        assert!(before < PIECES, "the octets of all buffers");
        (0..PIECES).for_each(|_| take(piece.len()));
    });
}

/// What a session has received and not handed on yet waits for the receiver, and the worker for nobody.
#[test]
fn a_side_of_a_tunnel_that_pauses_holds_up_nobody_else() {
    let upstream = good();
    let text = configuration(&upstream, &format!("ca = {}", file("ca.pem")), "");
    let tls = format!(
        "tls = {{ certificate = {}, key = {} }}\ntls_default = true\nroutes.'= /here' = {{ respond = 'here' }}\n",
        file("localhost.pem"),
        file("localhost.key")
    );
    let server = site(&(text + &tls)).start();
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let switch =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (mut connection, _) = upstream.answer(switch);
    assert_eq!(client.response_head().status, 101);
    send_while_others_are_served(
        &server,
        |piece| client.send(piece),
        |count| assert!(connection.take(count).is_some()),
    );
    send_while_others_are_served(
        &server,
        |piece| connection.send(piece),
        |count| drop(client.read(count)),
    );
}

/// The request's content goes to an upstream over TLS as it comes, also while the client takes nothing of the response.
#[test]
fn content_goes_on_while_the_client_takes_no_response() {
    /// More than a Unix socket holds, and less than the connection from the upstream does.
    const RESPONSE: usize = 1 << 20;
    const CONTENT: usize = 8 << 20;
    let upstream = good();
    let text = configuration(&upstream, &format!("ca = {}", file("ca.pem")), "")
        .replace("proxy_status = true", "buffer = false")
        .replace("'127.0.0.1:0'", "['127.0.0.1:0', 'unix:s']");
    let server = site(&format!("limits.send_timeout = '1h'\n{text}")).start();
    let mut client = UnixClient::connect(&server.directory().join("s"));
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {CONTENT}\r\n\r\n"
    ));
    let mut connection = upstream.accept();
    connection.head();
    connection.send(format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {RESPONSE}\r\nConnection: close\r\n\r\n"
    ));
    connection.send(vec![7; RESPONSE]);
    std::thread::scope(|scope| {
        scope.spawn(|| client.send(vec![5; CONTENT]));
        assert!(connection.take(CONTENT).is_some());
    });
    drop(connection);
    assert_eq!(client.response().content.len(), RESPONSE);
}

fn answer_all(connection: &mut Connection) {
    while connection.next_request().is_some() {
        connection.send(HELLO);
    }
}

/// A connection to a server that the old settings trust is not used with the new settings.
#[test]
fn a_reload_that_changes_tls_uses_no_old_connection() {
    let upstream = good().run(answer_all);
    let ca = format!("ca = {}", file("ca.pem"));
    let first = configuration(&upstream, &ca, "");
    let server = site(&first).start();
    let statuses = [
        (first.clone(), 200, 1),
        // The same settings: the connection is kept.
        (
            format!("{first}routes.'/b' = {{ respond = 'b' }}\n"),
            200,
            1,
        ),
        (
            configuration(&upstream, &format!("{ca}, server_name = 'localhost'"), ""),
            200,
            2,
        ),
        (
            configuration(&upstream, &format!("{ca}, server_name = 'a.test'"), ""),
            502,
            3,
        ),
        (configuration(&upstream, "", ""), 502, 4),
    ];
    for (configuration, status, connections) in statuses {
        server.configure(&configuration);
        ended_with(0, &server.command_line(&["reload"]));
        assert_eq!(
            server.connect().exchange(get("/")).status,
            status,
            "{configuration}"
        );
        until("the connection", || {
            (upstream.connections() >= connections).then_some(())
        });
        if status == 200 {
            assert_eq!(upstream.connections(), connections, "{configuration}");
        }
    }
}

/// Another file at the same path is a change of the settings, too; one that is no good is refused.
#[test]
fn a_reload_reads_the_files_again() {
    let upstream = good().run(answer_all);
    let site = site(&configuration(&upstream, "ca = 'ca.pem'", ""));
    let ca = site.directory().join("ca.pem");
    std::fs::copy(tls_fixture("ca.pem"), &ca).expect("room");
    let server = site.start();
    let reload = || server.command_line(&["reload"]);
    assert_eq!(server.connect().exchange(get("/")).status, 200);
    std::fs::write(&ca, "nothing").expect("room");
    let text = ended_with(1, &reload());
    assert!(text.contains("holds no certificate"), "{text}");
    assert_eq!(server.connect().exchange(get("/")).status, 200);
    assert_eq!(upstream.connections(), 1);
    std::fs::copy(tls_fixture("other.pem"), &ca).expect("room");
    // The generation before still has the old one, so that there is something to take back.
    let told = ended_with(0, &server.command_line(&["reload", "--confirm", "1h"]));
    assert!(told.contains("it is taken back in"), "{told}");
    ended_with(0, &server.command_line(&["confirm"]));
    assert_eq!(
        server.connect().exchange(get("/")).status,
        502,
        "no authority that it trusts has issued the certificate"
    );
}

#[test]
fn servers_are_asked_for_their_health_over_tls() {
    for (tls, expected) in [
        (format!("ca = {}", file("ca.pem")), "up"),
        (
            format!("ca = {}, server_name = 'a.test'", file("ca.pem")),
            "unhealthy",
        ),
    ] {
        let upstream = good().run(answer_all);
        let health = ", health = { path = '/healthz', every = '100ms', rises = 1, falls = 1 }";
        let server = site(&configuration(&upstream, &tls, health)).start();
        let state = || server.status()["upstreams"][0]["servers"][0]["state"].clone();
        until("the state", || (state() == expected).then_some(()));
        if expected == "up" {
            until("a check", || upstream.requests().pop());
        } else {
            let line = server.wait_for_line(|line| line.contains("is unhealthy"));
            assert!(
                line.contains("its certificate is not for `a.test`"),
                "{line}"
            );
        }
        let name = &server.status()["upstreams"][0]["servers"][0]["tls"];
        assert!(name.is_string(), "{name}");
    }
}

#[test]
fn files_that_do_not_fit_are_shown_in_their_place() {
    let upstream = Upstream::listen();
    let url = format!("https://{}", upstream.address());
    for (tls, at, words) in [
        (
            format!("ca = {}", file("localhost.key")),
            "ca = ",
            "holds no certificate",
        ),
        (
            format!(
                "certificate = {}, key = {}",
                file("client.pem"),
                file("other.key")
            ),
            "key = ",
            "does not fit the certificate",
        ),
        (
            format!(
                "certificate = {}, key = {}",
                file("expired.pem"),
                file("expired.key")
            ),
            "certificate = ",
            "has expired",
        ),
    ] {
        let configuration = configuration(&upstream, &tls, "").replace(&upstream.url(), &url);
        let finished = site(&configuration).command_line(&["check", "--json"]);
        let text = String::from_utf8(finished.stdout).expect("UTF-8");
        let told: Value = serde_json::from_str(&text).expect("JSON");
        let mut told = told.as_array().expect("an array").iter();
        let line = told.find(|line| {
            line["message"]
                .as_str()
                .is_some_and(|text| text.contains(words))
        });
        let line = line.expect(words);
        let column = line["column"].as_u64().expect("a column") as usize;
        let row = line["line"].as_u64().expect("a line") as usize;
        let row = configuration.lines().nth(row - 1).expect("it is there");
        assert!(
            row[..column - 1].ends_with(at),
            "{words} at {column} of {row}"
        );
    }
}

/// Where the system trusts no authority, an upstream has to name one.
#[test]
fn a_system_that_trusts_nobody_is_told() {
    let upstream = good();
    let configuration = configuration(&upstream, "", "");
    let site = Site::configured(&configuration);
    let mut command = site.command_for(&["check", "--config", "config.toml"]);
    command.env("SSL_CERT_FILE", "/dev/null");
    command.env("SSL_CERT_DIR", site.directory().join("www"));
    let text = ended_with(1, &command.output().expect("the program runs"));
    assert!(text.contains("the system has no certificates"), "{text}");
}

#[test]
fn explain_and_the_dump_tell_of_it() {
    let upstream = good();
    let server = start(&upstream, "");
    let text = ended_with(0, &server.command_line(&["explain", "GET", "/"]));
    assert!(text.contains("over TLS as 127.0.0.1"), "{text}");
    let text = ended_with(0, &server.command_line(&["check", "--dump"]));
    assert!(text.contains(&upstream.url()), "{text}");
}

/// Where the system trusts who has issued the certificate, nothing else has to be said.
#[test]
fn a_route_and_the_command_line_may_say_the_url() {
    let upstream = good().run(answer_all);
    let routes = format!("'/' = {{ proxy = '{}' }}", upstream.url());
    let server = trusting(Site::new(&routes), "ca.pem").start();
    assert_eq!(server.connect().exchange(get("/")).content, b"hello");
    let mut command = program();
    command.args(["proxy", "--listen", "127.0.0.1:0", "--to", &upstream.url()]);
    command.env("SSL_CERT_FILE", tls_fixture("ca.pem"));
    let server = Server::start(command, Directory::new());
    assert_eq!(server.connect().exchange(get("/")).content, b"hello");
}
