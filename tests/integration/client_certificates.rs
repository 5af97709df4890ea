//! Certificates of clients: routes that need one, and what upstreams are told of it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};

use crate::cgi::script;
use crate::support::{
    Client, Server, Site, Upstream, client_of as client, client_trusting, ended_with, tls_fixture,
    until,
};
use crate::tls::certificate;

const NEEDED: &str = "This is open to clients that show a certificate";
const OTHER_CONNECTION: &str = "The site is not answered over this connection";

/// Settings of `tls`: clients are asked for a certificate.
fn asking() -> String {
    let ca = tls_fixture("ca.pem");
    format!("client_ca = {ca:?}, client = 'request'")
}

/// `[[server]]` for this host, whose clients are asked for a certificate.
fn server(host: &str, settings: &str, routes: &str) -> String {
    let (certificate, asking) = (certificate("localhost"), asking());
    format!(
        "[[server]]\nlisten = '127.0.0.1:0'\nhosts = '{host}'\ntls = {{ {certificate}, {asking} }}\n\
         {settings}\n[server.routes]\n{routes}\n"
    )
}

fn site(servers: &str) -> Site {
    Site::configured(&format!("workers = 1\nlog.access = false\n{servers}"))
}

/// A client without a certificate, and Ada, who has one; both of either version.
fn clients() -> impl Iterator<Item = (Arc<ClientConfig>, Arc<ClientConfig>)> {
    let of = |version| (client(&[version], None), client(&[version], Some("client")));
    [&TLS12, &TLS13].into_iter().map(of)
}

fn ada() -> Arc<ClientConfig> {
    client(&[&TLS13], Some("client"))
}

fn anyone() -> Arc<ClientConfig> {
    client(&[&TLS13], None)
}

fn connect(server: &Server, config: &Arc<ClientConfig>) -> Client {
    Client::secured(server.address(), config, "localhost").expect("a session")
}

fn get(target: &str) -> String {
    get_with(target, "")
}

fn get_with(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
}

/// A site with a route for each verb, which all need a certificate, and an open one.
fn every_verb(upstream: &Upstream) -> Site {
    let address = upstream.address();
    let site = site(&server(
        "localhost",
        "",
        &format!(
            "'/' = {{ respond = 'open' }}
             '/files' = {{ files = 'www', strip_prefix = true, client = 'require' }}
             '/respond' = {{ respond = 'closed', client = 'require' }}
             '/redirect' = {{ redirect = '/', client = 'require' }}
             '/echo' = {{ echo = true, client = 'require' }}
             '/status' = {{ status = true, client = 'require' }}
             '/cgi' = {{ cgi = 'scripts', script = 'x', client = 'require' }}
             '/fastcgi' = {{ fastcgi = '{address}', root = 'www', script = 'x', client = 'require' }}
             '/proxy' = {{ proxy = 'http://{address}', client = 'require' }}"
        ),
    ))
    .file("a.txt", "a file");
    script(
        site.directory(),
        "x",
        "printf 'Content-Type: text/plain\\n\\na script'",
    );
    site
}

#[test]
fn whatever_a_route_does_it_answers_403_without_a_certificate() {
    let upstream = Upstream::listen();
    let server = every_verb(&upstream).start();
    for (anyone, ada) in clients() {
        let (mut anyone, mut ada) = (connect(&server, &anyone), connect(&server, &ada));
        for (path, status, content) in [
            ("/files/a.txt", 200, "a file"),
            ("/respond", 200, "closed"),
            ("/redirect", 308, ""),
            ("/echo", 200, "GET"),
            ("/status", 200, "requests"),
            ("/cgi", 200, "a script"),
        ] {
            let response = ada.exchange(get(path));
            assert_eq!(response.status, status, "{path}");
            assert!(response.text().contains(content), "{path}");
            let refused = anyone.exchange(get(path));
            assert_eq!(refused.status, 403, "{path}");
            assert!(refused.text().contains(NEEDED), "{}", refused.text());
        }
        // What would be asked of an upstream, with content and without, and to change the protocol.
        for path in ["/fastcgi", "/proxy"] {
            let upgrade = get_with(path, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
            assert_eq!(anyone.exchange(upgrade).status, 403);
            let post = format!(
                "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
            );
            assert_eq!(anyone.exchange(post).status, 403);
        }
        // The connection goes on as after any response.
        let chunked = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
                       5\r\nhello\r\n0\r\n\r\n";
        assert_eq!(anyone.exchange(chunked).status, 403);
        anyone.send("HEAD /respond HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(anyone.response_to_head().status, 403);
        anyone.send(get("/respond") + &get("/") + &get("/files/missing"));
        let pipelined = [(); 3].map(|()| anyone.response().status);
        assert_eq!(pipelined, [403, 200, 403], "nor is told what is there");
    }
    upstream.expect_no_connection();
}

#[test]
fn the_403_says_that_a_certificate_is_needed_unless_the_operator_has_a_page() {
    let server = site(&server(
        "localhost",
        "",
        "'/' = { respond = 'a', client = 'require' }
         '/page' = { respond = 'a', client = 'require', error_pages = { 403 = 'www/403.html' } }
         '/denied' = { respond = 'a', client = 'require', deny = 'all' }",
    ))
    .file("403.html", "ask the office")
    .start();
    let mut client = connect(&server, &anyone());
    for (accept, media_type) in [
        ("text/html", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("text/plain", "text/plain; charset=utf-8"),
    ] {
        let response = client.exchange(get_with("/", &format!("Accept: {accept}\r\n")));
        assert_eq!(response.field("Content-Type"), Some(media_type));
        assert!(response.text().contains(NEEDED), "{}", response.text());
        assert!(response.text().contains("403"), "{}", response.text());
    }
    let page = client.exchange(get("/page"));
    assert_eq!((page.status, &*page.text()), (403, "ask the office"));
    // A client that `deny` refuses sees the usual 403.
    let denied = client.exchange(get("/denied"));
    assert_eq!(denied.status, 403);
    assert!(!denied.text().contains(NEEDED));
}

/// Browsers send no certificate with a preflight of CORS, whatever they send with the request that follows.
#[test]
fn a_preflight_needs_no_certificate() {
    let server = site(&server(
        "localhost",
        "cors = { origins = 'https://a.test' }",
        "'/' = { respond = 'a', client = 'require' }
         '/denied' = { respond = 'a', client = 'require', deny = 'all' }",
    ))
    .start();
    let preflight = "Origin: https://a.test\r\nAccess-Control-Request-Method: PUT\r\n";
    let options = |target: &str, fields: &str| {
        format!("OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
    };
    let mut client = connect(&server, &anyone());
    let allowed = client.exchange(options("/", preflight));
    assert_eq!(allowed.status, 204);
    assert_eq!(
        allowed.field("Access-Control-Allow-Origin"),
        Some("https://a.test")
    );
    for request in [
        options("/denied", preflight),
        options("/", "Origin: https://a.test\r\n"),
        get_with("/", "Origin: https://a.test\r\n"),
    ] {
        assert_eq!(client.exchange(&request).status, 403, "{request}");
    }
}

#[test]
fn a_server_may_require_a_certificate_except_on_a_route() {
    let secure = server(
        "localhost",
        "client = 'require'\nhttp_redirect = '127.0.0.1:0'",
        "'/' = { respond = 'closed' }\n'= /health' = { respond = 'ok', client = 'request' }",
    );
    let server = site(&secure.replacen("127.0.0.1", "127.0.0.2", 1)).start();
    let announced = |ip| until("the address", || server.addresses_at(ip).pop());
    let secured = announced("127.0.0.2");
    let connect = |config| Client::secured(secured, config, "localhost").expect("a session");
    let (mut anyone, mut ada) = (connect(&anyone()), connect(&ada()));
    for (target, of_anyone, of_ada) in [("/", 403, 200), ("/none", 403, 200), ("/health", 200, 200)]
    {
        assert_eq!(anyone.exchange(get(target)).status, of_anyone, "{target}");
        assert_eq!(ada.exchange(get(target)).status, of_ada, "{target}");
    }
    // Plain HTTP is led to where a certificate can be shown.
    let mut plain = Client::connect(announced("127.0.0.1"));
    assert_eq!(plain.exchange(get("/")).status, 308);
}

#[test]
fn a_local_redirect_leads_no_client_past_a_route_that_requires_a_certificate() {
    let site = site(&server(
        "localhost",
        "",
        "'/' = { cgi = 'scripts', script = 'x' }\n'/closed' = { respond = 'closed', client = 'require' }",
    ));
    script(site.directory(), "x", "printf 'Location: /closed\\n\\n'");
    let server = site.start();
    let refused = connect(&server, &anyone()).exchange(get("/"));
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains(NEEDED));
    let response = connect(&server, &ada()).exchange(get("/"));
    assert_eq!((response.status, &*response.text()), (200, "closed"));
}

/// RFC 9110 §15.5.20: the client may come again, over a connection in whose handshake it is asked for a
/// certificate. A 403 would tell it to give up.
#[test]
fn another_connection_is_asked_for_where_this_one_was_made_for_another_server() {
    let open = format!(
        "[[server]]\nlisten = '127.0.0.1:0'\nhosts = 'localhost'\ntls = {{ {} }}\n\
         routes.'/' = {{ respond = 'open' }}\n",
        certificate("localhost")
    );
    let routes =
        "'/' = { respond = 'asked' }\n'/closed' = { respond = 'closed', client = 'require' }";
    let server = site(&(open + &server("a.example.com", "", routes))).start();
    let secured = |config: &Arc<ClientConfig>, name| {
        Client::secured(server.address(), config, name).expect("a session")
    };
    let get = |host: &str, target: &str| format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    for (anyone, ada) in clients() {
        for config in [&anyone, &ada] {
            for target in ["/closed", "/"] {
                let mut client = secured(config, "localhost");
                assert_eq!(client.exchange(get("localhost", "/")).text(), "open");
                let response = client.last_response_to(get("a.example.com", target));
                assert_eq!(response.status, 421, "{target}");
                assert!(
                    response.text().contains(OTHER_CONNECTION),
                    "{}",
                    response.text()
                );
            }
        }
        let mut client = secured(&ada, "a.example.com");
        assert_eq!(
            client.exchange(get("a.example.com", "/closed")).text(),
            "closed"
        );
        assert_eq!(client.exchange(get("localhost", "/")).status, 421);
        let mut client = secured(&anyone, "a.example.com");
        assert_eq!(client.exchange(get("a.example.com", "/closed")).status, 403);
        assert_eq!(client.exchange(get("a.example.com", "/")).text(), "asked");
    }
    server.wait_for_reason("other_connection");
    server.wait_for_reason("certificate_missing");
}

/// A resumed session has the client certificate of its first handshake, or none if it had none.
#[test]
fn a_resumed_session_has_the_certificate_that_it_began_with() {
    let closed =
        "'/' = { respond = 'open' }\n'/closed' = { respond = 'closed', client = 'require' }";
    let server = site(&server("localhost", "", closed)).start();
    for (anyone, ada) in clients() {
        for (config, status) in [(&anyone, 403), (&ada, 200)] {
            for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
                let mut client = connect(&server, config);
                // The tickets come with a response.
                assert_eq!(client.exchange(get("/")).status, 200);
                let found = client.with_session(|session| session.handshake_kind());
                assert_eq!(found, Some(kind));
                assert_eq!(client.exchange(get("/closed")).status, status, "{kind:?}");
            }
        }
    }
}

/// A ticket of a server that asks for certificates of one authority is worth nothing at a server that asks
/// for those of another: Ada is no client of that one.
#[test]
fn a_session_is_not_resumed_where_another_authority_is_trusted() {
    let of = |ca: &str| {
        let text = server("localhost", "client = 'require'", "'/' = { respond = 'a' }");
        let (one, other) = (tls_fixture("ca.pem"), tls_fixture(ca));
        let text = text.replace(&format!("{one:?}"), &format!("{other:?}"));
        format!("workers = 1\nlog.access = false\n{text}")
    };
    let server = Site::configured(&of("ca.pem")).start();
    let ada = ada();
    assert_eq!(connect(&server, &ada).exchange(get("/")).status, 200);
    let mut kept = connect(&server, &ada);
    let kind = kept.with_session(|session| session.handshake_kind());
    assert_eq!(kind, Some(HandshakeKind::Resumed));
    assert_eq!(kept.exchange(get("/")).status, 200);
    server.configure(of("stranger.pem"));
    ended_with(0, &server.command_line(&["reload"]));
    // The connection was made when another certificate was asked for. It ends with the refusal: a client would ask
    // over it again and again.
    assert_eq!(kept.last_response_to(get("/")).status, 421);
    let answered = Client::secured(server.address(), &ada, "localhost").and_then(|mut client| {
        client.try_send(get_with("/", "Connection: close\r\n"))?;
        client.rest()
    });
    // The alert may reset the connection before it is read. A session of before would have answered.
    let answered = answered.unwrap_or_default();
    assert_eq!(answered.escape_ascii().to_string(), "");
}

#[test]
fn a_reload_changes_which_routes_require_a_certificate_for_open_connections() {
    let of = |route: &str| {
        let text = server(
            "localhost",
            "",
            &format!("'/' = {{ respond = 'a'{route} }}"),
        );
        format!("workers = 1\nlog.access = false\n{text}")
    };
    let server = Site::configured(&of("")).start();
    let mut client = connect(&server, &anyone());
    assert_eq!(client.exchange(get("/")).status, 200);
    server.configure(of(", client = 'require'"));
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(told.contains("route /: client request → require"), "{told}");
    assert_eq!(client.exchange(get("/")).status, 403);
    server.configure(of(""));
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(client.exchange(get("/")).status, 200);
}

#[test]
fn explain_and_tests_may_suppose_a_certificate() {
    let test = |line: &str, expected: &str| {
        format!(
            "[[test]]\nrequest = 'GET /closed'\nhost = 'localhost'\n{line}\nexpect = {{ {expected} }}\n"
        )
    };
    let closed =
        "'/' = { respond = 'open' }\n'/closed' = { respond = 'closed', client = 'require' }";
    let text = server("localhost", "", closed)
        + &test("", "status = 403")
        + &test(
            "client_certificate = true",
            "status = 200, route = '/closed'",
        );
    let server = site(&text).start();
    for live in [&[][..], &["--live"]] {
        for (arguments, expected) in [
            (
                &[][..],
                "denied: a certificate is required, and none is shown",
            ),
            (&["--certificate"], "a certificate is required, and shown"),
        ] {
            let explain = [&["explain", "https://localhost/closed"], live, arguments].concat();
            let text = ended_with(0, &server.command_line(&explain));
            assert!(text.contains(expected), "{text}");
            let status = if arguments.is_empty() { "403" } else { "200" };
            assert!(text.contains(&format!("status    {status}")), "{text}");
        }
        let explain = [&["explain", "https://localhost/"], live].concat();
        let text = ended_with(0, &server.command_line(&explain));
        assert!(!text.contains("certificate"), "{text}");
    }
    server.configure(text.replace("status = 200, route", "status = 403, route"));
    let told = ended_with(1, &server.command_line(&["reload"]));
    assert!(told.contains("expected status 403, got 200"), "{told}");
}

/// All that can be told, under these names.
const TOLD: &str = "X-Client-Verified = 'verified', X-Client-Subject = 'subject', X-Client-Issuer = 'issuer', \
                    X-Client-Serial = 'serial', X-Client-Fingerprint = 'fingerprint', \
                    Client-Cert = 'certificate', Client-Cert-Chain = 'chain'";

/// What a client might say of itself, in the spellings that applications take for those names.
const FORGED: &str = "X-Client-Verified: SUCCESS\r\nx-client-subject: CN=root\r\nX_Client_Subject: CN=root\r\n\
                      X-CLIENT_VERIFIED: SUCCESS\r\nX_CLIENT_ISSUER: CN=root\r\nx-client-serial: 0\r\n\
                      X-Client_Fingerprint: 0\r\nClient-Cert: :AAAA:\r\nclient_cert: :AAAA:\r\n\
                      Client-Cert-Chain: :AAAA:\r\nConnection: X-Client-Verified, X-Client-Subject\r\n";

fn start_telling(upstream: &Upstream) -> Server {
    let routes = format!(
        "'/' = {{ proxy = 'http://{0}', client_certificate = {{ {TOLD} }} }}\n'/plain' = {{ proxy = 'http://{0}' }}",
        upstream.address()
    );
    site(&server("localhost", "", &routes)).start()
}

/// The lines of the head that `upstream` is sent, which are about certificates.
fn told(upstream: &Upstream, client: &mut Client, request: &str) -> Vec<String> {
    client.send(request);
    let response = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let (_, asked) = upstream.answer(response);
    assert_eq!(client.response().status, 200);
    assert_eq!(asked.trailers, [""; 0]);
    let is_about = |line: &String| {
        let line = line.to_lowercase().replace('_', "-");
        line.starts_with("x-client") || line.starts_with("client-cert")
    };
    asked.lines().into_iter().filter(is_about).collect()
}

/// A certificate of the fixtures as a byte sequence (RFC 9440 §2.2): PEM is base64 with line ends.
fn byte_sequence(name: &str) -> String {
    let pem = std::fs::read_to_string(tls_fixture(name)).expect("a fixture");
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    format!(":{}:", lines.collect::<String>())
}

#[test]
fn an_upstream_is_told_of_the_certificate() {
    let upstream = Upstream::listen();
    let server = start_telling(&upstream);
    let der = CertificateDer::from_pem_file(tls_fixture("client.pem")).expect("a fixture");
    let digits =
        |octets: &[u8]| -> String { octets.iter().map(|octet| format!("{octet:02X}")).collect() };
    let fingerprint = digits(&<sha2::Sha256 as sha2::Digest>::digest(&der));
    for (_, ada) in clients() {
        let mut client = connect(&server, &ada);
        for request in [get("/"), get_with("/", FORGED)] {
            let told = told(&upstream, &mut client, &request);
            let (serial, others): (Vec<_>, Vec<_>) = told
                .iter()
                .partition(|line| line.starts_with("X-Client-Serial: "));
            assert_eq!(
                others,
                [
                    "X-Client-Verified: SUCCESS",
                    "X-Client-Subject: CN=Ada,O=Tidegate",
                    "X-Client-Issuer: CN=Tests of Tidegate,O=Tidegate",
                    &format!("X-Client-Fingerprint: {fingerprint}"),
                    &format!("Client-Cert: {}", byte_sequence("client.pem")),
                ]
            );
            assert_eq!(serial.len(), 1);
            let digits = serial[0].trim_start_matches("X-Client-Serial: ");
            assert!(digits.len() > 30 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        }
    }
}

#[test]
fn a_client_cannot_say_itself_what_its_certificate_says() {
    let upstream = Upstream::listen();
    let server = start_telling(&upstream);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\n{FORGED}Trailer: X-Client-Subject\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\nX-Client-Subject: CN=root\r\n\r\n"
    );
    for (anyone, _) in clients() {
        let mut client = connect(&server, &anyone);
        for request in [&get("/"), &get_with("/", FORGED), &chunked] {
            let told = told(&upstream, &mut client, request);
            assert_eq!(told, ["X-Client-Verified: NONE"], "{request}");
        }
        // The application is the same, and would believe the client there.
        let told = told(&upstream, &mut client, &get_with("/plain", FORGED));
        assert_eq!(told, [""; 0]);
    }
}

#[test]
fn an_upstream_is_told_the_chain_and_of_upgrades() {
    let upstream = Upstream::listen();
    let server = start_telling(&upstream);
    let chain = ["client.pem", "ca.pem", "other.pem"].map(tls_fixture);
    let identity = (&chain[..], &*tls_fixture("client.key"));
    let config = client_trusting(&tls_fixture("ca.pem"), Some(identity));
    let mut client = connect(&server, &config);
    let upgrade = "Connection: Upgrade, X-Client-Verified\r\nUpgrade: websocket\r\n";
    let told = told(&upstream, &mut client, &get_with("/", upgrade));
    assert_eq!(told.len(), 7, "{told:?}");
    assert_eq!(told[0], "X-Client-Verified: SUCCESS");
    let chain = ["ca.pem", "other.pem"].map(byte_sequence).join(", ");
    assert_eq!(told[6], format!("Client-Cert-Chain: {chain}"));
}

/// Without the key on any route of the server, these fields are like any other.
#[test]
fn fields_of_these_names_pass_where_nothing_is_told() {
    let upstream = Upstream::listen();
    let routes = format!("'/' = {{ proxy = 'http://{}' }}", upstream.address());
    let server = site(&server("localhost", "", &routes)).start();
    let mut client = connect(&server, &ada());
    let told = told(
        &upstream,
        &mut client,
        &get_with("/", "X-Client-Subject: a\r\n"),
    );
    assert_eq!(told, ["X-Client-Subject: a"]);
}

#[test]
fn scripts_are_told_of_the_certificate() {
    let site = site(&server(
        "localhost",
        "",
        "'/' = { cgi = 'scripts', script = 'x' }",
    ));
    script(
        site.directory(),
        "x",
        "printf 'Content-Type: text/plain\\n\\n'; env | grep ^SSL_CLIENT | sort",
    );
    let server = site.start();
    let text = connect(&server, &ada()).exchange(get("/")).text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    assert!(lines[0].starts_with("SSL_CLIENT_FINGERPRINT="), "{text}");
    assert_eq!(lines[1], "SSL_CLIENT_I_DN=CN=Tests of Tidegate,O=Tidegate");
    assert!(lines[2].starts_with("SSL_CLIENT_M_SERIAL="), "{text}");
    assert_eq!(
        lines[3..],
        [
            "SSL_CLIENT_S_DN=CN=Ada,O=Tidegate",
            "SSL_CLIENT_VERIFY=SUCCESS"
        ]
    );
    let text = connect(&server, &anyone()).exchange(get("/")).text();
    assert_eq!(text, "SSL_CLIENT_VERIFY=NONE\n");
}
