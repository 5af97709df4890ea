//! The PROXY protocol, to upstreams and from proxies; of streams and of servers.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::*;
use crate::support::{Client, speak_plainly};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 for 192.0.2.7:51234, which connected to 198.51.100.1:443, with a TLV.
fn v2() -> Vec<u8> {
    let addresses = [192, 0, 2, 7, 198, 51, 100, 1, 0xc8, 0x22, 0x01, 0xbb];
    [SIGNATURE, &[0x21, 0x11, 0, 17], &addresses, b"\x04\0\x02ab"].concat()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\r\n";

#[test]
fn the_upstream_is_told_of_the_client_before_its_first_octet() {
    for version in ["v1", "v2"] {
        let (listener, there) = upstream();
        let stream = format!("proxy = '{there}'\nproxy_protocol = '{version}'");
        let server = start("", &stream);
        let address = stream_address(&server);
        let mut client = connect(address);
        let port = client.local_addr().expect("it is bound").port();
        let upstream = accept(&listener);
        let expected = match version {
            "v1" => format!(
                "PROXY TCP4 127.0.0.1 127.0.0.2 {port} {}\r\n",
                address.port()
            )
            .into_bytes(),
            _ => [
                SIGNATURE,
                &[0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 2],
                &port.to_be_bytes(),
                &address.port().to_be_bytes(),
            ]
            .concat(),
        };
        // It comes without the client having sent anything.
        assert_eq!(read(&upstream, expected.len()), expected);
        client.write_all(b"EHLO").expect("it is open");
        assert_eq!(read(&upstream, 4), b"EHLO");
        drop((client, upstream));
        assert_eq!(record(&server, "complete")["bytes_received"], 4);
    }
}

#[test]
fn a_client_without_an_address_is_told_of_as_unknown() {
    let (listener, there) = upstream();
    let text = configuration("", &format!("proxy = '{there}'\nproxy_protocol = 'v1'"));
    let site = Site::configured(&text.replace("listen = '127.0.0.2:0'", "listen = 'unix:here'"));
    let server = site.start();
    let mut client =
        UnixStream::connect(server.directory().join("here")).expect("the server listens");
    client.write_all(b"x").expect("it is open");
    assert_eq!(read(&accept(&listener), 16), b"PROXY UNKNOWN\r\nx");
}

#[test]
fn a_trusted_proxy_says_who_the_client_of_a_stream_is() {
    let (listener, there) = upstream();
    let stream = format!(
        "proxy = '{there}'\naccept_proxy_protocol = true\nproxy_protocol = 'v1'\nallow = '192.0.2.0/24'"
    );
    let server = start("trusted_proxies = '127.0.0.1'", &stream);
    let address = stream_address(&server);
    for header in [V1.to_vec(), v2()] {
        let mut client = connect(address);
        // Octet by octet, the last one with those of the client.
        let (last, pieces) = header.split_last().expect("it is not empty");
        client.set_nodelay(true).expect("a TCP socket");
        for piece in pieces.chunks(1) {
            client.write_all(piece).expect("it is open");
        }
        client
            .write_all(&[&[*last][..], b"EHLO"].concat())
            .expect("it is open");
        let upstream = accept(&listener);
        assert_eq!(read(&upstream, V1.len()), V1);
        assert_eq!(read(&upstream, 4), b"EHLO");
        drop(client);
        expect_end(&upstream);
    }
    let complete = record(&server, "complete");
    assert_eq!(complete["client"], "192.0.2.7");
    assert_eq!(
        complete["bytes_received"], 4,
        "behind the header, in one read"
    );
    // `allow` is for the client that the proxy names, and not for the proxy itself.
    for (header, client) in [
        (
            b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".as_slice(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".as_slice(), "127.0.0.1"),
    ] {
        let mut refused = connect(address);
        refused.write_all(header).expect("it is open");
        expect_reset(&refused);
        let client = format!("\"client\":\"{client}\"");
        server
            .wait_for_record(|line| line.contains("\"end\":\"denied\"") && line.contains(&client));
    }
}

#[test]
fn a_stream_is_closed_if_no_trusted_proxy_says_who_the_client_is() {
    let (_listener, there) = upstream();
    let stream = format!("proxy = '{there}'\naccept_proxy_protocol = true");
    let server = start(
        "trusted_proxies = '127.0.0.1'\nlimits.head_timeout = '300ms'",
        &stream,
    );
    let address = stream_address(&server);
    for (sent, end, status, why) in [
        (&b"EHLO"[..], "no_header", 400, "neither version"),
        (b"PROXY TCP4 1\r\n", "no_header", 400, "no two addresses"),
        (&V1[..V1.len() - 1], "header_timeout", 408, "in time"),
        (b"", "header_timeout", 408, "in time"),
    ] {
        let mut client = connect(address);
        client.write_all(sent).expect("it is open");
        expect_reset(&client);
        assert_eq!(record(&server, end)["status"], status);
        server.wait_for_line(|line| line.contains("127.0.0.1 is refused") && line.contains(why));
    }
    drop(server);
    let server = start("trusted_proxies = '10.0.0.1'", &stream);
    expect_reset(&connect(stream_address(&server)));
    assert_eq!(record(&server, "untrusted")["status"], 403);
    server.wait_for_line(|line| line.contains("not among `trusted_proxies`"));
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

fn http(top: &str) -> Server {
    Site::new("'/' = { echo = true }")
        .top(top)
        .log("access = '-'\nformat = 'json'")
        .server("listen = '127.0.0.1:0'\naccept_proxy_protocol = true")
        .start()
}

/// The client that an answer of `echo` names.
fn client_of(client: &mut Client) -> String {
    let json = client.response().json();
    json["client"].as_str().expect("a text").to_owned()
}

#[test]
fn a_trusted_proxy_says_who_the_client_of_a_server_is() {
    speak_plainly();
    let server = http("trusted_proxies = '127.0.0.1'");
    for header in [V1.to_vec(), v2()] {
        // With the first request, and a second one, in one piece; and in many.
        let mut client = server.connect();
        client.send([&header[..], GET.as_bytes(), GET.as_bytes()].concat());
        for _ in 0..2 {
            assert_eq!(client_of(&mut client), "192.0.2.7");
        }
        client.send(GET);
        assert_eq!(client_of(&mut client), "192.0.2.7");
        let mut client = server.connect();
        for piece in [&header[..], GET.as_bytes()].concat().chunks(7) {
            client.send(piece);
        }
        assert_eq!(client_of(&mut client), "192.0.2.7");
    }
    server.wait_for_record(|line| line.contains("\"client\":\"192.0.2.7\""));
    let mut own = server.connect();
    own.send([SIGNATURE, &[0x20, 0, 0, 0], GET.as_bytes()].concat());
    assert_eq!(client_of(&mut own), "127.0.0.1");
}

#[test]
fn a_server_closes_if_no_trusted_proxy_says_who_the_client_is() {
    let server = http("trusted_proxies = '127.0.0.1'");
    for sent in [GET.as_bytes(), b"PROXY TCP4 x\r\n"] {
        let mut client = connect(server.address());
        client.write_all(sent).expect("it is open");
        expect_reset(&client);
    }
    server.wait_for_line(|line| line.contains("127.0.0.1 is refused: it sent no header"));
    drop(server);
    let server = http("trusted_proxies = '192.0.2.1'");
    // The system hands the connection to the server when it has an octet; the error may come with that.
    let mut client = connect(server.address());
    if client.write_all(V1).is_ok() {
        let ended = client.read(&mut [0]);
        assert!(!matches!(ended, Ok(1)), "{ended:?}");
    }
    server.wait_for_line(|line| line.contains("not among `trusted_proxies`"));
}
