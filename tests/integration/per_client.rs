//! `connections_per_client`: how many connections one client may have open at once.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;

use crate::support::{Client, Server, Site, Upstream, ended_with, speak_plainly, until};
use crate::tls;

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server whose clients are answered 429: over TLS they would get no answer.
fn start(limits: &str, top: &str) -> Server {
    speak_plainly();
    Site::new("'/' = { respond = 'ok' }")
        .top(&format!("workers = 4\n{top}"))
        .limits(limits)
        .start()
}

/// A connection that has been answered, if it is not one too many.
fn open(server: &Server) -> Option<Client> {
    let mut client = server.connect();
    client.send(GET);
    let response = client.response();
    match response.status {
        200 => Some(client),
        429 => {
            assert_eq!(response.field("Retry-After"), Some("1"));
            assert!(response.says_close());
            client.expect_end();
            None
        }
        status => panic!("{status}"),
    }
}

/// It had neither, unlike every other answer.
#[test]
fn the_refusal_has_the_operators_fields_and_page() {
    speak_plainly();
    let site = Site::new("'/' = { respond = 'ok' }")
        .top("headers = { X-Own = 'yes' }\nerror_pages = { 429 = 'page.html' }\nrequest_id = true")
        .limits("connections_per_client = 1");
    site.directory().write("page.html", "<p>my own words");
    let server = site.start();
    let _first = open(&server).expect("a place");
    let mut refused = server.connect();
    refused.send(GET);
    let response = refused.last_response();
    assert_eq!(response.status, 429);
    assert_eq!(response.field("X-Own"), Some("yes"));
    assert_eq!(response.field("Retry-After"), Some("1"));
    assert!(response.field("X-Request-Id").is_some());
    assert_eq!(response.text(), "<p>my own words");
    let mut refused = server.connect();
    refused.send(GET.replace("GET", "HEAD"));
    assert_eq!(refused.response_to_head().status, 429);
    refused.expect_end();
}

/// Nobody waits until the client has taken a large page: it was cut, though its length had been told.
#[test]
fn the_refusal_with_a_large_page_goes_without_it() {
    speak_plainly();
    let site = Site::new("'/' = { respond = 'ok' }")
        .top("headers = { X-Own = 'yes' }\nerror_pages = { 429 = 'page.html' }")
        .limits("connections_per_client = 1");
    site.directory().write("page.html", vec![b'x'; 8 << 20]);
    let server = site.start();
    let _first = open(&server).expect("a place");
    let mut refused = server.connect();
    refused.send(GET);
    let response = refused.last_response();
    assert_eq!((response.status, response.text().as_str()), (429, ""));
    assert_eq!(response.field("X-Own"), Some("yes"));
    assert_eq!(response.field("Retry-After"), Some("1"));
}

/// Opens a connection as soon as there is a place.
fn open_when_free(server: &Server) -> Client {
    until("a place is free", || open(server))
}

#[test]
fn one_too_many_is_answered_429_until_another_ends() {
    let server = start("connections_per_client = 3", "");
    let mut clients: Vec<Client> = (0..3).map(|_| open(&server).expect("a place")).collect();
    for _ in 0..5 {
        assert!(open(&server).is_none());
    }
    // Those that are open are not disturbed.
    for client in &mut clients {
        assert_eq!(client.exchange(GET).status, 200);
    }
    clients.pop();
    let _again = open_when_free(&server);
    assert!(open(&server).is_none());
    let connections = &server.status()["connections"];
    assert!(
        connections["too_many_of_client"]
            .as_u64()
            .is_some_and(|count| count >= 6),
        "{connections}"
    );
    server.wait_for_line(|line| line.contains("127.0.0.1 has connections_per_client = 3 open"));
    server.wait_for_reason("too_many_of_client");
}

#[test]
fn is_exact_over_all_workers() {
    let server = start("connections_per_client = 10", "");
    for _ in 0..3 {
        let barrier = Barrier::new(8);
        let held: Vec<Client> = std::thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                (0..8).filter_map(|_| open(&server)).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            let threads = threads.into_iter();
            threads
                .flat_map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        assert_eq!(held.len(), 10);
        drop(held);
        until("all have ended", || {
            (server.status()["connections"]["open"] == 0).then_some(())
        });
    }
}

#[test]
fn another_client_has_places_of_its_own() {
    let server = start("connections_per_client = 1", "");
    let _first = open(&server).expect("a place");
    let from_another = |address: &str| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        let address: SocketAddr = format!("{address}:0").parse().expect("an address");
        socket.bind(&address.into()).expect("it is loopback");
        socket
            .connect(&server.address().into())
            .expect("it listens");
        let mut stream = TcpStream::from(socket);
        stream.write_all(GET.as_bytes()).expect("it reads");
        let mut line = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut line).expect("an answer");
        (String::from_utf8_lossy(&line).into_owned(), stream)
    };
    let (second, _held) = from_another("127.0.0.2");
    assert_eq!(second, "HTTP/1.1 200");
    assert_eq!(from_another("127.0.0.2").0, "HTTP/1.1 429");
    assert!(open(&server).is_none());
}

#[test]
fn a_client_over_its_limit_displaces_no_idle_connection() {
    let server = start("connections_per_client = 2\nmax_connections = 2", "");
    let mut clients: Vec<Client> = (0..2).map(|_| open(&server).expect("a place")).collect();
    for _ in 0..10 {
        assert!(open(&server).is_none());
    }
    for client in &mut clients {
        assert_eq!(client.exchange(GET).status, 200);
    }
}

#[test]
fn over_tls_one_too_many_is_closed_before_its_handshake() {
    let configuration = format!(
        "workers = 2\nlog.access = false\nlimits.connections_per_client = 1\n{}",
        tls::server("", "localhost", "", "secret")
    );
    let server = Site::configured(&configuration).start();
    let secured = || Client::secured(server.address(), &tls::anyone(), "localhost");
    let ask = |client: &mut Client| client.exchange(GET).status;
    let mut first = secured().expect("a place");
    assert_eq!(ask(&mut first), 200);
    let handshakes = server.status()["handshakes"].clone();
    for _ in 0..3 {
        let refused =
            secured().and_then(|mut client| client.try_send(GET).and_then(|()| client.rest()));
        assert!(refused.map_or(true, |rest| rest.is_empty()));
    }
    assert_eq!(server.status()["handshakes"], handshakes, "none was begun");
    drop(first);
    // A handshake that fails gives its place back.
    for _ in 0..3 {
        let before = server.status()["handshakes"]["failed"].as_u64();
        until("there is a place", || {
            let mut stream = TcpStream::connect(server.address()).expect("it listens");
            stream
                .write_all(b"\x16\x03\x01\x00\x05nonsense")
                .expect("it is open");
            let failed = server.status()["handshakes"]["failed"].as_u64();
            (failed > before).then_some(())
        });
    }
    until("a place is free", || {
        let mut client = secured().ok()?;
        client.try_send(GET).ok()?;
        client.finish_sending();
        let rest = client.rest().ok()?;
        rest.starts_with(b"HTTP/1.1 200").then_some(())
    });
}

#[test]
fn a_tunnel_keeps_its_place_until_it_ends() {
    speak_plainly();
    let upstream = Upstream::listen();
    let server = Site::new(&format!(
        "'/' = {{ respond = 'ok' }}\n'/ws' = {{ proxy = '{}' }}",
        upstream.url()
    ))
    .limits("connections_per_client = 1")
    .start();
    let mut client = server.connect();
    client.send("GET /ws HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let mut connection = upstream.accept();
    connection.request();
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(client.response_head().status, 101);
    assert!(open(&server).is_none());
    // A reload does not forget it.
    ended_with(0, &server.command_line(&["reload"]));
    assert!(open(&server).is_none());
    drop((client, connection));
    open_when_free(&server);
}

#[test]
fn a_reload_changes_the_limit_for_new_connections() {
    let server = start("connections_per_client = 2", "");
    let configuration = std::fs::read_to_string(server.directory().join("config.toml"));
    let configuration = configuration.expect("the server was started from it");
    let reload = |limit: &str| {
        server.configure(configuration.replace("connections_per_client = 2", limit));
        ended_with(0, &server.command_line(&["reload"]))
    };
    let mut clients: Vec<Client> = (0..2).map(|_| open(&server).expect("a place")).collect();
    assert!(open(&server).is_none());
    let told = reload("connections_per_client = 3");
    assert!(
        told.contains("limits.connections_per_client 2 → 3"),
        "{told}"
    );
    clients.push(open(&server).expect("a third place"));
    assert!(open(&server).is_none());
    reload("connections_per_client = 1");
    assert!(open(&server).is_none());
    assert_eq!(clients[0].exchange(GET).status, 200, "it stays open");
    reload("connections_per_client = false");
    let _more: Vec<Client> = (0..5)
        .map(|_| open(&server).expect("there is no limit"))
        .collect();
    drop(clients);
}

#[test]
fn a_trusted_proxy_is_no_client() {
    let server = start(
        "connections_per_client = 1",
        "trusted_proxies = '127.0.0.0/8'",
    );
    let _held: Vec<Client> = (0..5)
        .map(|_| open(&server).expect("it is a proxy's"))
        .collect();
}

#[test]
fn behind_the_proxy_protocol_the_client_is_who_the_header_names() {
    speak_plainly();
    let server = Site::new("'/' = { respond = 'ok' }")
        .top("trusted_proxies = '127.0.0.1'")
        .server("listen = '127.0.0.1:0'\naccept_proxy_protocol = true\nlimits = { connections_per_client = 1 }")
        .start();
    let from = |client: &str| {
        let mut connection = server.connect();
        connection.send(format!("PROXY TCP4 {client} 192.0.2.9 1000 80\r\n{GET}"));
        let status = connection.response().status;
        (status, connection)
    };
    let (first, held) = from("192.0.2.1");
    assert_eq!(first, 200);
    assert_eq!(from("192.0.2.1").0, 429);
    let (other, _held) = from("192.0.2.2");
    assert_eq!(other, 200);
    drop(held);
    until("the place is free", || {
        (from("192.0.2.1").0 == 200).then_some(())
    });
}

#[test]
fn a_server_that_stops_waits_for_none_that_was_refused() {
    speak_plainly();
    let server = Site::new("'/' = { respond = 'ok' }")
        .log("format = 'json'")
        .limits("connections_per_client = 1")
        .start();
    let _held = open(&server).expect("a place");
    let mut refused = server.connect();
    refused.send(GET);
    assert_eq!(refused.response().status, 429);
    let record = server.wait_for_record(|line| line.contains("429"));
    assert!(record.contains("127.0.0.1"), "{record}");
    server.stop();
}
