//! `Upgrade`: a connection that becomes a tunnel, and upstreams that change the protocol unasked.

use super::{HELLO, get, start, start_with_one_worker};
use crate::support::{Client, Connection, Server, Upstream, ended_with};

const HANDSHAKE: &str = "GET /socket HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Key: abc\r\nSec-WebSocket-Protocol: chat\r\n\r\n";

const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: def\r\nX-Own: 1\r\n\r\n";

/// A tunnel, with both its ends.
fn tunnel(server: &Server, upstream: &Upstream) -> (Client, Connection) {
    let mut client = server.connect();
    client.send(HANDSHAKE);
    let mut connection = upstream.accept();
    connection.head();
    connection.send(SWITCHED);
    assert_eq!(client.response_head().status, 101);
    (client, connection)
}

#[test]
fn octets_pass_both_ways_after_101() {
    for option in ["", ", buffer = false"] {
        let (server, upstream) = start(option);
        let mut client = server.connect();
        // Sent right behind the handshake, before the upstream has answered it.
        client.send([HANDSHAKE, "early"].concat());
        let mut connection = upstream.accept();
        let request = connection.head();
        assert_eq!(request.field("Upgrade").as_deref(), Some("websocket"));
        let options = request.field("Connection").expect("RFC 9110 §7.8");
        assert!(options.eq_ignore_ascii_case("upgrade"), "{options}");
        assert_eq!(request.field("Sec-WebSocket-Key").as_deref(), Some("abc"));
        assert_eq!(
            request.field("Sec-WebSocket-Protocol").as_deref(),
            Some("chat")
        );
        connection.send([SWITCHED, "first"].concat());
        let response = client.response_head();
        assert_eq!(response.status, 101);
        assert_eq!(response.field("Upgrade"), Some("websocket"));
        let options = response.field("Connection").expect("RFC 9110 §7.8");
        assert!(options.eq_ignore_ascii_case("upgrade"), "{options}");
        assert_eq!(response.field("Sec-WebSocket-Accept"), Some("def"));
        assert_eq!(response.field("X-Own"), Some("1"));
        assert_eq!(response.field("Content-Length"), None);
        assert_eq!(response.field("Transfer-Encoding"), None);
        assert_eq!(client.read(5), b"first");
        assert_eq!(connection.take(5).as_deref(), Some(&b"early"[..]));
        // What looks like HTTP is not.
        for octets in [
            "\r\n\r\n",
            "GET /here HTTP/1.1\r\nHost: h\r\n\r\n",
            "0\r\n\r\n",
            "\0\u{ff}",
        ] {
            client.send(octets);
            assert_eq!(
                connection.take(octets.len()).as_deref(),
                Some(octets.as_bytes())
            );
            connection.send(octets);
            assert_eq!(client.read(octets.len()), octets.as_bytes());
        }
        let large = vec![7; 4 << 20];
        client.send(&large);
        assert!(connection.take(large.len()).as_deref() == Some(&large[..]));
        connection.send(&large);
        assert!(client.read(large.len()) == large);
    }
}

/// One direction may end before the other (RFC 9293 §3.6).
#[test]
fn both_halves_end_by_themselves() {
    let (server, upstream) = start("");
    let (mut client, mut connection) = tunnel(&server, &upstream);
    client.send("last words");
    client.finish_sending();
    assert_eq!(connection.rest(), b"last words");
    connection.send("and an answer");
    drop(connection);
    assert_eq!(
        client.rest().expect("an end in good order"),
        b"and an answer"
    );
    let (mut client, mut connection) = tunnel(&server, &upstream);
    connection.send("last words");
    connection.finish_sending();
    assert_eq!(client.rest().expect("an end in good order"), b"last words");
    client.send("and an answer");
    client.finish_sending();
    assert_eq!(connection.rest(), b"and an answer");
}

#[test]
fn a_side_that_is_gone_ends_the_tunnel() {
    let (server, upstream) = start("");
    let (client, mut connection) = tunnel(&server, &upstream);
    drop(client);
    connection.expect_end();
    drop(connection);
    let (mut client, connection) = tunnel(&server, &upstream);
    connection.reset();
    client.some_of(usize::MAX);
}

/// The upstream declines: the exchange is like any other, and so are both connections.
#[test]
fn an_upgrade_that_is_declined_is_an_answer() {
    for status in ["200 OK", "403 No", "426 Upgrade Required"] {
        let upstream = Upstream::listen();
        let server = start_with_one_worker("", &upstream);
        let mut client = server.connect();
        client.send(HANDSHAKE);
        let mut connection = upstream.accept();
        connection.head();
        connection.send(format!(
            "HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello"
        ));
        assert_eq!(client.response().text(), "hello", "{status}");
        client.send(get("/next"));
        assert_eq!(connection.request().line(), "GET /next HTTP/1.1");
        connection.send(HELLO);
        assert_eq!(client.response().text(), "hello");
    }
}

/// A 426 without `Upgrade` did not say what the client must change to (RFC 9110 §15.5.22).
#[test]
fn a_426_says_which_listed_protocols_are_required() {
    for (option, status, offered, expected) in [
        (
            "",
            "426 Upgrade Required",
            "WebSocket, h2c",
            Some("WebSocket"),
        ),
        ("", "426 Upgrade Required", "h2c", None),
        ("", "200 OK", "websocket", None),
        (
            ", upgrade = false",
            "426 Upgrade Required",
            "websocket",
            None,
        ),
    ] {
        let (server, upstream) = start(option);
        let mut client = server.connect();
        client.send(get("/"));
        let (_connection, _) = upstream.answer(format!(
            "HTTP/1.1 {status}\r\nUpgrade: {offered}\r\nConnection: Upgrade\r\n\
             Content-Length: 5\r\n\r\nhello"
        ));
        let response = client.response();
        assert_eq!(response.field("Upgrade"), expected, "{option} {status}");
        let options = expected.map(|_| "upgrade");
        assert_eq!(response.field("Connection"), options, "{option} {status}");
        assert_eq!(response.text(), "hello");
    }
}

/// What is not listed is not asked for; an upstream that changes to it all the same is at fault.
#[test]
fn only_listed_protocols_are_asked_for() {
    let handshake = |protocol: &str, options: &str| {
        format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: {options}\r\nUpgrade: {protocol}\r\n\r\n")
    };
    let switched = |protocol: &str| {
        format!("HTTP/1.1 101 Yes\r\nConnection: upgrade\r\nUpgrade: {protocol}\r\n\r\n")
    };
    for (option, request, asked, answer, status) in [
        ("", handshake("h2c", "upgrade"), None, switched("h2c"), 502),
        (
            "",
            handshake("tide", "upgrade"),
            None,
            switched("tide"),
            502,
        ),
        (
            "",
            handshake("websocket", "close"),
            None,
            switched("websocket"),
            502,
        ),
        (
            "",
            handshake("WebSocket", "UPGRADE"),
            Some("websocket"),
            switched("WebSocket"),
            101,
        ),
        (
            "",
            handshake("tide, websocket", "upgrade"),
            Some("websocket"),
            switched("websocket"),
            101,
        ),
        (
            "",
            handshake("websocket", "upgrade"),
            Some("websocket"),
            switched("tide"),
            502,
        ),
        (
            ", upgrade = ['tide']",
            handshake("tide", "upgrade"),
            Some("tide"),
            switched("tide"),
            101,
        ),
        (
            ", upgrade = ['tide']",
            handshake("websocket", "upgrade"),
            None,
            switched("websocket"),
            502,
        ),
        (
            ", upgrade = []",
            handshake("websocket", "upgrade"),
            None,
            switched("websocket"),
            502,
        ),
        (
            "",
            handshake("websocket", "upgrade").replace("1.1", "1.0"),
            None,
            switched("websocket"),
            502,
        ),
    ] {
        let (server, upstream) = start(option);
        let mut client = server.connect();
        client.send(&request);
        let mut connection = upstream.accept();
        let found = connection
            .head()
            .field("Upgrade")
            .map(|found| found.to_ascii_lowercase());
        assert_eq!(found.as_deref(), asked, "{request:?}{option}");
        connection.send(answer);
        assert_eq!(client.response_head().status, status, "{request:?}{option}");
        if status == 502 {
            connection.expect_end();
        }
    }
}

/// A 101 of more protocols than the client asked for told it of the others, too (RFC 9110 §7.8).
#[test]
fn a_101_changes_to_the_protocol_that_was_asked_for_and_to_no_other() {
    let (server, upstream) = start("");
    for (upgrade, status) in [
        ("Upgrade: h2c, websocket\r\n", 502),
        ("Upgrade: websocket\r\nUpgrade: tide\r\n", 502),
        ("Upgrade: ,\r\n", 502),
        ("", 502),
        ("Upgrade: , WebSocket,\r\n", 101),
    ] {
        let mut client = server.connect();
        client.send(HANDSHAKE);
        let mut connection = upstream.accept();
        connection.head();
        connection.send(format!(
            "HTTP/1.1 101 Yes\r\nConnection: upgrade\r\n{upgrade}\r\n"
        ));
        assert_eq!(client.response_head().status, status, "{upgrade:?}");
    }
}

/// HTTP/1.0 knows no 101, and without the option `Upgrade` is no field of this connection.
#[test]
fn a_101_is_of_http_1_1_and_names_upgrade_in_connection() {
    let (server, upstream) = start("");
    for (version, connection_line, status) in [
        ("1.0", "Connection: upgrade\r\n", 502),
        ("1.1", "", 502),
        ("1.1", "Connection: keep-alive\r\n", 502),
        ("1.1", "Connection: keep-alive, UPGRADE\r\n", 101),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: upgrade\r\n",
            101,
        ),
    ] {
        let mut client = server.connect();
        client.send(HANDSHAKE);
        let mut connection = upstream.accept();
        connection.head();
        connection.send(format!(
            "HTTP/{version} 101 Yes\r\n{connection_line}Upgrade: websocket\r\n\r\n"
        ));
        let found = client.response_head().status;
        assert_eq!(found, status, "{version} {connection_line:?}");
    }
}

#[test]
fn a_tunnel_lives_through_reloads() {
    let (server, upstream) = start(", tunnel_grace = '50ms'");
    let before = server.directory().read("config.toml");
    let (mut client, mut connection) = tunnel(&server, &upstream);
    for changed in [before.replace("'here'", "'there'"), before.clone()] {
        server.configure(changed);
        ended_with(0, &server.command_line(&["reload"]));
        client.send("up");
        assert_eq!(connection.take(2).as_deref(), Some(&b"up"[..]));
        connection.send("down");
        assert_eq!(client.read(4), b"down");
    }
    // Unless its route is gone.
    server.configure(before.replace("'/' = { proxy = 'shop'", "'/other' = { proxy = 'shop'"));
    ended_with(0, &server.command_line(&["reload"]));
    client.some_of(usize::MAX);
    connection.rest();
}

/// The list of a generation stays for as long as an exchange that began with it, and had the server count as
/// listed: the tunnel went on until the other exchange ended.
#[test]
fn a_tunnel_ends_if_a_reload_takes_its_server_out_while_the_generation_before_is_in_use() {
    let (server, upstream) = start(", tunnel_grace = '50ms'");
    let mut events = server.connect();
    events.send(get("/"));
    let mut source = upstream.accept();
    source.head();
    source.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    assert_eq!(events.response_head().status, 200);
    let (mut client, mut connection) = tunnel(&server, &upstream);
    let other = Upstream::listen();
    let before = server.directory().read("config.toml");
    let [old, new] = [&upstream, &other].map(|upstream| upstream.address().to_string());
    server.configure(before.replace(&old, &new));
    ended_with(0, &server.command_line(&["reload"]));
    client.some_of(usize::MAX);
    connection.rest();
    source.send("data: 2\n\n");
    events.some_of("data: 2".len());
}

#[test]
fn an_idle_tunnel_ends() {
    let (server, upstream) = start(", tunnel_timeout = '100ms'");
    let (mut client, mut connection) = tunnel(&server, &upstream);
    client.some_of(usize::MAX);
    connection.rest();
}

#[test]
fn an_orderly_stop_ends_tunnels() {
    let upstream = Upstream::listen();
    let server = super::site_with("grace = '50ms'", "", "", &[&upstream]).start();
    let (mut client, mut connection) = tunnel(&server, &upstream);
    server.stop();
    client.some_of(usize::MAX);
    connection.rest();
}
