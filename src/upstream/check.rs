//! `health`: asks one server whether it is well.
//!
//! ```text
//! GET /healthz HTTP/1.1
//! Host: 127.0.0.1:8000
//! User-Agent: tidegate-health
//! Connection: close
//! ```
//!
//! The status is the answer. The content is not waited for, and the connection is closed.

use std::io;

use super::connection::{Buffers, Connection};
use super::server::Server;
use crate::config::model::HealthCheck;
use crate::http::received_response::{ResponseError, final_status};
use crate::http::status::Status;
use crate::runtime::descriptors::is_shortage;
use crate::runtime::{self, Elapsed, Tick};

/// Why a server does not count as well.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwell {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("it closed the connection before its response")]
    ClosedEarly,
    #[error("it did not respond within the timeout")]
    TimedOut,
    #[error("it sent what is no response: {0}")]
    Response(#[from] ResponseError),
    #[error("its status is {}", .0.code())]
    Status(Status),
}

impl Unwell {
    /// Whether the server could not be asked, because this process or the system has no descriptor left. That
    /// says nothing about the server.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Connect(error) if is_shortage(error))
    }
}

impl From<Elapsed> for Unwell {
    fn from(Elapsed: Elapsed) -> Self {
        Self::TimedOut
    }
}

/// Asks `server`. The field `Host` says `host`, unless the check names another; `buffers` are the
/// loop's.
///
/// # Errors
/// Why it is not well.
pub(super) async fn ask(
    server: &Server,
    host: &str,
    check: &HealthCheck,
    buffers: &Buffers,
) -> Result<(), Unwell> {
    let deadline = runtime::deadline_after(check.timeout);
    let opened = Connection::open_to(server, Vec::new(), check.timeout).await;
    let connection = opened.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => Unwell::TimedOut,
        _ => Unwell::Connect(error),
    })?;
    send(&connection, request(host, check).as_bytes(), deadline).await?;
    let status = receive(&connection, buffers, deadline).await?;
    if check.status.iter().any(|range| range.contains(status)) {
        Ok(())
    } else {
        Err(Unwell::Status(status))
    }
}

fn request(host: &str, check: &HealthCheck) -> String {
    let host = check.host.as_deref().unwrap_or(host);
    let path = &check.path;
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tidegate-health\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
}

async fn send(connection: &Connection, mut octets: &[u8], deadline: Tick) -> Result<(), Unwell> {
    while !octets.is_empty() {
        match connection.send(octets) {
            Ok(count) => octets = &octets[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.ready_for_any(deadline).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits for the head of the final response, and returns its status.
async fn receive(
    connection: &Connection,
    buffers: &Buffers,
    deadline: Tick,
) -> Result<Status, Unwell> {
    let mut head = Vec::new();
    loop {
        let received = connection.receive(buffers, |octets| {
            head.extend_from_slice(octets);
            octets.is_empty()
        });
        match received {
            Ok(true) => return Err(Unwell::ClosedEarly),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.ready_to_receive(deadline).await?;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        if let Some(status) = final_status(&mut head)? {
            return Ok(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use super::*;
    use crate::address::{Scheme, UpstreamAddress};
    use crate::config::model::StatusRange;

    /// A server that takes one connection, sends `response`, and returns what it was asked.
    fn server(response: &'static str) -> (SocketAddr, JoinHandle<String>) {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listening.local_addr().expect("it is bound");
        let thread = std::thread::spawn(move || {
            let (mut client, _) = listening.accept().expect("a connection");
            let (mut asked, mut octet) = (Vec::new(), [0]);
            while !asked.ends_with(b"\r\n\r\n") {
                client.read_exact(&mut octet).expect("a whole head");
                asked.push(octet[0]);
            }
            client.write_all(response.as_bytes()).expect("room");
            String::from_utf8(asked).expect("ASCII")
        });
        (address, thread)
    }

    fn check(host: Option<&str>) -> HealthCheck {
        HealthCheck {
            path: "/healthz?full".to_owned(),
            host: host.map(str::to_owned),
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            status: vec![StatusRange {
                first: 200,
                last: 299,
            }],
            rises: 2,
            falls: 3,
        }
    }

    fn asked(address: SocketAddr, check: HealthCheck) -> Result<(), String> {
        let address = UpstreamAddress::Ip(address);
        let host = address.host_field(Scheme::Plain);
        let server = Server::new(address);
        let ask = async move { ask(&server, &host, &check, &Buffers::default()).await };
        let outcome = runtime::run(ask).expect("a loop");
        outcome.map_err(|unwell| unwell.to_string())
    }

    #[test]
    fn the_status_of_the_final_response_is_the_answer() {
        for (response, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Ok(())),
            ("HTTP/1.0 204 No Content\r\n\r\n", Ok(())),
            (
                "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
                Ok(()),
            ),
            ("HTTP/1.1 503 Busy\r\n\r\n", Err("its status is 503")),
            ("HTTP/1.1 302 Found\r\n\r\n", Err("its status is 302")),
            (
                "HTTP/1.1 200 OK\r\n",
                Err("it closed the connection before its response"),
            ),
            (
                "SSH-2.0-x\r\n\r\n",
                Err("it sent what is no response: its status line or a field line is malformed"),
            ),
        ] {
            let (address, thread) = server(response);
            let outcome = asked(address, check(None));
            assert_eq!(outcome, expected.map_err(str::to_owned), "{response}");
            let request = thread.join().expect("it was asked");
            assert!(
                request.starts_with("GET /healthz?full HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(
                request.contains(&format!("\r\nHost: {address}\r\n")),
                "{request}"
            );
        }
    }

    #[test]
    fn the_host_is_what_the_operator_says() {
        let (address, thread) = server("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(asked(address, check(Some("shop.example"))), Ok(()));
        let request = thread.join().expect("it was asked");
        assert!(request.contains("\r\nHost: shop.example\r\n"), "{request}");
    }

    #[test]
    fn a_server_that_takes_no_connection_or_does_not_respond_is_unwell() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listening.local_addr().expect("it is bound");
        let mut check = check(None);
        check.timeout = Duration::from_millis(50);
        let silent = asked(address, check.clone());
        assert_eq!(
            silent,
            Err("it did not respond within the timeout".to_owned())
        );
        drop(listening);
        let refused = asked(address, check).expect_err("no server listens");
        assert!(refused.starts_with("cannot connect: "), "{refused}");
    }
}
