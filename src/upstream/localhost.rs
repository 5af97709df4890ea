//! Connections to `localhost:PORT`: one server, which listens at 127.0.0.1, at `[::1]`, or at both.
//!
//! A server that is told to listen at "localhost" takes the address that its system names first. Node.js 17 and
//! later, and so Vite, often listen at `[::1]` alone; most others at 127.0.0.1. Two members of a group would be
//! wrong: the one at which nothing listens would count as a server that fails for ever. So a server at localhost
//! is one member, and the two addresses are known where a connection is begun, and nowhere else.

use std::cell::RefCell;
use std::io;

use rustix::io::Errno;

use crate::address::at_localhost;
use crate::runtime::{Stream, Tick};

thread_local! {
    /// The ports at which [::1] took the last connection of this thread. It is tried first there, so that a
    /// server at [::1] alone does not cost a refused attempt for each connection.
    static AT_V6: RefCell<Vec<u16>> = const { RefCell::new(Vec::new()) };
}

/// Connects to `port` at the loopback address that took the last connection, at first 127.0.0.1. If nothing
/// listens there, connects to the other one, within the same `deadline`.
///
/// # Errors
/// As [`Stream::connect`]. Where nothing listens at either address, the error of the second one, or that of the
/// first one if the machine does not have the second.
pub(super) async fn connect(port: u16, deadline: Tick) -> io::Result<Stream> {
    let mut addresses = at_localhost(port);
    if AT_V6.with_borrow(|ports| ports.contains(&port)) {
        addresses.reverse();
    }
    let [first, second] = addresses;
    let refused = match Stream::connect(first, deadline).await {
        Err(error) if is_refused(&error) || is_missing(&error) => error,
        connected => return connected,
    };
    match Stream::connect(second, deadline).await {
        Err(error) if is_missing(&error) => Err(refused),
        Err(error) => Err(error),
        Ok(stream) => {
            remember(port, second.is_ipv6());
            Ok(stream)
        }
    }
}

/// Whether nothing listens at the address.
fn is_refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

/// Whether this machine does not have the address: IPv6 is switched off, or is not part of the system.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::ADDRNOTAVAIL | Errno::NETUNREACH | Errno::AFNOSUPPORT)
    )
}

fn remember(port: u16, is_v6: bool) {
    AT_V6.with_borrow_mut(|ports| {
        ports.retain(|other| *other != port);
        if is_v6 {
            ports.push(port);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use super::*;
    use crate::runtime;

    /// Listens at a port of [::1] at which nothing listens at 127.0.0.1. `None` on a machine without IPv6.
    fn at_v6() -> Option<(TcpListener, u16)> {
        let listening = TcpListener::bind("[::1]:0").ok()?;
        let port = listening.local_addr().expect("it is bound").port();
        Some((listening, port))
    }

    /// Where a connection to that port of localhost leads: both of its ends have one loopback address.
    async fn peer(port: u16) -> Result<SocketAddr, io::ErrorKind> {
        let stream = connect(port, Tick::NEVER).await;
        let stream = stream.map_err(|error| error.kind())?;
        let ip = stream.local_ip().expect("it is connected");
        Ok((ip, port).into())
    }

    #[test]
    fn the_address_is_tried_first_that_took_the_last_connection() {
        let Some((v6, port)) = at_v6() else { return };
        let [at_v4, at_v6] = at_localhost(port);
        runtime::run(async move {
            assert_eq!(peer(port).await, Ok(at_v6), "it listens there alone");
            let v4 = TcpListener::bind(at_v4).expect("the port is free");
            assert_eq!(peer(port).await, Ok(at_v6), "it took the last one");
            drop(v6);
            assert_eq!(peer(port).await, Ok(at_v4), "the server has moved");
            let v6 = TcpListener::bind(at_v6).expect("the port is free");
            assert_eq!(peer(port).await, Ok(at_v4), "it took the last one");
            drop((v4, v6));
            assert_eq!(peer(port).await, Err(io::ErrorKind::ConnectionRefused));
        })
        .expect("a loop");
    }

    #[test]
    fn an_address_that_the_machine_does_not_have_is_no_reason_to_fail() {
        for (errno, expected) in [
            (Errno::ADDRNOTAVAIL, true),
            (Errno::NETUNREACH, true),
            (Errno::AFNOSUPPORT, true),
            (Errno::MFILE, false),
            (Errno::CONNREFUSED, false),
        ] {
            assert_eq!(is_missing(&errno.into()), expected, "{errno}");
        }
    }
}
