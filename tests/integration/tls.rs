//! HTTPS as clients meet it, and what becomes of certificates while the server runs.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

use crate::support::{
    Client, Server, Site, client_of as client, ended_with, speak_plainly, tls_fixture, until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The settings of a certificate and its key among the fixtures.
pub(crate) fn certificate(name: &str) -> String {
    format!(
        "certificate = {:?}, key = {:?}",
        tls_fixture(&format!("{name}.pem")),
        tls_fixture(&format!("{name}.key"))
    )
}

/// `[[server]]` with these hosts (none: any), this certificate, further settings of `tls`, which begin with
/// a comma, and a route that responds with `text`.
pub(crate) fn server(hosts: &str, name: &str, settings: &str, text: &str) -> String {
    let hosts = match hosts {
        "" => String::new(),
        hosts => format!("hosts = {hosts}\n"),
    };
    let certificate = certificate(name);
    format!(
        "[[server]]\nlisten = '127.0.0.1:0'\n{hosts}tls = {{ {certificate}{settings} }}\n\
         routes.'/' = {{ respond = '{text}' }}\nroutes.'/echo' = {{ echo = true }}\n"
    )
}

fn start(servers: &str) -> Server {
    Site::configured(&format!("workers = 2\nlog.access = false\n{servers}")).start()
}

pub(crate) fn anyone() -> Arc<ClientConfig> {
    client(&[&TLS12, &TLS13], None)
}

/// The status of a GET for `host`, asked over a session with `name`.
fn ask(
    server: &Server,
    config: &Arc<ClientConfig>,
    name: &str,
    host: &str,
) -> io::Result<(u16, String)> {
    let mut client = Client::secured(server.address(), config, name)?;
    client.try_send(format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ))?;
    // A certificate that is refused is told with the first read in TLS 1.3.
    let rest = client.rest()?;
    let text = String::from_utf8_lossy(&rest).into_owned();
    let status = text.get(9..12).and_then(|digits| digits.parse().ok());
    let content = text.rsplit("\r\n").next().unwrap_or_default().to_owned();
    Ok((status.expect("a status line"), content))
}

#[test]
fn both_versions_are_spoken_and_told_to_handlers() {
    let server = start(&server("", "localhost", "", "hello"));
    for (version, expected) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let config = client(&[version], None);
        let mut client =
            Client::secured(server.address(), &config, "localhost").expect("a session");
        assert_eq!(client.exchange(GET).text(), "hello");
        let (spoken, protocol) = client.with_session(|session| {
            let protocol = session.alpn_protocol().map(<[u8]>::to_vec);
            (session.protocol_version(), protocol)
        });
        assert_eq!(spoken, Some(expected));
        assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
        let echo = client.exchange("GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(echo.status, 200);
    }
}

#[test]
fn a_version_that_is_not_spoken_is_refused() {
    let server = start(&server("", "localhost", ", versions = '1.3'", "hello"));
    let refused = Client::secured(server.address(), &client(&[&TLS12], None), "localhost");
    assert!(refused.is_err());
    server.wait_for_line(|line| line.contains("no session of TLS with 127.0.0.1"));
    assert!(ask(&server, &anyone(), "localhost", "localhost").is_ok());
}

#[test]
fn the_certificate_is_that_of_the_server_that_is_named() {
    let server = start(&format!(
        "{}{}",
        server("['localhost', '*.example.com']", "localhost", "", "one"),
        server("'other.test'", "other", "", "two"),
    ));
    let config = anyone();
    for (name, host, expected) in [
        ("localhost", "localhost", (200, "one")),
        ("a.example.com", "a.example.com", (200, "one")),
        ("other.test", "other.test", (200, "two")),
        // Over one connection every server can be asked that asks the same of certificates.
        ("localhost", "other.test", (200, "two")),
    ] {
        let (status, text) = ask(&server, &config, name, host).expect("a session");
        assert_eq!((status, &*text), expected, "{name} {host}");
    }
    for name in ["nobody.test", "127.0.0.1"] {
        assert!(ask(&server, &config, name, name).is_err(), "{name}");
    }
    server
        .wait_for_line(|line| line.contains("no server here answers for the name \"nobody.test\""));
    server.wait_for_line(|line| line.contains("it named no server"));
}

#[test]
fn strangers_see_the_certificate_of_the_default() {
    let default = server("'localhost'", "localhost", "", "one");
    let default = default.replace("hosts =", "tls_default = true\nhosts =");
    let server = start(&format!(
        "{default}{}",
        server("'other.test'", "other", "", "two")
    ));
    let (status, _) = ask(&server, &anyone(), "127.0.0.1", "127.0.0.1").expect("a session");
    assert_eq!(status, 421, "no server answers for the address itself");
    let (status, text) = ask(&server, &anyone(), "127.0.0.1", "localhost").expect("a session");
    assert_eq!((status, &*text), (200, "one"));
}

#[test]
fn who_has_to_show_a_certificate_has_to_and_cannot_come_by_another_name() {
    let ca = format!(", client_ca = {:?}", tls_fixture("ca.pem"));
    let server = start(&format!(
        "{}{}{}",
        server("'localhost'", "localhost", "", "open"),
        server("'a.example.com'", "localhost", &ca, "closed"),
        server(
            "'b.example.com'",
            "localhost",
            &format!("{ca}, client = 'request'"),
            "asked"
        ),
    ));
    for version in [&TLS12, &TLS13] {
        let (anyone, ada) = (client(&[version], None), client(&[version], Some("client")));
        assert!(ask(&server, &anyone, "a.example.com", "a.example.com").is_err());
        let closed = ask(&server, &ada, "a.example.com", "a.example.com").expect("a session");
        assert_eq!(closed, (200, "closed".to_owned()));
        for config in [&anyone, &ada] {
            let asked = ask(&server, config, "b.example.com", "b.example.com").expect("a session");
            assert_eq!(asked.1, "asked");
            // RFC 9110 §7.4: the connection was not made for that server.
            for (name, host) in [
                ("localhost", "a.example.com"),
                ("b.example.com", "a.example.com"),
                ("localhost", "b.example.com"),
            ] {
                let (status, _) = ask(&server, config, name, host).expect("a session");
                assert_eq!(status, 421, "{name} {host}");
            }
        }
    }
    // Of another CA.
    let stranger = client(&[&TLS13], Some("stranger"));
    for name in ["a.example.com", "b.example.com"] {
        assert!(ask(&server, &stranger, name, name).is_err());
    }
    server.wait_for_line(|line| line.contains("UnknownIssuer"));
}

/// Whether the session of a new connection is one of before.
pub(crate) fn is_resumed(server: &Server, config: &Arc<ClientConfig>, name: &str) -> bool {
    let mut client = Client::secured(server.address(), config, name).expect("a session");
    // The tickets come with the response.
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n");
    assert_eq!(client.exchange(request).status, 200);
    client.with_session(|session| session.handshake_kind() == Some(HandshakeKind::Resumed))
}

#[test]
fn sessions_are_resumed_at_any_worker_and_through_reload_and_upgrade() {
    let text = server("'localhost'", "localhost", "", "one");
    let server = start(&text);
    for version in [&TLS12, &TLS13] {
        let config = client(&[version], None);
        assert!(!is_resumed(&server, &config, "localhost"));
        for _ in 0..8 {
            assert!(is_resumed(&server, &config, "localhost"));
        }
    }
    let config = anyone();
    assert!(!is_resumed(&server, &config, "localhost"));
    server.configure(format!(
        "workers = 2\nlog.access = false\n{}",
        text.replace("'one'", "'two'")
    ));
    ended_with(0, &server.command_line(&["reload"]));
    assert!(is_resumed(&server, &config, "localhost"));
    ended_with(0, &server.command_line(&["upgrade"]));
    assert!(is_resumed(&server, &config, "localhost"));
    ended_with(0, &server.command_line(&["stop"]));
}

/// A session that was begun without a certificate is no way to a server that requires one.
#[test]
fn a_session_is_not_resumed_where_another_certificate_is_asked_for() {
    let open = server("'localhost'", "localhost", "", "open");
    let server = start(&open);
    let config = client(&[&TLS13], None);
    assert!(!is_resumed(&server, &config, "localhost"));
    assert!(is_resumed(&server, &config, "localhost"));
    let ca = format!(", client_ca = {:?} }}", tls_fixture("ca.pem"));
    let closed = open.replace(" }\nroutes.'/' ", &format!("{ca}\nroutes.'/' "));
    assert_ne!(open, closed);
    server.configure(format!("workers = 2\nlog.access = false\n{closed}"));
    ended_with(0, &server.command_line(&["reload"]));
    assert!(ask(&server, &config, "localhost", "localhost").is_err());
}

/// What a client gets that sends `octets` as they are.
fn answer_to(server: &Server, octets: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(octets).expect("the server reads");
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn plain_http_is_told_where_it_is() {
    let own = "workers = 2\nheaders = { X-Own = 'yes' }\nrequest_id = true\nlog.access = '-'\nlog.format = 'json'\n";
    let configured = [own, &server("", "localhost", "", "hello")].concat();
    let server = Site::configured(&configured).start();
    let answer = answer_to(&server, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{answer}"
    );
    assert!(answer.contains("Use https:// in the address"), "{answer}");
    assert!(answer.contains("plain_http"), "{answer}");
    assert!(answer.contains("\r\nX-Own: yes\r\n"), "{answer}");
    let asked = b"PUT /plain HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\r\n";
    let answer = answer_to(&server, asked);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("\"reason\":\"plain_http\""), "{answer}");
    let line = server.wait_for_record(|line| line.contains("/plain"));
    let told: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&told["method"], &told["host"]),
        (&"PUT".into(), &"h".into())
    );
    let id = told["request_id"].as_str().expect("an id");
    assert!(
        answer.contains(&format!("\r\nX-Request-Id: {id}\r\n")),
        "{answer}"
    );
    // A head that has not come to its end.
    let answer = answer_to(&server, b"GET");
    assert!(String::from_utf8_lossy(&answer).contains("plain_http"));
    server.wait_for_line(|line| line.contains("it speaks plain HTTP"));
    for (octets, alert) in [
        (&b"\x00\x00"[..], &b""[..]),
        (
            b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
            b"\x15\x03\x03\x00\x02\x02\x32",
        ),
    ] {
        assert_eq!(answer_to(&server, octets), alert, "{octets:?}");
    }
    // The last one alone had begun a handshake.
    let status = server.status();
    assert_eq!(status["handshakes"]["failed"], 1, "{status}");
    server.wait_for_reason("plain_http");
    assert!(ask(&server, &anyone(), "localhost", "localhost").is_ok());
}

#[test]
fn a_handshake_that_does_not_come_to_its_end_is_given_up() {
    let server = start(&format!(
        "limits.handshake_timeout = '300ms'\n{}",
        server("", "localhost", "", "hello")
    ));
    let mut silent = TcpStream::connect(server.address()).expect("the server listens");
    let mut slow = TcpStream::connect(server.address()).expect("the server listens");
    slow.write_all(b"\x16\x03\x01\x02\x00").expect("room");
    for stream in [&mut silent, &mut slow] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty());
    }
    server.wait_for_line(|line| line.contains("longer than `handshake_timeout`"));
    // A balancer's check.
    assert_eq!(answer_to(&server, b""), b"");
    let status = server.status();
    assert_eq!(status["handshakes"]["failed"], 1, "{status}");
}

#[test]
fn what_is_wrong_with_files_is_told_at_their_setting() {
    let site = Site::configured("");
    let directory = site.directory();
    let read = |name: &str| std::fs::read_to_string(tls_fixture(name)).expect("a fixture");
    directory.write("empty.pem", "");
    directory.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    directory.write("order.pem", read("ca.pem") + &read("localhost.pem"));
    directory.write("chain.pem", read("localhost.pem") + &read("other.pem"));
    directory.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let fixture = |name: &str| tls_fixture(name).display().to_string();
    let (pem, key) = (fixture("localhost.pem"), fixture("localhost.key"));
    let other = fixture("other.key");
    for (certificate, key, client_ca, is_good, expected) in [
        (&*pem, &*key, "", true, "is good"),
        ("empty.pem", &key, "", false, "holds no certificate"),
        (&key, &pem, "", false, "in each other's place"),
        ("broken.pem", &key, "", false, "no X.509 certificate"),
        (&pem, "empty.pem", "", false, "holds no private key"),
        (&pem, "encrypted.key", "", false, "openssl pkey -in"),
        (&pem, &other, "", false, "does not fit the certificate"),
        (
            "order.pem",
            &key,
            "",
            false,
            "in the wrong order: that of the key is number 2",
        ),
        (
            "chain.pem",
            &key,
            "",
            true,
            "certificate 2 has not issued the one before it",
        ),
        (&pem, &key, "empty.pem", false, "holds no certificate"),
        (
            &fixture("expired.pem"),
            &fixture("expired.key"),
            "",
            true,
            "has expired",
        ),
        (
            &fixture("other.pem"),
            &other,
            "",
            true,
            "is not for `localhost`",
        ),
    ] {
        let client_ca = match client_ca {
            "" => String::new(),
            file => format!(", client_ca = '{file}'"),
        };
        directory.write(
            "config.toml",
            format!(
                "[[server]]\nlisten = '127.0.0.1:0'\nhosts = 'localhost'\n\
                 tls = {{ certificate = '{certificate}', key = '{key}'{client_ca} }}\n\
                 routes.'/' = {{ respond = 'a' }}\n"
            ),
        );
        let mut command = crate::support::program();
        command
            .args(["check", "--config"])
            .arg(directory.join("config.toml"));
        let checked = command.output().expect("the program runs");
        let text = ended_with(i32::from(!is_good), &checked);
        assert!(text.contains(expected), "{expected}:\n{text}");
        assert!(is_good || text.contains("config.toml:4:"), "{text}");
    }
}

/// A server for `other.test` whose certificate and key are `a.pem` and `a.key` in its directory.
fn with_files_of_its_own() -> Site {
    let site = Site::configured(
        "log.access = false\n[[server]]\nlisten = '127.0.0.1:0'\n\
         tls = { certificate = 'a.pem', key = 'a.key' }\nroutes.'/' = { respond = 'a' }\n",
    );
    for (name, from) in [("a.pem", "other.pem"), ("a.key", "other.key")] {
        let octets = std::fs::read(tls_fixture(from)).expect("a fixture");
        site.directory().write(name, octets);
    }
    site
}

/// Copies fixtures to `a.pem` and `a.key` in the directory of `server`, at once.
fn install(server: &Server, certificate: &str, key: &str) {
    let read = |name: &str| std::fs::read(tls_fixture(name)).expect("a fixture");
    server.directory().replace("a.pem", read(certificate));
    server.directory().replace("a.key", read(key));
}

fn serves(server: &Server, name: &str) -> bool {
    ask(server, &anyone(), name, "localhost").is_ok()
}

#[test]
fn renewed_files_are_read_by_a_reload_and_bad_ones_are_not_taken() {
    let server = with_files_of_its_own().start();
    assert!(serves(&server, "other.test") && !serves(&server, "localhost"));
    let mut kept = Client::secured(server.address(), &anyone(), "other.test").expect("a session");
    install(&server, "localhost.pem", "localhost.key");
    ended_with(0, &server.command_line(&["reload"]));
    assert!(serves(&server, "localhost") && !serves(&server, "other.test"));
    assert_eq!(kept.exchange(GET).text(), "a", "what was begun goes on");
    for (certificate, key, expected) in [
        ("other.pem", "localhost.key", "does not fit"),
        ("expired.pem", "expired.key", "has expired"),
        ("ca.key", "localhost.key", "holds no certificate"),
    ] {
        install(&server, certificate, key);
        let told = ended_with(0, &server.command_line(&["reload"]));
        assert!(
            told.contains(expected) && told.contains("what was read before is served on"),
            "{told}"
        );
        assert!(serves(&server, "localhost"), "{certificate}");
    }
}

#[test]
fn renewed_files_are_noticed_where_files_are_watched() {
    let server = with_files_of_its_own().argument("--watch").start();
    let status = server.status();
    assert_eq!(
        status["certificates"][0]["names"][0], "other.test",
        "{status}"
    );
    install(&server, "localhost.pem", "localhost.key");
    server.wait_for_line(|line| line.contains("read again") && line.contains("for localhost"));
    assert!(serves(&server, "localhost"));
    let days = server.status()["certificates"][0]["days_left"].clone();
    assert!(days.as_u64().expect("a number") > 1000, "{days}");
}

/// A client that leaves in the middle of its upload has not sent all of it, whatever its TLS stack does.
#[test]
fn an_upload_that_is_cut_is_not_taken_for_whole() {
    let directory = "[[server]]\nlisten = '127.0.0.1:0'\n";
    let server = start(&format!(
        "{directory}tls = {{ {} }}\nroutes.'/' = {{ echo = true }}\n",
        certificate("localhost")
    ));
    let mut client = Client::secured(server.address(), &anyone(), "localhost").expect("a session");
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    // The socket alone is closed: no close_notify.
    client
        .stream()
        .shutdown(std::net::Shutdown::Write)
        .expect("it is open");
    let rest = client.rest();
    let text = String::from_utf8_lossy(rest.as_deref().unwrap_or_default()).into_owned();
    assert!(!text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn plain_http_is_led_to_https() {
    let text = server("'localhost'", "localhost", "", "hello")
        .replace("hosts =", "http_redirect = '127.0.0.1:0'\nhosts =");
    // Over plain HTTP it may not be said (RFC 6797 §7.2), also where it is said of all servers.
    let text = format!("headers.set.Strict-Transport-Security = 'max-age=9'\n{text}");
    // Both listen at port 0, and the plain one stands behind the other.
    let server = start(&text.replace("'127.0.0.1:0'\nhttp", "'127.0.0.2:0'\nhttp"));
    let announced = |ip| until("the address", || server.addresses_at(ip).pop());
    let plain = announced("127.0.0.1");
    let mut client = Client::connect(plain);
    for (target, expected) in [
        ("/", "https://localhost/"),
        ("/a%20b?c=d", "https://localhost/a%20b?c=d"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let response = client.exchange(request);
        assert_eq!(response.status, 308);
        assert_eq!(response.field("Location"), Some(expected));
        assert_eq!(response.field("Strict-Transport-Security"), None);
    }
    let other = client.exchange("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!(other.status, 421);
    let secure = announced("127.0.0.2");
    let mut client = Client::secured(secure, &anyone(), "localhost").expect("a session");
    let response = client.exchange(GET);
    assert_eq!(
        response.field("Strict-Transport-Security"),
        Some("max-age=9")
    );
}

/// Replaces `a.pem` and `a.key` by a certificate for localhost that a CA has issued anew: another key, and the same
/// names, dates and number each time. Returns the certificate.
fn issue_again(server: &Server) -> Vec<u8> {
    let ca = |name| CertificateDer::from_pem_file(tls_fixture(name)).expect("a fixture");
    let key = PrivateKeyDer::from_pem_file(tls_fixture("ca.key")).expect("a fixture");
    let key = KeyPair::try_from(&key).expect("a key");
    let issuer = Issuer::from_ca_cert_der(&ca("ca.pem"), key).expect("a CA");
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    parameters.serial_number = Some(7.into());
    let key = KeyPair::generate().expect("a key");
    let issued = parameters.signed_by(&key, &issuer).expect("a certificate");
    let block = |label: &str, der: &[u8]| {
        let text = data_encoding::BASE64.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let pem = block("CERTIFICATE", issued.der());
    server.directory().replace("a.pem", pem);
    let pem = block("PRIVATE KEY", key.serialized_der());
    server.directory().replace("a.key", pem);
    issued.der().to_vec()
}

/// The certificate that a new client is shown.
fn shown(server: &Server) -> Vec<u8> {
    let client = Client::secured(server.address(), &anyone(), "localhost").expect("a session");
    client.with_session(|session| {
        let shown = session.peer_certificates().expect("a certificate");
        shown[0].to_vec()
    })
}

#[test]
fn a_certificate_that_was_issued_again_is_used_and_told() {
    let server = with_files_of_its_own().start();
    for _ in 0..2 {
        let issued = issue_again(&server);
        let told = ended_with(0, &server.command_line(&["reload"]));
        let expected = "for localhost";
        assert!(
            told.contains("read again: certificate ") && told.contains(expected),
            "{told}"
        );
        assert_eq!(shown(&server), issued);
        let told = ended_with(0, &server.command_line(&["reload"]));
        assert!(told.contains("nothing changed"), "{told}");
    }
}

/// The supervisor looks at certificates by itself. The reload after that said that nothing had changed.
#[test]
fn a_reload_tells_of_a_certificate_that_was_looked_at_before() {
    let server = with_files_of_its_own().argument("--watch").start();
    let issued = issue_again(&server);
    server.wait_for_line(|line| line.contains("read again") && line.contains("for localhost"));
    assert_eq!(shown(&server), issued);
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(told.contains("read again: certificate "), "{told}");
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(told.contains("nothing changed"), "{told}");
}

/// A reload that took a renewed certificate said that nothing had changed; later one that came after a reload which
/// was refused, and had read the files.
#[test]
fn a_reload_tells_which_files_hold_something_else() {
    let site = Site::configured(
        "log.access = false\nerror_pages = { 404 = 'www/404.html' }\n\
         [upstreams.u]\nservers = 'https://127.0.0.1:9'\ntls = { ca = 'ca.pem' }\n\
         [[server]]\nlisten = '127.0.0.1:0'\n\
         tls = { certificate = 'a.pem', key = 'a.key', client_ca = 'ca.pem', client = 'request' }\n\
         routes.'/' = { proxy = 'u', auth = { basic = 'users' } }\n",
    );
    let site = site.file("404.html", "gone");
    let fixture = |name: &str| std::fs::read(tls_fixture(name)).expect("a fixture");
    for (name, from) in [
        ("a.pem", "other.pem"),
        ("a.key", "other.key"),
        ("ca.pem", "ca.pem"),
    ] {
        site.directory().write(name, fixture(from));
    }
    let user = |name: &str| format!("{name}:{{SHA}}GpHWL3ymc5liWkNopqtdSjuqYHM=\n");
    site.directory().write("users", user("alice"));
    let server = site.start();
    let reload = || ended_with(0, &server.command_line(&["reload"]));
    // Twice: the first look of the supervisor is over then, and the next one comes in a minute.
    for _ in 0..2 {
        let told = reload();
        assert!(told.contains("nothing changed"), "{told}");
    }
    install(&server, "localhost.pem", "localhost.key");
    let both = [fixture("ca.pem"), fixture("stranger.pem")].concat();
    server.directory().replace("ca.pem", both);
    let users = user("alice") + &user("bob");
    server.directory().replace("users", users);
    server.directory().replace("www/404.html", "not here");
    let sound = server.directory().read("config.toml");
    let test = "[[test]]\nrequest = 'GET /'\nexpect.status = 404\n";
    server
        .directory()
        .replace("config.toml", format!("{sound}{test}"));
    let told = ended_with(1, &server.command_line(&["reload"]));
    assert!(told.contains("nothing was changed"), "{told}");
    server.directory().replace("config.toml", sound);
    let told = reload();
    assert!(!told.contains("nothing changed"), "{told}");
    for (file, what) in [
        ("certificate", "for localhost"),
        ("client_ca", "ca.pem"),
        ("ca", "ca.pem of upstreams"),
        ("passwords", "users: 2 users"),
        ("error page", "404.html"),
    ] {
        let is_told =
            |line: &str| line.contains(&format!("read again: {file} ")) && line.contains(what);
        assert!(told.lines().any(is_told), "{file}: {told}");
    }
    let told = reload();
    assert!(told.contains("nothing changed"), "{told}");
}

/// A FIFO in the place of a certificate was waited for: the supervisor answered no command and no signal any more.
#[test]
fn a_fifo_in_the_place_of_a_certificate_is_not_waited_for() {
    let mut server = with_files_of_its_own().argument("--watch").start();
    let path = server.directory().join("a.pem");
    std::fs::remove_file(&path).expect("it is there");
    mkfifoat(CWD, &path, Mode::RWXU).expect("the directory is ours");
    server.wait_for_line(|line| line.contains("it is no file") && line.contains("served on"));
    assert!(serves(&server, "other.test"));
    let told = ended_with(0, &server.command_line(&["reload"]));
    assert!(
        told.contains("it is no file") && told.contains("served on"),
        "{told}"
    );
    server.signal(Signal::TERM);
    assert!(server.wait().expect("it ends").success());
}

/// A plain connection that was open when `tls` came into the file was answered as before, by the new routes and in
/// clear text, for as long as its client kept it; and so was one without the header of the PROXY protocol.
#[test]
fn a_kept_connection_does_not_pass_what_new_ones_are_asked_for() {
    speak_plainly();
    let of = |text: &str| format!("trusted_proxies = '192.0.2.1'\nlog.access = false\n{text}");
    let plain = "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = { respond = 'open' }\n\
                 routes.'/echo' = { echo = true }\n";
    let ca = tls_fixture("ca.pem");
    let asking = format!(", client_ca = {ca:?}, client = 'require'");
    for (text, what) in [
        (server("", "localhost", "", "secret"), "TLS"),
        (server("", "localhost", &asking, "secret"), "a certificate"),
        (
            plain.replace("routes.'/' ", "accept_proxy_protocol = true\nroutes.'/' "),
            "the PROXY protocol",
        ),
        (
            "[[stream]]\nlisten = '127.0.0.1:0'\nproxy = '127.0.0.1:9'\n".to_owned(),
            "a stream",
        ),
    ] {
        let server = start(plain);
        // On the fast path, and on the slow one.
        let mut kept = ["/", "/echo"].map(|target| (target, server.connect()));
        for (target, client) in &mut kept {
            let get = GET.replacen('/', target, 1);
            assert_eq!(client.exchange(get).status, 200, "{what}");
        }
        server.configure(of(&text));
        ended_with(0, &server.command_line(&["reload"]));
        for (target, client) in &mut kept {
            let refused = client.last_response_to(GET.replacen('/', target, 1));
            assert_eq!(refused.status, 421, "{what}: {}", refused.text());
            assert_eq!(refused.field("Connection"), Some("close"), "{what}");
        }
    }
}
