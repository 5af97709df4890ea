//! TLS in streams: ended for clients, and begun to servers.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;
use crate::support::{Certificate, Upstream, pattern, tls_fixture};

/// A client's side of a session.
pub(super) type Client = StreamOwned<ClientConnection, TcpStream>;

fn file(name: &str) -> String {
    format!("'{}'", tls_fixture(name).display())
}

/// `tls` of a stream, with `more` keys that begin with a comma.
pub(super) fn certificate(more: &str) -> String {
    let (certificate, key) = (file("localhost.pem"), file("localhost.key"));
    format!("tls = {{ certificate = {certificate}, key = {key} {more} }}")
}

/// A client over `stream`, that asks for these protocols.
pub(super) fn over_tls(stream: TcpStream, protocols: &[&str]) -> Client {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(tls_fixture("ca.pem"));
    roots.add(ca.expect("the fixture")).expect("a root");
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|one| one.as_bytes().to_vec())
        .collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name);
    StreamOwned::new(connection.expect("a configuration"), stream)
}

fn read_from(client: &mut Client, count: usize) -> Vec<u8> {
    let mut octets = vec![0; count];
    client.read_exact(&mut octets).expect("they arrive");
    octets
}

/// Checks that `client` gets no session, or loses it.
fn expect_no_session(mut client: Client) {
    let lost = client
        .write_all(b"x")
        .and_then(|()| client.read_exact(&mut [0]));
    lost.expect_err("there is no session");
}

#[test]
fn what_a_client_sends_arrives_as_it_was_before() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\n{}", certificate("")));
    let mut client = over_tls(connect(stream_address(&server)), &[]);
    client.write_all(b"hello").expect("the server takes it");
    let mut upstream = accept(&listener);
    assert_eq!(read(&upstream, 5), b"hello");
    let octets = pattern(0, 1_000_000);
    std::thread::scope(|scope| {
        scope.spawn(|| upstream.write_all(&octets).expect("it is open"));
        assert!(read_from(&mut client, octets.len()) == octets);
    });
    // The end of each side reaches the other.
    client.conn.send_close_notify();
    client.flush().expect("the server takes it");
    assert_eq!(upstream.read(&mut [0]).expect("an end"), 0);
    upstream.write_all(b"last").expect("it is open");
    drop(upstream);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("an end in order");
    assert_eq!(rest, b"last");
    let record = record(&server, "complete");
    assert_eq!(record["bytes_received"], 5);
    assert_eq!(record["bytes"], 1_000_004);
}

/// Such as that of a mail server, whose client waits for it.
#[test]
fn a_server_behind_tls_may_speak_first() {
    let (listener, there) = upstream();
    let server = start("", &format!("proxy = '{there}'\n{}", certificate("")));
    let mut client = over_tls(connect(stream_address(&server)), &[]);
    while client.conn.is_handshaking() {
        client
            .conn
            .complete_io(&mut client.sock)
            .expect("a session");
    }
    let mut upstream = accept(&listener);
    upstream.write_all(b"* OK ready\r\n").expect("it is open");
    assert_eq!(read_from(&mut client, 12), b"* OK ready\r\n");
}

#[test]
fn a_client_without_a_session_reaches_nobody() {
    let (listener, there) = upstream();
    let asking = format!(", client_ca = {}", file("ca.pem"));
    for (tls, client, end, words) in [
        ("", None, "handshake_failed", "plain HTTP"),
        (&*asking, Some(&[][..]), "handshake_failed", "certificate"),
        (
            ", alpn = 'postgresql'",
            Some(&["h2"][..]),
            "handshake_failed",
            "any known protocol",
        ),
    ] {
        let server = start("", &format!("proxy = '{there}'\n{}", certificate(tls)));
        let stream = connect(stream_address(&server));
        match client {
            None => {
                (&stream)
                    .write_all(b"EHLO a\r\n")
                    .expect("the server takes it");
                expect_reset(&stream);
            }
            Some(protocols) => expect_no_session(over_tls(stream, protocols)),
        }
        let record = record(&server, end);
        assert_eq!(record["status"], 400, "{words}");
        let line = server.wait_for_line(|line| line.contains("no session of TLS"));
        assert!(
            line.to_lowercase().contains(&words.to_lowercase()),
            "{words}: {line}"
        );
    }
    listener.set_nonblocking(true).expect("it can be set so");
    listener.accept().expect_err("no connection is made");
}

#[test]
fn a_handshake_has_its_time() {
    let (_listener, there) = upstream();
    let top = "[limits]\nhandshake_timeout = '50ms'";
    let server = start(top, &format!("proxy = '{there}'\n{}", certificate("")));
    let silent = connect(stream_address(&server));
    expect_reset(&silent);
    assert_eq!(record(&server, "handshake_timeout")["status"], 408);
    // None was begun: by that one, by one that left, by one that speaks in plain text.
    drop(connect(stream_address(&server)));
    assert_eq!(record(&server, "client_gone")["status"], 499);
    let plain = connect(stream_address(&server));
    (&plain).write_all(b"EHLO a\r\n").expect("it is open");
    assert_eq!(record(&server, "handshake_failed")["status"], 400);
    assert_eq!(server.status()["handshakes"]["failed"], 0);
    let mut begun = connect(stream_address(&server));
    begun.write_all(b"\x16").expect("it is open");
    expect_reset(&begun);
    server.wait_for_line(|line| line.contains("longer than `handshake_timeout`"));
    assert_eq!(server.status()["handshakes"]["failed"], 1);
}

#[test]
fn a_client_gets_the_protocol_that_it_asks_for() {
    for (tls, asked, agreed) in [
        (
            ", alpn = ['postgresql']",
            &["postgresql"][..],
            Some(&b"postgresql"[..]),
        ),
        (", alpn = ['postgresql']", &[], None),
        // Without `alpn`, what clients ask for is not looked at.
        ("", &["imap"], None),
    ] {
        let (listener, there) = upstream();
        let server = start("", &format!("proxy = '{there}'\n{}", certificate(tls)));
        let mut client = over_tls(connect(stream_address(&server)), asked);
        client.write_all(b"x").expect("the server takes it");
        assert_eq!(read(&accept(&listener), 1), b"x");
        assert_eq!(client.conn.alpn_protocol(), agreed, "{tls} {asked:?}");
    }
}

/// A stream to `upstream`, which is believed if the authority of the fixtures has issued its certificate.
fn start_to(upstream: &Upstream, tls: &str, stream: &str) -> Server {
    let (ca, address) = (file("ca.pem"), upstream.address());
    let shop =
        format!("upstreams.db = {{ servers = 'tls://{address}', tls = {{ ca = {ca} {tls} }} }}");
    start(&shop, &format!("proxy = 'db'\n{stream}"))
}

#[test]
fn a_server_is_reached_over_tls() {
    let upstream = Upstream::listen().over_tls(&Certificate::of("localhost"));
    let server = start_to(&upstream, ", alpn = 'http/1.1'", "");
    let mut client = connect(stream_address(&server));
    client.write_all(b"hello").expect("the server takes it");
    let mut connection = upstream.accept();
    assert_eq!(connection.take(5).as_deref(), Some(&b"hello"[..]));
    assert_eq!(connection.session().alpn_protocol(), Some(&b"http/1.1"[..]));
    let octets = pattern(0, 100_000);
    connection.send(&octets);
    assert!(read(&client, octets.len()) == octets);
    // Over TLS, any machine on the way may have caused an end without a close_notify.
    connection.cut();
    let ended = client.read(&mut [0]);
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(record(&server, "upstream_broke")["bytes"], 100_000);
}

#[test]
fn a_server_that_is_not_believed_is_sent_nothing() {
    for (name, tls, words) in [
        ("other", "", "its certificate is not for `127.0.0.1`"),
        ("expired", "", "its certificate has expired"),
        (
            "localhost",
            ", server_name = 'db.test'",
            "its certificate is not for `db.test`",
        ),
    ] {
        let upstream = Upstream::listen().over_tls(&Certificate::of(name));
        let upstream = upstream.run(|connection| {
            assert_eq!(connection.some(), None, "nothing");
        });
        let server = start_to(&upstream, tls, "");
        let mut client = connect(stream_address(&server));
        client.write_all(b"secret").expect("the server takes it");
        expect_reset(&client);
        let line = server.wait_for_line(|line| line.contains("no connection: "));
        assert!(line.contains(words), "{words}: {line}");
        assert_eq!(record(&server, "connect_failed")["status"], 502);
    }
}

/// What a proxy says of the client is no part of a session: it stands before the handshake, on both sides.
#[test]
fn the_proxy_protocol_stands_before_the_handshakes() {
    const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.8 1234 993\r\n";
    let (listener, there) = upstream();
    let top = format!(
        "trusted_proxies = '127.0.0.1'\nupstreams.db = {{ servers = 'tls://{there}', tls = {{ ca = {} }} }}",
        file("ca.pem")
    );
    let stream = format!(
        "proxy = 'db'\naccept_proxy_protocol = true\nproxy_protocol = 'v1'\n{}",
        certificate("")
    );
    let server = start(&top, &stream);
    let mut stream = connect(stream_address(&server));
    stream.write_all(HEADER).expect("the server takes it");
    let mut client = over_tls(stream, &[]);
    let upstream = std::thread::spawn(move || {
        let stream = accept(&listener);
        assert_eq!(read(&stream, HEADER.len()), HEADER);
        // A record of a handshake follows.
        assert_eq!(read(&stream, 2), b"\x16\x03");
    });
    // The upstream ends without a handshake.
    let _ = client.write_all(b"x");
    upstream.join().expect("the upstream is asked");
    let record = record(&server, "connect_failed");
    assert_eq!(record["client"], "192.0.2.7");
}
