//! `localhost` as the address of an upstream: one server at two addresses, and the name stays the name.
//!
//! It was turned into 127.0.0.1 when the configuration was read. So a development server at [::1] alone (Vite,
//! Node.js 17 and later) was never found, TLS verified the address, and `Host` named the address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

use socket2::{Domain, SockAddr, Socket, Type};

use super::{HELLO, get};
use crate::support::{Certificate, Server, Site, Upstream, ended_with, tls_fixture, until};

/// A port of localhost. Both addresses are bound and refuse connections until an upstream listens there, so
/// that a test which runs beside this one does not get them.
struct Localhost {
    port: u16,
    _reserved: [Socket; 2],
}

impl Localhost {
    fn new() -> Self {
        until("a port that is free at both addresses", || {
            let v6 = reserve(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)))?;
            let port = v6.local_addr().expect("it is bound").as_socket()?.port();
            let v4 = reserve(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
            Some(Self {
                port,
                _reserved: [v4, v6],
            })
        })
    }

    fn at_v4(&self) -> Upstream {
        Upstream::listen_again_at(&format!("127.0.0.1:{}", self.port))
    }

    fn at_v6(&self) -> Upstream {
        Upstream::listen_again_at(&format!("[::1]:{}", self.port))
    }

    fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// A site whose every path leads to this server; `options` of the route and `settings` of the upstream
    /// begin with a comma.
    fn site(&self, scheme: &str, options: &str, settings: &str) -> Site {
        Site::configured(&format!(
            "workers = 1\n\
             [upstreams]\nshop = {{ servers = ['{scheme}{}'] {settings} }}\n\
             [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ proxy = 'shop' {options} }}\n",
            self.address()
        ))
    }
}

fn reserve(address: SocketAddr) -> Option<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).ok()?;
    socket.set_reuse_address(true).ok()?;
    socket.bind(&SockAddr::from(address)).ok()?;
    Some(socket)
}

/// Has `upstream` answer every request.
fn answering(upstream: Upstream) -> Upstream {
    upstream.run(|connection| {
        while connection.next_request().is_some() {
            connection.send(HELLO);
        }
    })
}

/// What status says of the servers of the upstream: the address and the failures of each.
fn told(server: &Server) -> Vec<(String, u64)> {
    let status = server.status();
    let servers = status["upstreams"][0]["servers"].as_array();
    let of_server = |server: &serde_json::Value| {
        let address = server["address"].as_str().expect("it has one");
        let failures = server["failures"].as_u64().expect("a count");
        (address.to_owned(), failures)
    };
    let servers = servers.expect("the upstream has servers");
    servers.iter().map(of_server).collect()
}

#[test]
fn a_server_at_either_loopback_address_is_found_and_may_move() {
    let localhost = Localhost::new();
    let server = localhost.site("", "", "").start();
    for is_v6 in [true, false, true] {
        let upstream = if is_v6 {
            localhost.at_v6()
        } else {
            localhost.at_v4()
        };
        let upstream = answering(upstream);
        for _ in 0..3 {
            assert_eq!(server.get("/").status, 200, "IPv6: {is_v6}");
        }
        assert_eq!(upstream.requests().len(), 3, "IPv6: {is_v6}");
    }
    assert_eq!(told(&server), [(localhost.address(), 0)]);
}

#[test]
fn a_try_fails_once_if_both_addresses_refuse_it() {
    let localhost = Localhost::new();
    let server = localhost.site("", "", "").start();
    assert_eq!(server.get("/").status, 502);
    assert_eq!(told(&server), [(localhost.address(), 1)]);
    let _upstream = answering(localhost.at_v6());
    assert_eq!(server.get("/").status, 200);
    assert_eq!(told(&server), [(localhost.address(), 1)]);
}

#[test]
fn the_name_is_what_host_says_and_what_a_reload_knows_the_server_by() {
    let localhost = Localhost::new();
    let server = localhost.site("", ", host = 'upstream'", "").start();
    assert_eq!(server.get("/").status, 502);
    let text = std::fs::read_to_string(server.directory().join("config.toml"));
    server.configure(text.expect("it is there") + "# changed\n");
    ended_with(0, &server.command_line(&["reload"]));
    assert_eq!(told(&server), [(localhost.address(), 1)]);
    let upstream = answering(localhost.at_v6());
    assert_eq!(server.get("/").status, 200);
    assert_eq!(upstream.requests()[0].values("Host"), [localhost.address()]);
}

#[test]
fn a_certificate_has_to_be_for_the_name() {
    let localhost = Localhost::new();
    let upstream = localhost
        .at_v6()
        .over_tls(&Certificate::of("localhost"))
        .run(|connection| {
            while connection.next_request().is_some() {
                assert_eq!(connection.session().server_name(), Some("localhost"));
                connection.send(HELLO);
            }
        });
    let ca = tls_fixture("ca.pem");
    let settings = format!(", tls = {{ ca = '{}' }}", ca.display());
    let server = localhost.site("https://", "", &settings).start();
    assert_eq!(server.get("/").status, 200);
    assert_eq!(upstream.requests().len(), 1);
    let shown = server.status()["upstreams"][0]["servers"][0].clone();
    assert_eq!(shown["tls"], "localhost");
}

#[test]
fn its_health_is_asked_for_at_the_same_addresses() {
    let localhost = Localhost::new();
    let upstream = answering(localhost.at_v6());
    let _server = localhost
        .site("", "", ", health = { path = '/well' }")
        .start();
    let is_asked = || {
        let requests = upstream.requests();
        let asked = requests.iter().find(|asked| asked.line().contains("/well"));
        asked.map(|asked| asked.values("Host"))
    };
    let host = until("the question", is_asked);
    assert_eq!(host, [localhost.address()]);
}

#[test]
fn streams_find_it_too() {
    let localhost = Localhost::new();
    let upstream = localhost.at_v6();
    let server = Site::configured(&format!(
        "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = 'ok' }}\n\
         [[stream]]\nlisten = '127.0.0.2:0'\nproxy = '{}'\n",
        localhost.address()
    ))
    .start();
    let line = server.wait_for_line(|line| line.contains("for a stream"));
    let (_, stream) = line.split_once("listening at ").expect("it says where");
    let (stream, _) = stream.split_once(',').expect("and for what");
    let _client = TcpStream::connect(stream).expect("it listens");
    upstream.accept();
}

#[test]
fn fastcgi_finds_it_too() {
    let localhost = Localhost::new();
    let upstream = localhost.at_v6();
    let address = localhost.address();
    let server = Site::configured(&format!(
        "[[server]]\nlisten = '127.0.0.1:0'\n\
         routes.'/' = {{ fastcgi = '{address}', root = 'www', static_files = false }}\n"
    ))
    .file("a.php", "")
    .start();
    let mut client = server.connect();
    client.send(get("/a.php"));
    upstream.accept();
}
