//! Listening sockets: one for each worker at each address, owned by the supervisor, so that a worker
//! may go and another come without a queued connection being lost.
//!
//! `SO_REUSEPORT` lets the sockets of one address share it; by itself it would also let a second
//! server take half the connections. So the first socket is bound without it, which the system
//! refuses if anybody holds the address, and joins the others only then.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::log::diagnostic;
use crate::runtime::sys;
use crate::server::ListeningSocket;

/// Connections that may wait to be accepted, on each socket; the system may allow fewer.
const BACKLOG: i32 = 4096;

/// How long a connection may be silent before it is handed out all the same.
const DEFER_ACCEPT: Duration = Duration::from_secs(1);

/// The sockets of one address.
pub(super) struct Listening {
    /// As configured.
    pub(super) address: SocketAddr,
    /// As bound: with the port the system chose for port 0.
    pub(super) bound: SocketAddr,
    sockets: Vec<Arc<OwnedFd>>,
}

impl Listening {
    /// The socket of the worker of that index.
    pub(super) fn socket(&self, worker: usize) -> ListeningSocket {
        ListeningSocket {
            address: self.address,
            fd: Arc::clone(&self.sockets[worker]),
        }
    }
}

/// Why an address cannot be listened at: the operator's to mend.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {reason}")]
pub(crate) struct ListenError {
    address: SocketAddr,
    reason: String,
    is_missing_family: bool,
}

impl ListenError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        let errno = Errno::from_io_error(&error);
        let reason = match errno {
            Some(Errno::ADDRINUSE) => {
                format!(
                    "another program, perhaps another tidegate, listens there; stop it, or choose another port (`ss -ltnp 'sport = :{}'` shows which)",
                    address.port()
                )
            }
            Some(Errno::ACCESS | Errno::PERM) => {
                format!(
                    "ports below 1024 are privileged; choose a higher one, or allow it: `setcap cap_net_bind_service=+ep` on the program (the system says: {error})"
                )
            }
            Some(Errno::ADDRNOTAVAIL) => {
                "no interface of this machine has that address; `ip address` lists those there are"
                    .to_owned()
            }
            Some(Errno::AFNOSUPPORT) => "this machine has no IPv6".to_owned(),
            _ => error.to_string(),
        };
        let is_missing_family = matches!(errno, Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL));
        Self {
            address,
            reason,
            is_missing_family,
        }
    }
}

/// Binds every address, with a socket for each worker, and listens.
///
/// An IPv6 wildcard or loopback is passed over, with a warning, on a machine without IPv6: `localhost`
/// and `:8080` mean it only where there is one.
///
/// # Errors
/// The first address that cannot be listened at; nothing is listening then.
pub(super) fn listen(
    addresses: &[SocketAddr],
    workers: usize,
) -> Result<Vec<Listening>, ListenError> {
    let mut listening: Vec<Listening> = Vec::new();
    for address in addresses {
        match listen_at(*address, workers) {
            Ok(sockets) => listening.push(sockets),
            Err(error) => {
                let error = ListenError::new(*address, error);
                if !(error.is_missing_family && is_implied(*address, addresses)) {
                    return Err(error);
                }
                diagnostic::warn(format_args!("{error}; passed over"));
            }
        }
    }
    Ok(listening)
}

/// Whether an IPv6 address stands beside its IPv4 counterpart, as `localhost` and `:PORT` put it.
fn is_implied(address: SocketAddr, all: &[SocketAddr]) -> bool {
    let counterpart = match address.ip() {
        IpAddr::V6(Ipv6Addr::LOCALHOST) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        _ => return false,
    };
    all.contains(&SocketAddr::new(counterpart, address.port()))
}

fn listen_at(address: SocketAddr, workers: usize) -> io::Result<Listening> {
    let first = open(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let bound = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..workers {
        let socket = open(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&bound.into())?;
        sockets.push(socket);
    }
    // Only when all are bound, so that none takes connections for one that then fails.
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    let sockets = sockets
        .into_iter()
        .map(|socket| Arc::new(OwnedFd::from(socket)))
        .collect();
    Ok(Listening {
        address,
        bound,
        sockets,
    })
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // For restarts: connections of before may still be in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // 0.0.0.0 is an address of its own.
        socket.set_only_v6(true)?;
    }
    // Both are inherited by accepted connections, or act for them.
    socket.set_tcp_nodelay(true)?;
    sys::set_defer_accept(socket.as_fd(), DEFER_ACCEPT)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn each_worker_has_a_socket_at_the_same_port() {
        let listening = listen(&[loopback(0)], 3).expect("a port is free");
        let [at] = &listening[..] else {
            panic!("one address")
        };
        assert_eq!(at.address, loopback(0));
        assert_ne!(at.bound.port(), 0);
        for socket in &at.sockets {
            let name = rustix::net::getsockname(&**socket).expect("it is bound");
            assert_eq!(
                SocketAddr::try_from(name).expect("of an internet family"),
                at.bound
            );
        }
    }

    #[test]
    fn an_address_that_is_held_is_refused() {
        let held = listen(&[loopback(0)], 2).expect("a port is free");
        let error = listen(&[held[0].bound], 2).err().expect("it is held");
        assert!(error.to_string().contains("another program"), "{error}");
    }

    #[test]
    fn an_address_of_nobody_is_refused() {
        let nobody = SocketAddr::from(([192, 0, 2, 1], 0));
        let error = listen(&[nobody], 1).err().expect("it is for documentation");
        assert!(error.to_string().contains("no interface"), "{error}");
    }

    #[test]
    fn only_a_counterpart_implies_ipv6() {
        let v6 = |text: &str| text.parse().expect("an address");
        let both = [loopback(80), v6("[::1]:80")];
        assert!(is_implied(both[1], &both));
        assert!(!is_implied(both[0], &both));
        assert!(!is_implied(v6("[::1]:81"), &both));
        assert!(!is_implied(v6("[2001:db8::1]:80"), &both));
    }
}
