//! HAProxy on both sides of this server: it says by the PROXY protocol who the client is, and is told so.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::program::{Program, free_address, haproxy_command};
use crate::support::{SAFETY, Site, until};

/// The response to a GET that comes from 127.0.0.9; `None` if nothing listens at `address` yet.
pub(crate) fn get(address: SocketAddr) -> Option<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from: SocketAddr = ([127, 0, 0, 9], 0).into();
    socket.bind(&from.into()).expect("loopback has it");
    socket.connect(&address.into()).ok()?;
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(SAFETY))
        .expect("it is not zero");
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.contains(" 200 ").then_some(text)
}

const DEFAULTS: &str =
    "defaults\n  mode http\n  timeout connect 5s\n  timeout client 5s\n  timeout server 5s\n";

#[test]
fn it_says_who_the_client_is() {
    for send in ["send-proxy", "send-proxy-v2"] {
        let server = Site::new("'/' = { echo = true }")
            .top("trusted_proxies = '127.0.0.1'")
            .server("listen = '127.0.0.1:0'\naccept_proxy_protocol = true")
            .start();
        let (front, us) = (free_address(), server.address());
        // With its checks, which say that they are its own.
        let configuration = format!(
            "{DEFAULTS}frontend f\n  bind {front}\n  default_backend us\n\
             backend us\n  server us {us} {send} check check-send-proxy inter 200\n"
        );
        let _haproxy = Program::start(haproxy_command(server.directory(), &configuration));
        let text = until("an answer", || get(front));
        assert!(text.contains("\"127.0.0.9\""), "{send}: {text}");
    }
}

#[test]
fn it_is_told_who_the_client_is() {
    for version in ["v1", "v2"] {
        let there = free_address();
        let configuration = format!(
            "{DEFAULTS}frontend f\n  bind {there} accept-proxy\n  \
             http-request return status 200 content-type text/plain lf-string \"client %ci\"\n"
        );
        let site = Site::configured(&format!(
            "[[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = '' }}\n\
             [[stream]]\nlisten = '127.0.0.2:0'\nproxy = '{there}'\nproxy_protocol = '{version}'\n"
        ));
        let server = site.start();
        let _haproxy = Program::start(haproxy_command(server.directory(), &configuration));
        let line = server.wait_for_line(|line| line.contains("for a stream"));
        let address = line.split_once("listening at ").expect("it says where").1;
        let address = address.split_once(',').expect("and for what").0;
        let address = address.parse().expect("an address");
        let text = until("an answer", || get(address));
        assert!(text.ends_with("client 127.0.0.9"), "{version}: {text}");
    }
}
