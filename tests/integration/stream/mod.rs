//! Streams: connections that are passed on as they are, to a server that a test scripts.

mod lifecycle;
mod proxy_protocol;
mod relay;
mod servers;
mod story;
mod tls;

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{SAFETY, Server, Site, until};

/// A server that waits for connections, and where it does.
fn upstream() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// The next connection to `upstream`.
fn accept(upstream: &TcpListener) -> TcpStream {
    upstream.set_nonblocking(true).expect("it can be set so");
    let accepted = until("a connection", || upstream.accept().ok());
    accepted.0.set_nonblocking(false).expect("it can be set so");
    patient(accepted.0)
}

/// An address at which nothing listens.
fn nowhere() -> SocketAddr {
    upstream().1
}

fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).expect("the server listens"))
}

fn patient(stream: TcpStream) -> TcpStream {
    let patience: Option<Duration> = Some(SAFETY);
    stream.set_read_timeout(patience).expect("it is not zero");
    stream.set_write_timeout(patience).expect("it is not zero");
    stream
}

/// The next `count` octets.
fn read(mut from: &TcpStream, count: usize) -> Vec<u8> {
    let mut octets = vec![0; count];
    from.read_exact(&mut octets).expect("they arrive");
    octets
}

/// A configuration with a server, and a stream with the lines `stream`, each at a port of its own.
fn configuration(top: &str, stream: &str) -> String {
    format!(
        "workers = 2\n{top}\n[log]\naccess = '-'\nformat = 'json'\n\
         [[server]]\nlisten = '127.0.0.1:0'\nroutes.'/' = {{ respond = 'ok' }}\n\
         [[stream]]\nlisten = '127.0.0.2:0'\n{stream}\n"
    )
}

fn start(top: &str, stream: &str) -> Server {
    Site::configured(&configuration(top, stream)).start()
}

/// Where the stream of `server` listens.
fn stream_address(server: &Server) -> SocketAddr {
    let line = server.wait_for_line(|line| line.contains("for a stream"));
    let (_, address) = line.split_once("listening at ").expect("it says where");
    let (address, _) = address.split_once(',').expect("and for what");
    address.parse().expect("an address")
}

/// Waits for the record of a stream's connection that ended so.
fn record(server: &Server, end: &str) -> serde_json::Value {
    let end = format!("\"end\":\"{end}\"");
    let line = server.wait_for_record(|line| line.contains(&end));
    serde_json::from_str(&line).expect("JSON")
}

/// Checks that the connection is reset before anything arrives on it.
fn expect_reset(mut client: &TcpStream) {
    let read = client.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(read, Err(std::io::ErrorKind::ConnectionReset));
}

/// Checks that the other side ends, and that nothing more arrives before.
fn expect_end(mut from: &TcpStream) {
    let read = from.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(read, Ok(0));
}
